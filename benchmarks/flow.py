"""Time to given levels of collapse: rescaled flow against full-batch gradient descent.

One setting of min2025 (K = 3, 8 samples a class, 48 neurons), one run, interleaved. Descent in JAX
is one compiled loop, descent in PyTorch the usual five lines; both use the largest step of a decade
that keeps the loss falling. Compilation is stated apart. Writes docs/benchmarks/flow.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.flow import gradient_flow
from ncollapse.geometry import cosines
from ncollapse.metrics import directional_collapse
from ncollapse.models import ReLUNetwork
from ncollapse.stats import ClassStats
from ncollapse.theory import relu_limit

WIDTH, SCALE, STEP, CHUNK = 48, 1e-3, 0.1, 2_000
DIRECTIONAL = (1e-2, 1e-4, 1e-6, 1e-8)
MARGIN = (1e-2, 1e-3, 1e-4)
OUT = Path(__file__).parents[1] / "docs" / "benchmarks" / "flow.md"
Levels = dict[tuple[str, float], float]


def distances(data: Dataset, hidden: np.ndarray) -> dict[str, float]:
    """Directional collapse, and the mean 1 − cos of neurons to their max-margin direction."""
    features = np.maximum(data.inputs @ hidden.T, 0.0)
    groups = np.argmax([features[data.labels == k].sum(axis=0) for k in range(3)], axis=0)
    alive = features.any(axis=0)
    directions = relu_limit(data).directions[groups[alive]]
    off = 1 - cosines(hidden[alive], directions)
    share = np.sum(hidden[alive] ** 2, axis=1)
    collapse = directional_collapse(ClassStats.from_arrays(features, data.labels).finish())
    return {"directional": collapse, "margin": float(share @ off / share.sum())}


def reached(found: Levels, distance: dict[str, float], seconds: float) -> None:
    for name, levels in (("directional", DIRECTIONAL), ("margin", MARGIN)):
        for level in levels:
            if distance[name] <= level:
                found.setdefault((name, level), seconds)


def by_flow(model: ReLUNetwork, data: Dataset, seed: int) -> tuple[Levels, float]:
    start = model.start(WIDTH, SCALE, seed)
    survey = gradient_flow(model, start, log_inverse_loss=3e4)
    found: Levels = {}
    for row, s in enumerate(survey.snapshot_s):
        hidden = model.lift({n: v[row] for n, v in survey.snapshots.items()})["hidden"]
        reached(found, distances(data, hidden), float(s))
    times = {
        key: gradient_flow(model, start, log_inverse_loss=3e4, s=s).seconds
        for key, s in found.items()
        if s > 0
    }
    return times, survey.compile_seconds


def by_descent(
    advance: Callable[[], np.ndarray], data: Dataset, budget: float
) -> tuple[Levels, int, dict[str, float]]:
    """Levels reached within ``budget`` seconds, steps taken, and where that got to."""
    found: Levels = {}
    seconds, steps, distance = 0.0, 0, {}
    while seconds < budget and len(found) < len(DIRECTIONAL) + len(MARGIN):
        began = time.perf_counter()
        hidden = advance()
        seconds += time.perf_counter() - began
        steps += CHUNK
        distance = distances(data, hidden)
        reached(found, distance, seconds)
    return found, steps, distance


def jax_descent(model: ReLUNetwork, seed: int) -> tuple[Callable[[], np.ndarray], float]:
    with jax.enable_x64(True):
        slope = jax.grad(lambda p: jnp.exp(model.log_loss(p)))

        def chunk(p):
            def once(_, q):
                return jax.tree.map(lambda leaf, change: leaf - STEP * change, q, slope(q))

            return jax.lax.fori_loop(0, CHUNK, once, p)

        state = {n: jnp.asarray(leaf) for n, leaf in model.start(WIDTH, SCALE, seed).items()}
        began = time.perf_counter()
        compiled = jax.jit(chunk).lower(state).compile()
        seconds = time.perf_counter() - began

    def advance() -> np.ndarray:
        nonlocal state
        with jax.enable_x64(True):
            state = compiled(state)
            return model.lift(state)["hidden"]

    return advance, seconds


def torch_descent(model: ReLUNetwork, data: Dataset, seed: int) -> Callable[[], np.ndarray]:
    start = model.lift(model.start(WIDTH, SCALE, seed))
    hidden, weight = (torch.tensor(start[n], requires_grad=True) for n in ("hidden", "weight"))
    inputs, labels = torch.tensor(data.inputs), torch.tensor(data.labels)
    optimiser = torch.optim.SGD([hidden, weight], lr=STEP)

    def advance() -> np.ndarray:
        for _ in range(CHUNK):
            optimiser.zero_grad()
            logits = torch.relu(inputs @ hidden.T) @ weight.T
            torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
            optimiser.step()
        return hidden.detach().numpy().copy()

    return advance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of descent a run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = orthogonally_separable(3, 8, 20, 0, scales=[1, 2, 3])
    model = ReLUNetwork.on(data)
    rows: dict[str, list[Levels]] = {"flow": [], "JAX descent": [], "PyTorch descent": []}
    compiling, ends = [], []
    for seed in range(arguments.seeds):
        flow, seconds = by_flow(model, data, seed)
        rows["flow"].append(flow)
        advance, jax_seconds = jax_descent(model, seed)
        found, steps, distance = by_descent(advance, data, arguments.budget)
        rows["JAX descent"].append(found)
        ends.append((steps, distance))
        found, _, _ = by_descent(torch_descent(model, data, seed), data, arguments.budget)
        rows["PyTorch descent"].append(found)
        if seed == 0:
            compiling = [("flow", seconds), ("JAX descent", jax_seconds)]
    text = report(rows, compiling, ends, arguments.budget)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(text)
    print(text)


def report(rows, compiling, ends, budget) -> str:
    def cell(levels: list[Levels], key: tuple[str, float], base: float) -> str:
        times = [found[key] for found in levels if key in found]
        if len(times) < len(levels):
            return f"not in {budget:g} s"
        median = statistics.median(times)
        return f"{median:.3g} s" if base == median else f"{median:.3g} s ({median / base:.2g}×)"

    lines = [
        "# Flow against gradient descent",
        "",
        "Median seconds to a level, after compilation, and in brackets the ratio to the flow:",
        "K = 3, 8 samples a class, d = 20, 48 neurons, one run, `python benchmarks/flow.py`.",
        "",
        "| level | " + " | ".join(rows) + " |",
        "|---|" + "---|" * len(rows),
    ]
    names = {"directional": "directional collapse", "margin": "1 − cos to max margin"}
    keys = [("directional", level) for level in DIRECTIONAL] + [("margin", v) for v in MARGIN]
    for key in keys:
        times = [found[key] for found in rows["flow"] if key in found]
        base = statistics.median(times) if times else float("nan")
        cells = " | ".join(cell(levels, key, base) for levels in rows.values())
        lines.append(f"| {names[key[0]]} ≤ {key[1]:g} | {cells} |")
    steps, distance = ends[0]
    lines += [
        "",
        f"After {steps:,} steps of size {STEP:g} descent in JAX stood at directional collapse "
        f"{distance['directional']:.2g} and 1 − cos {distance['margin']:.2g}.",
        "",
        "Compilation, once for each shape: "
        + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in compiling)
        + ".",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
