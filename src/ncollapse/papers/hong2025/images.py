"""How many real images per class can still collapse: hong2025's question on digits and clothing."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse._checks import require
from ncollapse.certify.limits import collapse_limit
from ncollapse.data.images import load_images
from ncollapse.papers._registry import Findings
from ncollapse.sweep import run_sweep
from ncollapse.verdict import Verdict, judge

OUTPUTS = {"largest": np.int64, "undecided": np.int64, "capped": np.bool_, "rank": np.int64}
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
    image = out / "images.png"
    draw(settings, results, image)
    return Findings(
        [image, out / "sweep" / "cells.zarr"],
        claims(results),
        asdict(settings) | {"data": list(sources)},
    )


def image_sources() -> dict[str, str]:
    """Name and folder of every data set that is here; the packaged digits have the folder ''."""
    root = os.environ.get(FOLDER_VARIABLE)
    if root is None:
        return {"packaged digits": ""}
    folders = [path for path in sorted(Path(root).iterdir()) if path.is_dir()]
    if not folders:
        raise ValueError(f"{FOLDER_VARIABLE} names {root}, which holds no folder of IDX files")
    return {path.name: str(path) for path in folders}


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
    """Bisect over nested subsets, the first n images of each class: fewer can only be easier.

    Centring subtracts the mean of the largest subset from all images, so that subsets stay nested.

    Returns
    -------
    ``largest``: the largest n proven feasible. ``capped``: whether that is all there are to try.
    ``undecided``: how many n lie between it and the least one proven infeasible. ``rank``: of all
    images tried.
    """
    available = load_images(range(classes), folder=folders[data] or None).counts.min()
    images = load_images(range(classes), min(most, int(available)), folder=folders[data] or None)
    if centred:
        images = images.centred()
    limit = collapse_limit(images.inputs, images.labels)
    return {
        "largest": limit.size,
        "capped": limit.next_size is None,
        "undecided": 0 if limit.next_size is None else limit.next_size - limit.size - 1,
        "rank": int(np.linalg.matrix_rank(images.inputs)),
    }


def claims(results: xr.Dataset) -> list[Verdict]:
    """Every limit is exact, and none exceeds the rank of the images."""
    return [
        judge(
            "proven",
            "numbers of images per class for which neither answer is proven",
            measured=float(results["undecided"].sum()),
            predicted=0.0,
            tolerance=0.0,
            source="hong2025 (2.12), each with its certificate",
        ),
        judge(
            "rank",
            "largest excess of n per class over the rank of the images",
            measured=float(np.maximum(results["largest"] - results["rank"], 0).max()),
            predicted=0.0,
            tolerance=0.0,
            source="hong2025 Theorem 3(c)",
        ),
    ]


def draw(settings: Settings, results: xr.Dataset, path: Path) -> None:
    """Groups of bars: the largest n per class for each data set and number of classes."""
    figure = require("matplotlib.figure", "report").Figure(
        figsize=(3.2 + 2.6 * results.sizes["data"], 4.6), layout="constrained"
    )
    axes = np.atleast_1d(figure.subplots(1, results.sizes["data"], sharey=True))
    artists: list[Any] = []
    for axis, name in zip(axes, results["data"].values, strict=True):
        artists = plot_largest(axis, results.sel(data=name))
        axis.set(title=str(name), xlabel="number of classes K")
    axes[0].set_ylabel("largest n per class that can collapse")
    figure.legend(handles=artists, loc="outside upper center", ncols=2)
    figure.supxlabel(
        f"first n images of each class, at most {settings.most}; every class must be feasible, "
        "and both the n shown and n + 1 are decided with proof\n"
        "(+: all images tried can collapse)",
        fontsize=8,
    )
    figure.savefig(path, dpi=150)


def plot_largest(axis: Any, results: xr.Dataset) -> list[Any]:
    """Bars over the number of classes, raw beside centred; returns the two sets of bars."""
    places = np.arange(results.sizes["classes"])
    sets = []
    styles = ((False, -0.2, "#0072B2", "", "raw"), (True, 0.2, "#E69F00", "//", "centred"))
    for centred, shift, colour, hatch, label in styles:
        values = results["largest"].sel(centred=centred).values
        bars = axis.bar(places + shift, values, 0.38, color=colour, hatch=hatch, label=label)
        capped = results["capped"].sel(centred=centred).values
        labels = [f"{v}+" if more else f"{v}" for v, more in zip(values, capped, strict=True)]
        axis.bar_label(bars, labels, fontsize=9)
        sets.append(bars)
    axis.set_xticks(places, [str(k) for k in results["classes"].values])
    return sets
