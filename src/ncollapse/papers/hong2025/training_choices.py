"""What hong2025 §3.2 leaves open: width, initial scale and batch size, and dead pairs against a formula."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.papers.hong2025 import curves
from ncollapse.papers.hong2025.training import DECAYS
from ncollapse.sweep import run_sweep
from ncollapse.train import TwoLayer, descend, first_step_dead_share, predicted_dead_share

STEP = 0.1
VANISHING = 1e-4
"""Initial scale at which the first step decides."""
DRAWS, SAMPLES, NEURONS = 6, 400, 200
"""Draws, samples and neurons behind the shares after one step."""


@dataclass(frozen=True, eq=False)
class Choices:
    """Descent at a constant rate from starts of every size, width and batch, means ±e_1.

    Attributes
    ----------
    runs
        over (sigma, width, init, batch, epoch): gap and metrics; batch 0 stands for all samples.
    dead_share
        over (sigma, width, init, batch), at the end.
    predicted
        Φ(−‖μ‖²√(N/2)/(σ²√d)) at each σ.
    first_step
        ``(S, 2)``: share of helpful pairs that are off after one step from a vanishing start, of
        those that start off and on; ``formula`` ``(S, 2)`` what `first_step_dead_share` says.
    """

    count: int
    ratio: float
    runs: xr.Dataset
    dead_share: xr.DataArray
    predicted: np.ndarray
    first_step: np.ndarray
    formula: np.ndarray

    def steps(self, batch: int) -> int:
        """Steps of an epoch."""
        return -(-2 * self.count // batch) if batch else 1

    def flow_time(self, batch: int) -> np.ndarray:
        """Steps summed up to each record."""
        return STEP * self.steps(batch) * self.runs["epoch"].values

    def small_over_all(self, *, same_time: bool) -> np.ndarray:
        """Gap at the least σ, smallest batch over all samples, at the end or at one flow time."""
        values = self.runs["gap"].isel(sigma=0)
        small = min(batch for batch in self.runs["batch"].values.tolist() if batch)
        ended = self.flow_time(0)[-1] if same_time else self.flow_time(small)[-1]
        at = int(np.argmin(np.abs(np.log(self.flow_time(small) / ended))))
        whole = values.sel(batch=0).isel(epoch=-1)
        return (values.sel(batch=small).isel(epoch=at) / whole).values.ravel()

    def scale_ratio(self) -> np.ndarray:
        """Dead share at the end from the largest start over that from the smallest, highest σ."""
        shares = self.dead_share.isel(sigma=-1).sel(batch=0)
        return (shares.isel(init=0) / shares.isel(init=-1)).values

    def to_dict(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "ratio": self.ratio,
            **{
                name: self.runs[name].values.tolist()
                for name in ("sigma", "width", "init", "batch")
            },
            "dead_share": self.dead_share.values.tolist(),
            "predicted_dead_share": self.predicted.tolist(),
            "first_step": self.first_step.tolist(),
            "first_step_formula": self.formula.tolist(),
            "gap": self.runs["gap"].isel(epoch=-1).values.tolist(),
            "nc1_pinv": self.runs["nc1_pinv"].isel(epoch=-1).values.tolist(),
        }


def compute(
    count: int,
    ratio: float,
    sigmas: tuple[float, ...],
    widths: tuple[int, ...],
    inits: tuple[float, ...],
    batches: tuple[int, ...],
    epochs: int,
    records: int,
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Choices:
    """One draw at each σ, the same for all other choices. Resumes in ``folder``."""
    at = curves.marks(epochs, records)
    cells = run_sweep(
        choice_cell,
        {"sigma": sigmas, "width": widths, "init": inits, "batch": batches},
        folder,
        outputs={"dead_share": np.float64, **curves.outputs(at)},
        arguments={"count": count, "ratio": ratio, "epochs": epochs, "records": records},
        seed=None,
        workers=workers,
        scheduler=scheduler,
    )
    dim = round(ratio * count)
    wide = round(ratio * SAMPLES / 2)
    formula = [
        first_step_dead_share(1.0, np.array(sigmas), SAMPLES, wide, started_on=on)
        for on in (False, True)
    ]
    return Choices(
        count=count,
        ratio=ratio,
        runs=curves.collect(cells, at),
        dead_share=cells["dead_share"],
        predicted=predicted_dead_share(1.0, np.array(sigmas), 2 * count, dim),
        first_step=np.array([first_step_shares(sigma, wide) for sigma in sigmas]),
        formula=np.array(formula).T,
    )


def choice_cell(
    sigma: float,
    width: int,
    init: float,
    batch: int,
    count: int,
    ratio: float,
    epochs: int,
    records: int,
) -> dict[str, float]:
    """Descent at a constant rate from the start of seed 0."""
    data = gaussian_mixture([[1.0], [-1.0]], count, sigma, round(ratio * count), 0)
    problem = TwoLayer.on(data, **DECAYS)
    run = descend(
        problem,
        width=width,
        init=init,
        epochs=epochs,
        learning_rate=STEP,
        drops=(epochs, epochs),
        batch=batch or None,
        records=records,
    )
    return {
        "dead_share": float(run.observations["dead_share"][-1]),
        **curves.record(run, problem),
    }


def first_step_shares(sigma: float, dim: int) -> tuple[float, float]:
    """Shares of helpful pairs that are off after one step, of those that start off and on."""
    started: list[list[np.ndarray]] = [[], []]
    for seed in range(DRAWS):
        data = gaussian_mixture([[1.0], [-1.0]], SAMPLES // 2, sigma, dim, seed)
        problem = TwoLayer.on(data, **DECAYS)
        start = problem.start(NEURONS, init=VANISHING, seed=seed)
        # a step moves W by little beside W at its usual size, which says whom a neuron helps
        start["weight"] /= VANISHING
        run = descend(problem, start=start, epochs=1, learning_rate=1.0)
        helps = data.labels[:, None] == np.argmax(start["weight"], axis=0)
        on = problem.held(start)["preactivations"] > 0
        off = run.at(-1)["preactivations"] <= 0
        for place, chosen in enumerate((helps & ~on, helps & on)):
            started[place].append(off[chosen])
    before_off, before_on = (float(np.mean(np.concatenate(part))) for part in started)
    return before_off, before_on
