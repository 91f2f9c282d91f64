"""Layer-peeled model: this flow against what a user would pick, to equal levels of collapse.

Run: OMP_NUM_THREADS=1 python benchmarks/unconstrained.py [--rounds 3] [--epochs 100000] [--kvaerno]
Writes docs/benchmarks/unconstrained.md.

Setting of ji2022 Figure 2 (K = 5, n = 10, D = 20). A level is a mean cosine error of the class
means: first the one that gradient descent on the mean loss, with step 5, ends at, then smaller
ones. SciPy's and diffrax's solvers integrate the unscaled problem dθ/dt = −∇L to the time at which
the level is reached; each result is measured, and one that misses the level, or runs out of the
budget of seconds, has no ratio. Rounds are interleaved; medians; compilation is timed apart.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
from scipy.integrate import solve_ivp

from ncollapse.flow import Rosenbrock, descend, gradient_flow
from ncollapse.models import LayerPeeled
from ncollapse.models.unconstrained import collapse_metrics
from ncollapse.theory.layer_peeled import log_loss, log_loss_gradient

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "unconstrained.md"
MODEL = LayerPeeled.of(5, 10)
START = MODEL.start(20, 1.0, 0)
STEP = 5.0
SIZES = [START["weight"].size]
LEVELS = (1e-3, 1e-4, 1e-5)
BUDGET = 30.0
LEVEL = "nc2_equiangular_means"
Ends = tuple[Any, Any]


def train_torch(epochs: int) -> Ends:
    weight = torch.tensor(START["weight"], requires_grad=True)
    features = torch.tensor(START["features"], requires_grad=True)
    labels = torch.arange(5).repeat_interleave(10)
    optimiser = torch.optim.SGD([weight, features], lr=STEP)
    for _ in range(epochs):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(features @ weight.T, labels).backward()
        optimiser.step()
    return features.detach().numpy(), weight.detach().numpy()


def train_jax(epochs: int) -> tuple[Ends, float]:
    run = descend(MODEL, START, learning_rate=STEP, epochs=epochs, scale=1 / 50, records=2)
    return (run.parameters["features"], run.parameters["weight"]), run.compile_seconds


class OutOfBudgetError(Exception):
    """A solver took longer than `BUDGET`."""


def solve_scipy(method: str, time_end: float) -> Ends:
    began = time.perf_counter()

    def field(_: float, flat: np.ndarray) -> np.ndarray:
        if time.perf_counter() - began > BUDGET:
            raise OutOfBudgetError
        weight, features = (part.reshape(-1, 20) for part in np.split(flat, SIZES))
        size = np.exp(log_loss(weight, features))
        d_weight, d_features = log_loss_gradient(weight, features)
        return -size * np.concatenate([d_weight.ravel(), d_features.ravel()])

    flat = np.concatenate([START["weight"].ravel(), START["features"].ravel()])
    found = solve_ivp(field, (0.0, time_end), flat, method=method, rtol=1e-6, atol=1e-9)
    weight, features = (part.reshape(-1, 20) for part in np.split(found.y[:, -1], SIZES))
    return features, weight


def unscaled_diffrax() -> Callable[[float], Ends]:
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
            max_steps=100_000,
            throw=False,
        ).ys

    def run(time_end: float) -> Ends:
        end = jax.block_until_ready(solve(time_end))
        return end["features"][-1], end["weight"][-1]

    return run


def follow(solver: Any, goal: float) -> tuple[Ends, float]:
    path = gradient_flow(MODEL, START, log_inverse_loss=goal, rtol=1e-7, solver=solver)
    return (path.parameters["features"], path.parameters["weight"]), path.compile_seconds


def timed(action: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of an action without what it spent compiling, and the level that it reached."""
    began = time.perf_counter()
    try:
        result = action()
    except OutOfBudgetError:
        return time.perf_counter() - began, np.inf
    took = time.perf_counter() - began
    if isinstance(result[1], float):
        result, compiling = result
        took -= compiling
    return took, float(collapse_metrics(*map(jnp.asarray, result))[LEVEL])


