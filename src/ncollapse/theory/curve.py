"""Predictions as the classes become more unequal, and where the smallest ones are lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.theory.imbalance import Prediction
from ncollapse.theory.imbalance.arguments import Counts, check_counts
from ncollapse.theory.predict import predict


@dataclass(frozen=True, eq=False)
class ImbalanceCurve:
    """Predictions for several counts of the smallest classes, those of the others kept.

    ``smallest`` classes that share the least count; ``sizes`` descending counts they are given
    ``(P,)``, with a prediction each; ``threshold`` the largest count at which they merge or die,
    None where they do not between the largest class's count and 1.
    """

    smallest: tuple[int, ...]
    sizes: np.ndarray
    predictions: tuple[Prediction, ...]
    threshold: int | None

    @property
    def margins(self) -> np.ndarray:
        """``(P, K)``."""
        return np.array([prediction.margins for prediction in self.predictions])


def imbalance_curve(counts: Counts, *, points: int = 25, **options: Any) -> ImbalanceCurve:
    """Predict for about ``points`` counts of the smallest classes, from the largest's down to 1.

    ``options`` are those of `predict` but for data and label patterns, which fix the counts.
    The threshold is searched where the predictions first change.
    """
    numbers = check_counts(counts)
    own = int(numbers.min())
    smallest = tuple(np.flatnonzero(numbers == own).tolist())
    grid = np.geomspace(numbers.max(), 1, points).round().astype(int)
    sizes = np.unique([*grid, own])[::-1]

    def at(size: int) -> Prediction:
        changed = numbers.copy()
        changed[list(smallest)] = size
        return predict(changed, **options)

    predictions = tuple(map(at, sizes.tolist()))
    lost = [_lost(prediction, smallest) for prediction in predictions]
    threshold = None
    if True in lost:
        first = lost.index(True)
        threshold = int(sizes[first])
        above = int(sizes[first - 1]) if first else threshold
        while above - threshold > 1:
            middle = (above + threshold) // 2
            if _lost(at(middle), smallest):
                threshold = middle
            else:
                above = middle
    return ImbalanceCurve(smallest, sizes, predictions, threshold)


def _lost(prediction: Prediction, classes: tuple[int, ...]) -> bool:
    return bool(set(classes) & set(_merged_or_dead(prediction)))


def _merged_or_dead(prediction: Prediction) -> Iterator[int]:
    yield from prediction.dead
    for group in prediction.merged:
        yield from group
