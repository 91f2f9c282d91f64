"""Claims of ji2022's appendices on the flow of its Figure 2: Lemmas B.1–B.5, (C.3), MFCQ."""

from __future__ import annotations

import math

import numpy as np

from ncollapse.claims import Missing, Relation, Wrong, rows_of
from ncollapse.papers.ji2022.experiments import Figure2
from ncollapse.papers.ji2022.minimum_norm import kkt_residual, separations
from ncollapse.theory.layer_peeled import margin_bound, scaled_derivatives

START = "ours: conserved parts of the start beside a norm that grows like √log(1/L)"
_ABOVE = Missing("the loss never fell below log 2")


def margin_ratios(result: Figure2, classes: int | None = None) -> np.ndarray:
    """q_min over its bound ρ²/(2(K−1)√n) at each step."""
    count, per_class = result.shape
    path = result.run
    bound = margin_bound(1.0, num_classes=classes or count, per_class=per_class)
    return path.observations["margin"] / (bound * path.norm**2)


def _late_margin_ratios(result: Figure2) -> np.ndarray:
    level = result.run.log_inverse_loss
    return margin_ratios(result)[level > 0.5 * level[-1]]


def _smoothed(result: Figure2) -> np.ndarray:
    """γ̃ from the step on where L < log 2."""
    from ncollapse.theory.ends import smoothed_margins

    values = smoothed_margins(result.run)
    return values[~np.isnan(values)]


def _below(result: Figure2, values: np.ndarray) -> np.ndarray | Missing:
    """``values`` at the steps where L < log 2."""
    count = _smoothed(result).size
    return values[-count:] if count else _ABOVE


def _defect(result: Figure2) -> np.ndarray | Missing:
    """1 − β."""
    return _below(result, result.run.observations["kkt_defect"])


def _epsilon(result: Figure2) -> np.ndarray | Missing:
    defect = _defect(result)
    if isinstance(defect, Missing):
        return defect
    return np.sqrt(2.0 * defect / _smoothed(result))


def _delta(result: Figure2) -> np.ndarray | Missing:
    count, per_class = result.shape
    q_min = _below(result, result.run.observations["margin"])
    if isinstance(q_min, Missing):
        return q_min
    return count**2 * (count - 1) * per_class / (2.0 * math.e * _smoothed(result) * q_min)


def _last_delta(result: Figure2, power: float = 1.0) -> float:
    """δ at the optimum of its sphere: K²(K−1)² n^{3/2} / (e log(1/L)), or another ``power``."""
    count, per_class = result.shape
    level = float(result.run.log_inverse_loss[-1])
    return (count * (count - 1)) ** 2 * per_class**1.5 / (math.e * level**power)


def _delta_tolerance(result: Figure2) -> float:
    return _last_delta(result) * (_margin_slack(result) / result.run.log_inverse_loss[-1])


def _margin_slack(result: Figure2) -> float:
    """log(N(K−1)): how far log(1/L) can be below q_min."""
    count, per_class = result.shape
    return math.log(count * per_class * (count - 1))


def _turning(result: Figure2) -> np.ndarray | Missing:
    """‖dθ̂/dt‖ over d log ρ/dt: the tangent of the angle between θ and −∇L."""
    defect = _defect(result)
    if isinstance(defect, Missing):
        return defect
    cosine = 1.0 - defect
    return np.sqrt(defect * (1.0 + cosine)) / cosine


def _inverse_margins(result: Figure2) -> np.ndarray:
    """1/q_min at the steps where L < log 2."""
    return 1.0 / result.run.observations["margin"][-_smoothed(result).size :]


def _loss_power(result: Figure2) -> float:
    """p of L ∝ t^{−p}, over the last half of log(1/L)."""
    path = result.run
    late = path.log_inverse_loss > 0.5 * path.log_inverse_loss[-1]
    return float(np.polyfit(path.log_time[late], path.log_inverse_loss[late], 1)[0])


def _ends(result: Figure2, place: int) -> tuple[np.ndarray, np.ndarray]:
    weight, _ = result.run.classifier_at(place)
    return weight, result.run.features_at(place)


