"""The integrator: adaptive Runge–Kutta in float64 on the rescaled clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ncollapse._checks import check_positive
from ncollapse.flow._solve import (
    compiled,
    descended,
    first_step,
    limits_of,
    log_time,
    solve,
    squared_norm,
)
from ncollapse.flow._trajectory import INTERRUPTED, Recorder, Trajectory
from ncollapse.flow.steppers import MatrixFree
from ncollapse.models import Model, Parameters

REACHABLE = 1e8
"""Largest log(1/L) that is accepted as a goal: the flow grows ever stiffer on the way there."""
_STEPS_PER_CHUNK = 256
_STEPS_PER_STIFF_CHUNK = 32
"""Landing on the goal repeats a chunk of these, whose steps are few and dear."""
_STEPS_PER_SNAPSHOT = 4


def gradient_flow(
    model: Model,
    start: Parameters,
    *,
    log_inverse_loss: float = 300.0,
    s: float = np.inf,
    stall: float | None = 1e-3,
    rtol: float = 1e-5,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 100_000,
    on_progress: Callable[[float, float], None] | None = None,
) -> Trajectory:
    """Follow dθ/ds = −∇ log L, or dθ/ds = −∇L, from ``start``, adaptively and in float64.

    Parameters
    ----------
    model
        Its clock says which: on ``"log_loss"`` s is the rescaled time, on ``"time"`` s is time.
    start
        Its parameter tree.
    log_inverse_loss, s
        Where to stop, whichever comes first: at this log(1/L) (found to 1e-8 relative), at this s.
    stall
        Stop when nothing changes any more: the speed ‖dθ/ds‖/‖θ‖ has fallen to this share of its
        largest value and log(1/L) rose by less than 1e-2 while s doubled. None never stops so.
    rtol
        Local error per step, relative to a parameter or, for small ones, to the typical size at
        the start. Where neurons slide along a kink of the ReLU, steps are about as long as this.
    solver
        A method of diffrax or of `ncollapse.flow.steppers`; Bosh3 unless given: the kinks of a ReLU and
        the stiffness of the late flow leave a higher explicit order nothing to gain.
    max_steps
        Stop after so many accepted and rejected steps.
    on_progress
        Called now and then with (s, log(1/L)).

    Raises
    ------
    ValueError
        A goal beyond `REACHABLE` or not above the start's log(1/L), a zero or non-finite start.

    Notes
    -----
    An interrupt (KeyboardInterrupt) ends the run and returns what was computed, with ``reached``
    False and the interruption as the reason.
    """
    check_positive("rtol", rtol)
    solver = diffrax.Bosh3() if solver is None else solver
    began = time.perf_counter()
    with jax.enable_x64(True):
        start = {name: np.asarray(leaf, np.float64) for name, leaf in start.items()}
        survey, survey_seconds = compiled(partial(_survey), model, start)
        begin = jax.tree.map(np.asarray, survey(model, start))
        _check_start(start, begin, log_inverse_loss)
        recorder = Recorder(model, begin, start)
        quadrature = model.clock == "log_loss" and isinstance(solver, MatrixFree)
        state, now, step = (start, np.zeros(())), np.zeros(()), begin["first_step"]
        limits = limits_of(start, log_inverse_loss, s, rtol)
        advance, advance_seconds = compiled(
            partial(_advance, solver=solver), model, state, now, step, limits
        )
        compile_seconds = survey_seconds + advance_seconds
        stopped = None
        try:
            while stopped is None:
                before_chunk = state, now, step
                state, now, step, record, result = advance(model, *before_chunk, limits)
                if result["goal"] and isinstance(solver, MatrixFree):
                    state, now, step, record = _land(advance, model, before_chunk, now, limits)
                recorder.add(record, state[0])
                stopped = _stop_reason(recorder, result, log_inverse_loss, stall, max_steps)
                if on_progress is not None:
                    on_progress(float(now), recorder.log_inverse_loss)
        except KeyboardInterrupt:
            if recorder.taken == 0:
                raise
            stopped = (
                False,
                f"{INTERRUPTED} at s = {float(now):.6g}; the steps up to there are kept.",
            )
        return recorder.trajectory(
            quadrature=quadrature,
            reached=stopped[0],
            stopped=stopped[1],
            evaluations=recorder.evaluations(solver),
            seconds=time.perf_counter() - began - compile_seconds,
            compile_seconds=compile_seconds,
        )


def _record(s: Any, state: Any, args: Any) -> dict[str, Any]:
    model, _goal = args
    parameters, scaled_time = state
    log_loss = model.log_loss(parameters)
    gradient = jax.grad(descended(model))(parameters)
    squared = squared_norm(parameters)
    return {
        "s": s,
        "log_inverse_loss": -log_loss,
        "log_time": log_time(model, s, scaled_time, log_loss),
        "norm": jnp.sqrt(squared),
        "speed": jnp.sqrt(squared_norm(gradient) / squared),
        "invariants": model.invariants(parameters),
        "observations": _as_float(model.observe(parameters)),
    }


def _as_float(tree: Any) -> Any:
    """Integers and booleans as floats: diffrax fills unused rows with infinity."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), tree)


