"""Minority collapse on real digits: the smallest classes across the threshold, and their rescue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.papers.imbalance.images import unequal_images
from ncollapse.papers.imbalance.networks import train_network
from ncollapse.theory.imbalance import Prediction, collapse_threshold, rescue_weights
from ncollapse.theory.predict import predict


@dataclass(frozen=True, eq=False)
class Minority:
    """Distance of the means of the two smallest classes over the largest norm of a mean.

    ``sizes (S,)`` of these classes; ``distances`` measured, ``predicted`` before training and
    ``wrong`` at half the decay, ``(S,)``; ``merging (S,)``: whether the threshold says so.
    ``rescued`` and ``rescued_predicted (M,)`` at the sizes that merge, with class weights above the
    rescuing ones.
    """

    sizes: np.ndarray
    distances: np.ndarray
    predicted: np.ndarray
    wrong: np.ndarray
    merging: np.ndarray
    rescued: np.ndarray
    rescued_predicted: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        return {name: value.tolist() for name, value in vars(self).items()}


def compute(
    *,
    classes: tuple[int, ...],
    largest: tuple[int, ...],
    sizes: tuple[int, ...],
    decay: float,
    surplus: float,
    seed: int,
    **shape: Any,
) -> Minority:
    """Digits ``classes``: ``largest`` images of the first ones, n of each of the last two."""
    decays: dict[str, Any] = {"weight_decay": decay, "feature_decay": decay}

    def measured(counts: tuple[int, ...], weights: np.ndarray | None = None) -> float:
        inputs, labels = unequal_images(classes, counts, seed)
        trained = train_network(
            inputs, labels, seed=seed, relu_features=False, class_weights=weights, **decays, **shape
        )
        means = np.array([trained.features[labels == k].mean(axis=0) for k in range(len(counts))])
        return _smallest_distance(means @ means.T)

    every = [(*largest, size, size) for size in sizes]
    halved = {name: value / 2 for name, value in decays.items()}
    merging = np.array([decay >= collapse_threshold(c)[-1] for c in every])
    rescued = [
        (c, _rescuing(c, decays, surplus)) for c, low in zip(every, merging, strict=True) if low
    ]
    return Minority(
        sizes=np.array(sizes),
        predicted=np.array([_predicted_distance(predict(c, **decays)) for c in every]),
        wrong=np.array([_predicted_distance(predict(c, **halved)) for c in every]),
        merging=merging,
        rescued_predicted=np.array(
            [_predicted_distance(predict(c, class_weights=w, **decays)) for c, w in rescued]
        ),
        distances=np.array([measured(c) for c in every]),
        rescued=np.array([measured(c, w) for c, w in rescued]),
    )


def _rescuing(counts: tuple[int, ...], decays: dict[str, Any], surplus: float) -> np.ndarray:
    """``surplus`` times the rescuing weight where one is needed, 1 elsewhere."""
    weights = rescue_weights(counts, **decays)
    return np.where(weights > 1.0, surplus * weights, 1.0)


def _predicted_distance(prediction: Prediction) -> float:
    return _smallest_distance(prediction.means_gram)


def _smallest_distance(gram: np.ndarray) -> float:
    """‖μ_a − μ_b‖ of the last two classes over the largest ‖μ_k‖."""
    apart = gram[-1, -1] + gram[-2, -2] - 2.0 * gram[-1, -2]
    return float(np.sqrt(max(apart, 0.0) / np.diag(gram).max()))
