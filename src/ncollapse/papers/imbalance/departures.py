"""Where the depth law ends: one assumption broken at a time, tight classes otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.papers.imbalance.comparisons import DIM, SPREAD, norms
from ncollapse.papers.imbalance.digits import cross_entropy_of
from ncollapse.papers.imbalance.images import unequal_images
from ncollapse.papers.imbalance.networks import (
    Network,
    layer_weights,
    nearly_orthogonal_classes,
    train_network,
)
from ncollapse.theory.predict import predict

RANK = 0.05
"""Singular values of a layer below this share of its largest count as zero."""


@dataclass(frozen=True, eq=False)
class Departure:
    """One network: ``margins (K,)`` beside those of the law, ``value`` and ``loss`` over its own.

    ``broken`` names what is broken and ``setting`` says how much, as a number where there is one;
    ``rank`` is the least of a hidden layer's weight, K where every class has a path of its own.
    """

    broken: str
    setting: float
    depth: int
    seed: int
    margins: np.ndarray
    predicted: np.ndarray
    value: float
    loss: float
    rank: int

    def to_dict(self) -> dict[str, Any]:
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True, eq=False)
class Departures:
    """All networks, in the order in which assumptions are broken."""

    networks: tuple[Departure, ...]

    def of(self, broken: str, *, last: bool = False) -> list[Departure]:
        """Those that break this; with ``last`` at the largest setting alone."""
        kept = [one for one in self.networks if one.broken == broken]
        most = max(one.setting for one in kept)
        return [one for one in kept if not last or one.setting == most]

    def ratios(self, broken: str, *, last: bool = False) -> np.ndarray:
        """Margins over those of the law, a row each."""
        return np.array([one.margins / one.predicted for one in self.of(broken, last=last)])

    def values(self, broken: str, *, last: bool = False) -> np.ndarray:
        """Objectives over those of the law."""
        return np.array([one.value for one in self.of(broken, last=last)])

    def farthest(self, broken: str, *, last: bool = False) -> float:
        """Largest relative departure of a margin."""
        return float(np.abs(self.ratios(broken, last=last) - 1.0).max())

    def alone(self, least: int, most: int) -> list[Departure]:
        """Those of so many layers that break nothing but what the law takes in."""
        kinds = ("nothing", "one decay", "no sharing")
        return [one for kind in kinds for one in self.of(kind) if least <= one.depth <= most]

    def to_dict(self) -> dict[str, Any]:
        return {"networks": [one.to_dict() for one in self.networks]}


def compute(
    *,
    counts: tuple[int, ...],
    depths: tuple[int, ...],
    deep: tuple[int, ...],
    seeds: tuple[int, ...],
    many: int,
    spreads: tuple[float, ...],
    cosines: tuple[float, ...],
    decays: tuple[tuple[float, ...], ...],
    digits: tuple[int, ...],
    width: int,
    weight_decay: float,
    epochs: int,
    steps: int,
) -> Departures:
    """Each list of settings at all ``depths`` and ``seeds``; ``many`` starts at the ``deep`` ones.

    ``decays``: those of each layer, in units of ``weight_decay``.
    """
    training = {"width": width, "epochs": epochs, "steps": steps}
    networks: list[Departure] = []

    def train(
        data: tuple[np.ndarray, np.ndarray],
        depth: int,
        seed: int,
        laws: dict[str, dict[str, Any]],
        setting: float = 0.0,
        **options: Any,
    ) -> None:
        """One network against ``laws`` by what is broken; given more than norms of class means."""
        inputs, labels = data
        options = {"weight_decay": weight_decay, **options, **training}
        trained = train_network(inputs, labels, depth=depth, seed=seed, **options)
        flat, sizes = inputs.reshape(len(inputs), -1), np.bincount(labels)
        for broken, known in laws.items():
            if "inputs" not in known:
                known = {"input_norms": norms(flat, labels), **known}
            known = {"weight_decay": weight_decay, "features": "nonnegative", **known}
            law = predict(sizes, depth=depth, **known)
            expected = cross_entropy_of(law.margins, sizes)
            networks.append(
                Departure(
                    broken,
                    setting,
                    depth,
                    seed,
                    trained.margins(labels),
                    law.margins,
                    trained.value / law.risk,
                    trained.loss / expected,
                    least_rank(trained),
                )
            )

    def with_margins(data: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
        return {"inputs": data[0].reshape(len(data[0]), -1), "labels": data[1]}

    for depth in depths:
        for seed in seeds:
            tight, run = nearly_orthogonal_classes(counts, DIM, SPREAD, seed), (depth, seed)
            train(tight, *run, {"nothing": {}})
            for spread in spreads:
                wide = nearly_orthogonal_classes(counts, DIM, spread, seed)
                laws = {"tight classes": {}, "tight classes, γ": with_margins(wide)}
                train(wide, *run, laws, spread)
            for cosine in cosines:
                near = nearly_orthogonal_classes(counts, DIM, SPREAD, seed, cosine=cosine)
                train(near, *run, {"orthogonal means": {}}, cosine)
            train(tight, *run, {"no biases": {}}, weight_decay, hidden_biases=weight_decay)
            train(tight, *run, {"no biases": {}}, 0.0, hidden_biases=True)
            train(tight, *run, {"no batch norm": {}}, batch_norm=True)
            for name, square in (("orthogonal means, digits", False), ("no convolutions", True)):
                images = unequal_images(digits, counts[: len(digits)], seed, square=square)
                train(images, *run, {name: with_margins(images)})
    for seed in seeds:
        tight = nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
        for shares in decays:
            levels, place = tuple(weight_decay * share for share in shares), float(np.mean(shares))
            laws = {
                "one decay": {"weight_decay": levels},
                "one decay, mean": {"weight_decay": weight_decay * place},
            }
            train(tight, len(shares), seed, laws, place, weight_decay=levels)
    for depth in deep:
        for seed in range(many):
            tight = nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
            train(tight, depth, seed, {"no sharing": {}}, float(depth))
    return Departures(tuple(networks))


def least_rank(network: Network) -> int:
    """Least rank of a weight before the head; kernels as matrices, a row for each channel."""
    ranks = []
    for weight in layer_weights(network.module)[:-1]:
        values = np.linalg.svd(weight.detach().numpy().reshape(len(weight), -1), compute_uv=False)
        ranks.append(int(np.sum(values > RANK * values[0])))
    return min(ranks)
