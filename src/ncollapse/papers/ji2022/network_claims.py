"""What ji2022 Figures 1 and 3 to 8 are said to show of trained networks, a row each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong
from ncollapse.papers.ji2022.networks import FEWEST, FIGURES, METRICS, NAMES, Networks

Number = float | np.ndarray | Missing
CLASSIFIER_NORMS = "nc2_equinorm_weight"
_TOO_FEW = f"fewer than {FEWEST} records at training error zero"
FALLING = tuple(name for name in METRICS if name != CLASSIFIER_NORMS)
"""The paper says itself that the classifier's norms stay low and need not fall (Appendix D)."""


def _on(name: str, measure: Callable[[Networks], Number]) -> Callable[[Networks], Number]:
    """``measure`` where the network was trained on the image set ``name``."""
    return lambda result: (
        Missing(result.missing[name]) if name in result.missing else measure(result)
    )


def _fall(result: Networks, name: str) -> np.ndarray | Missing:
    """`FALLING` at the end over where the training error became zero for good."""
    fitted, curves = result.fitted(name), result.runs[name].observations
    if fitted.sum() < FEWEST:
        return Missing(_TOO_FEW)
    return np.array([curves[metric][-1] / curves[metric][fitted][0] for metric in FALLING])


def _power(result: Networks, name: str) -> float | Missing:
    """The least power of 1/log t by which `FALLING` fall."""
    powers = result.exponents(name)
    if not powers:
        return Missing(_TOO_FEW)
    return min(powers[metric] for metric in FALLING)


def _rows(number: int, network: str, name: str) -> tuple[Claim, ...]:
    experiment, where = f"ji2022.figure{number}", f"{NAMES[network]} on {NAMES[name]}"
    printed = f"Figure {number}"

    def accuracy(result: Networks, record: int) -> float:
        return float(result.runs[name].observations["accuracy"][record])

    def norms(result: Networks, metric: str, record: int) -> float:
        return float(result.runs[name].observations[metric][record])

    return (
        Claim(
            id=f"{experiment}.{name}-fitted",
            experiment=experiment,
            statement=printed,
            says=f"training accuracy of {where} at the end",
            source="ji2022 Appendix D; the terminal phase of training",
            relation=Relation.EQUAL,
            expected=1.0,
            measure=_on(name, lambda result: accuracy(result, -1)),
            wrong=Wrong("the start fits already", measure=lambda result: accuracy(result, 0)),
        ),
        Claim(
            id=f"{experiment}.{name}-falls",
            experiment=experiment,
            statement=printed,
            says=f"metrics of {where} at the end over where its training error became zero",
            source="ji2022 §4: all metrics decrease along the epochs; the factor is ours",
            relation=Relation.AT_MOST,
            expected=0.97,
            measure=_on(name, lambda result: _fall(result, name)),
            wrong=Wrong(
                "nothing moves once every image is fitted",
                measure=lambda _: np.ones(len(FALLING)),
            ),
        ),
        Claim(
            id=f"{experiment}.{name}-classifier-norms",
            experiment=experiment,
            statement=printed,
            says=f"relative spread of the classifier's norms of {where} at the end",
            source='ji2022 Appendix D: "stays at a low value"; the value is ours',
            relation=Relation.AT_MOST,
            expected=0.1,
            measure=_on(name, lambda result: norms(result, CLASSIFIER_NORMS, -1)),
            wrong=Wrong(
                "the means' norms are as equal from the start",
                measure=lambda result: norms(result, "nc2_equinorm_means", 0),
            ),
        ),
        Claim(
            id=f"{experiment}.{name}-power",
            experiment=experiment,
            statement=f"ours, for {printed}",
            says=f"least power of 1/log t by which the metrics of {where} fall once it is fitted",
            source='seen, not derived: the power is below the 1 of "O(1/log t)"',
            relation=Relation.AT_MOST,
            expected=0.8,
            measure=_on(name, lambda result: _power(result, name)),
            wrong=Wrong("1 for all, as printed of Figure 2", measure=lambda _: 1.0),
        ),
    )


CLAIMS = tuple(
    row
    for number, (network, sets) in FIGURES.items()
    for name in sets
    for row in _rows(number, network, name)
)
