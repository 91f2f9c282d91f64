"""The initial value problem of a flow, and its compilation."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from ncollapse.flow.steppers import capabilities
from ncollapse.models import Model, Parameters

_executables: dict[Any, Any] = {}


def _vector_field(_s: Any, state: Any, args: Any, *, timed: bool) -> Any:
    model, _goal = args
    parameters, scaled_time = state
    gradient = jax.grad(descended(model))(parameters)
    velocity = jax.tree.map(jnp.negative, gradient)
    if not timed:
        return velocity, jnp.zeros_like(scaled_time)
    return velocity, 1.0 - scaled_time * squared_norm(gradient)


def descended(model: Any) -> Callable[[Any], jax.Array]:
    return model.loss if model.clock == "time" else model.log_loss


def is_timed(model: Any, solver: Any) -> bool:
    """Whether r = t·L is integrated beside θ. It would spoil the symmetry of the Jacobian."""
    return model.clock == "log_loss" and not capabilities(solver).symmetric


def log_time(model: Any, s: Any, scaled_time: Any, log_loss: Any) -> jax.Array:
    return jnp.log(s) if model.clock == "time" else jnp.log(scaled_time) - log_loss


def squared_norm(tree: Any) -> jax.Array:
    return sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), start=jnp.zeros(()))


def path_record(model: Any, parameters: Any) -> dict[str, Any]:
    """What is recorded of a point of a path, its time apart."""
    gradient = jax.grad(descended(model))(parameters)
    squared = squared_norm(parameters)
    return {
        "log_inverse_loss": -model.log_loss(parameters),
        "norm": jnp.sqrt(squared),
        "speed": jnp.sqrt(squared_norm(gradient) / squared),
        "invariants": model.invariants(parameters),
        "observations": model.observe(parameters),
    }


def _distance_to_goal(t: Any, y: Any, args: Any, **_: Any) -> jax.Array:
    model, goal = args
    return (-model.log_loss(y[0]) - goal) / jnp.maximum(jnp.abs(goal), 1.0)


def solve(
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
        diffrax.ODETerm(partial(_vector_field, timed=is_timed(model, solver))),
        solver,
        now,
        limits["end"],
        step,
        state,
        (model, limits["goal"]),
        saveat=saveat,
        stepsize_controller=diffrax.PIDController(
            # diffrax advises pcoeff ≥ 0.2, icoeff ≥ 0.3 and a sum of at most 0.7 where errors are rough
            rtol=limits["rtol"],
            atol=limits["atol"],
            pcoeff=0.3,
            icoeff=0.4,
        ),
        event=diffrax.Event(_distance_to_goal, optimistix.Newton(rtol=1e-9, atol=1e-9)),
        max_steps=max_steps,
        throw=False,
        adjoint=diffrax.ForwardMode(),
    )


def first_step(model: Model, start: Parameters) -> jax.Array:
    """A step that moves θ by a hundredth of its size; the controller corrects it."""
    speed = squared_norm(jax.grad(descended(model))(start)) / squared_norm(start)
    return 1e-2 / jnp.sqrt(speed)


def limits_of(start: Parameters, goal: float, end: float, rtol: float) -> dict[str, np.ndarray]:
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(start)])
    atol = rtol * np.sqrt(np.mean(flat**2))
    limits = {"goal": goal, "end": end, "rtol": rtol, "atol": atol}
    return {name: np.asarray(value, np.float64) for name, value in limits.items()}


def compiled(function: partial[Any], *args: Any) -> tuple[Callable[..., Any], float]:
    """``function`` compiled for arguments of these shapes, and the seconds that took just now."""
    leaves, structure = jax.tree.flatten(args)
    shapes = tuple((np.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    key = function.func, repr(function.keywords), structure, shapes
    began = time.perf_counter()
    if key not in _executables:
        _executables[key] = jax.jit(function).lower(*args).compile()
    return _executables[key], time.perf_counter() - began
