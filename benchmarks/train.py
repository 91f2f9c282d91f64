"""Cost of an epoch: Gram-form descent against PyTorch and JAX on W₁, as the input dimension grows."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np
import torch

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.train import TwoLayer, descend

COUNT, WIDTH, EPOCHS, STEP = 150, 32, 200, 0.1
LONG = 1000
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


def in_torch(start, inputs, one_hot, epochs):
    """Seconds an epoch of the same by PyTorch's automatic differentiation."""
    hidden, weight = (
        torch.tensor(start[name], requires_grad=True) for name in ("hidden", "weight")
    )
    inputs, labels = torch.tensor(inputs), torch.tensor(one_hot.argmax(axis=1))
    optimiser = torch.optim.SGD([hidden, weight], lr=STEP)
    began = time.perf_counter()
    for _ in range(epochs):
        optimiser.zero_grad()
        features = torch.relu(inputs @ hidden.T)
        loss = torch.nn.functional.cross_entropy(features @ weight.T, labels)
        loss = loss + 0.5 * DECAYS["weight_decay"] * weight.square().sum()
        (loss + 0.5 * DECAYS["feature_decay"] * features.square().sum()).backward()
        optimiser.step()
    return (time.perf_counter() - began) / epochs


def main() -> None:
    print(f"N = {2 * COUNT}, {WIDTH} neurons, float64, milliseconds an epoch")
    torch.set_num_threads(1)
    for dim in (150, 600, 2400):
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
        torched = 1e3 * in_torch(start, data.inputs, problem.one_hot, EPOCHS // 4)
        print(f"d = {dim:5d}: Gram form {gram:.3f}, JAX on W₁ {other:.3f}, PyTorch {torched:.3f}")
        print(f"  ratios {other / gram:.1f}, {torched / gram:.1f}; JAX apart by {off:.1e}")


if __name__ == "__main__":
    main()
