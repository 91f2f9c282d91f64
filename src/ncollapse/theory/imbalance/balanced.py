"""Classes of equal size: the simplex with its scale."""

from __future__ import annotations

import math


def balanced_scale(
    num_classes: int, per_class: int, level: float, label_smoothing: float = 0.0
) -> float:
    """a of the optimal logits aC, C = I − 11ᵀ/K, for cross-entropy and signed features.

    a = log(K/(α + λK√n) − (K − 1)), zero where α + λK√n ≥ 1; λ = √(λ_W λ_H), the bias is zero.
    """
    share = label_smoothing + level * num_classes * math.sqrt(per_class)
    return math.log(num_classes / share - (num_classes - 1)) if share < 1.0 else 0.0
