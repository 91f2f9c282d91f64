"""To the optimum: a homotopy from a linear network, whose minima are global, to the ReLU."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ncollapse.runs import End, Run
from ncollapse.train._problem import Parameters, TwoLayer
from ncollapse.train._recorder import hidden_square, lifted, record, run_of

SLOPES = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.01, 0.003, 0.001, 0.0)
"""Slopes of the leaky ReLU on the way from a linear network to the ReLU."""

TOLERANCE = 1e-14
"""Decrease of R in one iteration at which L-BFGS ends."""

CLOSE = 1e-9
"""Share of the lower bound within which the second coordinates cannot do better."""


def to_optimum(
    problem: TwoLayer,
    *,
    width: int | None = None,
    seed: int = 0,
    init: float = 1.0,
    start: Mapping[str, np.ndarray] | None = None,
    slopes: tuple[float, ...] = SLOPES,
    iterations: int = 500,
    last_iterations: int = 5000,
    on_progress: Callable[[float, float], None] | None = None,
) -> Run:
    """min R by L-BFGS for each slope of a leaky ReLU in turn, each from where the last one ended.

    At slope 1 the network is linear and descent meets no dead neuron; the slope then goes to 0. W₁ is
    moved in the span of the inputs, Z = FC with FFᵀ = G in raw coordinates (those of W₁ itself) and
    F of orthogonal, equally long columns in whitened ones, so the cost does not depend on d. Where G
    is invertible, whitened ones are Z itself: the optimum is that of free features, whatever G.
    Whitened coordinates go first; raw ones are tried where these do not meet the lower bound, and
    the better end is kept.

    That this reaches the global minimum wherever collapse is feasible is an observation
    (docs/train.md), not a theorem; `outcome` says how far from it a run ended.

    Parameters
    ----------
    width, seed, init, start
        As in `descend`.
    slopes
        From 1 down to 0. ``(0.0,)`` polishes a start: L-BFGS on R itself.
    iterations, last_iterations
        Most L-BFGS iterations at each slope, and at the last one.

    Returns
    -------
    Run
        One record a slope, R and the metrics always those of the ReLU network; ``s`` counts
        evaluations of R, ``log_time`` is NaN, and the observation ``slope`` is besides those of
        `descend`.

    Raises
    ------
    ValueError
        As `TwoLayer.start`; slopes that do not go down to 0.
    """
    if not slopes or slopes[-1] != 0.0 or list(slopes) != sorted(set(slopes), reverse=True):
        raise ValueError(f"slopes must go down to 0, but they are {slopes}")
    if start is None and width is None:
        raise ValueError("width must be given where no start is")
    known: dict[str, Any] = {} if start is not None else {"init": init, "seed": seed}
    if start is None and width is not None:
        start = problem.start(width, **known)
    start = start or {}
    held = problem.held(start)
    began = time.perf_counter()
    paths = {}
    for whitened in (True, False):
        factor = problem.whitened_factor() if whitened else problem.factor()
        limits = [iterations] * (len(slopes) - 1) + [last_iterations]
        paths[whitened] = _follow(problem, start, held, factor, slopes, limits, on_progress)
        if _meets_bound(problem, paths[whitened][-1]):
            break
    best = max(paths, key=lambda whitened: paths[whitened][-1]["log_inverse_loss"])
    options = {"slopes": list(slopes), "iterations": iterations, "last_iterations": last_iterations}
    setup = problem.setup(method="optimum", dim=held["weight"].shape[1], options=options, **known)
    coordinates = "whitened" if best else "raw"
    records = paths[best]
    end = records[-1]["snapshot"]
    moved = problem.coefficients(end["preactivations"] - held["preactivations"])
    return run_of(
        problem,
        setup,
        (End.STALLED, f"L-BFGS in {coordinates} coordinates found nothing lower at slope 0."),
        held,
        records,
        lifted(problem, start, end, moved),
        evaluations=int(records[-1]["s"]),
        seconds=time.perf_counter() - began,
    )


def _follow(
    problem: TwoLayer,
    start: Mapping[str, np.ndarray],
    held: Parameters,
    factor: np.ndarray | float,
    slopes: tuple[float, ...],
    limits: list[int],
    on_progress: Callable[[float, float], None] | None,
) -> list[dict[str, Any]]:
    from scipy.optimize import minimize

    width = held["weight"].shape[1]
    times: Callable[[np.ndarray], np.ndarray]
    if isinstance(factor, np.ndarray):
        times, back = functools.partial(np.matmul, factor), functools.partial(np.matmul, factor.T)
        coordinates = np.linalg.lstsq(factor, held["preactivations"])[0]
    else:
        times = back = functools.partial(np.multiply, factor)
        coordinates = held["preactivations"] / factor
    split = coordinates.size
    point = np.concatenate([coordinates.ravel(), held["weight"].ravel()])
    records, evaluations = [], 0

    def held_at(point: np.ndarray) -> Parameters:
        hidden, weight = point[:split].reshape(-1, width), point[split:].reshape(-1, width)
        return {"preactivations": times(hidden), "weight": weight}

    for slope, limit in zip(slopes, limits, strict=True):

        def objective(point: np.ndarray, slope: float = slope) -> tuple[float, np.ndarray]:
            risk, to_preactivations, to_weight = problem.evaluate(held_at(point), slope)
            to_hidden = back(to_preactivations)
            return float(risk), np.concatenate([to_hidden.ravel(), to_weight.ravel()])

        answer = minimize(
            objective,
            point,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": limit, "maxfun": 2 * limit, "ftol": TOLERANCE, "gtol": 0.0},
        )
        point, evaluations = answer.x, evaluations + int(answer.nfev)
        now = held_at(point)
        moved = problem.coefficients(now["preactivations"] - held["preactivations"])
        hidden = hidden_square(problem, start, held, now["preactivations"], moved)
        norm = math.sqrt(hidden + float(np.sum(now["weight"] ** 2)))
        seen = record(problem, now, float(evaluations), norm=norm)
        seen["observations"]["slope"] = slope
        records.append(seen)
        if on_progress is not None:
            on_progress(float(evaluations), seen["log_inverse_loss"])
    return records


def _meets_bound(problem: TwoLayer, last: dict[str, Any]) -> bool:
    bound = problem.lower_bound.risk
    return np.exp(-last["log_inverse_loss"]) <= bound * (1.0 + CLOSE)
