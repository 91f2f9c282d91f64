"""The integrator: steps of a diffrax solver in float64, chunk by chunk, on the model's clock."""

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
from ncollapse.flow._interface import check_model, check_resumed, describe
from ncollapse.flow._recorder import Recorder
from ncollapse.flow._solve import (
    compiled,
    first_step,
    limits_of,
    log_time,
    path_record,
    solve,
    squared_norm,
)
from ncollapse.flow.steppers import capabilities
from ncollapse.models import Model, Parameters
from ncollapse.runs import End, Run
from ncollapse.setup import Setup

REACHABLE = 1e8
"""Largest log(1/L) that is accepted as a goal: the flow grows ever stiffer on the way there."""
COARSEST = 0.1
"""An ``rtol`` from here on is refused: steps with so large an error do not follow the flow."""
_STEPS_PER_SNAPSHOT = 4
_ENDS = ("log_inverse_loss", "s", "stall", "max_steps")


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
    setup: Setup | None = None,
    resume: Run | None = None,
    on_progress: Callable[[float, float], None] | None = None,
) -> Run:
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
        Stop after so many accepted and rejected steps, those of a resumed run included.
    setup
        What is to be recorded of the run, such as the seed; ``model.setup()`` unless given. The
        tolerance, the solver, the ends and a digest of the model's data are added to it.
    resume
        A run of the same set-up from the same start, to go on from where it ended; only ends may
        differ. An interrupted one goes on with the very steps that it would have taken.
    on_progress
        Called now and then with (s, log(1/L)).

    Raises
    ------
    TypeError
        ``model`` is no `Model`, or holds something that is no array and not static; a start that
        holds something else than real numbers.
    ValueError
        A model without a loss, of an unknown clock or with outputs of the wrong shape; a goal
        beyond `REACHABLE` or not above log(1/L) at the start; a zero or non-finite start; ``rtol``
        from `COARSEST` on; a run to resume of another set-up or start.

    Notes
    -----
    An interrupt (KeyboardInterrupt) ends the run and returns what was computed. A run whose loss
    rises beyond its error, or whose time stops being finite, ends as `End.DIVERGED`.
    """
    if not check_positive("rtol", rtol) < COARSEST:
        raise ValueError(f"rtol must be below {COARSEST:g}, but it is {rtol:g}")
    solver = diffrax.Bosh3() if solver is None else solver
    with jax.enable_x64(True):
        start = check_model(model, start)
        options = {"log_inverse_loss": log_inverse_loss, "s": s if np.isfinite(s) else None}
        options |= {"stall": stall, "rtol": rtol, "solver": repr(solver), "max_steps": max_steps}
        setup = describe(model, start, setup, "flow", options)
        if resume is not None:
            check_resumed(resume, setup, start, without=_ENDS)
        began = time.perf_counter()
        survey, survey_seconds = compiled(partial(_survey), model, start)
        recorder = Recorder(model, start, jax.tree.map(np.asarray, survey(model, start)), resume)
        _check_goal(recorder.level, log_inverse_loss)
        limits = limits_of(start, log_inverse_loss, s, rtol)
        last = recorder.last
        advance, advance_seconds = compiled(
            partial(_advance, solver=solver), model, last.state, last.now, last.step, limits
        )
        compile_seconds = survey_seconds + advance_seconds
        end = None
        try:
            while end is None:
                end = _go_on(recorder, advance, limits, solver, stall, max_steps)
                if on_progress is not None:
                    on_progress(float(recorder.last.now), recorder.level)
        except KeyboardInterrupt:
            if not recorder.started:
                raise
            end = _interruption(recorder)
        return recorder.run(
            setup,
            end,
            solver=solver,
            quadrature=model.clock == "log_loss" and capabilities(solver).symmetric,
            seconds=time.perf_counter() - began - compile_seconds,
            compile_seconds=compile_seconds,
        )


def _go_on(
    recorder: Recorder,
    advance: Callable[..., Any],
    limits: dict[str, np.ndarray],
    solver: Any,
    stall: float | None,
    max_steps: int,
) -> tuple[End, str] | None:
    """Take one more chunk of steps; why the run is over, or None while it is not."""
    model, last = recorder.model, recorder.last
    before = last.state, last.now, last.step
    state, now, step, record, result = advance(model, *before, limits)
    if result["goal"] and capabilities(solver).lands:
        state, now, step, record = _land(advance, model, before, now, limits)
    recorder.add(record, state, now, step)
    if not recorder.started and not result["more"]:
        raise ValueError("the integrator could not take a first step from start")
    timed = model.clock == "log_loss" and not capabilities(solver).symmetric
    return _end_of(recorder, result, limits, stall, max_steps, timed=timed)


def _interruption(recorder: Recorder) -> tuple[End, str]:
    now = float(recorder.last.now)
    return End.INTERRUPTED, f"Interrupted at s = {now:.6g}; the steps up to there are kept."


def _record(s: Any, state: Any, args: Any) -> dict[str, Any]:
    model, _goal = args
    parameters, scaled_time = state
    record = path_record(model, parameters)
    # Integers and booleans as floats: diffrax fills unused rows with infinity.
    record["observations"] = jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64), record["observations"]
    )
    timing = log_time(model, s, scaled_time, -record["log_inverse_loss"])
    return {"s": s, "log_time": timing, **record}


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
    solution = solve(
        model,
        state,
        now,
        step,
        limits,
        solver=solver,
        max_steps=capabilities(solver).chunk,
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
    return solver_state.evaluations if capabilities(solver).counts else jnp.zeros((), int)


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


def _end_of(
    recorder: Recorder,
    outcome: Any,
    limits: dict[str, np.ndarray],
    stall: float | None,
    max_steps: int,
    *,
    timed: bool,
) -> tuple[End, str] | None:
    """Why the run is over, in short and as a sentence, or None while it is not."""
    level = f"log(1/L) = {recorder.level:.6g}"
    if recorder.started and recorder.failed(float(limits["rtol"]), timed=timed):
        return End.DIVERGED, (
            f"The integrator failed at {level}: the loss rose or time stopped being finite, as "
            "steps with too large an error make it. Try a smaller rtol."
        )
    if outcome["goal"]:
        return End.GOAL, f"Reached log(1/L) = {float(limits['goal']):g}."
    if outcome["end"]:
        return End.TIME, f"Reached the given s at {level}."
    if not outcome["more"]:
        return End.STEP_SIZE, f"The integrator failed at {level}: its step size fell to zero."
    if stall is not None and recorder.started and recorder.stalled(stall):
        return (
            End.STALLED,
            f"Nothing changes any more at {level}: the speed has all but vanished.",
        )
    if recorder.tried >= max_steps:
        return _used_up(recorder, f"Used up {max_steps} steps at {level}")
    return None


def _used_up(recorder: Recorder, text: str) -> tuple[End, str]:
    kinks = recorder.sliding()
    if not kinks:
        return End.STEPS, f"{text}."
    named = ", ".join(f"{neuron} at sample {sample}" for sample, neuron in kinks[:3])
    more = f" and {len(kinks) - 3} more" if len(kinks) > 3 else ""
    return End.KINKS, (
        f"{text}: neurons slide along kinks (neuron {named}{more}), pushed there from both sides, "
        "where steps are only about as long as rtol. Try a larger rtol, such as 2e-3, more steps, "
        "or another start."
    )


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


def _check_goal(level: float, goal: float) -> None:
    if not np.isfinite(level):
        raise ValueError(f"log(1/L) must be finite at the start, but it is {level:g}")
    if not level < goal <= REACHABLE:
        raise ValueError(
            f"the goal log(1/L) must lie above the start's {level:.6g} and at most {REACHABLE:g}, "
            f"but it is {goal:g}"
        )
