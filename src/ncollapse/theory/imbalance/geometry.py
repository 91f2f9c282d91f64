"""What a theory predicts of a last layer, up to rotation of the features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ncollapse.theory.imbalance._groups import GroupMatrix, Groups
from ncollapse.theory.imbalance.optimum import Optimum


@dataclass(frozen=True, eq=False)
class Geometry:
    """Collapsed last layer, its matrices kept by group of equal classes.

    ``logits`` Z without the bias, ``weight_gram`` WWᵀ, ``means_gram`` M̄ᵀM̄ with the class means
    μ_k as columns of M̄; ``bias`` of each group of rows; ``risk`` the objective; ``gap`` its proven
    relative distance to the optimum, None where nothing is proven; ``nonnegative`` whether
    features are.
    """

    logits: GroupMatrix
    weight_gram: GroupMatrix
    means_gram: GroupMatrix
    bias: np.ndarray
    risk: float
    gap: float | None
    nonnegative: bool = False


def of_optimum(optimum: Optimum, *, weight_decay: float, feature_decay: float) -> Geometry:
    """WWᵀ = √(λ_H/λ_W) UΣUᵀ and M̄ᵀM̄ = √(λ_W/λ_H) diag(1/s) VΣVᵀ diag(1/s), Z diag(s) = UΣVᵀ."""
    ratio = math.sqrt(feature_decay / weight_decay)
    left, right, scales = optimum.left, optimum.right, optimum.problem.scales
    return Geometry(
        logits=optimum.logits,
        weight_gram=GroupMatrix(ratio * left.core, ratio * left.inner, left.rows, left.columns),
        means_gram=GroupMatrix(
            right.core / (ratio * np.outer(scales, scales)),
            right.inner / (ratio * scales**2) if right.inner.size else right.inner,
            right.rows,
            right.columns,
        ),
        bias=optimum.bias,
        risk=optimum.risk,
        gap=optimum.gap,
    )


def decoupled(
    lengths: np.ndarray,
    weight_squares: np.ndarray,
    means_squares: np.ndarray,
    groups: Groups,
    *,
    centred: bool,
    risk: float,
    gap: float | None,
) -> Geometry:
    """Orthogonal class means: z_k = ζ_k d_k, WWᵀ = Σ_k ‖w_k‖² d_k d_kᵀ, M̄ᵀM̄ = diag ‖μ_k‖².

    d_k is the unit vector along e_k − 1/K (``centred``) or e_k itself. One number a group each.
    """
    frame, stretch = np.eye(len(groups.sizes)), 1.0
    if centred:
        stretch = math.sqrt(groups.count / (groups.count - 1))
        frame = stretch * groups.centring()
    return Geometry(
        logits=GroupMatrix(frame * lengths, stretch * lengths, groups, groups),
        weight_gram=GroupMatrix(
            (frame * weight_squares) @ frame, stretch**2 * weight_squares, groups, groups
        ),
        means_gram=GroupMatrix(np.diag(means_squares), means_squares, groups, groups),
        bias=np.zeros(len(groups.sizes)),
        risk=risk,
        gap=gap,
    )
