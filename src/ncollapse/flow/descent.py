"""Discrete optimisers beside the flow: gradient descent, momentum and Adam, through optax.

They descend the loss itself, as people do, not its logarithm: the comparison that the rescaled
clock is measured against.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ncollapse._checks import check_positive
from ncollapse.models import Model, Parameters

OPTIMISERS = {
    "gd": optax.sgd,
    "momentum": lambda learning_rate: optax.sgd(learning_rate, momentum=0.9),
    "adam": optax.adam,
}
"""Optimisers by name; momentum is 0.9, Adam has optax's defaults."""


@dataclass(frozen=True, eq=False)
class Descent:
    """What full-batch training leaves behind, recorded at T epochs.

    ``epochs (T,)``, ``log_inverse_loss (T,)``; ``observations`` of the model, each with leading
    dimension T; ``parameters`` at the end, as the optimiser holds them.
    """

    model: Model
    optimiser: str
    epochs: np.ndarray
    log_inverse_loss: np.ndarray
    observations: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    seconds: float
    compile_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The end of the run, ready for JSON; log(1/L) is None where L is exactly zero."""
        level = float(self.log_inverse_loss[-1])
        return {
            "optimiser": self.optimiser,
            "epochs": int(self.epochs[-1]),
            "log_inverse_loss": level if np.isfinite(level) else None,
            "observations": {
                name: np.asarray(values[-1]).tolist() for name, values in self.observations.items()
            },
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
        }


def descend(
    model: Model,
    start: Parameters,
    *,
    optimiser: str = "gd",
    learning_rate: float,
    epochs: int,
    records: int = 40,
    scale: float = 1.0,
) -> Descent:
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

    Raises
    ------
    ValueError
        An unknown optimiser, a learning rate or scale that is not positive, no epochs.
    FloatingPointError
        The loss stopped being finite: the learning rate is too large.
    """
    if optimiser not in OPTIMISERS:
        raise ValueError(f"optimiser must be one of {', '.join(OPTIMISERS)}, not {optimiser!r}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, but it is {epochs}")
    check_positive("scale", scale)
    rule, run, look = _compiled_training(optimiser, check_positive("learning_rate", learning_rate))
    with jax.enable_x64(True):
        began = time.perf_counter()
        parameters: Any = {name: jnp.asarray(leaf, jnp.float64) for name, leaf in start.items()}
        carry = (parameters, rule.init(parameters))
        jax.block_until_ready((run(model, scale, 0, carry), look(model, parameters)))
        compiled = time.perf_counter()
        marks = np.unique(np.geomspace(1, epochs, records).round().astype(int))
        done, levels, seen = 0, [], []
        for mark in marks:
            carry = run(model, scale, int(mark - done), carry)
            done = int(mark)
            level, observed = look(model, carry[0])
            if np.isnan(level) or level == -np.inf:
                raise FloatingPointError(
                    f"the loss is not finite after {done} epochs: learning_rate "
                    f"{learning_rate:g} is too large"
                )
            levels.append(float(level))
            seen.append({name: np.asarray(value) for name, value in observed.items()})
        return Descent(
            model=model,
            optimiser=optimiser,
            epochs=marks,
            log_inverse_loss=np.array(levels),
            observations={name: np.stack([one[name] for one in seen]) for name in seen[0]},
            parameters={name: np.asarray(leaf) for name, leaf in carry[0].items()},
            seconds=time.perf_counter() - compiled,
            compile_seconds=compiled - began,
        )


@cache
def _compiled_training(optimiser: str, learning_rate: float) -> tuple[Any, Any, Any]:
    """The rule, ``count`` epochs of it, and a look at the model: compiled once a shape."""
    rule = OPTIMISERS[optimiser](learning_rate)

    def run(model: Any, scale: Any, count: Any, carry: Any) -> Any:
        loss = getattr(model, "loss", None) or (lambda p: jnp.exp(model.log_loss(p)))

        def epoch(_: Any, carry: Any) -> Any:
            parameters, state = carry
            gradient = jax.grad(lambda p: scale * loss(p))(parameters)
            updates, state = rule.update(gradient, state, parameters)
            return optax.apply_updates(parameters, updates), state

        return jax.lax.fori_loop(0, count, epoch, carry)

    return rule, jax.jit(run), jax.jit(lambda model, p: (-model.log_loss(p), model.observe(p)))
