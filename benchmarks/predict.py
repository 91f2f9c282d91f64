"""The convex program against CVXPY with Clarabel, and at 1,000 different counts.

    python benchmarks/predict.py

Both solve the same problem in the same run; times are seconds of this process on the processor.
"""

from __future__ import annotations

import time

import cvxpy as cp
import numpy as np

from ncollapse.theory.imbalance import Problem, solve


def counts_of(size: int, least: int) -> np.ndarray:
    """Counts that all differ, imbalance 100."""
    return np.round(np.geomspace(least, 100 * least, size))


def program(counts: np.ndarray, level: float) -> Problem:
    return Problem.of_classes("cross_entropy", counts / counts.sum(), np.sqrt(counts), level)


def by_cvxpy(counts: np.ndarray, level: float) -> float:
    """Columns scaled alike and the objective by 100: Clarabel fails on (P) as it is written."""
    size, shares = len(counts), counts / counts.sum()
    unit = np.sqrt(counts).mean()
    scaled = cp.Variable((size, size))
    logits = scaled @ np.diag(unit / np.sqrt(counts))
    losses = [cp.log_sum_exp(logits[:, k]) - logits[k, k] for k in range(size)]
    objective = shares @ cp.hstack(losses) + level * unit * cp.normNuc(scaled)
    return float(cp.Problem(cp.Minimize(100 * objective)).solve(solver="CLARABEL")) / 100


def timed(function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


def main() -> None:
    for size in (10, 50):
        counts = counts_of(size, 30)
        level = 0.3 * np.sqrt(counts.min()) / counts.sum()
        ours, own_time = timed(lambda p: solve(p, tolerance=1e-8), program(counts, level))
        theirs, their_time = timed(by_cvxpy, counts, level)
        print(
            f"K = {size}: values differ by {abs(ours.risk - theirs) / theirs:.1e}, "
            f"gap {ours.gap:.1e}, {own_time:.3f} s against {their_time:.1f} s"
        )
    counts = counts_of(1000, 300)
    for share in (0.3, 2.5):
        level = share * np.sqrt(counts.min()) / counts.sum()
        ours, own_time = timed(lambda p: solve(p, tolerance=1e-6), program(counts, level))
        print(f"K = 1000, Nλ = {share} √n_min: gap {ours.gap:.1e}, {own_time:.1f} s")
    counts = np.array([1000.0] * 3000 + [300.0] * 3000 + [100.0] * 4000)
    ours, own_time = timed(lambda p: solve(p, tolerance=1e-8), program(counts, 1e-6))
    print(f"K = 10000 in three groups: gap {ours.gap:.1e}, {own_time:.3f} s")


if __name__ == "__main__":
    main()
