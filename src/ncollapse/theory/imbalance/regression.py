"""Regression with unconstrained features and bias: targets given by their covariance."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ncollapse._checks import check_matrix, check_positive


@dataclass(frozen=True, eq=False)
class Regression:
    """``weight_gram`` WWᵀ ``(n, n)``; ``rank`` how many target directions are fitted; ``risk`` with
    its proven relative ``gap``.
    """

    weight_gram: np.ndarray
    rank: int
    risk: float
    gap: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "weight_gram": self.weight_gram.tolist()}


def regression(
    target_covariance: np.ndarray, num_samples: int, *, weight_decay: float, feature_decay: float
) -> Regression:
    """Minimiser of (1/2N)Σ‖Wh_i + b − y_i‖² + λ_W/2 ‖W‖² + λ_H/2 Σ‖h_i‖² over W, b and H.

    WWᵀ = √(λ_H/λ_W) √N (Σ_Y^½ − √N λ I)₊, Σ_Y the centred covariance (1/N) of the targets and
    λ = √(λ_W λ_H): directions with deviation at most √N λ are not fitted at all. Without a bias the
    same holds for the second moment (1/N)Σ y_i y_iᵀ in the place of Σ_Y. The gap is to the value of
    the dual (D) at the residuals, whose deviations are min(σ, √N λ).
    """
    check_matrix("target_covariance", target_covariance, rows="targets", columns="targets")
    if target_covariance.shape[0] != target_covariance.shape[1]:
        raise ValueError(
            f"target_covariance must be a square matrix, but its shape is {target_covariance.shape}"
        )
    level = math.sqrt(
        check_positive("weight_decay", weight_decay)
        * check_positive("feature_decay", feature_decay)
    )
    size = check_positive("num_samples", num_samples)
    variances, vectors = np.linalg.eigh(target_covariance)
    if variances[0] < -1e-12 * max(variances[-1], 0.0) or not np.allclose(
        target_covariance, target_covariance.T, rtol=1e-10, atol=0.0
    ):
        raise ValueError("target_covariance must be symmetric with no negative eigenvalue")
    deviations = np.sqrt(np.maximum(variances, 0.0))
    kept = np.maximum(0.0, deviations - math.sqrt(size) * level)
    gram = (vectors * kept) @ vectors.T * math.sqrt(size * feature_decay / weight_decay)
    risk = 0.5 * np.sum((deviations - kept) ** 2) + level * math.sqrt(size) * kept.sum()
    left = deviations - kept
    bound = float(np.sum(left * deviations - 0.5 * left**2))
    gap = (float(risk) - bound) / float(risk) if risk > 0 else 0.0
    return Regression(gram, int(np.count_nonzero(kept)), float(risk), gap)
