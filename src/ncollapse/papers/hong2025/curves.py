"""Curves over epochs as outputs of a sweep, whose cells return numbers: one output a record."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from ncollapse.runs import Run
from ncollapse.train import METRIC_NAMES, TwoLayer

MEASURED = ("gap", *METRIC_NAMES)
"""What is recorded along training: how far above the lower bound, and the metrics."""


def marks(epochs: int, records: int) -> list[int]:
    """The epochs that `ncollapse.train.descend` records."""
    return np.unique(np.geomspace(1, epochs, records).round().astype(int)).tolist()


def outputs(at: list[int]) -> dict[str, Any]:
    """Names and type of the outputs of a cell."""
    return {f"{name}_{mark}": np.float64 for name in MEASURED for mark in at}


def record(run: Run, problem: TwoLayer) -> dict[str, float]:
    """A run as these outputs."""
    gaps = np.exp(-run.log_inverse_loss) - problem.lower_bound.risk
    return {
        f"{name}_{mark}": float(value)
        for name, values in {"gap": gaps, **run.observations}.items()
        if name in MEASURED
        for mark, value in zip(run.epochs, values, strict=True)
    }


def collect(cells: xr.Dataset, at: list[int]) -> xr.Dataset:
    """The outputs over the sweep's dimensions and ``epoch``."""
    epoch = xr.Variable("epoch", at)
    return xr.Dataset(
        {
            name: xr.concat([cells[f"{name}_{mark}"] for mark in at], epoch).transpose(..., "epoch")
            for name in MEASURED
        }
    )
