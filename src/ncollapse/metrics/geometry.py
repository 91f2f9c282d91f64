"""NC2: the shape that class means and classifier rows stand in.

``summary`` functions look at class means of the classes with samples, ``weight`` functions at
the rows of W (K, D), all of them. Centred means are μ_k − μ_G.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import to_numpy
from ncollapse._checks import Array
from ncollapse.metrics._frame import weight_rows
from ncollapse.metrics.registry import float64_inside, metric
from ncollapse.stats import ClassSummary, Frame, UndefinedMetricError, scalar


@metric(
    "relative spread of the lengths of centred means; 0: equally long",
    presets=("papyan2020", "ji2022", "wu2024"),
)
def nc2_equinorm_means(summary: ClassSummary) -> float:
    """std_k/avg_k of ‖μ_k − μ_G‖, population standard deviation (papyan2020; ji2022 §4)."""
    return _equinorm(summary.centred)


@metric(
    "relative spread of the lengths of classifier rows; 0: equally long",
    needs="weight",
    presets=("papyan2020", "ji2022"),
)
def nc2_equinorm_weight(weight: Array | Frame) -> float:
    """std_k/avg_k of ‖w_k‖, population standard deviation (papyan2020; ji2022 §4)."""
    return _equinorm(weight_rows(weight))


@metric(
    "deviation of cosines of centred means from -1/(K-1); 0: equal angles",
    presets=("papyan2020", "ji2022"),
)
def nc2_equiangular_means(summary: ClassSummary) -> float:
    """avg_{k≠l} |cos(μ_k − μ_G, μ_l − μ_G) + 1/(K−1)|, the modulus inside (papyan2020; ji2022
    §4).
    """
    return summary.centred.cosines.deviation


@metric(
    "deviation of cosines of classifier rows from -1/(K-1); 0: equal angles",
    needs="weight",
    presets=("papyan2020", "ji2022"),
)
def nc2_equiangular_weight(weight: Array | Frame) -> float:
    """avg_{k≠l} |cos(w_k, w_l) + 1/(K−1)|, the modulus inside (papyan2020; ji2022 §4)."""
    return weight_rows(weight).cosines.deviation


@metric("largest |cosine| between centred means; 1/(K-1) is the least", collapsed=None)
def nc2_coherence_means(summary: ClassSummary) -> float:
    """max_{k≠l} |cos(μ_k − μ_G, μ_l − μ_G)|; 1/(K−1) for a simplex ETF, never less (Welch's
    bound).
    """
    return summary.centred.cosines.coherence


@metric(
    "largest |cosine| between classifier rows; 1/(K-1): simplex, 0: orthogonal",
    needs="weight",
    collapsed=None,
)
def nc2_coherence_weight(weight: Array | Frame) -> float:
    """max_{k≠l} |cos(w_k, w_l)|."""
    return weight_rows(weight).cosines.coherence


@float64_inside
def closest_pair(summary: ClassSummary) -> tuple[tuple[int, int], float]:
    """The pair of class indices whose centred means have the largest cosine, and that cosine."""
    pairs = summary.centred.cosines
    return pairs.closest, pairs.closest_cosine


@metric("smallest angle between centred means, radians; 0: two classes merged", collapsed=None)
def minority_collapse_angle(summary_or_weight: ClassSummary | Array | Frame) -> float:
    """Smallest angle in radians between two rows: 0 when minority classes have merged (Fang 2021).

    For a `ClassSummary`: of centred class means; for a weight: of its rows.
    """
    if isinstance(summary_or_weight, ClassSummary):
        frame = summary_or_weight.centred
    else:
        frame = weight_rows(summary_or_weight)
    closest = frame.cosines.closest
    left, right = (frame.classes.index(k) for k in closest)
    xp = array_namespace(frame.array)
    a, b = (frame.rows(slice(k, k + 1)) / frame.norms[k] for k in (left, right))
    apart, together = (scalar(xp.linalg.vector_norm(v)) for v in (a - b, a + b))
    return 2 * float(np.arctan2(apart, together))


@metric("distance of centred means from a simplex ETF; 0: simplex")
def nc2_etf_means(summary: ClassSummary) -> float:
    """‖G/‖G‖_F − C_K/√(K−1)‖_F, G the Gram matrix of the centred means (Zhu 2021)."""
    return gram_distance(summary.centred, summary.centred, "etf")


@metric("distance of uncentred means from a simplex ETF; 0: simplex")
def nc2_etf_uncentred_means(summary: ClassSummary) -> float:
    """‖G/‖G‖_F − C_K/√(K−1)‖_F, G the Gram matrix of the uncentred means."""
    return gram_distance(summary.uncentred, summary.uncentred, "etf")


@metric(
    "distance of classifier rows from a simplex ETF; 0: simplex",
    needs="weight",
    presets=("hong2025",),
)
def nc2_etf_weight(weight: Array | Frame) -> float:
    """‖WWᵀ/‖WWᵀ‖_F − C_K/√(K−1)‖_F (Zhu 2021; hong2025 (3.3) ``NC_{2,W}``)."""
    frame = weight_rows(weight)
    return gram_distance(frame, frame, "etf")


@metric(
    "distance of uncentred means from an orthogonal frame; 0: orthogonal, equally long",
    collapsed=None,
    presets=("hong2025", "min2025"),
)
def nc2_orthogonal_means(summary: ClassSummary) -> float:
    """‖G/‖G‖_F − I/√K‖_F, G the Gram matrix of the uncentred means (hong2025 (3.3) ``NC_{2,H̄}``)."""
    return gram_distance(summary.uncentred, summary.uncentred, "orthogonal")


@metric("the same for their directions only; 0: orthogonal", collapsed=None, presets=("min2025",))
def nc2_orthogonal_directions(summary: ClassSummary) -> float:
    """The same for the unit vectors μ_k/‖μ_k‖, whose lengths do not matter (min2025, claim 2)."""
    frame = unit_frame(summary.uncentred)
    return gram_distance(frame, frame, "orthogonal")


@metric(
    "share of the directions of means that is negative; 0: nonnegative",
    collapsed=None,
    presets=("min2025",),
)
def nc2_negative_part(summary: ClassSummary) -> float:
    """‖min(Φ, 0)‖_F/‖Φ‖_F for the unit uncentred means Φ: 0 for a nonnegative frame (min2025,
    claim 2).
    """
    frame = unit_frame(summary.uncentred)
    xp = array_namespace(frame.array)
    total = 0.0
    for tile in frame.tiles():
        rows = frame.rows(tile)
        total += scalar(xp.sum(xp.where(rows < 0, rows * rows, xp.zeros_like(rows))))
    return total**0.5 / frame.frobenius


@metric("distance of centred means to the nearest simplex ETF; 0: simplex")
def nc2_nearest_etf_means(summary: ClassSummary) -> float:
    """min over simplex ETFs T, ‖T‖_F = 1, of ‖M/‖M‖_F − T‖_F, M the centred means.

    By the polar decomposition this is √Σ_i (σ_i/‖M‖_F − 1/√(K−1))² over the K−1 largest singular
    values. For D < K − 1 no simplex ETF fits in R^D, and the distance is to those of R^{K−1}.
    """
    frame = summary.centred
    frame.require_classes()
    singular = singular_values(frame)[: frame.count - 1] / frame.frobenius
    target = 1 / (frame.count - 1) ** 0.5
    missing = frame.count - 1 - len(singular)
    return float(np.sqrt(np.sum((singular - target) ** 2) + missing * target**2))


@metric(
    "log-kernel energy of directions; least when spread evenly over the sphere",
    collapsed=None,
    presets=("wu2024",),
)
def gnc2_log(summary: ClassSummary) -> float:
    """avg_{k≠l} log 1/‖u_k − u_l‖, u_k the unit centred means (Liu 2023; wu2024).

    −½ log(2K/(K−1)) for a simplex ETF, the least value when K ≤ D + 1. Undefined when two
    directions coincide.
    """
    return _finite_log(summary.centred)[0]


@metric("spread of the log kernel over pairs; 0: all pairs equally far", presets=("wu2024",))
def gnc2_log_spread(summary: ClassSummary) -> float:
    """Standard deviation over pairs of log 1/‖u_k − u_l‖: 0 for a simplex ETF (wu2024, GNC2)."""
    return _finite_log(summary.centred)[1]


@metric(
    "mean distance between directions of means; largest when spread evenly",
    collapsed=None,
    presets=("wu2024",),
)
def gnc2_distance(summary: ClassSummary) -> float:
    """avg_{k≠l} ‖u_k − u_l‖, the distance kernel with its sign turned (Liu 2023)."""
    return summary.centred.distances.distance_mean


@metric("relative spread of those distances; 0: all pairs equally far", presets=("wu2024",))
def gnc2_distance_spread(summary: ClassSummary) -> float:
    """std/avg over pairs of ‖u_k − u_l‖: 0 for a simplex ETF."""
    pairs = summary.centred.distances
    if not pairs.distance_mean > 0:
        raise UndefinedMetricError("centred class means: all directions coincide")
    return pairs.distance_std / pairs.distance_mean


@metric("Riesz-kernel energy on the scale of gnc2_log; least when spread evenly", collapsed=None)
def gnc2_riesz(summary: ClassSummary, exponent: float = 1.0) -> float:
    """(1/s) log avg_{k≠l} ‖u_k − u_l‖^{−s}: the Riesz kernel on the scale of `gnc2_log` (Liu 2023).

    s → 0 gives `gnc2_log`; s = D − 2 is the Coulomb kernel and does not overflow here.
    Undefined when two directions coincide and s > 0.
    """
    return _riesz_energy(summary.centred, exponent)


def singular_values(frame: Frame) -> np.ndarray:
    """Singular values of the rows, descending, min(K, D) of them."""
    frame.require_nonzero()
    xp = array_namespace(frame.array)
    if frame.count <= frame.dim:
        return to_numpy(xp.linalg.svdvals(frame.all()))
    values = to_numpy(xp.linalg.eigvalsh(frame.feature_gram))[::-1]
    return np.sqrt(np.maximum(values, 0.0))


def unit_frame(frame: Frame) -> Frame:
    """Every row divided by its norm."""
    frame.require_directions()
    scale = 1 / frame.norms if frame.scale is None else frame.scale / frame.norms
    return replace(frame, scale=scale)


def gram_distance(left: Frame, right: Frame, target: str) -> float:
    """‖A/‖A‖_F − T‖_F, A = LRᵀ, T = C_K/√(K−1) ("etf") or I/√K ("orthogonal").

    With α = ⟨A, T⟩ and R = A − αT it is 2 sin(θ/2), θ = atan2(‖R‖, α): nothing cancels near
    zero. For K > D + 1 the distance is bounded away from zero and ‖A‖² = ⟨LᵀL, RᵀR⟩ needs no
    K×K matrix.
    """
    count = left.count
    left.require_classes(2 if target == "etf" else 1)
    xp = array_namespace(left.array, right.array)
    trace = 0.0
    for tile in left.tiles():
        trace += scalar(xp.sum(left.rows(tile) * right.rows(tile)))
    if target == "etf":
        mean = scalar(xp.sum(left.sum * right.sum)) / count
        along, diagonal, constant = (
            (trace - mean) / (count - 1) ** 0.5,
            1 / (count - 1) ** 0.5,
            -1 / (count * (count - 1) ** 0.5),
        )
    else:
        along, diagonal, constant = trace / count**0.5, 1 / count**0.5, 0.0
    if count > left.dim + 1:
        whole = scalar(xp.sum(left.feature_gram * right.feature_gram))
        rest = max(whole - along**2, 0.0) ** 0.5
    else:
        gram = xp.matmul(left.all(), right.all().T)
        eye = xp.eye(count, dtype=gram.dtype)
        rest = scalar(xp.linalg.matrix_norm(gram - along * (diagonal * eye + constant)))
    if not (rest > 0 or along != 0):
        raise UndefinedMetricError(f"{left.name} and {right.name} have a zero product")
    return 2 * float(np.sin(np.arctan2(rest, along) / 2))


def _equinorm(frame: Frame) -> float:
    frame.require_nonzero()
    norms = to_numpy(frame.norms)
    return float(norms.std() / norms.mean())


def _finite_log(frame: Frame) -> tuple[float, float]:
    pairs = frame.distances
    if pairs.log_mean is None or pairs.log_std is None:
        raise UndefinedMetricError(f"{frame.name}: two directions coincide, log 1/0 is infinite")
    return pairs.log_mean, pairs.log_std


def _riesz_energy(frame: Frame, exponent: float) -> float:
    """(1/s) log avg_{k≠l} ‖u_k − u_l‖^{−s}, by log-sum-exp: any exponent s ≠ 0 without overflow."""
    if not np.isfinite(exponent) or exponent == 0:
        raise ValueError(f"exponent must be finite and not zero, but it is {exponent!r}")
    frame.require_classes()
    frame.require_directions()
    xp = array_namespace(frame.array)
    largest, total = -np.inf, 0.0
    for squares, mask in frame.unit_pairs():
        above = mask > 0
        if exponent > 0 and bool(xp.any(above & (squares <= 0))):
            raise UndefinedMetricError(
                f"{frame.name}: two directions coincide, the energy is infinite"
            )
        usable = above & (squares > 0)
        power = -exponent / 2 * xp.log(xp.where(usable, squares, xp.ones_like(squares)))
        power = xp.where(usable, power, xp.full_like(power, -np.inf))
        peak = max(largest, scalar(xp.max(power)))
        if peak == -np.inf:
            continue
        total = total * np.exp(largest - peak) + scalar(xp.sum(xp.exp(power - peak)))
        largest = peak
    if total == 0:
        raise UndefinedMetricError(f"{frame.name}: all directions coincide")
    pairs = frame.count * (frame.count - 1) / 2
    return float((largest + np.log(total / pairs)) / exponent)
