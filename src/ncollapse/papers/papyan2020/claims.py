"""What papyan2020 says of training beyond zero error, a row each."""

from __future__ import annotations

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong
from ncollapse.papers.papyan2020.experiments import METRICS, Curves

_NO_ZERO = "the training error did not become zero"


def _fall(result: Curves, *names: str) -> np.ndarray | Missing:
    falls = result.fall()
    if falls is None:
        return Missing(_NO_ZERO)
    return falls[[METRICS.index(name) for name in names]]


def _mismatch(result: Curves) -> float:
    return 1.0 - float(result.run.observations["nc4_agreement"][-1])


def _row(key: str, statement: str, says: str, *names: str) -> Claim:
    """A claim that metrics fall after the error is zero, against one that they stay."""
    return Claim(
        id=f"papyan2020.curves.{key}",
        experiment="papyan2020.curves",
        statement=statement,
        says=f"{says}, at the end over where the training error became zero",
        source="papyan2020, figures over the terminal phase; the factor is ours, for this budget",
        relation=Relation.AT_MOST,
        expected=0.97,
        measure=lambda result: _fall(result, *names),
        wrong=Wrong(
            "nothing moves once every sample is fitted", measure=lambda _: np.ones(len(names))
        ),
    )


CLAIMS = (
    Claim(
        id="papyan2020.curves.zero-error",
        experiment="papyan2020.curves",
        statement="terminal phase of training",
        says="training error at the end",
        source="papyan2020, definition of the terminal phase",
        relation=Relation.EQUAL,
        expected=0.0,
        measure=lambda result: float(result.errors[-1]),
        wrong=Wrong("it is zero from the start", measure=lambda result: float(result.errors[0])),
    ),
    _row("variability", "(NC1), Figure 6", "Tr(Σ_W Σ_B†)/K", "nc1_pinv"),
    _row(
        "norms",
        "(NC2), Figure 2",
        "relative spread of the norms of centred class means",
        "nc2_equinorm_means",
    ),
    _row(
        "angles",
        "(NC2), Figures 3 and 4",
        "distance of the cosines of means and of classifiers from −1/(K−1)",
        "nc2_equiangular_means",
        "nc2_equiangular_weight",
    ),
    _row(
        "duality",
        "(NC3), Figure 5",
        "squared distance of normalised classifier and centred means",
        "nc3_duality",
    ),
    Claim(
        id="papyan2020.curves.nearest-mean",
        experiment="papyan2020.curves",
        statement="(NC4), Figure 7",
        says="share of samples where classifier and nearest class mean disagree, at the end",
        source="papyan2020, Figure 7",
        relation=Relation.EQUAL,
        expected=0.0,
        measure=_mismatch,
        wrong=Wrong(
            "they agree from the start",
            measure=lambda result: 1.0 - float(result.run.observations["nc4_agreement"][0]),
        ),
    ),
)
