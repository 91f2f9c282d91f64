"""The two losses with their conjugates, on columns whose rows count several times.

``entries``, ``targets`` and ``times`` (how often a row counts) are ``(rows, columns)``; values are
one a column, slopes one a single row.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.special import entr, logsumexp


class Loss(Protocol):
    @staticmethod
    def evaluate(
        entries: np.ndarray, targets: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """ℓ(z, t) and ∂ℓ/∂z."""
        ...

    @staticmethod
    def dual(slope: np.ndarray, targets: np.ndarray, times: np.ndarray) -> np.ndarray:
        """min over z of ℓ(z, t) − ⟨slope, z⟩, −∞ where there is none."""
        ...


class CrossEntropy:
    """log Σ exp z − ⟨t, z⟩; the dual value is the entropy of q = t + slope."""

    @staticmethod
    def evaluate(
        entries: np.ndarray, targets: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        # From the label's own logit on: losses far below rounding of the logits stay exact.
        ahead = entries - np.sum(times * targets * entries, axis=0)
        values = logsumexp(ahead, axis=0, b=times)
        logs = ahead - values
        return values, np.where(targets == 1.0, np.expm1(logs), np.exp(logs) - targets)

    @staticmethod
    def dual(slope: np.ndarray, targets: np.ndarray, times: np.ndarray) -> np.ndarray:
        kept = np.where(times > 0, slope, 0.0)
        hard = (targets == 1.0) & (kept > -1.0)
        own = np.where(hard, kept, 0.0)
        parts = entr(np.where(hard, 1.0, np.where(times > 0, targets + kept, 0.0)))
        return np.sum(times * (parts - (1.0 + own) * np.log1p(own)), axis=0)


class Squared:
    """½‖z − t‖²; the dual value is −⟨slope, t⟩ − ½‖slope‖²."""

    @staticmethod
    def evaluate(
        entries: np.ndarray, targets: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        slope = entries - targets
        return 0.5 * np.sum(times * slope**2, axis=0), slope

    @staticmethod
    def dual(slope: np.ndarray, targets: np.ndarray, times: np.ndarray) -> np.ndarray:
        return -np.sum(times * slope * (targets + 0.5 * slope), axis=0)


LOSSES: dict[str, type[Loss]] = {"cross_entropy": CrossEntropy, "squared": Squared}
