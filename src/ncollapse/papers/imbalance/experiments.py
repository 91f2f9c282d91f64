"""Trained networks against predictions made before training, class by class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncollapse.papers import experiment
from ncollapse.papers.imbalance.networks import (
    Network,
    nearly_orthogonal_classes,
    train_network,
)
from ncollapse.theory.explain import explain
from ncollapse.theory.imbalance import Explanation
from ncollapse.theory.predict import predict

COUNTS = (48, 24, 10, 3)
DIM = 150
SPREAD = 0.03
"""Norm of the noise around unit class means: tight classes."""


@dataclass(frozen=True, eq=False)
class Trained:
    """One network: ``margins`` and ``value`` measured, ``predicted`` before training, and ``wrong``
    of another theory, ``(K,)``; ``explanation`` of its last layer.
    """

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


@experiment(
    "Decay on every layer",
    "margins of every class of ReLU networks against the depth law, predicted before training",
    quick={"seeds": (0, 1)},
    paper={"depths": (2, 3, 4, 5), "seeds": (0, 1, 2, 3), "width": 160, "epochs": 2_000},
)
def depth(
    *,
    counts: tuple[int, ...] = COUNTS,
    depths: tuple[int, ...] = (3, 4),
    seeds: tuple[int, ...] = (0, 1, 2),
    width: int = 48,
    weight_decay: float = 1e-3,
    epochs: int = 600,
    steps: int = 400,
) -> Comparison:
    """Tight classes around nearly orthogonal means, predicted from the counts, the decay, the depth
    and the norms of the class inputs.

    The wrong theory is the same law at one layer less (one more at depth 2), as if the first layer
    were not decayed.
    """
    networks = []
    for number in depths:
        for seed in seeds:
            inputs, labels = nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
            means = [inputs[labels == k].mean(axis=0) for k in range(len(counts))]
            law: dict[str, Any] = {"weight_decay": weight_decay, "features": "nonnegative"}
            law["input_norms"] = np.linalg.norm(means, axis=1)
            right = predict(counts, depth=number, **law)
            wrong = predict(counts, depth=number - 1 if number > 2 else 3, **law)
            trained = train_network(
                inputs,
                labels,
                depth=number,
                width=width,
                weight_decay=weight_decay,
                seed=seed,
                epochs=epochs,
                steps=steps,
            )
            found = explain(
                trained.features,
                labels,
                trained.weight,
                weight_decay=weight_decay,
                depth=number,
                inputs=inputs,
            )
            networks.append(_compare(number, seed, trained, labels, right, wrong, found))
    return Comparison("depth", counts, tuple(networks))


@experiment(
    "Batch norm before the last activation",
    "margins and value of networks with batch norm against the proven bound, predicted before "
    "training",
    quick={"seeds": (0,)},
    paper={"depths": (3, 4, 5), "seeds": (0, 1, 2, 3), "width": 160, "epochs": 2_000},
)
def batch_norm(
    *,
    counts: tuple[int, ...] = COUNTS,
    depths: tuple[int, ...] = (3, 4),
    seeds: tuple[int, ...] = (0, 1, 2),
    width: int = 48,
    weight_decay: float = 1e-3,
    epochs: int = 600,
    steps: int = 400,
) -> Comparison:
    """The same data; decay on the head and on γ and β. ReLU features and linear ones.

    The wrong theory is the depth law, which knows the depth and not the normalisation.
    """
    networks = []
    for number in depths:
        for seed in seeds:
            inputs, labels = nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
            for features in ("nonnegative", "signed"):
                options = {"weight_decay": weight_decay, "features": features}
                right = predict(counts, normalisation="batch", **options)
                wrong = predict(counts, depth=number, **options)
                trained = train_network(
                    inputs,
                    labels,
                    depth=number,
                    width=width,
                    weight_decay=weight_decay,
                    seed=seed,
                    batch_norm=True,
                    relu_features=features == "nonnegative",
                    epochs=epochs,
                    steps=steps,
                )
                found = explain(
                    trained.features,
                    labels,
                    trained.weight,
                    weight_decay=weight_decay,
                    normalisation="batch",
                )
                networks.append(_compare(number, seed, trained, labels, right, wrong, found))
    return Comparison("batch_norm", counts, tuple(networks))


def _compare(
    number: int,
    seed: int,
    trained: Network,
    labels: np.ndarray,
    right: Any,
    wrong: Any,
    found: Explanation,
) -> Trained:
    return Trained(
        depth=number,
        seed=seed,
        margins=trained.margins(labels),
        predicted=right.margins,
        wrong=wrong.margins,
        value=trained.value,
        predicted_value=right.risk,
        wrong_value=wrong.risk,
        slope=trained.slope,
        explanation=found,
    )
