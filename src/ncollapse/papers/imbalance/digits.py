"""The depth law on real digits, which are not tight: with the margins of the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.papers.imbalance.comparisons import norms
from ncollapse.papers.imbalance.images import unequal_images
from ncollapse.papers.imbalance.networks import train_network
from ncollapse.theory.imbalance import class_directions, collapsed_network
from ncollapse.theory.predict import predict


@dataclass(frozen=True, eq=False)
class DigitNetwork:
    """One network of ``depth`` layers on ``classes`` with ``counts`` images, λ on every layer.

    Images are centred by the mean of the class means.

    ``loss`` and ``margins (K,)`` measured, ``predicted_loss`` and ``predicted (K,)`` by the law with
    γ_k, ``norms_loss`` with the norms of the class means.
    ``explicit``: objective of the network built from β_k; ``explicit_value``: the same in closed form;
    ``bound``: of the law with 1/‖β_k‖; ``from_explicit``: where training from that network ends.
    """

    classes: tuple[int, ...]
    counts: tuple[int, ...]
    depth: int
    seed: int
    loss: float
    predicted_loss: float
    norms_loss: float
    margins: np.ndarray
    predicted: np.ndarray
    explicit: float
    explicit_value: float
    bound: float
    value: float
    from_explicit: float

    def to_dict(self) -> dict[str, Any]:
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True, eq=False)
class Digits:
    """Networks on several sets of digits."""

    networks: tuple[DigitNetwork, ...]

    def quotients(self, over: str, under: str) -> np.ndarray:
        """One attribute over another, a network each."""
        return np.array([getattr(one, over) / getattr(one, under) for one in self.networks])

    def margin_ratios(self) -> np.ndarray:
        """Measured margins over the predicted ones, every class of every network."""
        return np.concatenate([one.margins / one.predicted for one in self.networks])

    def to_dict(self) -> dict[str, Any]:
        return {"networks": [one.to_dict() for one in self.networks]}


def compute(
    sets: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...],
    depths: tuple[int, ...],
    seeds: tuple[int, ...],
    *,
    width: int,
    weight_decay: float,
    epochs: int,
    steps: int,
) -> Digits:
    """``sets``: digits, and how many images of each."""

    def trained(
        classes: tuple[int, ...], counts: tuple[int, ...], depth: int, seed: int
    ) -> DigitNetwork:
        inputs, labels = unequal_images(classes, counts, seed, centred=True)
        law = {"weight_decay": weight_decay, "depth": depth, "features": "nonnegative"}
        right = predict(counts, inputs=inputs, labels=labels, **law)
        directions = class_directions(inputs, labels)
        lengths = 1.0 / np.linalg.norm(directions, axis=1)
        built = predict(counts, input_norms=lengths, **law)
        decays = np.full(depth, weight_decay)
        explicit = collapsed_network(directions, built.margins, decays, inputs, labels)
        options: dict[str, Any] = {
            "depth": depth,
            "weight_decay": weight_decay,
            "seed": seed,
            "epochs": epochs,
            "steps": steps,
        }
        network = train_network(inputs, labels, width=width, **options)
        onwards = train_network(
            inputs, labels, width=len(counts), start=explicit.weights, **options
        )
        return DigitNetwork(
            classes=classes,
            counts=counts,
            depth=depth,
            seed=seed,
            loss=network.loss,
            predicted_loss=cross_entropy_of(right.margins, counts),
            norms_loss=cross_entropy_of(
                predict(counts, input_norms=norms(inputs, labels), **law).margins, counts
            ),
            margins=network.margins(labels),
            predicted=right.margins,
            explicit=explicit.objective,
            explicit_value=_explicit_value(directions, built.margins, decays, inputs, labels),
            bound=explicit.bound,
            value=network.value,
            from_explicit=onwards.value,
        )

    runs = [(*chosen, depth, seed) for chosen in sets for depth in depths for seed in seeds]
    return Digits(tuple(trained(*run) for run in runs))


def cross_entropy_of(margins: np.ndarray, counts: Sequence[int] | np.ndarray) -> float:
    """Σ_k π_k log(1 + (K−1)e^{−m_k})."""
    shares = np.asarray(counts) / np.sum(counts)
    return float(shares @ np.log1p((len(counts) - 1) * np.exp(-margins)))


def _explicit_value(
    directions: np.ndarray,
    margins: np.ndarray,
    decays: np.ndarray,
    inputs: np.ndarray,
    labels: np.ndarray,
) -> float:
    """(1/N)Σ_i log(1 + (K−1)e^{−m_k⟨x_i, β_k⟩}) + Σ_k (λL/2)(‖β_k‖ζ_k)^{2/L}, k the class of i."""
    count, depth = len(margins), len(decays)
    heights = np.einsum("nd,nd->n", inputs, directions[labels])
    loss = np.log1p((count - 1) * np.exp(-margins[labels] * heights)).mean()
    lengths = np.linalg.norm(directions, axis=1) * margins * math.sqrt((count - 1) / count)
    return float(loss + depth / 2 * decays[0] * np.sum(lengths ** (2.0 / depth)))