def _least_growth(result: Figure2, place: int) -> float:
    """min_kij ⟨∇s_kij, θ⟩ / ρ², which is 2 min s_kij / ρ²."""
    weight, features = _ends(result, place)
    gap = float(np.nanmin(separations(weight, features)))
    return 2.0 * gap / float(np.sum(weight**2) + np.sum(features**2))


def _gradients(result: Figure2) -> list[np.ndarray]:
    """∇L/L with respect to the logits, ``(N, K)``, at some snapshots."""
    count, per_class = result.shape
    labels = np.repeat(np.arange(count), per_class)
    places = np.linspace(0, len(result.run.snapshot_s) - 1, 8).astype(int)
    pairs = [_ends(result, int(place)) for place in places]
    return [scaled_derivatives(h @ w.T, labels).gradient for w, h in pairs]


def _ranks(result: Figure2) -> np.ndarray:
    return np.array([np.linalg.matrix_rank(part, rtol=1e-9) for part in _gradients(result)])


def _kernels(result: Figure2) -> np.ndarray:
    """Abs cosine between 1 and u of ‖u‖ = 1 with the least ‖uᵀ∇L‖."""
    units = [np.linalg.svd(part)[2][-1] for part in _gradients(result)]
    return np.array([abs(u.sum()) / math.sqrt(u.size) for u in units])


_row = rows_of("ji2022.figure2")

