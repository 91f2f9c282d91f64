"""hong2025 Figures 1 and 2: measured success rate of collapse, bounds and the exact boundary."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse.papers._registry import Findings
from ncollapse.papers.hong2025._transition import orthogonal_cell, two_class_cell
from ncollapse.papers.hong2025.phase_plot import save_panels
from ncollapse.sweep import run_sweep
from ncollapse.theory.boundary import (
    gordon_bound,
    phase_boundary,
    theorem5a_bound,
    union_bound,
)
from ncollapse.verdict import Verdict, judge

OUTPUTS = {"feasible": np.int64, "verdicts": np.int64, "proven": np.int64}


@dataclass(frozen=True)
class Settings:
    """Samples per class, the grid, and the number of trials in each of its cells."""

    classes: int
    count: int
    angles: tuple[float, ...]
    sigmas: tuple[float, ...]
    ratios: tuple[float, ...]
    trials: int

    @property
    def dimensions(self) -> list[int]:
        return [round(self.count * ratio) for ratio in self.ratios]

    def means(self, angle: float) -> np.ndarray:
        if self.classes == 2:
            return np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
        return np.eye(self.classes)


def _spread(start: float, stop: float, count: int) -> tuple[float, ...]:
    return tuple(np.linspace(start, stop, count).round(6).tolist())


ANGLES = tuple(np.linspace(0.0, np.pi, 5).tolist())
FIGURE_1 = {
    "quick": Settings(2, 100, ANGLES, _spread(0.16, 1.6, 10), _spread(1.0, 2.0, 21), 4),
    "paper": Settings(2, 300, ANGLES, _spread(0.08, 1.6, 20), _spread(1.0, 2.0, 21), 10),
}
FIGURE_2 = {
    "quick": Settings(4, 50, (), _spread(0.16, 1.6, 10), _spread(1.0, 4.0, 31), 4),
    "paper": Settings(4, 250, (), _spread(0.08, 1.6, 20), _spread(1.0, 4.0, 31), 10),
}


def figure1(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """K = 2 unit means at five angles, n = 300, d/n from 1 to 2, ten trials in each cell."""
    return _figure(FIGURE_1[scale], out, scheduler, "figure1.png")


def figure2(*, scale: str, out: Path, scheduler: str | None) -> Findings:
    """K = 4 means e_k, n = 250, d/n from 1 to 4, ten trials in each cell."""
    return _figure(FIGURE_2[scale], out, scheduler, "figure2.png")


def compute(
    settings: Settings,
    folder: Path,
    *,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
) -> xr.Dataset:
    """The sweep over (angle, σ, trial); each cell answers for all d/n. Resumes in ``folder``."""
    dims: dict[str, Sequence[Any]] = {
        "sigma": settings.sigmas,
        "trial": range(settings.trials),
    }
    arguments: dict[str, Any] = {"count": settings.count, "dimensions": settings.dimensions}
    if settings.angles:
        function, dims = two_class_cell, {"angle": settings.angles} | dims
    else:
        function = orthogonal_cell
        arguments["classes"] = settings.classes
    return run_sweep(
        function,
        dims,
        folder,
        outputs=OUTPUTS,
        arguments=arguments,
        seed=seed,
        workers=workers,
        scheduler=scheduler,
    )


def success_rate(results: xr.Dataset, ratios: Sequence[float]) -> xr.DataArray:
    """Share of trials that are feasible at each d/n, over the dimensions of the sweep but trial."""
    rank = xr.DataArray(np.arange(len(ratios), 0, -1), coords={"ratio": list(ratios)}, dims="ratio")
    return (results["feasible"] >= rank).mean("trial").rename("success rate")


def crossings(results: xr.Dataset, ratios: Sequence[float]) -> xr.DataArray:
    """The d/n at which each trial turns feasible: the middle between the neighbouring grid points.

    ``ratios`` run from 1, below which nothing is feasible, to K, where everything is (hong2025
    Theorem 3), so every trial turns on the grid.
    """
    grid = np.asarray(ratios)
    middles = np.concatenate([grid[:1], (grid[1:] + grid[:-1]) / 2, grid[-1:]])
    turns = middles[len(grid) - results["feasible"].values]
    return results["feasible"].copy(data=turns).rename("crossing")


def curves(settings: Settings, sigmas: Any, angle: float) -> dict[str, np.ndarray]:
    """δ*(σ) and the paper's sufficient d/n, at each of ``sigmas``."""
    means = settings.means(angle)
    union = union_bound if settings.classes == 2 else theorem5a_bound
    return {
        "exact": phase_boundary(means, sigmas).ratio,
        "union": union(means, sigmas, settings.count),
        "gordon": np.full(len(sigmas), gordon_bound(settings.classes)),
    }


