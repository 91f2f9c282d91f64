"""What a run of training records: observations at a point, and a `Run` of what was recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ncollapse.runs import End, Run
from ncollapse.setup import Setup
from ncollapse.train._dead import dead_share
from ncollapse.train._problem import METRIC_NAMES, Parameters, TwoLayer

_SERIES = ("s", "log_time", "log_inverse_loss", "norm", "speed", "drift")


def record(
    problem: TwoLayer, held: Parameters, s: float, *, time: float = math.nan, norm: float
) -> dict[str, Any]:
    """One record of a run; a metric that is undefined at this point is NaN.

    ``time`` is the time of gradient flow, NaN where the clock counts something else.
    """
    risk, to_preactivations, to_weight = problem.evaluate(held)
    to_hidden = np.sum(to_preactivations * (problem.gram @ to_preactivations))
    values, _ = problem.metrics(held)
    seen = {name: np.float64(values.get(name, math.nan)) for name in METRIC_NAMES}
    return {
        "s": s,
        "log_time": math.log(time) if time > 0 else math.nan,
        "log_inverse_loss": -math.log(risk),
        "norm": norm,
        "speed": math.sqrt(to_hidden + np.sum(to_weight**2)) / norm if norm else 0.0,
        "drift": 0.0,
        "observations": {
            **seen,
            "dead_share": dead_share(held["preactivations"], held["weight"], problem.labels),
        },
        "snapshot": held,
    }


def hidden_square(
    problem: TwoLayer,
    start: Mapping[str, np.ndarray],
    held: Parameters,
    preactivations: np.ndarray,
    coefficients: np.ndarray,
) -> float:
    """‖W₁‖² = ‖W₁(0)‖² + ⟨A, Z(0) + Z⟩ after W₁ moved by AᵀX and Z by GA: no product with X.

    ``held`` is the ``start`` as descent holds it; where that has no W₁, the one of least norm is
    meant.
    """
    if "hidden" in start:
        first = float(np.sum(start["hidden"] ** 2))
    else:
        first = float(np.sum(held["preactivations"] * problem.coefficients(held["preactivations"])))
    moved = float(np.sum(coefficients * (held["preactivations"] + preactivations)))
    return max(first + moved, 0.0)


def lifted(
    problem: TwoLayer,
    start: Mapping[str, np.ndarray],
    point: Parameters,
    coefficients: np.ndarray,
) -> Parameters:
    """The parameters as the user knows them, W₁ = W₁(0) + AᵀX, where the start has a W₁."""
    if problem.inputs is None or "hidden" not in start:
        return dict(point)
    hidden = start["hidden"] + coefficients.T @ problem.inputs
    return {"hidden": hidden, "weight": point["weight"]}


def run_of(
    problem: TwoLayer,
    setup: Setup,
    end: tuple[End, str],
    start: Parameters,
    records: list[dict[str, Any]],
    parameters: Mapping[str, np.ndarray],
    *,
    evaluations: int,
    seconds: float,
    resumed: Run | None = None,
    state: tuple[np.ndarray, ...] = (),
) -> Run:
    """The run that went through ``records`` from ``start``, after those of the ``resumed`` one."""
    series = {name: np.array([row[name] for row in records], dtype=float) for name in _SERIES}
    names = records[0]["observations"]
    seen = {name: np.array([row["observations"][name] for row in records]) for name in names}
    path = [{"s": 0.0, "snapshot": start}, *records]
    snapshots = {name: np.stack([row["snapshot"][name] for row in path]) for name in start}
    snapshot_s = np.array([row["s"] for row in path], dtype=float)
    if resumed is not None:
        series = {n: np.concatenate([getattr(resumed, n), v]) for n, v in series.items()}
        seen = {n: np.concatenate([resumed.observations[n], v]) for n, v in seen.items()}
        snapshots = {n: np.concatenate([resumed.snapshots[n], v[1:]]) for n, v in snapshots.items()}
        snapshot_s = np.concatenate([resumed.snapshot_s, snapshot_s[1:]])
        seconds += resumed.seconds
    return Run(
        setup=setup,
        end=end[0],
        stopped=end[1],
        **series,
        observations=seen,
        snapshot_s=snapshot_s,
        snapshots=snapshots,
        parameters=dict(parameters),
        steps=evaluations,
        rejected=0,
        evaluations=evaluations,
        seconds=seconds,
        compile_seconds=0.0,
        state=state,
        model=problem,
    )
