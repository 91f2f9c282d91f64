"""NC3: how the classifier W (K, D) lines up with the class means. Rows of W are classes.

Only classes with samples are compared. M is the matrix of centred means μ_k − μ_G, M̄ of
uncentred ones.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from ncollapse._arrays import row_dots, to_numpy
from ncollapse._checks import Array
from ncollapse.metrics._frame import check_bias, matching_weight
from ncollapse.metrics.geometry import gram_distance, unit_frame
from ncollapse.metrics.registry import float64_inside, metric
from ncollapse.stats import ClassSummary, Frame, scalar


@metric(
    "distance of W times means from a simplex; 0: logits of means form a simplex",
    needs="both",
    presets=("hong2025",),
)
def nc3_alignment(summary: ClassSummary, weight: Array | Frame) -> float:
    """‖WM̄ᵀ/‖WM̄ᵀ‖_F − C_K/√(K−1)‖_F, uncentred means (hong2025 (3.3))."""
    return gram_distance(matching_weight(summary, weight), summary.uncentred, "etf")


@metric(
    "distance of W times centred means from a simplex; 0: logits of means form a simplex",
    needs="both",
)
def nc3_alignment_centred(summary: ClassSummary, weight: Array | Frame) -> float:
    """‖WMᵀ/‖WMᵀ‖_F − C_K/√(K−1)‖_F, centred means (Kothapalli 2023; `self_duality_error` of
    rhubarbwu/neural-collapse).

    Moving all features by one vector changes `nc3_alignment` but not this.
    """
    return gram_distance(matching_weight(summary, weight), summary.centred, "etf")


@metric(
    "distance of W from the centred means, both scaled; 0: self-dual",
    needs="both",
    presets=("papyan2020", "mixon2022", "min2025"),
)
def nc3_duality(summary: ClassSummary, weight: Array | Frame) -> float:
    """‖W/‖W‖_F − M/‖M‖_F‖_F, centred means (papyan2020; mixon2022; min2025, claim 3).

    min2025 states it of the projected means C_K M̄, which are the centred ones;
    `nc3_projected_directions` leaves the lengths of the means out.
    """
    return _frobenius_distance(matching_weight(summary, weight), summary.centred)


@metric(
    "distance of W from the projected directions of means, lengths fitted; 0: self-dual",
    needs="both",
    collapsed=None,
    presets=("min2025",),
)
def nc3_projected_directions(summary: ClassSummary, weight: Array | Frame) -> float:
    """‖W/‖W‖_F − P/‖P‖_F‖_F, P = C_K diag(s) Φ, Φ the unit uncentred means (min2025, claim 3).

    The limit of gradient flow is V̄ = √(K/(K−1)) C_K diag(s) Φ with masses s_k. They are fitted
    to W by s_k = ⟨C_K e_k, Wφ_k⟩/(1 − 1/K), which is exact for an orthogonal frame; negative
    ones are 0.
    """
    rows = matching_weight(summary, weight)
    units = unit_frame(summary.uncentred)
    rows.require_classes()
    rows.require_nonzero()
    xp = array_namespace(units.array)
    own = xp.concat([row_dots(rows.rows(t), units.rows(t)) for t in rows.tiles()])
    average = xp.concat([xp.matmul(units.rows(t), rows.sum / rows.count) for t in rows.tiles()])
    masses = (own - average) / (1 - 1 / rows.count)
    masses = xp.where(masses > 0, masses, xp.zeros_like(masses))
    scaled = units.all() * masses[:, None]
    centre = xp.sum(scaled, axis=0) / rows.count
    target = Frame(scaled, centre, "projected unit means", units.classes)
    return _frobenius_distance(rows, target)


@metric(
    "distance between directions of w_k and mean, averaged; 0: self-dual",
    needs="both",
    presets=("ji2022",),
)
def nc3_average(summary: ClassSummary, weight: Array | Frame) -> float:
    """avg_k ‖unit(μ_k − μ_G) − unit(w_k)‖ (ji2022 §4)."""
    rows, means = matching_weight(summary, weight), summary.centred
    rows.require_directions()
    means.require_directions()
    xp = array_namespace(summary.means)
    total = 0.0
    for tile in means.tiles():
        apart = means.rows(tile) / means.norms[tile][:, None]
        apart = apart - rows.rows(tile) / rows.norms[tile][:, None]
        total += scalar(xp.sum(xp.linalg.vector_norm(apart, axis=1)))
    return total / means.count


@metric(
    "cosine between w_k and its centred mean; 1: self-dual",
    needs="both",
    collapsed=1.0,
    presets=("wu2024",),
)
def nc3_cosine(summary: ClassSummary, weight: Array | Frame) -> float:
    """avg_k cos(w_k, μ_k − μ_G): 1 at self-duality."""
    return float(class_cosines(summary, weight).mean())


@metric("spread of that cosine over classes; 0: equally aligned", needs="both", presets=("wu2024",))
def nc3_uniform(summary: ClassSummary, weight: Array | Frame) -> float:
    """std_k of cos(w_k, μ_k − μ_G), uniform duality UNC3: 0 when all classes agree (wu2024).

    The software of wu2024 (rhubarbwu/neural-collapse) gives the variance of the raw products
    ⟨w_k, μ_k − μ_G⟩ instead, which grows with the squared scales of W and of the features.
    """
    return float(class_cosines(summary, weight).std())


@float64_inside
def class_cosines(summary: ClassSummary, weight: Array | Frame) -> np.ndarray:
    """cos(w_k, μ_k − μ_G) for every class with samples."""
    rows, means = matching_weight(summary, weight), summary.centred
    rows.require_directions()
    means.require_directions()
    cosines = [
        to_numpy(row_dots(rows.rows(t), means.rows(t)) / (rows.norms[t] * means.norms[t]))
        for t in means.tiles()
    ]
    return np.clip(np.concatenate(cosines), -1.0, 1.0)


@metric("largest angle between the spaces of W and means, radians; 0: same space", needs="both")
def nc3_principal_angle(summary: ClassSummary, weight: Array | Frame) -> float:
    """Largest principal angle in radians between the row spaces of W and M.

    From sines where small and cosines where large. When the ranks differ, the angle is the largest
    between the smaller space and the larger one.
    """
    rows, means = matching_weight(summary, weight), summary.centred
    rows.require_nonzero()
    means.require_nonzero()
    centred_rows = Frame(rows.array, rows.sum / rows.count, rows.name, rows.classes)
    xp = array_namespace(summary.means)
    first, second = _row_space(centred_rows), _row_space(means)
    if first.shape[1] < second.shape[1]:
        first, second = second, first
    cosines = xp.matmul(first.T, second)
    apart = second - xp.matmul(first, cosines)
    sine = min(1.0, scalar(xp.max(xp.linalg.svdvals(apart))))
    cosine = min(1.0, scalar(xp.min(xp.linalg.svdvals(cosines))))
    return float(np.arctan2(sine, cosine))


@metric(
    "size of the logits at the centre of the means; 0: the bias undoes it",
    needs="bias",
    collapsed=None,
)
def nc3_centre_logits(
    summary: ClassSummary, weight: Array | Frame, bias: Array | None = None
) -> float:
    """‖Wμ_G + b‖₂, the logits of the centre: 0 when the bias undoes the centre (Zhu 2021)."""
    xp = array_namespace(summary.means)
    offset = summary.occupied_rows(check_bias(summary, bias))
    rows = matching_weight(summary, weight)
    parts = [xp.matmul(rows.rows(tile), summary.global_mean) for tile in rows.tiles()]
    logits = to_numpy(xp.concat(parts) + offset)
    return float(np.linalg.norm(logits))


def _row_space(frame: Frame) -> Array:
    """Orthonormal basis of the row space ``(D, r)``."""
    xp = array_namespace(frame.array)
    if frame.count <= frame.dim:
        _, values, basis = xp.linalg.svd(frame.all(), full_matrices=False)
        strength = to_numpy(values)
        basis = basis.T
        kept = strength > strength.max() * frame.dim * np.finfo(np.float64).eps
    else:
        values, basis = xp.linalg.eigh(frame.feature_gram)
        strength = to_numpy(values)
        kept = strength > strength.max() * frame.dim * np.finfo(np.float64).eps
    index = xp.asarray(np.flatnonzero(kept), device=device(frame.array))
    return xp.take(basis, index, axis=1)


def _frobenius_distance(left: Frame, right: Frame) -> float:
    left.require_nonzero()
    right.require_nonzero()
    xp = array_namespace(left.array, right.array)
    total = 0.0
    for tile in left.tiles():
        apart = left.rows(tile) / left.frobenius - right.rows(tile) / right.frobenius
        total += scalar(xp.sum(apart * apart))
    return total**0.5
