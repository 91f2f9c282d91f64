"""What is left of a trained network for others to read: last-layer features and classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Snapshot = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class LastLayer:
    """Labels ``(N,)`` of the samples whose features the snapshots of a run hold."""

    labels: np.ndarray

    def last_layer(
        self, parameters: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Features ``(N, D)``, classifier weight ``(K, D)`` and bias ``(K,)`` or None."""
        return parameters["features"], parameters["weight"], parameters.get("bias")

    def arrays(self) -> dict[str, np.ndarray]:
        """What a saved run holds besides its snapshots."""
        return {"labels": self.labels}


@dataclass(frozen=True, eq=False)
class Network:
    """What training left: ``features (N, D)`` of the last layer, ``weight (K, D)`` of the head.

    ``bias (K,)`` or None; ``value`` is the objective, ``loss`` the mean loss, ``slope`` the largest
    entry of the gradient of the objective.
    """

    features: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None
    value: float
    loss: float
    slope: float

    @property
    def logits(self) -> np.ndarray:
        """``(N, K)``."""
        logits = self.features @ self.weight.T
        return logits if self.bias is None else logits + self.bias

    def margins(self, labels: np.ndarray) -> np.ndarray:
        """Own logit less the mean of the others, averaged over each class, ``(K,)``."""
        logits, count = self.logits, len(self.weight)
        own = logits[np.arange(len(labels)), labels]
        margins = own - (logits.sum(axis=1) - own) / (count - 1)
        return np.bincount(labels, margins) / np.bincount(labels)
