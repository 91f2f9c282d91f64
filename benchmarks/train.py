"""Cost of an epoch: Gram-form descent against plain JAX on W₁, as the input dimension grows."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.train import TwoLayer, descend

COUNT, WIDTH, EPOCHS, STEP = 150, 32, 200, 0.1
LONG = 4000
"""Epochs of the cheap form, against which its two records weigh little."""
DECAYS = {"weight_decay": 1e-3, "feature_decay": 1e-6}


@jax.jit
def plain(hidden, weight, inputs, one_hot):
    """The same epochs by automatic differentiation of (2.4)."""

    def risk(parameters):
        hidden, weight = parameters
        features = jax.nn.relu(inputs @ hidden.T)
        logits = features @ weight.T
        losses = jax.nn.logsumexp(logits, axis=1) - jnp.sum(logits * one_hot, axis=1)
        decay = DECAYS["weight_decay"] * jnp.sum(weight**2)
        return jnp.mean(losses) + 0.5 * (decay + DECAYS["feature_decay"] * jnp.sum(features**2))

    def epoch(_, parameters):
        gradient = jax.grad(risk)(parameters)
        return jax.tree.map(lambda p, g: p - STEP * g, parameters, gradient)

    return jax.lax.fori_loop(0, EPOCHS, epoch, (hidden, weight))


def main() -> None:
    print(f"N = {2 * COUNT}, {WIDTH} neurons, float64, milliseconds an epoch")
    for dim in (150, 600, 2400, 9600):
        data = gaussian_mixture([[1.0], [-1.0]], COUNT, 0.5, dim, 0)
        problem = TwoLayer.on(data, **DECAYS)
        start = problem.start(WIDTH)
        run = descend(problem, start=start, epochs=EPOCHS, drops=(EPOCHS, EPOCHS), records=2)
        longer = descend(problem, start=start, epochs=LONG, drops=(LONG, LONG), records=2)
        with jax.enable_x64(True):
            given = [jnp.asarray(part) for part in (start["hidden"], start["weight"])]
            given += [jnp.asarray(data.inputs), jnp.asarray(problem.one_hot)]
            jax.block_until_ready(plain(*given))
            began = time.perf_counter()
            hidden, _ = jax.block_until_ready(plain(*given))
            seconds = time.perf_counter() - began
        off = float(np.abs(np.asarray(hidden) - run.parameters["hidden"]).max())
        gram, other = 1e3 * longer.seconds / LONG, 1e3 * seconds / EPOCHS
        print(f"d = {dim:5d}: Gram form {gram:.3f}, JAX on W₁ {other:.3f}; apart by {off:.1e}")


if __name__ == "__main__":
    main()
