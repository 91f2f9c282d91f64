"""The claims of ji2022, a row each.

Where the powers of log(1/L) come from. The flow conserves WᵀW − HᵀH (rows are samples here, D × D)
and the sum of W's rows. With ρ² = ‖W‖² + ‖H‖² ∝ log(1/L) growing, whatever of the start lies
outside the simplex's directions keeps a size of order ‖θ₀‖: in units of ρ it is ‖θ₀‖/ρ, a power ½ of
1/log(1/L). Variation within classes, the classifier's norms and cosines, and self-duality see it to
first order; norms and cosines of the class means, centred and orthogonal to it, to second: power 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong
from ncollapse.geometry import simplex_etf
from ncollapse.papers.ji2022.experiments import METRICS, Example, Figure2, kkt_residual
from ncollapse.theory.landscape import escape_direction, example_3_1
from ncollapse.theory.layer_peeled import margin_bound

_FIRST_ORDER = ("nc2_equinorm_weight", "within_variation", "nc2_equiangular_weight", "nc3_average")
_POWERS = np.array([0.5 if name in _FIRST_ORDER else 1.0 for name in METRICS])
_OURS = "ours: conserved parts of the start beside a norm that grows like √log(1/L)"
_FAR_OFF = 0.3
"""An α on the paper's curve that is well away from the critical point."""


def _escape_at_the_optimum(_: Example) -> float | None:
    escape = escape_direction(simplex_etf(4), simplex_etf(4))
    return None if escape is None else escape.decrease


def _decrease(result: Example) -> float | Missing:
    return Missing("no escape was found") if result.escape is None else result.escape.decrease


def _end(result: Figure2, name: str) -> float:
    return float(result.run.observations[name][-1])


def _margin_ratios(result: Figure2, classes: int | None = None) -> np.ndarray:
    """q_min over its bound ρ²/(2(K−1)√n) at each step."""
    count, per_class = result.shape
    path = result.run
    bound = margin_bound(1.0, num_classes=classes or count, per_class=per_class)
    return path.observations["margin"] / (bound * path.norm**2)


def _late_margin_ratios(result: Figure2) -> np.ndarray:
    level = result.run.log_inverse_loss
    return _margin_ratios(result)[level > 0.5 * level[-1]]


def _smoothed(result: Figure2) -> np.ndarray:
    """γ̃ from the step on where L < log 2."""
    from ncollapse.theory.ends import smoothed_margins

    values = smoothed_margins(result.run)
    return values[~np.isnan(values)]


def _kkt_epsilon(result: Figure2) -> np.ndarray | Missing:
    gamma = _smoothed(result)
    if not gamma.size:
        return Missing("the loss never fell below log 2")
    defect = result.run.observations["kkt_defect"][-gamma.size :]
    return np.sqrt(2.0 * defect / gamma)


def _over_norm(values: np.ndarray, result: Figure2) -> np.ndarray:
    return values / result.run.norm[-values.size :]


def _beside_descent(result: Figure2, ahead: float) -> np.ndarray:
    """Descent's metrics over those of the flow at the same log(1/L), or ``ahead`` of it."""
    path, trained = result.run, result.descent
    below = trained.log_inverse_loss > 1.0
    level = trained.log_inverse_loss[below] + ahead
    return np.array(
        [
            trained.observations[name][below]
            / np.exp(np.interp(level, path.log_inverse_loss, np.log(path.observations[name])))
            for name in ("within_variation", "nc3_average")
        ]
    )


def _exponents(result: Any) -> np.ndarray:
    return np.array([result.exponents[name] for name in METRICS])