def _advance(model: Any, state: Any, now: Any, step: Any, limits: Any, *, solver: Any) -> Any:
    """One chunk of steps: where it ends, its last step size, what was recorded, how it ended."""
    saveat = diffrax.SaveAt(
        subs=(
            diffrax.SubSaveAt(steps=True, fn=_record),
            diffrax.SubSaveAt(steps=_STEPS_PER_SNAPSHOT, fn=_snapshot),
            diffrax.SubSaveAt(t1=True),
        ),
        solver_state=True,
    )
    stiff = isinstance(solver, MatrixFree)
    solution = solve(
        model,
        state,
        now,
        step,
        limits,
        solver=solver,
        max_steps=_STEPS_PER_STIFF_CHUNK if stiff else _STEPS_PER_CHUNK,
        saveat=saveat,
    )
    steps, snapshots, end = solution.ys
    taken = solution.stats["num_accepted_steps"]
    times = jnp.concatenate([now[None], steps["s"]])
    last = jnp.where(taken > 0, times[taken] - times[jnp.maximum(taken - 1, 0)], step)
    record = {
        "steps": steps,
        "snapshots": snapshots,
        "stats": solution.stats,
        "evaluations": _counted(solver, solution.solver_state),
    }
    end = jax.tree.map(lambda leaf: leaf[-1], end)
    return end, times[taken], last, record, _outcome(solution.result)


def _counted(solver: Any, solver_state: Any) -> jax.Array:
    """What a solver without a fixed number of stages counted on its accepted steps."""
    return solver_state.evaluations if isinstance(solver, MatrixFree) else jnp.zeros((), int)


def _outcome(result: Any) -> dict[str, jax.Array]:
    return {
        "goal": result == diffrax.RESULTS.event_occurred,
        "end": result == diffrax.RESULTS.successful,
        "more": result == diffrax.RESULTS.max_steps_reached,
    }


def _land(
    advance: Callable[..., Any], model: Any, before: tuple[Any, Any, Any], now: Any, limits: Any
) -> tuple[Any, Any, Any, Any]:
    """The last chunk again, so that a step and not an interpolant ends at the goal.

    Steps of a stiff solver are long, and between them the path is known to lower order.
    """
    goal = float(limits["goal"])
    limits = {**limits, "goal": np.asarray(goal + max(1.0, abs(goal)))}
    end = float(now)
    state, step, record = before[0], before[2], {}
    for _ in range(4):
        limits["end"] = np.asarray(end)
        state, now, step, record, _ = advance(model, *before, limits)
        last = int(record["stats"]["num_accepted_steps"]) - 1
        level, speed, norm = (
            float(record["steps"][name][last]) for name in ("log_inverse_loss", "speed", "norm")
        )
        if abs(level - goal) <= 1e-10 * max(1.0, abs(goal)):
            break
        rate = (speed * norm) ** 2
        if model.clock == "time":
            rate *= np.exp(level)
        end -= (level - goal) / rate
    return state, now, step, record


def _stop_reason(
    recorder: Recorder, outcome: Any, goal: float, stall: float | None, max_steps: int
) -> tuple[bool, str] | None:
    """Whether the goal was reached and why the run is over, or None while it is not."""
    level = f"log(1/L) = {recorder.log_inverse_loss:.6g}"
    if outcome["goal"]:
        return True, f"Reached log(1/L) = {goal:g}."
    if outcome["end"]:
        return True, f"Reached the given s at {level}."
    if not outcome["more"]:
        return False, f"The integrator failed at {level}: its step size fell to zero."
    if stall is not None and recorder.stalled(stall):
        return False, f"Nothing changes any more at {level}: the speed has all but vanished."
    if recorder.taken + recorder.rejected >= max_steps:
        return False, f"Used up {max_steps} steps at {level}."
    return None


def _snapshot(s: Any, state: Any, _args: Any) -> dict[str, Any]:
    return {"s": s, "parameters": state[0]}


def _survey(model: Any, start: Any) -> dict[str, Any]:
    """What is to be known of a start before the first step."""
    return {
        "log_loss": model.log_loss(start),
        "first_step": first_step(model, start),
        "rate": squared_norm(jax.grad(model.log_loss)(start)),
        "invariants": model.invariants(start),
        "kinds": jax.tree.map(
            lambda leaf: jnp.zeros((), leaf.dtype), jax.eval_shape(model.observe, start)
        ),
    }


def _check_start(start: Parameters, begin: dict[str, Any], goal: float) -> None:
    for name, leaf in start.items():
        if not np.isfinite(leaf).all():
            raise ValueError(f"start[{name!r}] must be finite, but it holds a NaN or an infinity")
    if not any(leaf.any() for leaf in start.values()):
        raise ValueError("start is exactly zero, a saddle point that gradient flow never leaves")
    level = -float(begin["log_loss"])
    if not level < goal <= REACHABLE:
        raise ValueError(
            f"the goal log(1/L) must lie above the start's {level:.6g} and at most {REACHABLE:g}, "
            f"but it is {goal:g}"
        )
