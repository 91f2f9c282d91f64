"""How far ordinary training stops from the proven bound of the batch-norm theorem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.papers.imbalance.batches import train_in_batches
from ncollapse.papers.imbalance.bounds import lower_bound, values_of
from ncollapse.papers.imbalance.images import unequal_images
from ncollapse.theory.predict import predict


@dataclass(frozen=True, eq=False)
class Curve:
    """One training, looked at after each of ``epochs (E,)``.

    ``values``, ``batched`` and ``running (E,)``: loss plus decay of head, γ and β over the bound, with
    the statistics of all samples, of each batch, and those that training kept; ``bare`` the first
    without the decay of γ and β; ``gaps`` = 1 − 1/values, ``margins (E, K)`` over the predicted ones.
    """

    name: str
    epochs: np.ndarray
    values: np.ndarray
    batched: np.ndarray
    running: np.ndarray
    bare: np.ndarray
    margins: np.ndarray

    @property
    def gaps(self) -> np.ndarray:
        return 1.0 - 1.0 / self.values

    def to_dict(self) -> dict[str, Any]:
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in (vars(self) | {"gaps": self.gaps}).items()
        }


@dataclass(frozen=True, eq=False)
class Curves:
    """Several trainings on the same digits."""

    curves: tuple[Curve, ...]

    def stacked(self, *names: str) -> np.ndarray:
        """These arrays of all trainings, a row each."""
        return np.array([getattr(curve, name) for name in names for curve in self.curves])

    def to_dict(self) -> dict[str, Any]:
        return {"curves": [curve.to_dict() for curve in self.curves]}


def compute(
    *,
    classes: tuple[int, ...],
    counts: tuple[int, ...],
    at: tuple[int, ...],
    bodies: dict[str, dict[str, Any]],
    batch_sizes: tuple[int, ...],
    rate: float,
    weight_decay: float,
    seed: int,
) -> Curves:
    """Every body with every batch size; ``bodies`` hold what `build_network` takes, and ``conv``."""
    theory = predict(
        counts, weight_decay=weight_decay, features="nonnegative", normalisation="batch"
    )
    curves = []
    for name, body in bodies.items():
        shape = {key: value for key, value in body.items() if key != "conv"}
        inputs, labels = unequal_images(classes, counts, seed, square=bool(body.get("conv")))
        for size in batch_sizes:
            rows = []
            runs = train_in_batches(
                inputs,
                labels,
                at=at,
                batch_size=size,
                rate=rate,
                weight_decay=weight_decay,
                seed=seed,
                batch_norm=True,
                **shape,
            )
            for _, network in runs:
                full, batched, running, affine, _ = values_of(
                    network, inputs, labels, weight_decay=weight_decay, batch_size=size
                )
                values = np.array([full, batched, running, full - affine]) / lower_bound(theory)
                rows.append((*values, network.margins(labels) / theory.margins))
            parts = (np.array(part) for part in zip(*rows, strict=True))
            curves.append(Curve(f"{name}, batches of {size}", np.array(at), *parts))
    return Curves(tuple(curves))
