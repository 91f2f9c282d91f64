"""Certificates against exact rational arithmetic on small integer data, degenerate on purpose.

Run: python benchmarks/certify_oracle.py [--instances 10000] [--seed 0]
Writes docs/benchmarks/certify_oracle.md when all default instances were run.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import z3

from ncollapse.certify import certify

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "certify_oracle.md"
INSTANCES = 10_000


def degenerate_instance(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Small integers with copies, shared points, zero rows, low rank and multiples mixed in."""
    num_classes, dim = int(rng.integers(2, 5)), int(rng.integers(1, 7))
    labels = np.repeat(np.arange(num_classes), rng.integers(1, 5, num_classes))
    size = int(rng.integers(1, 4))
    inputs = rng.integers(-size, size + 1, (len(labels), dim))
    if rng.random() < 0.4:
        # Cluster means pull some instances to the feasible side.
        inputs = inputs + rng.integers(-4, 5, (num_classes, dim))[labels]
    if rng.random() < 0.3:
        rank = int(rng.integers(1, dim + 1))
        inputs = rng.integers(-2, 3, (len(labels), rank)) @ rng.integers(-2, 3, (rank, dim))
    if rng.random() < 0.3:
        inputs = inputs * rng.integers(0, 2, inputs.shape)
    for _ in range(int(rng.integers(0, 3))):
        source, target = rng.integers(0, len(labels), 2)
        inputs[target] = int(rng.integers(-1, 4)) * inputs[source]
    return inputs, labels


def exactly_feasible(inputs: np.ndarray, labels: np.ndarray, index: int) -> bool:
    """Ask z3's linear real arithmetic for β with ⟨x, β⟩ = 1 on the class and ≤ 0 off it."""
    solver = z3.SolverFor("QF_LRA")
    beta = [z3.Real(f"b{j}") for j in range(inputs.shape[1])]
    for row, label in zip(inputs.tolist(), labels.tolist(), strict=True):
        product = z3.Sum([value * b for value, b in zip(row, beta, strict=True)])
        solver.add(product == 1 if label == index else product <= 0)
    return solver.check() == z3.sat


def compare(inputs: np.ndarray, labels: np.ndarray) -> Counter[str]:
    """Count right, wrong, falsely verified and undecided classes of one instance."""
    counts: Counter[str] = Counter()
    for index, entry in enumerate(certify(inputs, labels).classes):
        truth = "feasible" if exactly_feasible(inputs, labels, index) else "infeasible"
        counts["classes"] += 1
        counts[truth] += 1
        if entry.verdict == "undecided":
            counts["undecided"] += 1
        elif entry.verdict != truth:
            counts["wrong"] += 1
            counts["falsely verified"] += entry.verified
        counts["verified"] += entry.verified
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    totals: Counter[str] = Counter()
    start = time.perf_counter()
    for _ in range(arguments.instances):
        totals += compare(*degenerate_instance(rng))
    seconds = time.perf_counter() - start
    names = ("classes", "feasible", "infeasible", "verified")
    names += ("undecided", "wrong", "falsely verified")
    table = "\n".join(
        ["| count | number |", "|---|---|", *(f"| {n} | {totals[n]} |" for n in names)]
    )
    print(f"{arguments.instances} instances, seed {arguments.seed}, {seconds:.0f} s\n{table}")
    if arguments.instances == INSTANCES:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(
            "# Certificates against an exact rational oracle\n\n"
            f"{arguments.instances} random integer data sets (K = 2 … 4, 1 … 4 samples a class, "
            "d = 1 … 6; copies, shared points, zero vectors, low rank, multiples), "
            f"seed {arguments.seed}, each class decided by z3's linear real arithmetic and by "
            "`certify`. Written by `python benchmarks/certify_oracle.py`.\n\n" + table + "\n"
        )


if __name__ == "__main__":
    main()