LEMMAS = (
    _row(
        "margin-rises",
        "Lemma B.2",
        "largest fall of q_min/ρ² over the last half of log(1/L), relative",
        source="ji2022 Lemma B.2, for the margin that γ̃ tends to",
        relation=Relation.MONOTONE,
        tolerance=1e-12,
        measure=_late_margin_ratios,
        wrong=Wrong(
            "logits are homogeneous of degree 3: q_min/ρ³ rises",
            measure=lambda r: _late_margin_ratios(r) / r.run.norm[-_late_margin_ratios(r).size :],
        ),
    ),
    _row(
        "smoothed-margin",
        "Lemma B.2, dγ̃/dt ≥ 0",
        "largest fall of γ̃ between steps, relative, once L < log 2",
        relation=Relation.MONOTONE,
        tolerance=1e-12,
        measure=lambda r: _smoothed(r) if _smoothed(r).size else _ABOVE,
        wrong=Wrong(
            "logits are homogeneous of degree 3: γ̃/ρ rises",
            measure=lambda r: _smoothed(r) / _below(r, r.run.norm),
        ),
    ),
    _row(
        "norm-rises",
        "Lemma B.2, dρ²/dt > 0",
        "largest fall of ρ² between steps, relative, once L < log 2",
        relation=Relation.MONOTONE,
        measure=lambda r: _below(r, r.run.norm**2),
        wrong=Wrong(
            "ρ² outgrows the margin: ρ²/q_min rises",
            measure=lambda r: _below(r, r.run.norm**2 / r.run.observations["margin"]),
        ),
    ),
    _row(
        "margin-diverges",
        "Lemma B.3, q_min → ∞",
        "q_min − log(1/L) at every step with L < log 2, where log(1/L) → ∞",
        source="ji2022 Lemma B.3; 0 ≤ q_min − log(1/L) ≤ log(N(K−1)) from (3.2)",
        expected=0.0,
        tolerance=_margin_slack,
        measure=lambda r: _below(r, r.run.observations["margin"] - r.run.log_inverse_loss),
        wrong=Wrong(
            "q_min grows half as fast as log(1/L)",
            measure=lambda r: _below(r, 0.5 * r.run.log_inverse_loss - r.run.log_inverse_loss),
        ),
    ),
    _row(
        "loss-rate",
        "Lemma B.3, L = O(1/t)",
        "power p of L ∝ t^{−p} over the last half of log(1/L)",
        source="ji2022 Lemma B.3; tolerance: ours, a factor log t beside it adds 1/log t",
        expected=1.0,
        tolerance=lambda r: 2.0 / float(0.5 * r.run.log_time[-1]),
        measure=_loss_power,
        wrong=Wrong("L = O(1/√t)", expected=lambda _: 0.5),
    ),
    _row(
        "turning",
        "Lemma B.4",
        "‖dθ̂/dt‖ over d log ρ/dt at every step with L < log 2, at most 1/γ̃(t₀)",
        relation=Relation.AT_MOST,
        expected=lambda r: 1.0 / _smoothed(r)[0],
        measure=_turning,
        wrong=Wrong(
            "at most 1/q_min: the direction settles like the loss's logarithm",
            expected=_inverse_margins,
        ),
    ),
    _row(
        "alignment",
        "Lemma B.5, β → 1",
        "1 − β, β the cosine between θ and −∇L, from L = log 2 on",
        source=START + ": (‖θ₀‖/ρ)²",
        relation=Relation.TENDS_TO,
        expected=0.0,
        tolerance=lambda r: r.start_share**2,
        measure=_defect,
        wrong=Wrong(
            "the velocity keeps its first angle with θ",
            measure=lambda r: np.full_like(_defect(r), _defect(r)[0]),
        ),
    ),
    _row(
        "kkt-epsilon",
        "Theorem 3.2, Lemma B.1, Definition A.2",
        "ε of the (ε, δ)-KKT point, √(2(1 − β)/γ̃), from L = log 2 on",
        source=START + ": ‖θ₀‖/(ρ√γ̃)",
        relation=Relation.TENDS_TO,
        expected=0.0,
        tolerance=lambda r: r.start_share / math.sqrt(_smoothed(r)[-1]),
        measure=_epsilon,
        wrong=Wrong(
            "the velocity keeps its first angle with θ",
            measure=lambda r: np.full_like(_epsilon(r), _epsilon(r)[0]),
        ),
    ),
    _row(
        "kkt-delta",
        "Theorem 3.2, Lemma B.1, Definition A.2",
        "δ of the (ε, δ)-KKT point at the end, against K²(K−1)²n^{3/2}/(e log(1/L)) → 0",
        source="ji2022 Lemma B.1 where γ̃ and q_min are at their bounds",
        expected=_last_delta,
        tolerance=_delta_tolerance,
        measure=lambda r: _ABOVE if isinstance(_delta(r), Missing) else _delta(r)[-1],
        wrong=Wrong("δ ∝ 1/√log(1/L)", expected=lambda r: _last_delta(r, 0.5)),
    ),
    _row(
        "kkt-point",
        "Theorem 3.2, Definition A.1",
        "residual of the stationarity of (3.1) at the end, multipliers Λ ≥ 0 on the constraints "
        "that bind up to the start's share",
        source=START + ": ‖θ₀‖/ρ",
        expected=0.0,
        tolerance=lambda r: r.start_share,
        measure=lambda r: kkt_residual(*_ends(r, -1), binds=r.start_share),
        wrong=Wrong(
            "whatever the ratio of ‖W‖ to ‖H‖, such as 2",
            measure=lambda r: kkt_residual(
                2.0 * _ends(r, -1)[0], _ends(r, -1)[1], binds=r.start_share
            ),
        ),
    ),
    _row(
        "mfcq",
        "Definition A.3",
        "least ⟨∇s_kij, θ⟩/ρ² over the constraints of (3.1) at the end: a direction that enters all",
        relation=Relation.EXISTS,
        measure=lambda r: _least_growth(r, -1),
        wrong=Wrong("θ does so from the start", measure=lambda r: _least_growth(r, 0)),
    ),
    _row(
        "gradient-rank",
        "(C.3)",
        "rank of ∇L with respect to the logits at eight snapshots",
        expected=lambda r: r.shape[0] - 1,
        measure=_ranks,
        wrong=Wrong("it has full rank", expected=lambda r: r.shape[0]),
    ),
    _row(
        "gradient-kernel",
        "(C.3)",
        "cosine between 1 and the u with uᵀ∇L = 0 at eight snapshots",
        expected=1.0,
        tolerance=1e-9,
        measure=_kernels,
        wrong=Wrong(
            "u is a class's own direction e_k", measure=lambda r: 1.0 / math.sqrt(r.shape[0])
        ),
    ),
)
