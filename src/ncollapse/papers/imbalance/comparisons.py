"""Networks on tight classes against predictions made before training, class by class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncollapse.papers.imbalance.networks import (
    Network,
    nearly_orthogonal_classes,
    train_network,
)
from ncollapse.theory.explain import explain
from ncollapse.theory.imbalance import Explanation, Prediction
from ncollapse.theory.predict import predict

COUNTS = (48, 24, 10, 3)
DIM = 150
SPREAD = 0.03
"""Norm of the noise around unit class means: tight classes."""
FEATURES = ("nonnegative", "signed")


@dataclass(frozen=True, eq=False)
class Trained:
    """One network: ``margins`` and ``value`` measured, ``predicted`` before training, and ``wrong``
    of another theory, ``(K,)``; ``explanation`` of its last layer.
    """

    features: str
    depth: int
    seed: int
    margins: np.ndarray
    predicted: np.ndarray
    wrong: np.ndarray
    value: float
    predicted_value: float
    wrong_value: float
    slope: float
    explanation: Explanation = field(repr=False)

    def distance(self, theory: str) -> float:
        """Largest distance of the three Gram matrices to those of a theory."""
        return self.explanation.theory(theory).largest

    def to_dict(self) -> dict[str, Any]:
        return {
            "features": self.features,
            "depth": self.depth,
            "seed": self.seed,
            "margins": self.margins.tolist(),
            "predicted": self.predicted.tolist(),
            "wrong": self.wrong.tolist(),
            "value": self.value,
            "predicted_value": self.predicted_value,
            "slope": self.slope,
            "explanation": self.explanation.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Networks of one kind, ``theory`` the one that predicts them."""

    theory: str
    counts: tuple[int, ...]
    networks: tuple[Trained, ...]

    def of(self, **kind: Any) -> Comparison:
        """Those networks alone that have these attributes."""
        kept = [
            one
            for one in self.networks
            if all(getattr(one, name) == value for name, value in kind.items())
        ]
        return Comparison(self.theory, self.counts, tuple(kept))

    def ratios(self, name: str = "predicted") -> np.ndarray:
        """Measured margins over those of the theory, or of the wrong one, ``(R, K)``."""
        return np.array([one.margins / getattr(one, name) for one in self.networks])

    def values(self, name: str = "predicted_value") -> np.ndarray:
        """Measured value of the objective over the predicted one, ``(R,)``."""
        return np.array([one.value / getattr(one, name) for one in self.networks])

    def distances(self, theory: str) -> np.ndarray:
        """Largest distance of each network to ``theory``, ``(R,)``."""
        return np.array([one.distance(theory) for one in self.networks])

    def to_dict(self) -> dict[str, Any]:
        return {
            "theory": self.theory,
            "counts": list(self.counts),
            "networks": [one.to_dict() for one in self.networks],
        }


def of_depth_law(
    counts: tuple[int, ...], depths: tuple[int, ...], seeds: tuple[int, ...], **shape: Any
) -> Comparison:
    """Decay on every layer, against the law; the wrong one is the law at one layer less."""

    def trained(features: str, depth: int, seed: int) -> Trained:
        inputs, labels = nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
        decay = shape["weight_decay"]
        law = {"weight_decay": decay, "features": features, "input_norms": norms(inputs, labels)}
        right = predict(counts, depth=depth, **law)
        wrong = predict(counts, depth=depth - 1 if depth > 2 else 3, **law)
        signs = {"relu_features": features == "nonnegative"}
        network = train_network(inputs, labels, depth=depth, seed=seed, **signs, **shape)
        told = _explained(network, labels, decay, depth=depth, inputs=inputs)
        return _compare(features, depth, seed, network, labels, right, wrong, told)

    runs = [(f, depth, seed) for f in FEATURES for depth in depths for seed in seeds]
    return Comparison("depth", counts, tuple(trained(*run) for run in runs))


def of_batch_norm(
    counts: tuple[int, ...], depths: tuple[int, ...], seeds: tuple[int, ...], **shape: Any
) -> Comparison:
    """Decay on the head and on γ and β; the wrong theory is the depth law."""

    def trained(features: str, depth: int, seed: int) -> Trained:
        inputs, labels = nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
        decay = shape["weight_decay"]
        options: dict[str, Any] = {"weight_decay": decay, "features": features}
        right = predict(counts, normalisation="batch", **options)
        wrong = predict(counts, depth=depth, **options)
        signs = {"relu_features": features == "nonnegative", "batch_norm": True}
        network = train_network(inputs, labels, depth=depth, seed=seed, **signs, **shape)
        told = _explained(network, labels, decay, normalisation="batch")
        return _compare(features, depth, seed, network, labels, right, wrong, told)

    runs = [(f, depth, seed) for depth in depths for seed in seeds for f in FEATURES]
    return Comparison("batch_norm", counts, tuple(trained(*run) for run in runs))


def of_peeled(
    counts: tuple[int, ...],
    depths: tuple[int, ...],
    seeds: tuple[int, ...],
    *,
    spread: float,
    feature_decay: float,
    **shape: Any,
) -> Comparison:
    """Decay on the head and the last features alone, classes with noise of norm ``spread``.

    The wrong theory knows the features' decay ten times too large.
    """

    def trained(features: str, depth: int, seed: int) -> Trained:
        inputs, labels = nearly_orthogonal_classes(counts, DIM, spread, seed)
        decay = shape["weight_decay"]
        options: dict[str, Any] = {"weight_decay": decay, "features": features}
        right = predict(counts, feature_decay=feature_decay, **options)
        wrong = predict(counts, feature_decay=10 * feature_decay, **options)
        own = {"relu_features": features == "nonnegative", "feature_decay": feature_decay}
        network = train_network(inputs, labels, depth=depth, seed=seed, **own, **shape)
        told = _explained(network, labels, decay)
        return _compare(features, depth, seed, network, labels, right, wrong, told)

    runs = [(f, depth, seed) for f in FEATURES for depth in depths for seed in seeds]
    return Comparison("peeled", counts, tuple(trained(*run) for run in runs))


def norms(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """r_k = ‖x̄_k‖ of each class, ``(K,)``."""
    means = [inputs[labels == k].mean(axis=0) for k in range(labels.max() + 1)]
    return np.linalg.norm(means, axis=1)


def _explained(network: Network, labels: np.ndarray, decay: float, **known: Any) -> Explanation:
    return explain(network.features, labels, network.weight, weight_decay=decay, **known)


def _compare(
    features: str,
    depth: int,
    seed: int,
    network: Network,
    labels: np.ndarray,
    right: Prediction,
    wrong: Prediction,
    explanation: Explanation,
) -> Trained:
    return Trained(
        features=features,
        depth=depth,
        seed=seed,
        margins=network.margins(labels),
        predicted=right.margins,
        wrong=wrong.margins,
        value=network.value,
        predicted_value=right.risk,
        wrong_value=wrong.risk,
        slope=network.slope,
        explanation=explanation,
    )
