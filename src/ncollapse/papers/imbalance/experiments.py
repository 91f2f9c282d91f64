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
from ncollapse.theory.imbalance import Explanation, Prediction, collapse_threshold, rescue_weights
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
                options: dict[str, Any] = {"weight_decay": weight_decay, "features": features}
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


@dataclass(frozen=True, eq=False)
class Minority:
    """Distance of the means of the two smallest classes over the largest norm of a mean.

    ``sizes (S,)`` of these classes; ``distances`` measured, ``predicted`` before training and
    ``wrong`` at half the decay, ``(S,)``; ``merging (S,)``: whether the threshold says so.
    ``rescued`` and ``rescued_predicted`` at the least size with class weights above the rescuing
    ones.
    """

    sizes: np.ndarray
    distances: np.ndarray
    predicted: np.ndarray
    wrong: np.ndarray
    merging: np.ndarray
    rescued: float
    rescued_predicted: float

    def to_dict(self) -> dict[str, Any]:
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }


@experiment(
    "Minority collapse",
    "distance of the two smallest classes' means across the predicted merging threshold, and "
    "with rescuing class weights",
    quick={},
    paper={"sizes": (4, 5, 6, 7, 8, 10, 14), "width": 64, "epochs": 1_000, "steps": 1_000},
)
def minority(
    *,
    sizes: tuple[int, ...] = (4, 5, 8, 12),
    largest: tuple[int, ...] = (60, 40),
    decay: float = 0.022,
    surplus: float = 1.3,
    depth: int = 3,
    width: int = 32,
    spread: float = 0.3,
    seed: int = 0,
    epochs: int = 600,
    steps: int = 300,
) -> Minority:
    """Networks with linear last features and decay on the head and these features alone.

    The two smallest classes merge iff √n ≤ Nλ. ``surplus`` is what the rescuing weights are
    multiplied with.
    """
    decays: dict[str, Any] = {"weight_decay": decay, "feature_decay": decay}
    shape: dict[str, Any] = {"depth": depth, "width": width, "epochs": epochs, "steps": steps}

    def measured(counts: tuple[int, ...], weights: np.ndarray | None = None) -> float:
        inputs, labels = nearly_orthogonal_classes(counts, DIM, spread, seed)
        trained = train_network(
            inputs,
            labels,
            seed=seed,
            relu_features=False,
            class_weights=weights,
            **decays,
            **shape,
        )
        means = np.array([trained.features[labels == k].mean(axis=0) for k in range(len(counts))])
        return _smallest_distance(means @ means.T)

    every = [(*largest, size, size) for size in sizes]
    halved = {name: value / 2 for name, value in decays.items()}
    weights = surplus * rescue_weights(every[0], **decays)
    weights[: len(largest)] = 1.0
    return Minority(
        sizes=np.array(sizes),
        predicted=np.array([_predicted_distance(predict(c, **decays)) for c in every]),
        wrong=np.array([_predicted_distance(predict(c, **halved)) for c in every]),
        merging=np.array([decay >= collapse_threshold(c)[-1] for c in every]),
        rescued_predicted=_predicted_distance(predict(every[0], class_weights=weights, **decays)),
        distances=np.array([measured(c) for c in every]),
        rescued=measured(every[0], weights),
    )


def _predicted_distance(prediction: Prediction) -> float:
    return _smallest_distance(prediction.means_gram)


def _smallest_distance(gram: np.ndarray) -> float:
    """‖μ_a − μ_b‖ of the last two classes over the largest ‖μ_k‖."""
    apart = gram[-1, -1] + gram[-2, -2] - 2.0 * gram[-1, -2]
    return float(np.sqrt(max(apart, 0.0) / np.diag(gram).max()))


def _compare(
    number: int,
    seed: int,
    trained: Network,
    labels: np.ndarray,
    right: Prediction,
    wrong: Prediction,
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
