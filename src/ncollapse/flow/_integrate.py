"""The integrator: adaptive Runge–Kutta in float64 on the rescaled clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from ncollapse._checks import check_positive
from ncollapse.flow._trajectory import INTERRUPTED, Ensemble, Recorder, Trajectory
from ncollapse.models import Model, Parameters

REACHABLE = 1e8
"""Largest log(1/L) that is accepted as a goal: the flow grows ever stiffer on the way there."""
_STEPS_PER_CHUNK = 256
_STEPS_PER_SNAPSHOT = 4
_MEMBERS_TOGETHER = 8  # on a CPU: more would wait for the slowest and fall out of its cache


def gradient_flow(
    model: Model,
    start: Parameters,
    *,
    log_inverse_loss: float = 300.0,
    s: float = np.inf,
    stall: float | None = 1e-3,
    rtol: float = 1e-5,
    solver: diffrax.AbstractERK | None = None,
    max_steps: int = 100_000,
    on_progress: Callable[[float, float], None] | None = None,
) -> Trajectory:
    """Follow dθ/ds = −∇ log L from ``start``, adaptively and in float64.

    Parameters
    ----------
    model
        A model with the clock ``"log_loss"``.
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
        An explicit Runge–Kutta method of diffrax; Bosh3 unless given: the kinks of a ReLU and the
        stiffness of the late flow leave a higher order nothing to gain.
    max_steps
        Stop after so many accepted and rejected steps.
    on_progress
        Called now and then with (s, log(1/L)).

    An interrupt (KeyboardInterrupt) ends the run and returns what was computed, with ``reached``
    False and the interruption as the reason.

    Raises
    ------
    ValueError
        A goal beyond `REACHABLE` or not above the start's log(1/L), a zero or non-finite start.
    """
    check_positive("rtol", rtol)
    solver = diffrax.Bosh3() if solver is None else solver
    began = time.perf_counter()
    with jax.enable_x64(True):
        start = {name: np.asarray(leaf, np.float64) for name, leaf in start.items()}
        survey, survey_seconds = _compiled(partial(_survey), model, start)
        begin = {name: np.asarray(value) for name, value in survey(model, start).items()}
        _check_start(start, begin, log_inverse_loss)
        recorder = Recorder(model, begin["invariants"], start)
        state, now, step = (start, np.zeros(())), np.zeros(()), begin["first_step"]
        limits = _limits(start, log_inverse_loss, s, rtol)
        advance, advance_seconds = _compiled(
            partial(_advance, solver=solver), model, state, now, step, limits
        )
        compile_seconds = survey_seconds + advance_seconds
        stopped = None
        try:
            while stopped is None:
                state, now, step, record, result = advance(model, state, now, step, limits)
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
            reached=stopped[0],
            stopped=stopped[1],
            evaluations=(recorder.taken + recorder.rejected) * solver.tableau.num_stages,
            seconds=time.perf_counter() - began - compile_seconds,
            compile_seconds=compile_seconds,
        )


def gradient_flow_ensemble(
    model: Model,
    starts: Parameters,
    *,
    log_inverse_loss: float = 300.0,
    s: float = np.inf,
    rtol: float = 1e-5,
    max_steps: int = 16_384,
) -> Ensemble:
    """`gradient_flow` from S starts in one vectorised call, keeping only the ends.

    On an accelerator all members advance together; on a CPU in small batches, one a core.

    ``starts`` has a leading dimension S on every leaf (see `stack_starts`). A member that has not
    reached the goal after ``max_steps`` steps says so in ``reached``.
    """
    check_positive("rtol", rtol)
    began = time.perf_counter()
    starts = {name: np.asarray(leaf, np.float64) for name, leaf in starts.items()}
    limits = _limits(starts, log_inverse_loss, s, rtol)
    size = len(next(iter(starts.values())))
    together = size if jax.default_backend() != "cpu" else min(size, _MEMBERS_TOGETHER)
    batches = [
        {
            name: leaf[np.minimum(np.arange(i, i + together), size - 1)]
            for name, leaf in starts.items()
        }
        for i in range(0, size, together)
    ]
    with jax.enable_x64(True):
        run, compile_seconds = _compiled(
            partial(_run_together, max_steps=max_steps), model, batches[0], limits
        )

    def run_batch(batch: Parameters) -> dict[str, Any]:
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, run(model, batch, limits))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ends = list(pool.map(run_batch, batches))
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:size], *ends)
    return Ensemble(
        model=model,
        **joined,
        seconds=time.perf_counter() - began - compile_seconds,
        compile_seconds=compile_seconds,
    )


def stack_starts(starts: list[Parameters]) -> dict[str, np.ndarray]:
    """Stack parameter trees of equal shapes along a new leading dimension."""
    return {name: np.stack([start[name] for start in starts]) for name in starts[0]}


def _vector_field(_s: Any, state: Any, args: Any) -> Any:
    model, _goal = args
    parameters, scaled_time = state
    gradient = jax.grad(model.log_loss)(parameters)
    squared = _squared_norm(gradient)
    return jax.tree.map(jnp.negative, gradient), 1.0 - scaled_time * squared


def _squared_norm(tree: Any) -> jax.Array:
    return sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), start=jnp.zeros(()))


def _distance_to_goal(t: Any, y: Any, args: Any, **_: Any) -> jax.Array:
    model, goal = args
    return -model.log_loss(y[0]) - goal


def _solve(
    model: Any,
    state: Any,
    now: Any,
    step: Any,
    limits: Any,
    *,
    solver: Any,
    max_steps: int,
    saveat: Any,
) -> Any:
    return diffrax.diffeqsolve(
        diffrax.ODETerm(_vector_field),
        solver,
        now,
        limits["end"],
        step,
        state,
        (model, limits["goal"]),
        saveat=saveat,
        stepsize_controller=diffrax.PIDController(
            rtol=limits["rtol"], atol=limits["atol"], pcoeff=0.3, icoeff=0.4
        ),
        event=diffrax.Event(_distance_to_goal, optimistix.Newton(rtol=1e-9, atol=1e-9)),
        max_steps=max_steps,
        throw=False,
        adjoint=diffrax.ForwardMode(),
    )


def _record(s: Any, state: Any, args: Any) -> dict[str, Any]:
    model, _goal = args
    parameters, scaled_time = state
    log_loss, gradient = jax.value_and_grad(model.log_loss)(parameters)
    squared = _squared_norm(parameters)
    return {
        "s": s,
        "log_inverse_loss": -log_loss,
        "log_time": jnp.log(scaled_time) - log_loss,
        "norm": jnp.sqrt(squared),
        "speed": jnp.sqrt(_squared_norm(gradient) / squared),
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
        )
    )
    solution = _solve(
        model, state, now, step, limits, solver=solver, max_steps=_STEPS_PER_CHUNK, saveat=saveat
    )
    steps, snapshots, end = solution.ys
    taken = solution.stats["num_accepted_steps"]
    times = jnp.concatenate([now[None], steps["s"]])
    last = jnp.where(taken > 0, times[taken] - times[jnp.maximum(taken - 1, 0)], step)
    record = {"steps": steps, "snapshots": snapshots, "stats": solution.stats}
    end = jax.tree.map(lambda leaf: leaf[-1], end)
    return end, times[taken], last, record, _outcome(solution.result)


def _outcome(result: Any) -> dict[str, jax.Array]:
    return {
        "goal": result == diffrax.RESULTS.event_occurred,
        "end": result == diffrax.RESULTS.successful,
        "more": result == diffrax.RESULTS.max_steps_reached,
    }


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


def _run_together(model: Any, starts: Any, limits: Any, *, max_steps: int) -> dict[str, Any]:
    def run(start: Any) -> dict[str, Any]:
        solution = _solve(
            model,
            (start, jnp.zeros(())),
            0.0,
            _first_step(model, start),
            limits,
            solver=diffrax.Bosh3(),
            max_steps=max_steps,
            saveat=diffrax.SaveAt(t1=True),
        )
        parameters, scaled_time = jax.tree.map(lambda leaf: leaf[-1], solution.ys)
        log_loss = model.log_loss(parameters)
        change = jnp.max(jnp.abs(model.invariants(parameters) - model.invariants(start)))
        return {
            "s": solution.ts[-1],
            "log_time": jnp.log(scaled_time) - log_loss,
            "log_inverse_loss": -log_loss,
            "drift": change / _squared_norm(parameters),
            "parameters": parameters,
            "reached": solution.result == diffrax.RESULTS.event_occurred,
            "steps": solution.stats["num_steps"],
        }

    return jax.vmap(run)(starts)


def _survey(model: Any, start: Any) -> dict[str, Any]:
    """What is to be known of a start before the first step."""
    return {
        "log_loss": model.log_loss(start),
        "first_step": _first_step(model, start),
        "invariants": model.invariants(start),
    }


def _first_step(model: Model, start: Parameters) -> jax.Array:
    speed = _squared_norm(jax.grad(model.log_loss)(start)) / _squared_norm(start)
    return 1e-2 / jnp.sqrt(speed)


def _limits(start: Parameters, goal: float, end: float, rtol: float) -> dict[str, np.ndarray]:
    flat = np.concatenate([np.ravel(leaf) for leaf in start.values()])
    atol = rtol * np.sqrt(np.mean(flat**2))
    limits = {"goal": goal, "end": end, "rtol": rtol, "atol": atol}
    return {name: np.asarray(value, np.float64) for name, value in limits.items()}


def _check_start(start: Parameters, begin: dict[str, np.ndarray], goal: float) -> None:
    for name, leaf in start.items():
        if not np.isfinite(leaf).all():
            raise ValueError(f"start[{name!r}] must be finite, but it holds a NaN or an infinity")
    if not any(leaf.any() for leaf in start.values()):
        raise ValueError("start is exactly zero, a saddle point that gradient flow never leaves")
    level = -float(begin["log_loss"])
    if not level < goal <= REACHABLE:
        raise ValueError(
            f"log_inverse_loss must lie above the start's {level:.6g} and at most {REACHABLE:g}, "
            f"but it is {goal:g}"
        )


_executables: dict[Any, Any] = {}


def _compiled(function: partial[Any], *args: Any) -> tuple[Callable[..., Any], float]:
    """``function`` compiled for arguments of these shapes, and the seconds that took just now."""
    leaves, structure = jax.tree.flatten(args)
    shapes = tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    key = function.func, repr(function.keywords), structure, shapes
    began = time.perf_counter()
    if key not in _executables:
        _executables[key] = jax.jit(function).lower(*args).compile()
    return _executables[key], time.perf_counter() - began
