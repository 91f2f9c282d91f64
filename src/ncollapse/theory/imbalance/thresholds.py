"""Minority collapse: from which decay on classes coincide, and which weights keep them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ncollapse._checks import check_positive
from ncollapse.theory.imbalance.arguments import (
    Counts,
    check_class_weights,
    check_counts,
    check_one_of,
    check_smoothing,
)


def collapse_threshold(
    counts: Counts,
    *,
    features: str = "signed",
    class_weights: Sequence[float] | np.ndarray | None = None,
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """λ* of each class, ``(K,)``: minority collapse iff √(λ_W λ_H) ≥ λ*.

    Signed features: classes that share their count and weight coincide iff
    λ ≥ (1 − α) ω_k √n_k / N, whatever the other classes and the bias. Nonnegative features without
    a bias: the class dies (its features are zero) iff λ ≥ √((K−1)/K) times that. Either loss for
    signed features, cross-entropy for nonnegative ones.

    >>> collapse_threshold([100, 100, 4, 4])
    array([0.04807692, 0.04807692, 0.00961538, 0.00961538])
    """
    numbers = check_counts(counts)
    check_one_of("features", features, ("signed", "nonnegative"))
    weights = check_class_weights(class_weights, len(numbers))
    apart = 1.0 - check_smoothing(label_smoothing)
    levels = apart * weights * np.sqrt(numbers) / numbers.sum()
    if features == "nonnegative":
        levels *= math.sqrt((len(numbers) - 1) / len(numbers))
    return levels


def rescue_weights(
    counts: Counts,
    *,
    weight_decay: float,
    feature_decay: float,
    features: str = "signed",
    label_smoothing: float = 0.0,
) -> np.ndarray:
    """Smallest class weights at which no class collapses: infimum of ω ≥ 1 with λ ≤ λ*, ``(K,)``.

    ω_k = Nλ/√n_k for signed features where that exceeds 1 (classes coincide at this weight, and are
    apart at any larger one), with counts kept, not renormalised.
    """
    level = math.sqrt(
        check_positive("weight_decay", weight_decay)
        * check_positive("feature_decay", feature_decay)
    )
    thresholds = collapse_threshold(counts, features=features, label_smoothing=label_smoothing)
    return np.maximum(1.0, level / thresholds)
