"""Time to decide whether one class can collapse: `certify` against linear programming.

Run: OMP_NUM_THREADS=1 python benchmarks/certify.py [--seeds 3] [--ratios 1.1 2] [--skip SCS]
Writes docs/benchmarks/certify.md when all sizes were run. One thread; solvers take turns on each
instance; the medians are over seeds. HiGHS takes seconds per instance, so all of it takes a while.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cvxpy as cp
import numpy as np
from scipy.optimize import linprog

from ncollapse.certify import Direction, solve, verify
from ncollapse.data.synthetic import gaussian_mixture

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "certify.md"
SIGMA = 0.5
SETTINGS = {
    "K=2, n=300": (np.array([[1.0, 0.0], [-1.0, 0.0]]), 300, (1.1, 1.2, 1.4, 1.5, 2.0, 3.0, 4.0)),
    "K=4, n=250": (np.eye(4), 250, (1.1, 1.5, 1.9, 2.2, 2.5, 3.0, 4.0)),
}
Solver = Callable[[np.ndarray, np.ndarray], str]


def highs(method: str) -> Solver:
    def run(own: np.ndarray, rest: np.ndarray) -> str:
        answer = linprog(
            np.zeros(own.shape[1]),
            A_ub=rest,
            b_ub=np.zeros(len(rest)),
            A_eq=own,
            b_eq=np.ones(len(own)),
            bounds=(None, None),
            method=method,
        )
        return {0: "feasible", 2: "infeasible"}.get(answer.status, f"status {answer.status}")

    return run


def through_cvxpy(name: str) -> Solver:
    def run(own: np.ndarray, rest: np.ndarray) -> str:
        beta = cp.Variable(own.shape[1])
        problem = cp.Problem(cp.Minimize(0), [own @ beta == 1, rest @ beta <= 0])
        try:
            problem.solve(solver=name)
        except cp.SolverError:
            return "failed"
        known = {"optimal": "feasible", "infeasible": "infeasible"}
        return known.get(str(problem.status), str(problem.status))

    return run


PEERS: dict[str, Solver] = {
    "HiGHS ds": highs("highs-ds"),
    "HiGHS ipm": highs("highs-ipm"),
    "Clarabel": through_cvxpy("CLARABEL"),
    "SCS": through_cvxpy("SCS"),
    "OSQP": through_cvxpy("OSQP"),
}


def timed(run: Callable, *arguments: object) -> tuple:
    start = time.perf_counter()
    result = run(*arguments)
    return time.perf_counter() - start, result


def measure(means: np.ndarray, n: int, ratio: float, seeds: int, peers: dict[str, Solver]) -> dict:
    ours, proven, verdicts, verified = [], [], [], 0
    others: dict[str, list[float]] = {name: [] for name in peers}
    unequal: dict[str, list[str]] = {name: [] for name in peers}
    for seed in range(seeds):
        data = gaussian_mixture(means, n, SIGMA, round(ratio * n), seed)
        own, rest = data.inputs[data.labels == 0], data.inputs[data.labels != 0]
        for name, peer in peers.items():
            # Ours is timed beside each of the others, so that both meet the same noise.
            seconds, answer = timed(solve, own, rest)
            more, check = timed(verify, own, rest, answer)
            ours.append(seconds)
            proven.append(seconds + more)
            taken, told = timed(peer, own, rest)
            others[name].append(taken)
            verdict = "feasible" if isinstance(answer, Direction) else "infeasible"
            if told != verdict:
                unequal[name].append(told)
        verdicts.append(verdict)
        verified += check.verified
    return {
        "ours": statistics.median(ours),
        "proven": statistics.median(proven),
        "feasible": verdicts.count("feasible"),
        "verified": verified,
        "peers": {name: statistics.median(times) for name, times in others.items()},
        "unequal": unequal,
    }


def row(setting: str, ratio: float, seeds: int, found: dict) -> str:
    cells = [
        setting,
        f"{ratio}",
        f"{found['feasible']}/{seeds}",
        f"{found['verified']}/{seeds}",
        f"{1e3 * found['ours']:.1f}",
        f"{1e3 * found['proven']:.1f}",
    ]
    for name, seconds in found["peers"].items():
        counts = Counter(found["unequal"][name])
        told = "".join(f", {count} of {seeds}: {other}" for other, count in counts.items())
        cells.append(f"{seconds:.2f} s, {seconds / found['proven']:.0f}×{told}")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: the comparison is for one thread")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ratios", type=float, nargs="*")
    parser.add_argument("--skip", nargs="*", default=[])
    arguments = parser.parse_args()
    peers = {name: run for name, run in PEERS.items() if name not in arguments.skip}
    head = ["data", "d/n", "feasible", "verified", "ours, ms", "with proof, ms", *peers]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    print("\n".join(lines), flush=True)
    for setting, (means, n, ratios) in SETTINGS.items():
        for ratio in ratios:
            if arguments.ratios and ratio not in arguments.ratios:
                continue
            found = measure(means, n, ratio, arguments.seeds, peers)
            lines.append(row(setting, ratio, arguments.seeds, found))
            print(lines[-1], flush=True)
    if not arguments.ratios:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(
            "# Deciding whether one class can collapse\n\n"
            f"Gaussian mixtures at σ = {SIGMA}, class 0 against the rest, one thread, medians over "
            f"{arguments.seeds} seeds; HiGHS is called through SciPy, the others through CVXPY. "
            "Factors are against our time with the proof included. "
            "Written by `python benchmarks/certify.py`.\n\n" + "\n".join(lines) + "\n"
        )


if __name__ == "__main__":
    main()
