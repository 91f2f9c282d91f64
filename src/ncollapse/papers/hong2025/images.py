"""How many real images per class can still collapse: hong2025's question on digits and clothing."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse._checks import require
from ncollapse.certify.limits import centre_exactly, collapse_limit
from ncollapse.data import Dataset, load_images
from ncollapse.papers._registry import Findings
from ncollapse.sweep import run_sweep
from ncollapse.verdict import Verdict, judge

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
BLUE, ORANGE = "#0072B2", "#E69F00"
NEAR = 0.08
"""Share of the most images tried below which a number would be written across a mark."""
FOLDER_VARIABLE = "NCOLLAPSE_DATA"


@dataclass(frozen=True)
class Settings:
    """Numbers of classes (the first labels), and the largest number of images per class to try."""

    classes: tuple[int, ...]
    most: int


SETTINGS = {"quick": Settings((2,), 400), "paper": Settings((2, 3, 10), 700)}


def largest_counts(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """The largest n per class that is feasible, for each data set, raw and centred.

    The digits that an installed package carries are always there. IDX files are taken from the
    folders in the folder that the environment variable NCOLLAPSE_DATA names, one a data set.
    """
    settings = SETTINGS[scale]
    sources = image_sources()
    results = compute(settings, sources, out / "sweep", scheduler=scheduler)
    image, table = out / "images.png", out / "images.csv"
    draw(results, image)
    write_table(results, table)
    return Findings(
        [image, table, out / "sweep" / "cells.zarr"],
        claims(results),
        asdict(settings) | {"data": list(sources)},
    )


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
    settings: Settings,
    sources: dict[str, str],
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> xr.Dataset:
    """One bisection over n in each cell of (data, centred, classes). Resumes in ``folder``."""
    return run_sweep(
        largest_count_cell,
        {"data": list(sources), "centred": [False, True], "classes": settings.classes},
        folder,
        outputs=OUTPUTS,
        arguments={"folders": sources, "most": settings.most},
        seed=None,
        workers=workers,
        scheduler=scheduler,
    )


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
    found = np.linalg.lstsq(rows, np.ones(len(rows)))[0]
    return bool(np.abs(rows @ found - 1.0).max() <= RANGE_TOLERANCE)


def claims(results: xr.Dataset) -> list[Verdict]:
    """Every limit is exact, and lies between what Theorem 3 promises and what it forbids."""
    below = np.maximum(results["independent"] - results["largest"], 0)
    above = np.maximum(results["largest"] - results["spanned"], 0)
    return [
        judge(
            "proven",
            "numbers of images per class for which neither answer is proven",
            measured=float((results["undecided"] + ~results["proven"]).sum()),
            predicted=0.0,
            tolerance=0.0,
            source="hong2025 (2.12), each with its certificate",
        ),
        judge(
            "between",
            "largest distance of n per class from where independence and the range put it",
            measured=float(np.maximum(below, above).max()),
            predicted=0.0,
            tolerance=0.0,
            source="hong2025 Theorem 3(b) and (c)",
        ),
    ]


def write_table(results: xr.Dataset, path: Path) -> None:
    """One line a cell: data set, centred or not, number of classes, and all that was found."""
    names = list(OUTPUTS)
    stacked = results[names].stack(cell=("data", "centred", "classes"))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["data", "centred", "classes", *names])
        for i, place in enumerate(stacked["cell"].values):
            writer.writerow([*place, *(stacked[name].values[i] for name in names)])


def draw(results: xr.Dataset, path: Path) -> None:
    """Groups of bars: the largest n per class for each data set and number of classes."""
    figure = require("matplotlib.figure", "report").Figure(
        figsize=(2.2 + 3.0 * results.sizes["data"], 5.0), layout="constrained"
    )
    axes = np.atleast_1d(figure.subplots(1, results.sizes["data"], sharey=True))
    artists: list[Any] = []
    for axis, name in zip(axes, results["data"].values, strict=True):
        artists = plot_largest(axis, results.sel(data=name))
        tried = int(results["tried"].sel(data=name).max())
        axis.set(title=f"{name}\n(up to {tried} a class)", xlabel="number of classes K")
    axes[0].set_ylabel("largest n per class that can collapse")
    axes[0].margins(y=0.1)
    figure.legend(handles=artists, loc="outside upper center", ncols=2)
    figure.supxlabel(
        "first n images of each class; n and n + 1 are both decided with proof\n"
        "(+: all images tried can collapse; a … b: undecided above a and up to b)",
        fontsize=8,
    )
    figure.savefig(path, dpi=150)


def plot_largest(axis: Any, results: xr.Dataset) -> list[Any]:
    """Bars over the number of classes, raw beside centred, and marks of what Theorem 3 knows.

    Returns the two sets of bars and the two sets of marks.
    """
    places = np.arange(results.sizes["classes"])
    near = NEAR * float(results["tried"].max())
    sets, edges = [], []
    for centred, shift, colour, label in (
        (False, -0.2, BLUE, "raw"),
        (True, 0.2, ORANGE, "centred"),
    ):
        chosen = results.sel(centred=centred)
        values, tried = chosen["largest"].values, chosen["tried"].values
        undecided = chosen["undecided"].values
        spanned = np.where(chosen["spanned"] < tried, chosen["spanned"], np.nan)
        sets.append(axis.bar(places + shift, values, 0.38, color=colour, label=label))
        edges.append((places + shift, chosen["independent"].values, spanned))
        for place, value, most, mark, gap in zip(
            places + shift, values, tried, spanned, undecided, strict=True
        ):
            top = mark if value < mark < value + near else value
            text = f"{value}" + ("+" if value == most else f"\n…{value + gap}" if gap else "")
            axis.text(place, top + near / 8, text, ha="center", va="bottom", fontsize=9)
    across, low, high = (np.concatenate(part) for part in zip(*edges, strict=True))
    below = axis.plot(across, low, "k^", markersize=5, label="all images independent up to here")
    above = axis.plot(
        across, high, "k_", markersize=18, mew=2, label="one class alone already fails above here"
    )
    axis.set_xticks(places, [str(k) for k in results["classes"].values])
    return [*sets, *below, *above]
