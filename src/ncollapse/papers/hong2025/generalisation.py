"""hong2025 Theorems 7 and 8: the error of a collapsed network on new data, against the noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.sweep import run_sweep
from ncollapse.theory.generalisation import (
    best_error,
    best_pair,
    corrected_lower_error,
    theorem7b_error,
)

OUTPUTS = {"found": np.bool_, "neuron": np.float64, "pair": np.float64}
_STEP = 1.01
"""Relative change of σ by which the slope of the error is taken."""


@dataclass(frozen=True, eq=False)
class Errors:
    """Least errors of one and of two collapsed neurons over (ratio, σ, trial), and the theory's."""

    count: int
    cells: xr.Dataset

    @property
    def sigmas(self) -> np.ndarray:
        return self.cells["sigma"].values

    @property
    def ratios(self) -> np.ndarray:
        return self.cells["ratio"].values[:, None]

    def errors(self, name: str) -> np.ndarray:
        """Of ``"neuron"`` or ``"pair"``: ``(R, S, trials)``."""
        return self.cells[name].transpose("ratio", "sigma", "trial").values

    @property
    def exact(self) -> np.ndarray:
        """The best error at each d/n and σ, ``(R, S)``."""
        return best_error(self.sigmas, self.ratios)

    @property
    def lower(self) -> np.ndarray:
        """The lower bound of Theorems 7(b) and 8(b) with its proof repaired, ``(R, S)``."""
        return corrected_lower_error(self.sigmas, self.ratios)

    @property
    def printed(self) -> np.ndarray:
        """The same as printed, (2.28), at c₁ = c₂ = 0, ``(R, S)``."""
        return theorem7b_error(self.sigmas, self.ratios, self.count)

    @property
    def low_noise(self) -> np.ndarray:
        """Where Theorem 7(a) is proven, ``(R, S)``: 2σ√(log n) < √((d − n + 1)/d)."""
        return self.sigmas < proven_noise(self.count, self.ratios)

    def noise_scales(self, assumed: float = 1.0) -> np.ndarray:
        """κ of each cell for which best_error(κ·assumed·σ) is its error, to first order in log κ."""
        sigmas = assumed * self.sigmas
        above, below = (
            np.log(best_error(s, self.ratios)) for s in (_STEP * sigmas, sigmas / _STEP)
        )
        slope = (above - below) / (2.0 * np.log(_STEP))
        off = np.log(self.errors("neuron")) - np.log(best_error(sigmas, self.ratios))[..., None]
        return np.exp(off / slope[..., None])

    def to_dict(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "sigmas": self.sigmas.tolist(),
            "ratios": self.ratios.ravel().tolist(),
            "mean_error": {
                name: self.errors(name).mean(axis=-1).tolist() for name in ("neuron", "pair")
            },
            "exact": self.exact.tolist(),
            "lower": self.lower.tolist(),
            "printed": self.printed.tolist(),
            "seed": int(self.cells.attrs["seed"]),
        }


def proven_noise(count: int, ratio: Any) -> Any:
    """The noise below which hong2025 Theorem 7(a) is proven: ½√((d − n + 1)/(d log n))."""
    dim = ratio * count
    return 0.5 * np.sqrt((dim - count + 1) / (dim * np.log(count)))


def compute(
    count: int,
    ratios: tuple[float, ...],
    sigmas: tuple[float, ...],
    trials: int,
    folder: Path,
    *,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Errors:
    """The exact programs of one sample in each cell of (ratio, σ, trial). Resumes in ``folder``."""
    cells = run_sweep(
        error_cell,
        {"ratio": ratios, "sigma": sigmas, "trial": range(trials)},
        folder,
        outputs=OUTPUTS,
        arguments={"count": count},
        seed=seed,
        workers=workers,
        scheduler=scheduler,
    )
    return Errors(count, cells)


def error_cell(ratio: float, sigma: float, trial: int, seed: int, count: int) -> dict[str, float]:
    """Least errors on one sample with means ±e_1. ``trial`` enters through the seed.

    ``found`` is False, and the errors NaN, on a sample without a collapsed neuron on the right side
    of the mean; that happens at high noise near d = 2n.
    """
    dim = round(ratio * count)
    data = gaussian_mixture([[1.0], [-1.0]], count, sigma, dim, seed)
    best = best_pair(data.of_class(0), data.of_class(1), np.eye(1, dim)[0], sigma)
    if best is None:
        return {"found": False, "neuron": np.nan, "pair": np.nan}
    return {"found": True, "neuron": best.first.error, "pair": best.error}
