"""Many runs of one model in one call."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ncollapse._checks import check_positive
from ncollapse.flow._solve import (
    compiled,
    first_step,
    is_timed,
    limits_of,
    log_time,
    solve,
    squared_norm,
)
from ncollapse.flow._trajectory import Ensemble
from ncollapse.models import Model, Parameters

_MEMBERS_TOGETHER = 8  # on a CPU: more would wait for the slowest and fall out of its cache


def gradient_flow_ensemble(
    model: Model,
    starts: Parameters,
    *,
    log_inverse_loss: float = 300.0,
    s: float = np.inf,
    rtol: float = 1e-5,
    solver: diffrax.AbstractSolver | None = None,
    max_steps: int = 16_384,
) -> Ensemble:
    """`gradient_flow` from S starts in one vectorised call, keeping only the ends.

    On an accelerator all members advance together; on a CPU in small batches, one a core. With a
    matrix-free solver ``log_time`` is log(1/L) − log ‖∇ log L‖², its leading term late.

    ``starts`` has a leading dimension S on every leaf (see `stack_starts`). A member that has not
    reached the goal after ``max_steps`` steps says so in ``reached``.
    """
    check_positive("rtol", rtol)
    began = time.perf_counter()
    starts = {name: np.asarray(leaf, np.float64) for name, leaf in starts.items()}
    limits = limits_of(starts, log_inverse_loss, s, rtol)
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
        run, compile_seconds = compiled(
            partial(
                _run_together,
                solver=diffrax.Bosh3() if solver is None else solver,
                max_steps=max_steps,
            ),
            model,
            batches[0],
            limits,
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


def _run_together(
    model: Any, starts: Any, limits: Any, *, solver: Any, max_steps: int
) -> dict[str, Any]:
    def run(start: Any) -> dict[str, Any]:
        solution = solve(
            model,
            (start, jnp.zeros(())),
            0.0,
            first_step(model, start),
            limits,
            solver=solver,
            max_steps=max_steps,
            saveat=diffrax.SaveAt(t1=True),
        )
        parameters, scaled_time = jax.tree.map(lambda leaf: leaf[-1], solution.ys)
        log_loss = model.log_loss(parameters)
        speed = squared_norm(jax.grad(model.log_loss)(parameters))
        ended = scaled_time if is_timed(model, solver) else 1.0 / speed
        moved = jnp.abs(model.invariants(parameters) - model.invariants(start))
        change = jnp.max(moved, initial=0.0)
        return {
            "s": solution.ts[-1],
            "log_time": log_time(model, solution.ts[-1], ended, log_loss),
            "log_inverse_loss": -log_loss,
            "drift": change / squared_norm(parameters),
            "parameters": parameters,
            "reached": solution.result == diffrax.RESULTS.event_occurred,
            "steps": solution.stats["num_steps"],
        }

    return jax.vmap(run)(starts)
