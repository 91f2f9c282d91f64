"""How many real images per class can still collapse: hong2025's question on digits and clothing."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse.certify.limits import centre_exactly, collapse_limit
from ncollapse.data import FOLDER_VARIABLE, Dataset, load_images
from ncollapse.sweep import run_sweep

OUTPUTS = {
    "largest": np.int64,
    "undecided": np.int64,
    "tried": np.int64,
    "proven": np.bool_,
    "obstacle": np.float64,
    "independent": np.int64,
    "spanned": np.int64,
    "rank": np.int64,
}
RANGE_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class LargestCounts:
    """The largest n per class that is feasible over (data, centred, classes), and its bounds."""

    cells: xr.Dataset

    def rows(self) -> list[dict[str, Any]]:
        """One a cell: data set, centred or not, number of classes, and all of `OUTPUTS`."""
        names = list(OUTPUTS)
        stacked = self.cells[names].stack(cell=("data", "centred", "classes"))
        return [
            {
                **dict(zip(("data", "centred", "classes"), place, strict=True)),
                **{name: stacked[name].values[i].item() for name in names},
            }
            for i, place in enumerate(stacked["cell"].values.tolist())
        ]

    def to_dict(self) -> dict[str, Any]:
        rows = [
            {name: None if value != value else value for name, value in row.items()}
            for row in self.rows()
        ]
        return {"cells": rows}

    def write_table(self, path: Path) -> Path:
        """One line a cell, as `rows`."""
        rows = self.rows()
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path


def image_sources() -> dict[str, str]:
    """Name and folder of every data set that is here; the packaged digits have the folder ''."""
    sources = {"packaged digits": ""}
    root = os.environ.get(FOLDER_VARIABLE)
    if root is None:
        return sources
    folders = [path for path in sorted(Path(root).iterdir()) if path.is_dir()]
    if not folders:
        raise ValueError(f"{FOLDER_VARIABLE} names {root}, which holds no folder of IDX files")
    return sources | {path.name: str(path) for path in folders}


def compute(
    classes: tuple[int, ...],
    most: int,
    sources: dict[str, str],
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> LargestCounts:
    """One bisection over n in each cell of (data, centred, classes). Resumes in ``folder``.

    ``classes`` are numbers of classes (the first labels), ``most`` is the largest n to try.
    """
    cells = run_sweep(
        largest_count_cell,
        {"data": list(sources), "centred": [False, True], "classes": classes},
        folder,
        outputs=OUTPUTS,
        arguments={"folders": sources, "most": most},
        seed=None,
        workers=workers,
        scheduler=scheduler,
    )
    return LargestCounts(cells)


def largest_count_cell(
    data: str, centred: bool, classes: int, folders: dict[str, str], most: int
) -> dict[str, Any]:
    """Bisect over n, the first n images of each class; centred: with their own mean taken off.

    Raw subsets are nested, so fewer can only be easier. Centred ones are not: there the bisection
    finds a turn from yes to no. Pixels are whole numbers and centring does not round, so that
    exact relations between pixels survive.

    Returns
    -------
    ``largest``: the largest n proven feasible, ``tried``: the largest n there is to try.
    ``undecided``: how many n lie between ``largest`` and the least one proven infeasible.
    ``proven``: whether the certificates on both sides are. ``obstacle``: the label of a class that
    cannot collapse at the least infeasible n, NaN where there is none. ``independent`` and
    ``spanned``: what is known without a search, the largest n up to which images obey no linear
    relation (centred ones: none but that they add up to zero), and up to which the ones are in the
    range of each class. ``rank``: of all images tried.
    """
    images = first_of_each(load_images(range(classes), folder=folders[data] or None, scale=1), most)
    tried = int(images.counts.min())
    prepare = centre_exactly if centred else np.asarray
    limit = collapse_limit(images.inputs, images.labels, transform=prepare)
    obstacle = limit.obstacle
    next_size = tried + 1 if limit.next_size is None else limit.next_size
    sides = [side for side in (limit.certificate, obstacle) if side is not None]

    def independent(size: int) -> bool:
        rows = prepare(first_of_each(images, size).inputs)
        return has_rank(rows, len(rows) - centred)

    def spanned(size: int) -> bool:
        rows = prepare(first_of_each(images, size).inputs)
        return all(ones_in_range(part) for part in np.split(rows, classes))

    return {
        "largest": limit.size,
        "undecided": next_size - limit.size - 1,
        "tried": tried,
        "proven": all(side.verified for side in sides),
        "obstacle": np.nan if obstacle is None else float(obstacle.classes[-1].label),
        "independent": largest_size(independent, tried),
        "spanned": largest_size(spanned, tried),
        "rank": int(np.linalg.matrix_rank(prepare(images.inputs))),
    }


def first_of_each(images: Dataset, most: int) -> Dataset:
    """The first n images of each class, n the smaller of ``most`` and what the least class has."""
    size = min(most, int(images.counts.min()))
    rows = [np.flatnonzero(images.labels == k)[:size] for k in range(images.num_classes)]
    keep = np.concatenate(rows)
    return Dataset.from_arrays(images.inputs[keep], images.classes[images.labels[keep]])


def largest_size(holds: Callable[[int], bool], most: int) -> int:
    """Bisect for the largest n up to ``most`` with a property."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def has_rank(rows: np.ndarray, rank: int) -> bool:
    """Whether the rank is ``rank``, up to rounding.

    Rank N is enough for every class to be feasible (hong2025 Theorem 3(b)); so is N − 1 for centred
    rows, which can be mapped to any numbers that add up to zero.
    """
    return rank <= rows.shape[1] and int(np.linalg.matrix_rank(rows)) == rank


def ones_in_range(rows: np.ndarray) -> bool:
    """Whether a class can be mapped to 1, up to rounding: needed by hong2025 Theorem 3(c)."""
    solution = np.linalg.lstsq(rows, np.ones(len(rows)))[0]
    return bool(np.abs(rows @ solution - 1.0).max() <= RANGE_TOLERANCE)
