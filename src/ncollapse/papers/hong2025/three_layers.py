"""hong2025 Figure 6: three layers with a fixed random first one, on images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import gmean

from ncollapse.data import Dataset, folder_at_hand, load_images
from ncollapse.papers.hong2025 import curves
from ncollapse.papers.hong2025.curves import MEASURED
from ncollapse.papers.hong2025.training import DECAYS
from ncollapse.sweep import run_sweep
from ncollapse.train import (
    TwoLayer,
    arc_cosine_gram,
    descend,
    outcome,
    random_layer_features,
    to_optimum,
)

READINGS = ("variance 1/√d₁", "variance 1/d₁", "normalised")
"""Two readings of N(0, 1/√d₁), of which the second is that of Theorem 6, and G over its mean diagonal.

Each G is a multiple of the others of its width; only the first grows with it."""
RECORDS = 12


@dataclass(frozen=True, eq=False)
class ThreeLayers:
    """Descent from one start at each width d₁, reading and trial; width 0 stands for infinity.

    Attributes
    ----------
    curves
        over (width, trial, reading, epoch): gap to the lower bound and metrics; NaN for the first
        reading of an infinite layer, whose G is infinite.
    ends
        over (width, trial): the same after homotopy, and whether G is ``invertible``.
    """

    data: str
    num_samples: int
    neurons: int
    curves: xr.Dataset
    ends: xr.Dataset

    @property
    def widths(self) -> np.ndarray:
        """Finite ones ascending, then 0 for infinity."""
        return self.curves["width"].values

    def last(self, reading: str, name: str) -> np.ndarray:
        """Geometric means over trials at the last epoch, one for each width."""
        return self.mean_curves(reading, name).isel(epoch=-1).values

    def mean_curves(self, reading: str, name: str) -> xr.DataArray:
        """Geometric means over trials, over (width, epoch)."""
        return self.curves[name].sel(reading=reading).reduce(gmean, "trial")

    def label(self, width: int) -> str:
        return f"{width:,}" if width else "∞"

    def to_dict(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "num_samples": self.num_samples,
            "neurons": self.neurons,
            "widths": [self.label(width) for width in self.widths],
            "epochs": self.curves["epoch"].values.tolist(),
            "invertible": self.ends["invertible"].all("trial").values.tolist(),
            "optimum_gap": self.ends["gap"].max("trial").values.tolist(),
            "end": {
                reading: {
                    name: [None if np.isnan(v) else float(v) for v in self.last(reading, name)]
                    for name in MEASURED
                }
                for reading in READINGS
            },
        }


def compute(
    images: str,
    classes: int,
    per_class: int,
    widths: tuple[int, ...],
    trials: int,
    neurons: int,
    epochs: int,
    folder: Path,
    *,
    records: int = RECORDS,
    workers: int | None = None,
    scheduler: str | None = None,
) -> ThreeLayers:
    """Train in each cell of (width, trial, reading), and once to the optimum. Resumes in ``folder``."""
    at = curves.marks(epochs, records)
    ends = [f"optimum_{name}" for name in MEASURED]
    cells = run_sweep(
        three_layer_cell,
        {"width": widths, "trial": range(trials), "reading": READINGS},
        folder,
        outputs={"invertible": np.bool_, **curves.outputs(at), **dict.fromkeys(ends, np.float64)},
        arguments={
            "images": images,
            "classes": classes,
            "per_class": per_class,
            "neurons": neurons,
            "epochs": epochs,
            "records": records,
        },
        seed_dims=("width", "trial"),
        workers=workers,
        scheduler=scheduler,
    )
    whole = cells.sel(reading=READINGS[-1], drop=True)
    reached = {name: whole[f"optimum_{name}"] for name in MEASURED}
    return ThreeLayers(
        data=images or "MNIST digits",
        num_samples=classes * per_class,
        neurons=neurons,
        curves=curves.collect(cells, at),
        ends=xr.Dataset({**reached, "invertible": whole["invertible"]}),
    )


def three_layer_cell(
    width: int,
    trial: int,
    reading: str,
    seed: int,
    images: str,
    classes: int,
    per_class: int,
    neurons: int,
    epochs: int,
    records: int,
) -> dict[str, Any]:
    """Descent on one reading, from the start of the normalised one; and, in that one, the optimum.

    ``trial`` enters through the seed, which readings share.
    """
    data = unit_images(images, classes, per_class)
    gram = first_layer_gram(data, width, seed)
    plain = _problem(gram * len(gram) / (2.0 * np.trace(gram)), data)
    record: dict[str, Any] = dict.fromkeys(curves.outputs(curves.marks(epochs, records)), np.nan)
    record |= {f"optimum_{name}": np.nan for name in MEASURED} | {"invertible": False}
    if reading == READINGS[0] and not width:
        return record
    factor = {READINGS[0]: np.sqrt(width), READINGS[1]: 1.0}.get(reading)
    problem = plain if factor is None else _problem(factor * gram, data)
    start = plain.start(neurons, seed=seed)
    run = descend(problem, start=start, epochs=epochs, records=records)
    record |= curves.record(run, problem)
    if problem is plain:
        end = outcome(to_optimum(plain, start=start))
        reached = {**end.metrics, "gap": end.risk - end.lower_bound}
        record |= {f"optimum_{name}": reached.get(name, np.nan) for name in MEASURED}
        record["invertible"] = plain.invertible
    return record


def _problem(gram: np.ndarray, data: Dataset) -> TwoLayer:
    return TwoLayer(gram, data.labels, DECAYS["weight_decay"], DECAYS["feature_decay"])


def unit_images(images: str, classes: int, per_class: int) -> Dataset:
    """The first images of each class, ‖x‖ = 1 as in Theorem 6; the packaged digits without a name.

    A name is that of a folder in the one that NCOLLAPSE_DATA names, or else of a download.
    """
    folder = folder_at_hand(images) if images else None
    data = load_images(
        range(classes),
        per_class,
        folder=folder,
        dataset=None if folder else images or None,
    )
    rows = data.inputs / np.linalg.norm(data.inputs, axis=1)[:, None]
    return Dataset.from_arrays(rows, data.labels, name=data.name)


def first_layer_gram(data: Dataset, width: int, seed: int) -> np.ndarray:
    """ΦΦᵀ at variance 1/d₁, or its limit for d₁ → ∞ at width 0."""
    if not width:
        return arc_cosine_gram(data.inputs)
    features = random_layer_features(data, width, variance=1.0 / width, seed=seed).inputs
    return features @ features.T
