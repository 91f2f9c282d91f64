"""Layer-peeled model: this flow against what a user would pick, to equal levels of collapse.

Run: OMP_NUM_THREADS=1 python benchmarks/unconstrained.py [--rounds 3] [--epochs 100000]
Writes docs/benchmarks/unconstrained.md.

Setting of ji2022 Figure 2 (K = 5, n = 10, D = 20). Gradient descent in PyTorch and in JAX trains
the mean loss with step 5; the level that it ends at, the mean cosine error of the class means, is
then asked of the flow, and of SciPy's and diffrax's solvers on the unscaled problem dθ/dt = −∇L.
Rounds are interleaved; medians are reported; compilation is timed apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from scipy.integrate import solve_ivp

from ncollapse.flow import gradient_flow
from ncollapse.flow.descent import descend
from ncollapse.flow.steppers import Rosenbrock
from ncollapse.models.free_features import LayerPeeled
from ncollapse.theory.layer_peeled import log_loss, log_loss_gradient
from ncollapse.unconstrained import flow_ulpm, flow_ulpm_ensemble

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "unconstrained.md"
SHAPE = {"num_classes": 5, "per_class": 10, "dim": 20}
MODEL = LayerPeeled.of(5, 10)
START = MODEL.start(20, 1.0, 0)
STEP = 5.0
SIZES = [START["weight"].size]


def train_torch(epochs: int) -> None:
    weight = torch.tensor(START["weight"], requires_grad=True)
    features = torch.tensor(START["features"], requires_grad=True)
    labels = torch.arange(5).repeat_interleave(10)
    optimiser = torch.optim.SGD([weight, features], lr=STEP)
    for _ in range(epochs):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(features @ weight.T, labels).backward()
        optimiser.step()


def unscaled_field(_: float, flat: np.ndarray) -> np.ndarray:
    weight, features = (part.reshape(-1, 20) for part in np.split(flat, SIZES))
    size = np.exp(log_loss(weight, features))
    d_weight, d_features = log_loss_gradient(weight, features)
    return -size * np.concatenate([d_weight.ravel(), d_features.ravel()])


def solve_scipy(time_end: float, method: str) -> None:
    flat = np.concatenate([START["weight"].ravel(), START["features"].ravel()])
    solve_ivp(unscaled_field, (0.0, time_end), flat, method=method, rtol=1e-6, atol=1e-9)


def unscaled_diffrax() -> Callable[[float], Any]:
    def field(_: Any, parameters: Any, __: Any) -> Any:
        gradient = jax.grad(lambda p: jnp.exp(MODEL.log_loss(p)))(parameters)
        return jax.tree.map(jnp.negative, gradient)

    @jax.jit
    def solve(end: Any) -> Any:
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Dopri8(),
            0.0,
            end,
            1e-2,
            START,
            stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-9),
            max_steps=1_000_000,
        ).ys

    return lambda end: jax.block_until_ready(solve(end))


def timed(action: Callable[[], Any]) -> float:
    """Seconds of an action; what it compiled is not counted if it says how long that took."""
    began = time.perf_counter()
    result = action()
    took = time.perf_counter() - began
    result = getattr(result, "trajectory", result)
    return took - getattr(result, "compile_seconds", 0.0)


def compare(rounds: int, epochs: int) -> list[str]:
    trained = descend(MODEL, START, learning_rate=STEP, epochs=epochs, scale=1 / 50, records=2)
    level = float(trained.observations["nc2_equiangular_means"][-1])
    goal = float(trained.log_inverse_loss[-1])
    time_end = epochs * STEP / 50
    whole = gradient_flow(
        MODEL, START, log_inverse_loss=goal + 30.0, rtol=1e-7, solver=Rosenbrock()
    )
    reached = whole.observations["nc2_equiangular_means"] < level
    equal = float(whole.log_inverse_loss[reached][0])
    plain = unscaled_diffrax()
    with jax.enable_x64(True):
        plain(1.0)
    rivals: dict[str, Callable[[], Any]] = {
        "this flow": lambda: flow_ulpm(**SHAPE, until=equal),
        "JAX gradient descent": lambda: descend(
            MODEL, START, learning_rate=STEP, epochs=epochs, scale=1 / 50, records=2
        ),
        "PyTorch gradient descent": lambda: train_torch(epochs),
        "SciPy RK45, unscaled": lambda: solve_scipy(time_end, "RK45"),
        "SciPy DOP853, unscaled": lambda: solve_scipy(time_end, "DOP853"),
        "diffrax Dopri8, unscaled": lambda: plain(time_end),
    }
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, action in rivals.items():
            with jax.enable_x64(True):
                seconds[name].append(timed(action))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    lines = [
        f"To a cosine error of {level:.2e} (where {epochs} epochs of descent end), "
        f"{rounds} rounds interleaved, medians, after compilation:",
        "",
        "| way | seconds | ratio to this flow |",
        "|---|---|---|",
    ]
    for name, value in medians.items():
        lines.append(f"| {name} | {value:.3f} | {value / medians['this flow']:.1f} |")
    return lines


def far_end() -> list[str]:
    lines = [
        "",
        "The flow beyond, one run each:",
        "",
        "| log(1/L) | seconds | steps | evaluations | drift | cosine error |",
        "|---|---|---|---|---|---|",
    ]
    for until in (400.0, 1e4, 1e6, 1e8):
        path = flow_ulpm(**SHAPE, until=until).trajectory
        error = path.observations["nc2_equiangular_means"][-1]
        lines.append(
            f"| {until:g} | {path.seconds:.3f} | {path.steps} | {path.evaluations} "
            f"| {path.drift[-1]:.1e} | {error:.1e} |"
        )
    return lines


def ensemble(size: int) -> list[str]:
    alone = statistics.median(
        flow_ulpm(**SHAPE, until=400.0, seed=seed).trajectory.seconds for seed in range(3)
    )
    together = flow_ulpm_ensemble(**SHAPE, until=400.0, seeds=list(range(size)))
    each = together.seconds / size
    device = jax.devices()[0].device_kind
    return [
        "",
        f"Ensemble of {size} seeds to log(1/L) = 400 on {device}: {each:.4f} s a seed, "
        f"alone {alone:.4f} s, ratio {alone / each:.1f}; {int(together.reached.sum())} reached it.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100_000)
    parser.add_argument("--members", type=int, default=256)
    options = parser.parse_args()
    lines = ["# Layer-peeled model: speed", ""]
    lines += compare(options.rounds, options.epochs) + far_end() + ensemble(options.members)
    text = "\n".join(lines) + "\n"
    print(text)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(text)


if __name__ == "__main__":
    main()