CLAIMS = (
    Claim(
        id="ji2022.example31.kkt-point",
        experiment="ji2022.example31",
        statement="Example 3.1",
        says="residual of the stationarity of (3.1) with multipliers Λ ≥ 0 on the constraints "
        "that bind, relative",
        source="ji2022 (3.1) and Definition A.1",
        relation=Relation.EQUAL,
        expected=0.0,
        tolerance=1e-12,
        measure=lambda _: kkt_residual(*example_3_1()),
        wrong=Wrong(
            f"so is every point of its curve, such as α = {_FAR_OFF}",
            measure=lambda _: kkt_residual(*example_3_1(_FAR_OFF)),
        ),
    ),
    Claim(
        id="ji2022.example31.escape",
        experiment="ji2022.example31",
        statement="Theorem 3.4",
        says="verified decrease of log L along a direction tangent to the sphere",
        source="ji2022 Theorem 3.4, Remark 3.4",
        relation=Relation.EXISTS,
        measure=lambda result: None if result.escape is None else result.escape.decrease,
        wrong=Wrong("the simplex has one too", measure=_escape_at_the_optimum),
    ),
    Claim(
        id="ji2022.example31.decrease",
        experiment="ji2022.example31",
        statement="Example 3.1",
        says="decrease of log L along our escape, at least the best on the paper's curve",
        source="ji2022 Example 3.1; tolerance: the spacing of α",
        relation=Relation.AT_LEAST,
        expected=lambda result: -float(result.paper.min()),
        tolerance=1e-2,
        measure=_decrease,
        wrong=Wrong(
            "a first step of 0.2 is all there is to gain",
            measure=lambda result: -float(np.interp(0.2, result.angles, result.ours)),
        ),
    ),
    Claim(
        id="ji2022.figure2.means",
        experiment="ji2022.figure2",
        statement="Theorems 3.2 and 3.4, Figure 2(c)",
        says="mean abs(cos + 1/(K−1)) of the class means at the end of the flow",
        source=_OURS + ": (‖θ₀‖/ρ)²",
        relation=Relation.EQUAL,
        expected=0.0,
        tolerance=lambda result: result.start_share**2,
        measure=lambda result: _end(result, "nc2_equiangular_means"),
        wrong=Wrong("means stop where the classifier is", measure=lambda r: r.start_share),
    ),
    Claim(
        id="ji2022.figure2.classifier",
        experiment="ji2022.figure2",
        statement="Theorems 3.2 and 3.4, Figure 2(c)",
        says="mean abs(cos + 1/(K−1)) of the classifier's rows at the end of the flow",
        source=_OURS + ": ‖θ₀‖/ρ",
        relation=Relation.EQUAL,
        expected=0.0,
        tolerance=lambda result: result.start_share,
        measure=lambda result: _end(result, "nc2_equiangular_weight"),
        wrong=Wrong(
            "rows become orthogonal",
            measure=lambda r: 1.0 / (r.shape[0] - 1) - _end(r, "nc2_equiangular_weight"),
        ),
    ),
    Claim(
        id="ji2022.figure2.margin-bound",
        experiment="ji2022.figure2",
        statement="Theorem 3.1",
        says="q_min over ρ²/(2(K−1)√n) at every step, at most 1",
        source="ji2022 Theorem 3.1",
        relation=Relation.AT_MOST,
        expected=1.0,
        tolerance=1e-12,
        measure=_margin_ratios,
        wrong=Wrong("K for K − 1", measure=lambda r: _margin_ratios(r, r.shape[0] + 1)),
    ),
    Claim(
        id="ji2022.figure2.margin",
        experiment="ji2022.figure2",
        statement="Theorem 3.1, equality",
        says="q_min over its bound at the end",
        source=_OURS + ": (‖θ₀‖/ρ)²",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=lambda result: result.start_share**2,
        measure=lambda result: float(_margin_ratios(result)[-1]),
        wrong=Wrong("n for √n", measure=lambda r: _margin_ratios(r)[-1] * math.sqrt(r.shape[1])),
    ),
    Claim(
        id="ji2022.figure2.margin-rises",
        experiment="ji2022.figure2",
        statement="Lemma B.2",
        says="largest fall of q_min/ρ² over the last half of log(1/L), relative",
        source="ji2022 Lemma B.2, for the margin that γ̃ tends to",
        relation=Relation.MONOTONE,
        tolerance=1e-12,
        measure=_late_margin_ratios,
        wrong=Wrong(
            "logits are homogeneous of degree 3: q_min/ρ³ rises",
            measure=lambda r: _over_norm(_late_margin_ratios(r), r),
        ),
    ),
    Claim(
        id="ji2022.figure2.smoothed-margin",
        experiment="ji2022.figure2",
        statement="Lemma B.2",
        says="largest fall of γ̃ between steps, relative, once L < log 2",
        source="ji2022 Lemma B.2",
        relation=Relation.MONOTONE,
        tolerance=1e-12,
        measure=lambda r: _smoothed(r) if _smoothed(r).size else Missing("L stayed above log 2"),
        wrong=Wrong(
            "logits are homogeneous of degree 3: γ̃/ρ rises",
            measure=lambda r: _over_norm(_smoothed(r), r),
        ),
    ),
    Claim(
        id="ji2022.figure2.kkt-epsilon",
        experiment="ji2022.figure2",
        statement="Theorem 3.2, Lemma B.1",
        says="ε of the (ε, δ)-KKT point, √(2(1 − β)/γ̃), from L = log 2 on",
        source=_OURS + ": ‖θ₀‖/(ρ√γ̃)",
        relation=Relation.TENDS_TO,
        expected=0.0,
        tolerance=lambda r: r.start_share / math.sqrt(_smoothed(r)[-1]),
        measure=_kkt_epsilon,
        wrong=Wrong(
            "the velocity keeps its first angle with θ",
            measure=lambda r: np.full_like(_kkt_epsilon(r), _kkt_epsilon(r)[0]),
        ),
    ),
    Claim(
        id="ji2022.figure2.descent",
        experiment="ji2022.figure2",
        statement="Figure 2(b) and (d)",
        says="variation within classes and self-duality of gradient descent over those of the "
        "flow at the same log(1/L)",
        source="gradient descent follows the flow; tolerance: of the order of its step in time",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=lambda result: 0.05 * result.time_step,
        measure=lambda result: _beside_descent(result, 0.0),
        wrong=Wrong("descent is a unit of log(1/L) ahead", lambda r: _beside_descent(r, 1.0)),
    ),
    Claim(
        id="ji2022.rates.printed",
        experiment="ji2022.rates",
        statement="Figure 2, “the rate O(1/log t)”",
        says="least power of 1/log(1/L) by which the six curves of the four panels fall",
        source="ji2022 §4.1",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=0.02,
        measure=_exponents,
        corrected="ji2022.rates.powers",
    ),
    Claim(
        id="ji2022.rates.powers",
        experiment="ji2022.rates",
        statement="ours, for Figure 2",
        says="powers of 1/log(1/L): ½ for what sees the start to first order, 1 for the norms "
        "and cosines of the class means",
        source=_OURS + "; derived at leading order, checked, not proved",
        relation=Relation.EQUAL,
        expected=_POWERS,
        tolerance=0.02,
        measure=_exponents,
        wrong=Wrong("1 for all, as printed", expected=lambda _: np.ones(len(METRICS))),
    ),
)