def rivals(goal: float, time_end: float, plain: Callable[[float], Ends]) -> dict[str, Any]:
    return {
        "this flow": partial(follow, diffrax.Dopri8(), goal),
        "this flow, Rosenbrock steps": partial(follow, Rosenbrock(), goal),
        "diffrax Dopri8, unscaled": partial(plain, time_end),
        "SciPy RK45, unscaled": partial(solve_scipy, "RK45", time_end),
        "SciPy DOP853, unscaled": partial(solve_scipy, "DOP853", time_end),
        "SciPy LSODA, unscaled": partial(solve_scipy, "LSODA", time_end),
    }


def compare(rounds: int, epochs: int) -> list[str]:
    whole = gradient_flow(MODEL, START, log_inverse_loss=600.0, rtol=1e-7, solver=Rosenbrock())
    trained, _ = train_jax(epochs)
    first = float(collapse_metrics(*map(jnp.asarray, trained))[LEVEL])
    descents: dict[str, Callable[[], Any]] = {
        "JAX gradient descent": partial(train_jax, epochs),
        "PyTorch gradient descent": partial(train_torch, epochs),
    }
    plain = unscaled_diffrax()
    plain(np.float64(1.0))
    lines = [f"To equal cosine error, {rounds} rounds interleaved, medians, after compilation."]
    lines += [
        f"The first is what {epochs:,} epochs of descent reach. This flow steps explicitly up to "
        "log(1/L) = 1000; unlike the others it records every metric, the conserved quantities and "
        "log t at each step.",
        "",
    ]
    lines += ["| cosine error | log(1/L) | epochs needed | way | seconds | ratio to this flow |"]
    lines += ["|---|---|---|---|---|---|"]
    for level in (first, *LEVELS):
        record = int(np.argmax(whole.observations[LEVEL] < level))
        goal, log_time = float(whole.log_inverse_loss[record]), float(whole.log_time[record])
        ways = rivals(goal, np.exp(log_time), plain) | (descents if level == first else {})
        times: dict[str, list[float]] = {name: [] for name in ways}
        reached: dict[str, float] = {}
        for _ in range(rounds):
            for name, action in ways.items():
                seconds, reached[name] = timed(action)
                times[name].append(seconds)
        own = statistics.median(times["this flow"])
        decades = (log_time + np.log(50 / STEP)) / np.log(10)
        for name, values in times.items():
            taken = statistics.median(values)
            ratio = f"{taken / own:.2f}" if reached[name] < 1.1 * level else "level not reached"
            lines.append(
                f"| {level:.1e} | {goal:.3g} | 10^{decades:.0f} | {name} | {taken:.3f} | {ratio} |"
            )
            print(lines[-1], flush=True)
    return lines


def steppers(rounds: int, *, kvaerno: bool) -> list[str]:
    """How far each stepper gets, and at what cost."""
    goals = {
        "explicit, Dopri8": (diffrax.Dopri8(), (400.0, 1e4)),
        "Rosenbrock, conjugate gradients": (Rosenbrock(), (400.0, 1e4, 1e6, 1e8)),
    }
    if kvaerno:
        goals["implicit, Kvaerno5, dense Jacobian, one run"] = (diffrax.Kvaerno5(), (20.0,))
    lines = ["", "Steppers on the rescaled clock, relative tolerance 1e-7:", ""]
    lines += ["| stepper | log(1/L) | seconds | steps | evaluations | drift | cosine error |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, (solver, levels) in goals.items():
        for goal in levels:
            runs = [
                gradient_flow(MODEL, START, log_inverse_loss=goal, rtol=1e-7, solver=solver)
                for _ in range(1 if kvaerno and "Kvaerno" in name else rounds)
            ]
            path = runs[-1]
            lines.append(
                f"| {name} | {goal:g} | {statistics.median(run.seconds for run in runs):.3f} "
                f"| {path.steps} | {path.evaluations} | {path.drift[-1]:.1e} "
                f"| {path.observations[LEVEL][-1]:.1e} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=100_000)
    parser.add_argument("--kvaerno", action="store_true", help="minutes for one run")
    options = parser.parse_args()
    lines = ["# Layer-peeled model: speed", ""]
    with jax.enable_x64(True):
        lines += compare(options.rounds, options.epochs)
        lines += steppers(options.rounds, kvaerno=options.kvaerno)
    text = "\n".join(lines) + "\n"
    print(text)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(text)


if __name__ == "__main__":
    main()
