"""The squared loss split into its causes (Han, Papyan and Donoho 2022), from one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import double, to_numpy
from ncollapse._checks import Array, check_positive
from ncollapse.metrics._frame import check_bias, matching_weight
from ncollapse.metrics.registry import float64_inside
from ncollapse.stats import ClassSummary, Frame, UndefinedMetricError, scalar


@dataclass(frozen=True)
class SquaredLossSplit:
    """``total`` = ``nc1`` + ``nc23`` + ``perpendicular``, the regularised loss of (W, b).

    ``nc1`` grows with within-class variation, ``nc23`` with the distance of the means from what a
    least-squares classifier separates perfectly, ``perpendicular`` with the distance of (W, b) from
    that classifier.
    """

    total: float
    nc1: float
    nc23: float
    perpendicular: float

    def to_dict(self) -> dict[str, float]:
        return {
            "total": self.total,
            "nc1": self.nc1,
            "nc23": self.nc23,
            "perpendicular": self.perpendicular,
        }


@float64_inside
def squared_loss_split(
    summary: ClassSummary,
    weight: Array | Frame,
    bias: Array | None = None,
    *,
    decay: float = 5e-4,
) -> SquaredLossSplit:
    """L = ½ avg_i ‖Wh_i + b − e_{y_i}‖² + (λ/2)(‖W‖² + ‖b‖²) split as in Han et al. 2022, §3.

    With h̄ = (h, 1), S = avg h̄h̄ᵀ + λI and W̄_LS = avg(e_y h̄ᵀ) S⁻¹ the best classifier:
    L⊥ = ½ Tr (W̄ − W̄_LS) S (W̄ − W̄_LS)ᵀ, L_NC1 = ½ Tr W̄_LS (Σ̄_W + λI) W̄_LSᵀ,
    L_NC2/3 = ½ Σ_k (n_k/N) ‖W̄_LS μ̄_k − e_k‖². ``decay`` is λ > 0.
    """
    check_positive("decay", decay)
    if len(summary.occupied) < summary.num_classes:
        raise UndefinedMetricError("every class must have samples")
    rows = to_numpy(double(matching_weight(summary, weight).array))
    offset = to_numpy(check_bias(summary, bias))
    means, within = to_numpy(summary.means), to_numpy(summary.within_scatter)
    share = to_numpy(summary.counts) / summary.num_samples
    dim = summary.num_features
    extended = np.hstack([means, np.ones((len(means), 1))])
    inner = np.zeros((dim + 1, dim + 1))
    inner[:dim, :dim] = within
    inner += decay * np.eye(dim + 1)
    second = inner + (extended.T * share) @ extended
    best = np.linalg.solve(second, extended.T * share).T
    given = np.hstack([rows, offset[:, None]])
    apart = given - best
    residual = best @ extended.T - np.eye(len(means))
    nc1 = 0.5 * float(np.sum((best @ inner) * best))
    nc23 = 0.5 * float(np.sum(share * np.sum(residual**2, axis=0)))
    perpendicular = 0.5 * float(np.sum((apart @ second) * apart))
    return SquaredLossSplit(nc1 + nc23 + perpendicular, nc1, nc23, perpendicular)


@float64_inside
def squared_loss(summary: ClassSummary, weight: Array | Frame, bias: Array | None = None) -> float:
    """½ avg_i ‖Wh_i + b − e_{y_i}‖² from class means and Σ_W alone, for any class sizes."""
    xp = array_namespace(summary.means)
    rows = matching_weight(summary, weight)
    offset = summary.occupied_rows(check_bias(summary, bias))
    share = double(summary.occupied_rows(summary.counts)) / summary.num_samples
    matrix = rows.all()
    logits = xp.matmul(summary.occupied_means, matrix.T) + offset[None, :]
    logits = logits - xp.eye(rows.count, dtype=logits.dtype)
    at_means = scalar(xp.sum(share * xp.sum(logits * logits, axis=1)))
    around = scalar(xp.sum(summary.within.quadratic(matrix.T)))
    return 0.5 * (at_means + around)
