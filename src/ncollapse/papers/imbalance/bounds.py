"""The batch-norm theorem on networks of every kind, with counts drawn at random."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ncollapse._extras import require
from ncollapse.papers.imbalance.batches import partition, train_in_batches
from ncollapse.papers.imbalance.images import clothing_folder, unequal_images
from ncollapse.papers.imbalance.networks import (
    Network,
    Objective,
    affine_parameters,
    nearly_orthogonal_classes,
    train_network,
)
from ncollapse.theory.predict import predict

DIM = 64
SPREAD = 0.02
LARGEST, SMALLEST, TOTAL = 70, 4, 160


@dataclass(frozen=True)
class Kind:
    """Networks that differ in their counts and seeds alone.

    ``data`` "tight", "digits" or "clothing"; ``depth`` weight layers, convolutions where ``conv``;
    ``batch_size`` 0 for all samples at once; ``affine_decayed``: γ and β too.
    """

    data: str
    depth: int
    conv: bool = False
    relu: bool = True
    batch_size: int = 0
    affine_decayed: bool = True

    @property
    def name(self) -> str:
        parts = [self.data, f"{self.depth} layers", "convolutions" if self.conv else "connected"]
        parts += ["ReLU" if self.relu else "linear"]
        parts += [f"batches of {self.batch_size}"] if self.batch_size else []
        return ", ".join(parts + ([] if self.affine_decayed else ["γ, β not decayed"]))


@dataclass(frozen=True)
class Bounded:
    """One network with batch norm against bounds of its objective, each value over its bound.

    ``full``: statistics of all samples. ``batched``: the mean over batches that share out all samples,
    each with its own statistics. ``running``: the averages that training kept, against the bound at
    λ_H = λ(‖γ‖² + ‖β‖²)/Σ‖h‖², measured. ``bare``: ``full`` without the decay of γ and β.
    ``margins``: the one farthest from its prediction, over it.
    """

    kind: Kind
    counts: tuple[int, ...]
    seed: int
    full: float
    batched: float
    running: float
    bare: float
    margins: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"kind": self.kind.name, "counts": list(self.counts)}


@dataclass(frozen=True, eq=False)
class Bounds:
    """All networks, kind after kind."""

    networks: tuple[Bounded, ...]

    def values(self, name: str, **kind: Any) -> np.ndarray:
        """One of the quotients of each network of the kinds with these attributes."""
        return np.array(
            [
                getattr(one, name)
                for one in self.networks
                if all(getattr(one.kind, key) == value for key, value in kind.items())
            ]
        )

    def kinds(self) -> list[Kind]:
        return list(dict.fromkeys(one.kind for one in self.networks))

    def to_dict(self) -> dict[str, Any]:
        return {"networks": [one.to_dict() for one in self.networks]}


def random_counts(seed: int, classes: int | None = None) -> tuple[int, ...]:
    """Sizes of two to five classes, falling, log-uniform, of at most `TOTAL` samples together."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(2, 6)) if classes is None else classes
    while True:
        sizes = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), number)).astype(int)
        if sizes.sum() <= TOTAL:
            return tuple(int(size) for size in np.sort(sizes)[::-1])


def compute(
    kinds: tuple[Kind, ...],
    networks: int,
    *,
    width: int,
    weight_decay: float,
    epochs: int,
    steps: int,
    batch_epochs: int,
    rate: float,
) -> Bounds:
    """``networks`` of each kind, counts and seed different each time; no clothing where none is."""

    def trained(kind: Kind, seed: int) -> Bounded:
        inputs, labels = _data(kind, seed)
        shape: dict[str, Any] = {
            "depth": kind.depth,
            "width": width,
            "relu_features": kind.relu,
            "batch_norm": True,
            "weight_decay": weight_decay,
            "affine_decay": None if kind.affine_decayed else 0.0,
            "seed": seed,
        }
        if kind.batch_size:
            options = {"batch_size": kind.batch_size, "rate": rate, "at": (batch_epochs,)}
            _, network = next(train_in_batches(inputs, labels, **options, **shape))
        else:
            network = train_network(inputs, labels, epochs=epochs, steps=steps, **shape)
        return _against_bounds(kind, inputs, labels, network, weight_decay, seed)

    return Bounds(
        tuple(
            trained(kind, 1_000 * place + number)
            for place, kind in enumerate(kinds)
            if kind.data != "clothing" or clothing_folder() is not None
            for number in range(networks)
        )
    )


def _data(kind: Kind, seed: int) -> tuple[np.ndarray, np.ndarray]:
    counts = random_counts(seed)
    if kind.data == "tight":
        return nearly_orthogonal_classes(counts, DIM, SPREAD, seed)
    classes = np.random.default_rng(seed).choice(10, len(counts), replace=False)
    chosen = tuple(int(label) for label in classes)
    clothing = kind.data == "clothing"
    return unequal_images(chosen, counts, seed, clothing=clothing, square=kind.conv)


def _against_bounds(
    kind: Kind,
    inputs: np.ndarray,
    labels: np.ndarray,
    network: Network,
    weight_decay: float,
    seed: int,
) -> Bounded:
    counts = tuple(int(size) for size in np.bincount(labels))
    options: dict[str, Any] = {"features": "nonnegative" if kind.relu else "signed"}
    options["weight_decay"] = weight_decay
    theory = predict(counts, normalisation="batch", **options)
    full, batched, running, affine, feature_decay = values_of(
        network, inputs, labels, weight_decay=weight_decay, batch_size=kind.batch_size or 32
    )
    at_running = predict(counts, feature_decay=feature_decay, **options)
    ratios = network.margins(labels) / theory.margins
    return Bounded(
        kind=kind,
        counts=counts,
        seed=seed,
        full=full / lower_bound(theory),
        batched=batched / lower_bound(theory),
        running=running / lower_bound(at_running),
        bare=(full - affine) / lower_bound(theory),
        margins=float(ratios[np.argmax(np.abs(ratios - 1.0))]),
    )


def lower_bound(theory: Any) -> float:
    """The value that is proven: the risk less its gap."""
    return theory.risk * (1.0 - max(theory.gap, 0.0))


def values_of(
    network: Network,
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    weight_decay: float,
    batch_size: int,
) -> tuple[float, float, float, float, float]:
    """Loss plus decay of head, γ and β with three statistics; that of γ and β; λ_H of the last.

    The statistics are those of all samples, those of each batch of a partition, and the running
    averages of training, where λ_H Σ‖h‖² is the decay of γ and β.
    """
    torch = require("torch")
    module = network.module
    objective = Objective(module, labels, weight_decay=weight_decay)
    x = torch.as_tensor(inputs, dtype=torch.float64)
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.no_grad():
        affine = sum(float((part**2).sum()) for part in affine_parameters(module))
        parts = partition(len(labels), batch_size, np.random.default_rng(0))
        batched = sum(len(rows) * float(objective.value(x[rows], rows)) for rows in parts)
        full = float(objective.value(x))
        for name, buffer in module.named_buffers():
            buffer.copy_(buffers[name])
        module.eval()
        running = float(objective.value(x))
        squares = float((module.body(x) ** 2).sum())
        module.train()
    return (
        full,
        batched / len(labels),
        running,
        weight_decay / 2 * affine,
        weight_decay * affine / squares,
    )
