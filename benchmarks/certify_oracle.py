"""Certificates against z3's exact rational arithmetic on small data, degenerate on purpose.

Run: python benchmarks/certify_oracle.py [--instances 6000] [--seed 0]
Writes docs/benchmarks/certify_oracle.md when all default instances were run.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import z3

from ncollapse.certify import certify

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "certify_oracle.md"
INSTANCES = 6_000
Instance = tuple[np.ndarray, np.ndarray]


def degenerate_instance(rng: np.random.Generator) -> Instance:
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


def _labels(rng: np.random.Generator) -> np.ndarray:
    """2 … 4 classes of 1 … 6 samples, at most 15 in all."""
    counts = rng.integers(1, 7, int(rng.integers(2, 5)))
    return np.repeat(np.arange(len(counts)), counts)[:15]


def _clouds(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Gaussian samples around class means, in about as many dimensions as they need."""
    dim = int(rng.integers(1, 10))
    means = rng.uniform(0, 2) * rng.standard_normal((labels.max() + 1, dim))
    return means[labels] + rng.standard_normal((len(labels), dim))


def rounded_mixtures(rng: np.random.Generator) -> Instance:
    """Some samples are t·a + (1 − t)·b of two others, rounded to float64."""
    labels = _labels(rng)
    inputs = _clouds(rng, labels)
    for _ in range(int(rng.integers(1, 4))):
        target, a, b = rng.integers(0, len(labels), 3)
        t = rng.choice([rng.random(), 0.5, 0.1, -0.5, 1.5])
        inputs[target] = t * inputs[a] + (1 - t) * inputs[b]
    return inputs, labels


def rounded_low_rank(rng: np.random.Generator) -> Instance:
    """A product of thin factors: of low rank up to rounding, of full rank exactly."""
    labels = _labels(rng)
    inputs = _clouds(rng, labels)
    rank = int(rng.integers(1, inputs.shape[1] + 1))
    return inputs[:, :rank] @ rng.standard_normal((rank, inputs.shape[1])), labels


def near_copies(rng: np.random.Generator) -> Instance:
    """Copies and multiples, some of them moved by a few units in the last place."""
    labels = _labels(rng)
    inputs = _clouds(rng, labels)
    for _ in range(int(rng.integers(1, 4))):
        source, target = rng.integers(0, len(labels), 2)
        moves = 1.0 + 2.0**-52 * rng.integers(-2, 3, inputs.shape[1])
        inputs[target] = rng.choice([1.0, 1.0, 3.0, 0.1, -1.0]) * inputs[source] * moves
    return inputs, labels


def decimals(rng: np.random.Generator) -> Instance:
    """One decimal, as in a table: relations that hold in decimals are broken by rounding."""
    labels = _labels(rng)
    return np.round(_clouds(rng, labels), 1) + 0.0, labels


def standardised(rng: np.random.Generator) -> Instance:
    """Small integers less their rounded mean, over their rounded deviation."""
    inputs, labels = degenerate_instance(rng)
    spread = inputs.std(axis=0)
    return (inputs - inputs.mean(axis=0)) / np.where(spread > 0, spread, 1.0), labels


def unit_directions(rng: np.random.Generator) -> Instance:
    """Small integers, rows divided by their rounded norms."""
    inputs, labels = degenerate_instance(rng)
    norms = np.linalg.norm(inputs, axis=1, keepdims=True)
    return inputs / np.where(norms > 0, norms, 1.0), labels


FAMILIES: dict[str, Callable[[np.random.Generator], Instance]] = {
    "degenerate integers": degenerate_instance,
    "rounded mixtures": rounded_mixtures,
    "rounded low rank": rounded_low_rank,
    "near copies": near_copies,
    "decimals": decimals,
    "standardised integers": standardised,
    "unit rows": unit_directions,
}


def exactly_feasible(inputs: np.ndarray, labels: np.ndarray, index: int) -> bool:
    """Ask z3's linear real arithmetic for β with ⟨x, β⟩ = 1 on the class and ≤ 0 off it."""
    solver = z3.SolverFor("QF_LRA")
    beta = [z3.Real(f"b{j}") for j in range(inputs.shape[1])]
    for row, label in zip(inputs.tolist(), labels.tolist(), strict=True):
        values = (z3.RealVal(str(Fraction(value))) for value in row)
        product = z3.Sum([value * b for value, b in zip(values, beta, strict=True)])
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
        parts = () if entry.answer is None else vars(entry.answer).values()
        counts["by the exact simplex method"] += any(part.dtype == object for part in parts)
    return counts


COLUMNS = ("classes", "feasible", "infeasible", "verified", "by the exact simplex method")
COLUMNS += ("undecided", "wrong", "falsely verified")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    each = arguments.instances // len(FAMILIES)
    start = time.perf_counter()
    totals: dict[str, Counter[str]] = {}
    for place, (name, draw) in enumerate(FAMILIES.items()):
        rng = np.random.default_rng([arguments.seed, place])
        totals[name] = sum((compare(*draw(rng)) for _ in range(each)), Counter())
    totals["all"] = sum(totals.values(), Counter())
    lines = ["| data | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, counts in totals.items():
        lines.append(f"| {name} | " + " | ".join(str(counts[column]) for column in COLUMNS) + " |")
    table = "\n".join(lines)
    seconds = time.perf_counter() - start
    print(f"{each} instances each, seed {arguments.seed}, {seconds:.0f} s\n{table}")
    if arguments.instances == INSTANCES:
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_text(
            "# Certificates against an exact rational oracle\n\n"
            f"{each} random data sets of each kind (K = 2 … 4, at most 15 samples, d = 1 … 9), "
            f"seed {arguments.seed}, each class decided by z3's linear real arithmetic on the "
            "numbers as stored and by `certify`. Degenerate integers hold copies, shared points, "
            "zero vectors, low rank and multiples. Written by "
            "`python benchmarks/certify_oracle.py`.\n\n" + table + "\n"
        )


if __name__ == "__main__":
    main()
