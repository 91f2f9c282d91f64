"""Checks of the arguments that several theories share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncollapse._checks import check_positive

Counts = Sequence[int] | np.ndarray


def check_counts(counts: Counts) -> np.ndarray:
    """Samples of each class, ``(K,)`` float64: at least two classes, whole and positive."""
    numbers = np.asarray(counts, dtype=float)
    if numbers.ndim != 1 or numbers.size < 2:
        raise ValueError(
            f"counts must be the samples of at least 2 classes, but its shape is {numbers.shape}"
        )
    bad = np.flatnonzero(~((numbers > 0) & (numbers < np.inf) & (numbers == np.round(numbers))))
    if bad.size:
        raise ValueError(
            f"counts must be positive whole numbers, but that of class {bad[0]} is "
            f"{numbers[bad[0]]:g}"
        )
    return numbers


def check_class_weights(
    class_weights: Sequence[float] | np.ndarray | None, count: int
) -> np.ndarray:
    """ω ``(K,)``, ones where None was given."""
    if class_weights is None:
        return np.ones(count)
    weights = np.asarray(class_weights, dtype=float)
    if weights.shape != (count,):
        raise ValueError(
            f"class_weights must be {count} numbers, one a class, but its shape is {weights.shape}"
        )
    for weight in weights:
        check_positive("class_weights", weight)
    return weights


def check_smoothing(label_smoothing: float) -> float:
    """α in [0, 1)."""
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(
            f"label_smoothing must be at least 0 and below 1, but it is {label_smoothing!r}"
        )
    return float(label_smoothing)


def check_one_of(name: str, value: str | None, accepted: tuple[str | None, ...]) -> None:
    """Raise ``ValueError`` naming what is accepted."""
    if value not in accepted:
        raise ValueError(
            f"{name} must be one of {', '.join(str(item) for item in accepted)}, but it is {value!r}"
        )
