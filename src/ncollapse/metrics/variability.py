"""NC1: how small the variation within classes is beside that between them.

Every function takes a `ClassSummary` and returns a float. Classes without samples take no part:
K is the number of classes that have samples, μ_G the unweighted mean of their means.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import double, to_numpy
from ncollapse._checks import Array
from ncollapse.metrics.registry import float64_inside, metric
from ncollapse.stats import ClassSummary, Frame, Scatter, UndefinedMetricError, scalar

RANK_TOLERANCE = 4 * np.finfo(np.float64).eps


@metric(
    "within-class scatter in units of between-class scatter; 0 is collapse",
    presets=("papyan2020", "hong2025"),
)
def nc1_pinv(summary: ClassSummary) -> float:
    """Tr(Σ_W Σ_B†)/K, Σ_B = (1/K) Σ_k (μ_k − μ_G)(μ_k − μ_G)ᵀ (papyan2020; hong2025 (3.2)).

    With M the centred means and MMᵀ = UΛUᵀ (K×K), this is Σ_i u_iᵀ M Σ_W Mᵀ u_i / λ_i² over λ_i
    > 0; for K > D the eigenvectors of MᵀM give Σ_i v_iᵀ Σ_W v_i / λ_i. Directions count as
    between-class when λ_i exceeds 4·eps·min(K, D)·λ_max in float64, whatever the dtype of the
    features.

    Undefined when all class means coincide (one class included).
    """
    return _trace_ratio(summary, summary.centred)


@metric("nc1_pinv with classes weighted by size; 0 is collapse")
def nc1_weighted(summary: ClassSummary) -> float:
    """Tr(Σ_W Σ_B'†)/K with Σ_B' = Σ_k (n_k/N)(μ_k − μ̄)(μ_k − μ̄)ᵀ and μ̄ the mean of all samples.

    Equal to `nc1_pinv` for equal class sizes. Undefined as there.
    """
    frame = weighted_means(summary)
    return _trace_ratio(summary, frame) / frame.count


@metric("He-Su separation; its logarithm falls evenly from layer to layer")
def separation(summary: ClassSummary) -> float:
    """D = Tr(SS_W SS_B†), scatters weighted by class size: K times `nc1_weighted` (He and Su 2023).

    Their law: log D falls by about the same amount from layer to layer.
    """
    return _trace_ratio(summary, weighted_means(summary))


@metric("ratio of the traces of the scatters; 0 is collapse", presets=("mixon2022", "min2025"))
def nc1_quotient(summary: ClassSummary) -> float:
    """Tr Σ_W / Tr Σ_B (Tirer, Huang and Niles-Weed 2023). Undefined when all class means
    coincide.
    """
    frame = summary.centred
    frame.require_nonzero()
    return within_trace(summary) * frame.count / frame.frobenius**2


@metric("share of all variance that is within classes; 0 is collapse, 1 none between")
def nc1_total(summary: ClassSummary) -> float:
    """Tr Σ_W / Tr Σ_T, Σ_T the scatter of all samples about their mean: the unexplained share,
    0 … 1.

    Undefined when all samples coincide.
    """
    within = within_trace(summary)
    total = within + weighted_means(summary).frobenius ** 2
    if not total > 0:
        raise UndefinedMetricError("all samples coincide")
    return within / total


@metric(
    "class variance over squared distance of means, averaged over pairs; 0 is collapse",
    presets=("wu2024",),
)
def cdnv(summary: ClassSummary) -> float:
    """avg_{k≠l} (v_k + v_l)/(2‖μ_k − μ_l‖²), the class-distance normalised variance (Galanti 2022).

    Undefined for one class, or when two class means coincide.
    """
    return cdnv_pairs(summary)[0]


@float64_inside
def cdnv_pairs(summary: ClassSummary) -> tuple[float, tuple[int, int], float]:
    """The average of `cdnv`, the pair of class indices with the largest value, and that value."""
    frame = summary.centred
    frame.require_classes()
    variances = summary.occupied_rows(summary.class_variances)
    xp = array_namespace(variances)
    total, worst, pair = 0.0, -1.0, (0, 1)
    for squares, mask, left, right in frame.squared_distances():
        if bool(xp.any((squares <= 0) & (mask > 0))):
            i, j = np.argwhere(to_numpy((squares <= 0) & (mask > 0)))[0]
            names = frame.classes[left.start + i], frame.classes[right.start + j]
            raise UndefinedMetricError(f"the means of class indices {names} coincide")
        both = variances[left][:, None] + variances[right][None, :]
        ratio = mask * both / (2 * xp.where(mask > 0, squares, xp.ones_like(squares)))
        total += scalar(xp.sum(ratio))
        shown = xp.where(mask > 0, ratio, xp.full_like(ratio, -1.0))
        i, j = divmod(int(xp.argmax(xp.reshape(shown, (-1,)))), ratio.shape[1])
        if scalar(shown[i, j]) > worst:
            worst = scalar(shown[i, j])
            pair = frame.classes[left.start + i], frame.classes[right.start + j]
    return total / (frame.count * (frame.count - 1) / 2), pair, worst


@metric("share of between-class directions blurred by samples; 0 is collapse, 1 no structure")
def vci(summary: ClassSummary) -> float:
    """1 − Tr(Σ_T† Σ_B')/rank(Σ_B'), the variability collapse index (Xu and Liu 2023), 0 … 1.

    Σ_T = Σ_W + Σ_B', both weighted by class size. Values below about 1e-13 are rounding.
    Undefined when all class means coincide.
    """
    frame = weighted_means(summary)
    frame.require_nonzero()
    xp = array_namespace(summary.means)
    factor = total_factor(summary)
    if factor is not None:
        # Of the rows T of Σ_T = TᵀT those of Σ_B' are the last, and Tr(Σ_T† Σ_B') is the trace
        # of these rows' block of TT†.
        values, left = xp.linalg.eigh(xp.matmul(factor, factor.T))
        kept = _positive(to_numpy(values), frame.dim)
        share = to_numpy(xp.sum(left[-frame.count :, :] ** 2, axis=0))
        return max(0.0, 1.0 - float(np.sum(share[kept])) / _rank(frame))
    between = frame.feature_gram
    rank = int(np.sum(_positive(to_numpy(xp.linalg.eigvalsh(between)), frame.dim)))
    values, vectors = xp.linalg.eigh(summary.within_scatter + between)
    kept = _positive(to_numpy(values), frame.dim)
    share = to_numpy(xp.sum(vectors * xp.matmul(between, vectors), axis=0))
    explained = float(np.sum(share[kept] / to_numpy(values)[kept]))
    return max(0.0, 1.0 - explained / rank)


@metric("1 - cosine to the own class mean; 0: each class lies on one ray", presets=("min2025",))
def directional_collapse(summary: ClassSummary) -> float:
    """avg_i (1 − cos(h_i, μ_{y_i})), uncentred means, one pass (min2025, claim 1).

    A zero feature has no direction and counts with cosine 0, so with 1; `ClassSummary.zero_counts`
    says how many there are. Undefined when a class mean is zero.
    """
    xp = array_namespace(summary.means)
    zero = (summary.counts > 0) & ~xp.any(summary.means != 0, axis=1)
    if bool(xp.any(zero)):
        k = int(np.argmax(to_numpy(zero)))
        raise UndefinedMetricError(f"the mean of class index {k} is zero and has no direction")
    share = double(summary.counts) / summary.num_samples
    return scalar(xp.sum(share * summary.class_directional))


@float64_inside
def least_collapsed_class(summary: ClassSummary) -> int:
    """Class index with the largest variance v_k (1/n_k Σ‖h − μ_k‖²)."""
    return int(np.argmax(to_numpy(summary.class_variances)))


def weighted_means(summary: ClassSummary) -> Frame:
    """√(n_k/N) (μ_k − μ̄) of the classes with samples, μ̄ the mean of all samples."""
    xp = array_namespace(summary.means)
    share = double(summary.occupied_rows(summary.counts)) / summary.num_samples
    return Frame(
        summary.occupied_means,
        xp.matmul(share, summary.occupied_means),
        "class means about the mean of all samples",
        _classes(summary),
        xp.sqrt(share),
    )


def total_factor(summary: ClassSummary) -> Array | None:
    """Rows T whose TᵀT is the scatter of all samples, last those of `weighted_means`; None where
    they would be more than D.
    """
    rows, frame = summary.within.rows, weighted_means(summary)
    if rows is None or rows.shape[0] + frame.count > frame.dim:
        return None
    return array_namespace(rows).concat([rows, frame.all()])


def _rank(frame: Frame) -> int:
    xp = array_namespace(frame.array)
    rows = frame.all()
    values = to_numpy(xp.linalg.eigvalsh(xp.matmul(rows, rows.T)))
    return int(np.sum(_positive(values, frame.dim)))


def _classes(summary: ClassSummary) -> tuple[int, ...]:
    return tuple(int(k) for k in summary.occupied)


def within_trace(summary: ClassSummary) -> float:
    """Tr Σ_W, from the classes' variances."""
    xp = array_namespace(summary.means)
    share = double(summary.counts) / summary.num_samples
    return scalar(xp.sum(share * summary.class_variances))


def _trace_ratio(summary: ClassSummary, frame: Frame) -> float:
    """Tr(Σ_W (FᵀF)†) for the rows F of a frame, on the smaller of its two Gram matrices."""
    frame.require_nonzero()
    values, quadratic = between_spectrum(frame, summary.within)
    kept = _positive(values, min(frame.count, frame.dim))
    return float(np.sum(quadratic[kept] / values[kept]))


def between_spectrum(frame: Frame, within: Scatter) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues λ_i of FᵀF and v_iᵀ Σ_W v_i, ascending in λ: of the smaller Gram matrix.

    Where λ_i is zero to rounding its second number means nothing.
    """
    xp = array_namespace(frame.array)
    if frame.count <= frame.dim:
        rows = frame.all()
        values, left = xp.linalg.eigh(xp.matmul(rows, rows.T))
        vectors = xp.matmul(rows.T, left)
        scale = xp.where(values > 0, values, xp.ones_like(values))
        quadratic = within.quadratic(vectors) / scale
    else:
        values, vectors = xp.linalg.eigh(frame.feature_gram)
        quadratic = within.quadratic(vectors)
    return to_numpy(values), to_numpy(quadratic)


def _positive(values: np.ndarray, size: int) -> np.ndarray:
    return values > RANK_TOLERANCE * size * values.max()


@float64_inside
def breakdown(summary: ClassSummary) -> list[dict[str, Any]]:
    """Per class with samples: label, samples, variance, directional variation, norm of the
    centred mean.
    """
    norms = to_numpy(summary.centred.norms)
    columns = [
        to_numpy(array)
        for array in (summary.counts, summary.class_variances, summary.class_directional)
    ]
    return [
        {
            "class": summary.classes[k],
            "count": int(columns[0][k]),
            "variance": float(columns[1][k]),
            "directional": float(columns[2][k]),
            "mean_norm": float(norms[row]),
        }
        for row, k in enumerate(summary.occupied)
    ]