def _figure(settings: Settings, out: Path, scheduler: str | None, name: str) -> Findings:
    results = compute(settings, out / "sweep", scheduler=scheduler)
    columns = Columns.of(settings, results)
    image, table = out / name, out / "crossings.csv"
    draw(settings, success_rate(results, settings.ratios), image)
    _write_crossings(settings, columns, table)
    cells = results["feasible"].size * len(settings.ratios)
    return Findings(
        [image, table, out / "sweep" / "cells.zarr"],
        claims(settings, results, columns),
        asdict(settings) | {"cells": cells, "seed": int(results.attrs["seed"])},
        {
            "largest overshoot of the paper's lower line": float(
                (columns.paper - columns.mean).max()
            ),
            "spread of a crossing": columns.spread,
        },
    )


def draw(settings: Settings, success: xr.DataArray, path: Path) -> None:
    """One panel an angle, with the exact boundary and the paper's bounds over the success rate."""
    fine = np.linspace(0.02, max(settings.sigmas), 200)
    if settings.angles:
        panels = [
            (f"angle {np.degrees(angle):.0f}°", success.sel(angle=angle))
            for angle in settings.angles
        ]
    else:
        panels = [(f"K = {settings.classes}, means $e_k$", success)]
    lines = [curves(settings, fine, angle) for angle in settings.angles or (0.0,)]
    caption = (
        f"n = {settings.count} per class, {settings.trials} trials a cell. "
        "A trial is one draw, of which each d uses the first d coordinates:\n"
        "verdicts at different d are coupled, each distributed as in an independent draw."
    )
    save_panels(panels, lines, fine, caption, path)


@dataclass(frozen=True)
class Columns:
    """One entry for each angle and σ, ``(A, S)``: where trials turn feasible and where they should.

    ``spread`` is the standard deviation of a single trial's crossing, pooled over all columns.
    """

    mean: np.ndarray
    spread: float
    exact: np.ndarray
    paper: np.ndarray

    @classmethod
    def of(cls, settings: Settings, results: xr.Dataset) -> Columns:
        turns = crossings(results, settings.ratios)
        lines = [curves(settings, settings.sigmas, angle) for angle in settings.angles or (0.0,)]
        return cls(
            np.atleast_2d(turns.mean("trial").values),
            float(np.sqrt(turns.var("trial", ddof=1).mean())),
            np.array([line["exact"] for line in lines]),
            np.array([np.fmin(line["union"], line["gordon"]) for line in lines]),
        )


def finite_size(settings: Settings, columns: Columns) -> float:
    """How far a mean crossing may lie from its limit: four standard errors, and 2/n."""
    return 4.0 * columns.spread / np.sqrt(settings.trials) + 2.0 / settings.count


def claims(settings: Settings, results: xr.Dataset, columns: Columns) -> list[Verdict]:
    """What the figures are said to show, measured."""
    noise = finite_size(settings, columns)
    success = success_rate(results, settings.ratios)
    lower_line = columns.paper.reshape(success.shape[:-1])[..., None]
    promised = success.values[success["ratio"].values >= lower_line + noise]
    return [
        judge(
            "boundary",
            "largest distance in d/n between the mean crossing and the exact boundary: "
            "at most four standard errors of the trials and 2/n",
            measured=float(np.abs(columns.mean - columns.exact).max()),
            predicted=0.0,
            tolerance=noise,
            source="Gaussian comparison",
        ),
        judge(
            "sufficient",
            f"least success rate in the {promised.size} cells that lie beyond the lower of the "
            "paper's two lines by more than that distance",
            measured=float(promised.min(initial=1.0)),
            predicted=1.0,
            tolerance=0.0,
            source="hong2025 Theorems 4 and 5",
        ),
        judge(
            "proven",
            "share of the verdicts that are proven against rounding",
            measured=float(results["proven"].sum() / results["verdicts"].sum()),
            predicted=1.0,
            tolerance=0.0,
            source="hong2025 (3.1), each with its certificate",
        ),
    ]


def _write_crossings(settings: Settings, columns: Columns, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["angle", "sigma", "mean crossing", "exact boundary", "paper's lower line"])
        for i, angle in enumerate(settings.angles or ("",)):
            for j, sigma in enumerate(settings.sigmas):
                entries = columns.mean[i, j], columns.exact[i, j], columns.paper[i, j]
                writer.writerow([angle, sigma, *(f"{entry:.6f}" for entry in entries)])
