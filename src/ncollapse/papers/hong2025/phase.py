"""hong2025 Figures 1 and 2: where draws of a Gaussian mixture turn feasible, against the theory."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse.geometry import unit_pair
from ncollapse.papers.hong2025.transition import orthogonal_cell, two_class_cell
from ncollapse.sweep import run_sweep
from ncollapse.theory.boundary import phase_boundary, theorem5a_bound, union_bound

OUTPUTS = {"feasible": np.int64, "verdicts": np.int64, "proven": np.int64}
_STEP = 1.01
"""Relative change of σ by which the slope of the boundary is taken."""


@dataclass(frozen=True)
class Grid:
    """Samples per class, the grid, and the number of trials in each of its cells.

    Two classes have unit means at each of ``angles``; K classes have means e_k and no angle.
    """

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
            return unit_pair(angle)
        return np.eye(self.classes)

    def boundary(self, sigmas: Any) -> np.ndarray:
        """δ*(σ) at each angle and of ``sigmas``, ``(A, S)``."""
        return np.array(
            [phase_boundary(self.means(a), sigmas).ratio for a in self.angles or (0.0,)]
        )

    def union(self, sigmas: Any) -> np.ndarray:
        """Least d/n that Theorem 4 (two classes) or 5(a) promises, ``(A, S)``."""
        bound = union_bound if self.classes == 2 else theorem5a_bound
        return np.array([bound(self.means(a), sigmas, self.count) for a in self.angles or (0.0,)])


@dataclass(frozen=True, eq=False)
class Phase:
    """What the sweep over (angle, σ, trial) gave: at how many d/n each draw is feasible."""

    grid: Grid
    cells: xr.Dataset

    @property
    def success(self) -> xr.DataArray:
        """Share of trials that are feasible at each d/n, over the sweep's dimensions but trial."""
        ratios = list(self.grid.ratios)
        rank = np.arange(len(ratios), 0, -1)
        ranks = xr.DataArray(rank, coords={"ratio": ratios}, dims="ratio")
        return (self.cells["feasible"] >= ranks).mean("trial").rename("success rate")

    @property
    def crossings(self) -> xr.DataArray:
        """The d/n at which each trial turns feasible: half way between the two grid points.

        The ratios run from 1, below which nothing is feasible, to K, where everything is (hong2025
        Theorem 3), so every trial turns on the grid.
        """
        grid = np.asarray(self.grid.ratios)
        middles = np.concatenate([grid[:1], (grid[1:] + grid[:-1]) / 2, grid[-1:]])
        turns = middles[len(grid) - self.cells["feasible"].values]
        return self.cells["feasible"].copy(data=turns).rename("crossing")

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean crossing at each angle and σ, ``(A, S)``."""
        return np.atleast_2d(self.crossings.mean("trial").values)

    @cached_property
    def spread(self) -> float:
        """Standard deviation of one trial's crossing, pooled over all angles and σ."""
        return float(np.sqrt(self.crossings.var("trial", ddof=1).mean()))

    @property
    def standard_error(self) -> float:
        """That of a mean crossing."""
        return self.spread / float(np.sqrt(self.grid.trials))

    def noise_scale(self, assumed: float = 1.0) -> float:
        """κ for which δ*(κ·assumed·σ) fits the mean crossings best, to first order in log κ."""
        sigmas = assumed * np.asarray(self.grid.sigmas)
        slope, off = self._slope(sigmas), self.mean - self.grid.boundary(sigmas)
        return float(np.exp(np.sum(off * slope) / np.sum(slope**2)))

    @property
    def noise_scale_error(self) -> float:
        """Standard error of `noise_scale`."""
        slope = self._slope(np.asarray(self.grid.sigmas))
        return self.standard_error / float(np.sqrt(np.sum(slope**2)))

    def promised(self, line: Any) -> np.ndarray:
        """Success rates of the cells with d/n at or beyond ``line``, which is ``(A, S)`` or one."""
        success = self.success
        rates = success.values.reshape(-1, len(self.grid.sigmas), len(self.grid.ratios))
        lines = np.broadcast_to(line, rates.shape[:2])
        return rates[success["ratio"].values >= lines[..., None]]

    def _slope(self, sigmas: np.ndarray) -> np.ndarray:
        above, below = self.grid.boundary(sigmas * _STEP), self.grid.boundary(sigmas / _STEP)
        return (above - below) / (2.0 * np.log(_STEP))

    def to_dict(self) -> dict[str, Any]:
        return {
            "grid": asdict(self.grid),
            "cells": self.cells["feasible"].size * len(self.grid.ratios),
            "mean_crossings": self.mean.tolist(),
            "boundary": self.grid.boundary(self.grid.sigmas).tolist(),
            "spread_of_a_crossing": self.spread,
            "noise_scale": self.noise_scale(),
            "noise_scale_error": self.noise_scale_error,
            "seed": int(self.cells.attrs["seed"]),
        }

    def write_crossings(self, path: Path) -> Path:
        """A line for each angle and σ: mean crossing, exact boundary, union bound."""
        exact, union = self.grid.boundary(self.grid.sigmas), self.grid.union(self.grid.sigmas)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["angle", "sigma", "mean crossing", "exact boundary", "union bound"])
            for i, angle in enumerate(self.grid.angles or ("",)):
                for j, sigma in enumerate(self.grid.sigmas):
                    entries = self.mean[i, j], exact[i, j], union[i, j]
                    writer.writerow([angle, sigma, *(f"{entry:.6f}" for entry in entries)])
        return path


def compute(
    grid: Grid,
    folder: Path,
    *,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Phase:
    """The sweep over (angle, σ, trial); each cell answers for all d/n. Resumes in ``folder``."""
    dims: dict[str, Sequence[Any]] = {"sigma": grid.sigmas, "trial": range(grid.trials)}
    arguments: dict[str, Any] = {"count": grid.count, "dimensions": grid.dimensions}
    if grid.angles:
        function, dims = two_class_cell, {"angle": grid.angles} | dims
    else:
        function = orthogonal_cell
        arguments["classes"] = grid.classes
    cells = run_sweep(
        function,
        dims,
        folder,
        outputs=OUTPUTS,
        arguments=arguments,
        seed=seed,
        workers=workers,
        scheduler=scheduler,
    )
    return Phase(grid, cells)
