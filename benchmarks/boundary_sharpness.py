"""Where half of all draws can collapse, against the exact boundary and the paper's bounds.

Run: OMP_NUM_THREADS=1 python benchmarks/boundary_sharpness.py [--trials 5] [--sizes 300 600]
Writes docs/benchmarks/boundary_sharpness.md when both default sizes were run.

Draws are nested: one draw in the widest dimension, of which the first d coordinates are used, so
that feasibility is monotone in d and one bisection finds each draw's own threshold. For each d the
data have the distribution they would have if drawn alone, and the median of the thresholds is the
dimension at which half of all draws succeed.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ncollapse.certify import Direction, solve
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.geometry import unit_pair
from ncollapse.theory.boundary import gordon_bound, phase_boundary, theorem5a_bound, union_bound

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "boundary_sharpness.md"
SIZES = (300, 600)
WIDEST = 3.0


@dataclass(frozen=True)
class Setting:
    name: str
    means: np.ndarray
    sigma: float
    shares: tuple[float, ...]


SETTINGS = (
    Setting("K=2, θ=π", unit_pair(np.pi), 0.2, (1, 1)),
    Setting("K=2, θ=π", unit_pair(np.pi), 0.5, (1, 1)),
    Setting("K=2, θ=π", unit_pair(np.pi), 1.0, (1, 1)),
    Setting("K=2, θ=π/2", unit_pair(np.pi / 2), 0.5, (1, 1)),
    Setting("K=2, θ=0.5", unit_pair(0.5), 0.2, (1, 1)),
    Setting("K=2, θ=0.5", unit_pair(0.5), 1.0, (1, 1)),
    Setting("K=2, θ=0", unit_pair(0.0), 0.1, (1, 1)),
    Setting("K=2, θ=0", unit_pair(0.0), 1.0, (1, 1)),
    Setting("K=2, θ=π", unit_pair(np.pi), 1.0, (1, 2)),
    Setting("K=2, θ=0.5", unit_pair(0.5), 0.5, (1, 1 / 3)),
    Setting("K=3, μ=e", np.eye(3), 0.5, (1, 1, 1)),
    Setting("K=3, μ=e", np.eye(3), 1.0, (1, 0.5, 1)),
    Setting("K=4, μ=e", np.eye(4), 0.2, (1, 1, 1, 1)),
    Setting("K=4, μ=e", np.eye(4), 0.5, (1, 0.5, 0.5, 0.5)),
)


def threshold(setting: Setting, n: int, seed: int, centre: float) -> float:
    """d/n from which on one nested draw is feasible, to within one dimension."""
    counts = [round(share * n) for share in setting.shares]
    data = gaussian_mixture(setting.means, counts, setting.sigma, int(WIDEST * n), seed)
    own, rest = data.inputs[data.labels == 0], data.inputs[data.labels != 0]

    def feasible(dim: int) -> bool:
        return isinstance(solve(own[:, :dim], rest[:, :dim]), Direction)

    # Galloping from the prediction keeps most of the bisection near the answer.
    low = high = int(centre * n)
    step = max(4, n // 40)
    if feasible(high):
        while feasible(low):
            high, low = low, low - step
    else:
        while not feasible(high):
            low, high = high, high + step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if feasible(middle) else (middle, high)
    return high / n


def bounds(setting: Setting, n: int) -> list[float]:
    """The paper's sufficient ratios: union bound (K = 2) or Theorem 5(a), and Gordon's."""
    if len(setting.means) == 2:
        near = float(union_bound(setting.means, setting.sigma, n))
    else:
        near = float(theorem5a_bound(setting.means, setting.sigma, n))
    return [near, gordon_bound(len(setting.means), n)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    arguments = parser.parse_args()
    head = "| data | σ | n_k/n | n | half succeed at | boundary | difference | spread of one draw "
    head += "| paper: union / 5(a) | paper: Gordon |"
    lines = [head, "|" + "---|" * 10]
    print("\n".join(lines), flush=True)
    worst: dict[int, float] = {}
    start = time.perf_counter()
    for setting in SETTINGS:
        predicted = phase_boundary(
            setting.means, setting.sigma, [round(600 * share) for share in setting.shares]
        )
        for n in arguments.sizes:
            found = [
                threshold(setting, n, seed, float(predicted.ratio))
                for seed in range(arguments.trials)
            ]
            half, spread = float(np.median(found)), float(np.std(found))
            difference = half - float(predicted.ratio)
            worst[n] = max(worst.get(n, 0.0), abs(difference))
            near, gordon = (f"{b:.2f}" if b < 100 else "none" for b in bounds(setting, n))
            shares = ", ".join(f"{share:.2g}" for share in setting.shares)
            lines.append(
                f"| {setting.name} | {setting.sigma} | {shares} | {n} | {half:.4f} "
                f"| {float(predicted.ratio):.4f} | {difference:+.4f} | {spread:.4f} "
                f"| {near} | {gordon} |"
            )
            print(lines[-1], flush=True)
    summary = "; ".join(f"n = {n}: {gap:.4f}" for n, gap in worst.items())
    print(f"largest difference: {summary}; {time.perf_counter() - start:.0f} s")
    if tuple(arguments.sizes) == SIZES:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(
            "# The measured transition against the exact boundary\n\n"
            f"Median threshold d/n over {arguments.trials} nested draws of each mixture, class 0 "
            "against the rest. The bounds of the paper are sufficient conditions and may lie far "
            "above; “none” means that they promise nothing at this noise. The Gordon bound is "
            "stated for equal class sizes. "
            f"Largest difference to the boundary: {summary}. "
            "Written by `python benchmarks/boundary_sharpness.py`.\n\n" + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    main()
