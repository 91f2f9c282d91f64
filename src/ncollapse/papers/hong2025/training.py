"""hong2025 Figures 3 to 5: what two-layer networks reach, and what there is to reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse.certify import certify
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.papers.hong2025 import curves
from ncollapse.runs import Run
from ncollapse.sweep import run_sweep
from ncollapse.theory.boundary import phase_boundary
from ncollapse.train import (
    TwoLayer,
    collapsed_network,
    descend,
    outcome,
    perturbed,
    predicted_dead_share,
    to_optimum,
)

DECAYS = {"weight_decay": 1e-3, "feature_decay": 1e-6}
WAYS = ("descent", "polished", "local", "optimum", "built", "returned")
"""Descent for the paper's budget; L-BFGS from its end, and from there again moved by a hundredth of its
size; homotopy; the built network, and L-BFGS from it moved by a tenth of its size."""

OUTPUTS = {
    "feasible": np.bool_,
    "proven": np.bool_,
    "dead_share": np.float64,
    **{f"{way}_{what}": np.float64 for way in WAYS for what in ("gap", "nc1_pinv", "nc1_quotient")},
}


@dataclass(frozen=True, eq=False)
class Training:
    """Where each way ends over (σ, d/n, trial): gap to the lower bound, nc1 and its quotient."""

    count: int
    width: int
    epochs: int
    cells: xr.Dataset

    @property
    def boundary(self) -> np.ndarray:
        """δ* of each σ: collapse is feasible at larger d/n (limit of large n)."""
        means = np.array([[1.0], [-1.0]])
        return np.asarray(phase_boundary(means, self.cells["sigma"].values).ratio)

    def where(self, feasible: bool, name: str) -> np.ndarray:
        """An output in the runs whose certificate says so, in one row."""
        proven, verdict = self.cells["proven"].values, self.cells["feasible"].values
        return self.cells[name].values[proven & (verdict == feasible)]

    def predicted_dead_shares(self) -> np.ndarray:
        """Φ(−‖μ‖²√(N/2)/(σ²√d)) at each σ and d/n, ``(S, R)``."""
        dims = np.round(self.cells["ratio"].values * self.count)
        sigmas = self.cells["sigma"].values[:, None]
        return predicted_dead_share(1.0, sigmas, 2 * self.count, dims)

    def to_dict(self) -> dict[str, Any]:
        means = self.cells.mean("trial")
        return {
            "count": self.count,
            "width": self.width,
            "epochs": self.epochs,
            "sigmas": self.cells["sigma"].values.tolist(),
            "ratios": self.cells["ratio"].values.tolist(),
            "boundary": self.boundary.tolist(),
            "predicted_dead_share": self.predicted_dead_shares().tolist(),
            **{name: _json_ready(means[name].values.astype(float)) for name in OUTPUTS},
        }


@dataclass(frozen=True, eq=False)
class Curves:
    """Gap and metrics along descent at one σ: ``values[name]`` is ``(R, T)`` over d/n and ``epochs``."""

    sigma: float
    count: int
    ratios: tuple[float, ...]
    epochs: np.ndarray
    values: dict[str, np.ndarray]

    def to_dict(self) -> dict[str, Any]:
        return {
            "sigma": self.sigma,
            "count": self.count,
            "ratios": list(self.ratios),
            "epochs": self.epochs.tolist(),
            **{name: _json_ready(values) for name, values in self.values.items()},
        }


def compute(
    count: int,
    sigmas: tuple[float, ...],
    ratios: tuple[float, ...],
    trials: int,
    width: int,
    epochs: int,
    folder: Path,
    *,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Training:
    """Every way on one draw and start in each cell of (σ, d/n, trial). Resumes in ``folder``."""
    cells = run_sweep(
        training_cell,
        {"sigma": sigmas, "ratio": ratios, "trial": range(trials)},
        folder,
        outputs=OUTPUTS,
        arguments={"count": count, "width": width, "epochs": epochs},
        seed=seed,
        workers=workers,
        scheduler=scheduler,
    )
    return Training(count, width, epochs, cells)


def training_cell(
    sigma: float, ratio: float, trial: int, seed: int, count: int, width: int, epochs: int
) -> dict[str, Any]:
    """One draw with means ±e_1, trained in each of `WAYS`; ``trial`` enters through the seed.

    Where no network can collapse, none is built: the last two ways are NaN.
    """
    data = gaussian_mixture([[1.0], [-1.0]], count, sigma, round(ratio * count), seed)
    problem, certificate = TwoLayer.on(data, **DECAYS), certify(data)
    trained = descend(problem, width=width, epochs=epochs, seed=seed, records=2)

    def polished(start: dict[str, np.ndarray]) -> Run:
        return to_optimum(problem, start=start, slopes=(0.0,))

    ended = polished(trained.parameters)
    runs = {
        "descent": trained,
        "polished": ended,
        "local": polished(perturbed(ended.parameters, 0.01, seed)),
        "optimum": to_optimum(problem, width=width, seed=seed),
    }
    if certificate.verdict == "feasible":
        built = collapsed_network(certificate, data, width=width, **DECAYS)
        runs |= {"built": built, "returned": polished(perturbed(built.parameters, 0.1, seed))}
    ends = {way: outcome(run) for way, run in runs.items()}
    record = dict.fromkeys(OUTPUTS, np.nan)
    for way, end in ends.items():
        record[f"{way}_gap"] = end.risk - end.lower_bound
        for name in ("nc1_pinv", "nc1_quotient"):
            record[f"{way}_{name}"] = end.metrics.get(name, np.nan)
    return record | {
        "feasible": certificate.verdict == "feasible",
        "proven": certificate.verified,
        "dead_share": ends["descent"].dead_share,
    }


def compute_curves(
    sigma: float,
    count: int,
    ratios: tuple[float, ...],
    width: int,
    epochs: int,
    records: int,
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Curves:
    """Descent at one σ and each d/n, of one draw in the largest dimension and its first columns."""
    at = curves.marks(epochs, records)
    arguments = {"sigma": sigma, "count": count, "width": width, "epochs": epochs}
    cells = run_sweep(
        curve_cell,
        {"ratio": ratios},
        folder,
        outputs=curves.outputs(at),
        arguments={**arguments, "records": records},
        seed=None,
        workers=workers,
        scheduler=scheduler,
    )
    values = {str(name): array.values for name, array in curves.collect(cells, at).items()}
    return Curves(sigma, count, ratios, np.array(at), values)


def curve_cell(
    ratio: float, sigma: float, count: int, width: int, epochs: int, records: int
) -> dict[str, float]:
    """Descent on the draw and from the start of seed 0."""
    data = gaussian_mixture([[1.0], [-1.0]], count, sigma, round(ratio * count), 0)
    problem = TwoLayer.on(data, **DECAYS)
    run = descend(problem, width=width, epochs=epochs, records=records, seed=0)
    return curves.record(run, problem)


def _json_ready(values: np.ndarray) -> list[Any]:
    """Nested lists, NaN as None."""
    ready = values.astype(object)
    ready[~np.isfinite(values)] = None
    return ready.tolist()
