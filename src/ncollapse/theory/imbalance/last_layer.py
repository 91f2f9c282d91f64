"""How far the last layer of any network is from its optimum, proven from its logits alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.special import entr, logsumexp

from ncollapse._checks import check_labels, check_matrix, check_positive


@dataclass(frozen=True)
class LastLayerGap:
    """``value`` of the objective, ``bound`` that no last layer with any features lies below,
    ``gap`` = (value − bound)/value; ``feature_decay`` λ_H and whether it was ``measured``.
    """

    value: float
    bound: float
    gap: float
    feature_decay: float
    measured: bool

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class LastLayerStats:
    """Streaming state of the gap: one pass over logits, K × K numbers.

    For r_i = p_i − e_{y_i}, p_i the softmax of sample i: Σ r_i r_iᵀ, Σ r_i of each class, entropies
    of p_i, losses and Σ ‖h_i‖². States of parts of the data `merge`.
    """

    def __init__(self, num_classes: int) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, but it is {num_classes}")
        self.counts = np.zeros(num_classes)
        self.residual_gram = np.zeros((num_classes, num_classes))
        self.residual_sums = np.zeros((num_classes, num_classes))
        self.entropies = np.zeros(num_classes)
        self.loss = 0.0
        self.feature_squares = 0.0

    def update(self, logits: np.ndarray, labels: np.ndarray, features: np.ndarray) -> Self:
        """Take in a batch: logits ``(B, K)`` with the bias, labels 0 … K−1, features ``(B, D)``."""
        logits = np.asarray(check_matrix("logits", np.asarray(logits), columns="classes"), float)
        features = np.asarray(check_matrix("features", np.asarray(features)), float)
        size, num_classes = len(logits), len(self.counts)
        labels = np.asarray(check_labels("labels", np.asarray(labels), size))
        if logits.shape[1] != num_classes:
            raise ValueError(
                f"logits must have {num_classes} columns, but their shape is {logits.shape}"
            )
        if len(features) != size:
            raise ValueError(f"features has {len(features)} rows for {size} rows of logits")
        if labels.min() < 0 or labels.max() >= num_classes:
            raise ValueError(
                f"labels must lie in 0 … {num_classes - 1}, "
                f"but they go from {labels.min()} to {labels.max()}"
            )
        rows = np.arange(size)
        logarithms = logits - logsumexp(logits, axis=1, keepdims=True)
        residuals = np.exp(logarithms)
        entropies = entr(residuals).sum(axis=1)
        # 1 − p of the own class without cancellation.
        residuals[rows, labels] = 0.0
        residuals[rows, labels] = -residuals.sum(axis=1)
        self.counts += np.bincount(labels, minlength=num_classes)
        self.residual_gram += residuals.T @ residuals
        np.add.at(self.residual_sums.T, labels, residuals)
        self.entropies += np.bincount(labels, entropies, num_classes)
        self.loss -= float(logarithms[rows, labels].sum())
        self.feature_squares += float(np.sum(features**2))
        return self

    def merge(self, other: LastLayerStats) -> Self:
        """Add the state of other samples."""
        if len(other.counts) != len(self.counts):
            raise ValueError(f"states of {len(self.counts)} and {len(other.counts)} classes")
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    def finish(
        self,
        weight: np.ndarray,
        *,
        weight_decay: float,
        feature_decay: float | None = None,
        bias: np.ndarray | None = None,
        bias_decay: float | None = None,
    ) -> LastLayerGap:
        """Gap of (1/N)Σ ce(Wh_i + b, y_i) + λ_W/2 ‖W‖² + λ_H/2 Σ‖h_i‖² (+ λ_b/2 ‖b‖²).

        (D) with one column a sample at Q = T + (P − T)diag(t): t = min(1, Nλ/‖P − T‖_op), and
        Entropy(T + t(P − T)) ≥ t Entropy(P) by concavity. With ``bias`` and a free bias
        (``bias_decay`` None) t differs by class so that Σ_i t_i r_i = 0: the sums of r over classes
        are the generator of a Markov chain, which has a stationary distribution.
        Without ``feature_decay`` it is measured, λ_H = λ_W ‖W‖²/Σ‖h_i‖², right at stationarity.
        For batch norm before the last activation and decay λ of γ and β, λ_H = λ/N.
        """
        total = float(self.counts.sum())
        if total == 0:
            raise ValueError("no samples were taken in")
        lambda_w = check_positive("weight_decay", weight_decay)
        square = float(np.sum(np.asarray(check_matrix("weight", np.asarray(weight)), float) ** 2))
        if feature_decay is None:
            if self.feature_squares == 0.0 or square == 0.0:
                raise ValueError("feature_decay is needed where weight or features are zero")
            lambda_h = lambda_w * square / self.feature_squares
        else:
            lambda_h = check_positive("feature_decay", feature_decay)
        value = self.loss / total + 0.5 * lambda_w * square
        value += 0.5 * lambda_h * self.feature_squares
        norm = math.sqrt(max(np.linalg.eigvalsh(self.residual_gram)[-1], 0.0))
        level = total * math.sqrt(lambda_w * lambda_h)
        largest = min(1.0, level / norm) if norm > 0 else 1.0
        rise = self.entropies.sum() / total
        bound = largest * rise
        if bias is not None and bias_decay is None:
            bound = largest * float(self._balance() @ self.entropies) / total
        elif bias is not None and bias_decay is not None:
            decay = check_positive("bias_decay", bias_decay)
            value += 0.5 * decay * float(np.sum(np.asarray(bias) ** 2))
            pull = float(np.sum((self.residual_sums.sum(axis=1) / total) ** 2)) / decay
            share = min(largest, rise / pull) if pull > 0 else largest
            bound = share * rise - 0.5 * share**2 * pull
        gap = (value - bound) / value
        return LastLayerGap(value, float(bound), float(gap), lambda_h, feature_decay is None)

    def _balance(self) -> np.ndarray:
        """t ≥ 0 of each class with largest entry 1 and Σ_k t_k Σ_{i∈k} r_i = 0; 0 if unclear."""
        sums = self.residual_sums
        _, values, vt = np.linalg.svd(sums)
        share = np.abs(vt[-1])
        # Rounding leaves Σ t r of this relative size, which a free bias may not turn into gain.
        if values[-1] > 1e-12 * values[0] or np.ptp(np.sign(vt[-1])) > 1:
            return np.zeros(len(sums))
        return share / share.max()


def optimality_gap(
    logits: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    features: np.ndarray,
    *,
    weight_decay: float,
    feature_decay: float | None = None,
    bias: np.ndarray | None = None,
    bias_decay: float | None = None,
) -> LastLayerGap:
    """Proven optimality gap of a last layer with cross-entropy, for arrays in memory.

    The arguments and the meaning are those of `LastLayerStats.update` and `LastLayerStats.finish`.
    """
    stats = LastLayerStats(np.shape(weight)[0]).update(logits, labels, features)
    return stats.finish(
        weight,
        weight_decay=weight_decay,
        feature_decay=feature_decay,
        bias=bias,
        bias_decay=bias_decay,
    )
