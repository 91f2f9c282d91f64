"""Discrete optimisers beside the flow: gradient descent, momentum and Adam, through optax.

They descend the loss itself, as people do, not its logarithm: the comparison that the rescaled
clock is measured against.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ncollapse._checks import check_positive
from ncollapse.flow._interface import check_model, check_resumed, describe
from ncollapse.flow._recorder import drift
from ncollapse.flow._solve import path_record
from ncollapse.models import Model, Parameters
from ncollapse.runs import End, Run
from ncollapse.setup import Setup

OPTIMISERS = {
    "gd": optax.sgd,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "adam": optax.adam,
}
"""Optimisers by name; momentum is 0.9, Adam has optax's defaults."""


def descend(
    model: Model,
    start: Parameters,
    *,
    optimiser: str = "gd",
    learning_rate: float,
    epochs: int,
    records: int = 40,
    scale: float = 1.0,
    setup: Setup | None = None,
    resume: Run | None = None,
) -> Run:
    """Full-batch training of ``scale`` · L for ``epochs`` steps, in float64.

    Parameters
    ----------
    optimiser
        A name in `OPTIMISERS`.
    records
        About how many epochs to record, spread evenly in log(epoch); the last one always is.
    scale
        Multiplies the loss: 1/N turns a summed loss into the mean that learning rates are usually
        quoted for.
    setup, resume
        As in `gradient_flow`; a resumed run may differ in ``epochs`` and ``records``.

    Returns
    -------
    Run
        With a record and a snapshot at each of these epochs; ``log_time`` is log of epochs ·
        learning rate · scale, the time of the flow that gradient descent follows. An interrupt
        ends it at the last record.

    Raises
    ------
    TypeError, ValueError
        A model or start that `gradient_flow` refuses; an unknown optimiser, a learning rate or
        scale that is not positive, no epochs beyond those of the resumed run.
    FloatingPointError
        The loss stopped being finite: the learning rate is too large.
    """
    if optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser must be one of {', '.join(OPTIMISERS)}, not {optimiser!r}")
    done = 0 if resume is None else int(resume.s[-1])
    if epochs < done + 1:
        raise ValueError(f"epochs must be at least {done + 1}, but it is {epochs}")
    check_positive("scale", scale)
    rule, advance, observe = _compiled_training(
        optimiser, check_positive("learning_rate", learning_rate)
    )
    with jax.enable_x64(True):
        start = check_model(model, start)
        options = {"learning_rate": learning_rate, "scale": scale}
        options |= {"epochs": epochs, "records": records}
        setup = describe(model, start, setup, optimiser, options)
        began = time.perf_counter()
        parameters: Any = jax.tree.map(jnp.asarray, start)
        carry = (parameters, rule.init(parameters))
        first = jax.tree.map(np.asarray, observe(model, carry[0]))
        history = [{"s": 0.0, "parameters": start, **first}]
        if resume is not None:
            check_resumed(resume, setup, start, without=("epochs", "records"))
            carry = _state_of(resume, carry)
        jax.block_until_ready(advance(model, scale, 0, carry))
        compiled = time.perf_counter()
        end = End.EPOCHS, f"Did {epochs} epochs."
        try:
            for mark in np.unique(np.geomspace(1, epochs, records).round().astype(int)):
                if mark <= done:
                    continue
                later = advance(model, scale, int(mark - done), carry)
                record = jax.tree.map(np.asarray, observe(model, later[0]))
                _check_level(float(record["log_inverse_loss"]), int(mark), learning_rate)
                carry, done = later, int(mark)
                history.append({"s": float(mark), "parameters": carry[0], **record})
        except KeyboardInterrupt:
            if len(history) == 1:
                raise
            end = End.INTERRUPTED, f"Interrupted at epoch {done}; the records up to there are kept."
        return _run(
            model,
            setup,
            end,
            history,
            resume,
            time_step=learning_rate * scale,
            parameters=jax.tree.map(np.asarray, carry[0]),
            state=tuple(np.asarray(leaf) for leaf in jax.tree.leaves(carry[1])),
            seconds=(time.perf_counter() - compiled, compiled - began),
        )


@cache
def _compiled_training(optimiser: str, learning_rate: float) -> tuple[Any, Any, Any]:
    """The rule, ``count`` epochs of it, and what is recorded of the model: compiled once a shape."""
    rule = OPTIMISERS[optimiser](learning_rate)

    def run(model: Any, scale: Any, count: Any, carry: Any) -> Any:
        def epoch(_: Any, carry: Any) -> Any:
            parameters, state = carry
            gradient = jax.grad(lambda p: scale * model.loss(p))(parameters)
            updates, state = rule.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state

        return jax.lax.fori_loop(0, count, epoch, carry)

    return rule, jax.jit(run), jax.jit(path_record)


def _state_of(run: Run, carry: Any) -> Any:
    """Parameters and the optimiser's state where ``run`` ended, in the shape of ``carry``."""
    state = jax.tree.unflatten(jax.tree.structure(carry[1]), map(jnp.asarray, run.state))
    return jax.tree.map(jnp.asarray, run.at(-1)), state


def _check_level(level: float, epoch: int, learning_rate: float) -> None:
    if np.isnan(level) or level == -np.inf:
        raise FloatingPointError(
            f"the loss is not finite after {epoch} epochs: learning_rate "
            f"{learning_rate:g} is too large"
        )


def _run(
    model: Model,
    setup: Setup,
    end: tuple[End, str],
    history: list[dict[str, Any]],
    resumed: Run | None,
    *,
    time_step: float,
    parameters: Parameters,
    state: tuple[np.ndarray, ...],
    seconds: tuple[float, float],
) -> Run:
    joined = jax.tree.map(lambda *leaves: np.stack(leaves), *history)
    invariants = joined.pop("invariants")
    joined["drift"] = drift(invariants, invariants[0], joined["norm"])
    path = jax.tree.map(
        lambda leaf: leaf[1:], {k: v for k, v in joined.items() if k != "parameters"}
    )
    snapshot_s, snapshots = joined["s"], joined["parameters"]
    if resumed is not None:
        before = {name: getattr(resumed, name) for name in path}
        path = jax.tree.map(lambda *leaves: np.concatenate(leaves), before, path)
        snapshot_s = np.concatenate([resumed.snapshot_s, snapshot_s[1:]])
        snapshots = jax.tree.map(
            lambda old, new: np.concatenate([old, new[1:]]), resumed.snapshots, snapshots
        )
        seconds = seconds[0] + resumed.seconds, seconds[1] + resumed.compile_seconds
    path["drift"] = np.maximum.accumulate(path["drift"])
    steps = int(path["s"][-1])
    return Run(
        setup=setup,
        end=end[0],
        stopped=end[1],
        **path,
        log_time=np.log(path["s"] * time_step),
        snapshot_s=snapshot_s,
        snapshots=snapshots,
        parameters=model.lift(parameters),
        steps=steps,
        rejected=0,
        evaluations=steps,
        seconds=seconds[0],
        compile_seconds=seconds[1],
        state=state,
        model=model,
    )
