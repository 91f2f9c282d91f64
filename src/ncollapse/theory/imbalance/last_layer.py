"""How far the last layer of any network is from its optimum, proven from its logits alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import fminbound
from scipy.special import entr, logsumexp

from ncollapse._checks import check_labels, check_matrix, check_positive
from ncollapse.theory.imbalance.arguments import (
    check_class_weights,
    check_one_of,
    check_smoothing,
)

SUMS = ("counts", "residual_gram", "residual_sums", "entropies", "losses", "feature_squares")


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
    """Streaming state of the gap: one pass over logits, (2K) × (2K) numbers.

    For r_i = p_i − t_{y_i}, p_i the softmax of sample i and t_k = (1 − α)e_k + α/K its label, with
    r⁺ and r⁻ ≥ 0 the parts of r = r⁺ − r⁻: Σ ω² (r⁺, r⁻)(r⁺, r⁻)ᵀ (``residual_gram``), and of each
    class Σ r_i, entropies of p_i and losses; and Σ ‖h_i‖². States of parts of the data `merge`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, but it is {num_classes}")
        self.label_smoothing = check_smoothing(label_smoothing)
        self.class_weights = check_class_weights(class_weights, num_classes)
        self.counts = np.zeros(num_classes)
        self.residual_gram = np.zeros((2 * num_classes, 2 * num_classes))
        self.residual_sums = np.zeros((num_classes, num_classes))
        self.entropies = np.zeros(num_classes)
        self.losses = np.zeros(num_classes)
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
        losses = -logarithms[rows, labels]
        if self.label_smoothing > 0:
            share = self.label_smoothing / num_classes
            residuals -= share
            residuals[rows, labels] += self.label_smoothing
            losses = (1.0 - self.label_smoothing) * losses - share * logarithms.sum(axis=1)
        parts = np.hstack([np.maximum(residuals, 0.0), np.maximum(-residuals, 0.0)])
        parts *= self.class_weights[labels][:, None]
        self.counts += np.bincount(labels, minlength=num_classes)
        self.residual_gram += parts.T @ parts
        np.add.at(self.residual_sums.T, labels, residuals)
        self.entropies += np.bincount(labels, entropies, num_classes)
        self.losses += np.bincount(labels, losses, num_classes)
        self.feature_squares += float(np.sum(features**2))
        return self

    def merge(self, other: LastLayerStats) -> Self:
        """Add the state of other samples."""
        if len(other.counts) != len(self.counts):
            raise ValueError(f"states of {len(self.counts)} and {len(other.counts)} classes")
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """The sums by name, which add up over parts of the data."""
        return {name: np.asarray(getattr(self, name)) for name in SUMS}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take over the sums of a `state_dict`."""
        for name in SUMS:
            setattr(self, name, np.array(state[name], dtype=float))
        self.feature_squares = float(self.feature_squares)
        return self

    def residual_norm(self, *, nonnegative: bool = False) -> float:
        """max over ‖v‖ = 1 of ‖Σ_i v_i ω_i r_i‖; ``nonnegative``: a bound on it over v ≥ 0.

        With u = Σ v r⁺ and w = Σ v r⁻, both ≥ 0 where v is, ‖u − w‖² ≤ ‖u‖² + ‖w‖² − 2(1 − θ)⟨u, w⟩
        for every θ in [0, 1]: the smallest largest eigenvalue over θ. At the optimum over nonnegative
        features θ = K/(2(K − 1)) makes it max_k ‖r_k‖ (`nonnegative`).
        """
        size = len(self.counts)
        halves = self.residual_gram.reshape(2, size, 2, size).transpose(0, 2, 1, 3)
        turn = np.array([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2.0)
        turned = np.einsum("ap,bq,pqij->abij", turn, turn, halves)
        if not nonnegative:
            return math.sqrt(max(2.0 * np.linalg.eigvalsh(turned[1, 1])[-1], 0.0))
        whole = turned.transpose(0, 2, 1, 3).reshape(2 * size, 2 * size)

        def square(theta: float) -> float:
            scales = np.repeat(np.sqrt([theta, 2.0 - theta]), size)
            return float(np.linalg.eigvalsh(whole * np.outer(scales, scales))[-1])

        searched = float(np.asarray(fminbound(square, 0.0, 1.0, xtol=1e-3)))
        thetas = 0.0, size / (2.0 * (size - 1)), searched
        least = min(map(square, thetas))
        return math.sqrt(max(least, 0.0))

    def balance(self) -> np.ndarray:
        """t ≥ 0 of each class with largest entry 1 and Σ_k t_k ω_k Σ_{i∈k} r_i = 0; 0 if unclear."""
        sums = self.residual_sums * self.class_weights
        _, values, vt = np.linalg.svd(sums)
        share = np.abs(vt[-1])
        # Rounding leaves Σ t r of this relative size, which a free bias may not turn into gain.
        if values[-1] > 1e-12 * values[0] or np.ptp(np.sign(vt[-1])) > 1:
            return np.zeros(len(sums))
        return share / share.max()


@dataclass(frozen=True)
class LastLayerObjective:
    """(1/N)Σ ω_{y_i} ce(Wh_i + b, t_{y_i}) + λ_W/2 ‖W‖² + λ_H/2 Σ‖h_i‖² (+ λ_b/2 ‖b‖²).

    Attributes
    ----------
    weight_decay, feature_decay
        λ_W and λ_H. Without ``feature_decay`` it is measured, λ_H = λ_W ‖W‖²/Σ‖h_i‖², right at
        stationarity.
    normalisation
        "batch": batch norm before the last activation, whose γ and β have the decay
        ``feature_decay``, by default ``weight_decay``; then λ_H is that over N, with proof.
    bias_decay
        λ_b; None for a free bias.
    label_smoothing, class_weights
        α of t_k = (1 − α)e_k + α/K, and ω_k. N is not changed by ω, so for the mean that PyTorch takes
        of weighted losses they are ω_k N/Σ_i ω_{y_i}.
    nonnegative
        The features are, as after a ReLU: the bound is over such features alone, and higher.

    Raises
    ------
    ValueError
        A decay that is not positive, smoothing outside [0, 1), another normalisation.
    """

    weight_decay: float
    feature_decay: float | None = None
    normalisation: str | None = None
    bias_decay: float | None = None
    label_smoothing: float = 0.0
    class_weights: Sequence[float] | np.ndarray | None = None
    nonnegative: bool = False

    def __post_init__(self) -> None:
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", tuple(map(float, self.class_weights)))
        for name in ("weight_decay", "feature_decay", "bias_decay"):
            if getattr(self, name) is not None or name == "weight_decay":
                check_positive(name, getattr(self, name))
        check_one_of("normalisation", self.normalisation, (None, "batch"))
        check_smoothing(self.label_smoothing)

    def stats(self, num_classes: int) -> LastLayerStats:
        """The state to feed, with the labels and class weights of this objective."""
        return LastLayerStats(
            num_classes, label_smoothing=self.label_smoothing, class_weights=self.class_weights
        )

    def gap(
        self, stats: LastLayerStats, weight: np.ndarray, bias: np.ndarray | None = None
    ) -> LastLayerGap:
        """Proven gap of the last layer with ``weight`` ``(K, D)`` and ``bias`` ``(K,)``.

        (D) with one column a sample at Q = T + (P − T)diag(t): t = min(1, Nλ/‖(P − T)diag(ω)‖), and
        Entropy(T + t(P − T)) ≥ t Entropy(P) + (1 − t) Entropy(T) by concavity. With ``bias`` and a
        free bias t differs by class so that Σ_i t_i ω_i r_i = 0: without smoothing the sums of r over
        classes are the generator of a Markov chain, which has a stationary distribution.
        """
        total = float(stats.counts.sum())
        if total == 0:
            raise ValueError("no samples were taken in")
        square = float(np.sum(np.asarray(check_matrix("weight", np.asarray(weight)), float) ** 2))
        decay, measured = self._feature_decay(stats, square)
        value = float(stats.class_weights @ stats.losses) / total
        value += 0.5 * (self.weight_decay * square + decay * stats.feature_squares)
        norm = stats.residual_norm(nonnegative=self.nonnegative)
        level = total * math.sqrt(self.weight_decay * decay)
        largest = min(1.0, level / norm) if norm > 0 else 1.0
        label = np.full(len(stats.counts), stats.label_smoothing / len(stats.counts))
        label[0] += 1.0 - stats.label_smoothing
        rest = float(entr(label).sum())
        base = rest * float(stats.class_weights @ stats.counts) / total
        rises = stats.class_weights * (stats.entropies - rest * stats.counts) / total
        pull = 0.0
        if bias is not None and self.bias_decay is None:
            rises = rises * stats.balance()
        elif bias is not None and self.bias_decay is not None:
            value += 0.5 * self.bias_decay * float(np.sum(np.asarray(bias) ** 2))
            sums = stats.residual_sums @ stats.class_weights
            pull = float(np.sum((sums / total) ** 2)) / self.bias_decay
        rise = float(rises.sum())
        share = min(largest, rise / pull) if pull > 0 else largest
        share = max(share, 0.0) if rise > 0 else 0.0
        bound = base + share * rise - 0.5 * share**2 * pull
        gap = (value - bound) / value
        return LastLayerGap(float(value), float(bound), float(gap), float(decay), measured)

    def _feature_decay(self, stats: LastLayerStats, square: float) -> tuple[float, bool]:
        """λ_H, and whether it was measured."""
        if self.normalisation == "batch":
            affine = self.weight_decay if self.feature_decay is None else self.feature_decay
            return affine / float(stats.counts.sum()), False
        if self.feature_decay is not None:
            return self.feature_decay, False
        if stats.feature_squares == 0.0 or square == 0.0:
            raise ValueError("feature_decay is needed where weight or features are zero")
        return self.weight_decay * square / stats.feature_squares, True


def optimality_gap(
    logits: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    features: np.ndarray,
    *,
    weight_decay: float,
    feature_decay: float | None = None,
    normalisation: str | None = None,
    bias: np.ndarray | None = None,
    bias_decay: float | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | np.ndarray | None = None,
    nonnegative: bool = False,
) -> LastLayerGap:
    """Proven optimality gap of a last layer with cross-entropy, for arrays in memory.

    Logits ``(N, K)`` with the bias, labels 0 … K−1, features ``(N, D)``; the other arguments are those
    of `LastLayerObjective`, which measures batches with its ``stats``.
    """
    objective = LastLayerObjective(
        weight_decay,
        feature_decay,
        normalisation,
        bias_decay,
        label_smoothing,
        class_weights,
        nonnegative,
    )
    stats = objective.stats(np.shape(weight)[0]).update(logits, labels, features)
    return objective.gap(stats, weight, bias)
