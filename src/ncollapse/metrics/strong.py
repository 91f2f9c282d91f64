"""Strong neural collapse: the exact limits of squared loss without regularisation (mixon2022)."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import to_numpy
from ncollapse._checks import Array
from ncollapse.metrics._frame import check_bias, matching_weight
from ncollapse.metrics.registry import metric
from ncollapse.metrics.variability import within_trace
from ncollapse.stats import ClassSummary, Frame, UndefinedMetricError, scalar


@metric(
    "distance of W from its strong limit under squared loss; 0: reached",
    needs="both",
    collapsed=None,
    presets=("mixon2022",),
)
def snc1(summary: ClassSummary, weight: Array | Frame) -> float:
    """‖WWᵀ − √n (I − J/K)‖_F, n samples in every class (mixon2022 (SNC1))."""
    size = _class_size(summary)
    rows = matching_weight(summary, weight)
    xp = array_namespace(summary.means)
    total = 0.0
    for left in rows.tiles():
        for right in rows.tiles():
            gram = to_numpy(xp.matmul(rows.rows(left), rows.rows(right).T)).copy()
            gram += size**0.5 / rows.count
            if left == right:
                gram[np.diag_indices_from(gram)] -= size**0.5
            total += float(np.sum(gram**2))
    return total**0.5


@metric(
    "relative distance of features from the rows of W; 0: strong limit reached",
    needs="both",
    collapsed=None,
    presets=("mixon2022",),
)
def snc2(summary: ClassSummary, weight: Array | Frame) -> float:
    """‖H − (W ⊗ 1_n)ᵀ/√n‖_F/‖H‖_F over all samples (mixon2022 (SNC2)).

    One pass is enough: ‖H − …‖² = N Tr Σ_W + n Σ_k ‖μ_k − w_k/√n‖², ‖H‖² = N Tr Σ_W + n Σ_k ‖μ_k‖².
    """
    size = _class_size(summary)
    rows, means = matching_weight(summary, weight), summary.uncentred
    xp = array_namespace(summary.means)
    within = within_trace(summary) * rows.count
    whole = within + means.frobenius**2
    if not whole > 0:
        raise UndefinedMetricError("all features are zero")
    apart = within
    for tile in rows.tiles():
        apart += scalar(xp.sum((means.rows(tile) - rows.rows(tile) / size**0.5) ** 2))
    return (apart / whole) ** 0.5


@metric(
    "distance of the bias from 1/K; 0: strong limit reached",
    needs="bias",
    collapsed=None,
    presets=("mixon2022",),
)
def snc3(summary: ClassSummary, weight: Array | Frame, bias: Array | None = None) -> float:
    """‖b − 1/K‖₂ (mixon2022 (SNC3)); without a bias b is zero."""
    matching_weight(summary, weight)
    return float(np.linalg.norm(to_numpy(check_bias(summary, bias)) - 1 / summary.num_classes))


def _class_size(summary: ClassSummary) -> int:
    counts = to_numpy(summary.counts)
    if counts.min() != counts.max():
        raise UndefinedMetricError(
            f"classes must be equally large, but they have {counts.min()} to {counts.max()} samples"
        )
    return int(counts[0])
