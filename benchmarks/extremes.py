"""CPU seconds where one size is extreme: 200 samples of many features, and very many classes.

python benchmarks/extremes.py [--features D] [--classes K]
"""

from __future__ import annotations

import argparse
from time import process_time

import numpy as np

from ncollapse.metrics import compute, measure
from ncollapse.stats import ClassStats


def wide(dim: int) -> float:
    """Every metric of 200 samples of 10 classes."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((200, dim), dtype=np.float32)
    weight = rng.standard_normal((10, dim), dtype=np.float32)
    start = process_time()
    measure(features, np.arange(200) % 10, weight=weight)
    return process_time() - start


def pairs(num_classes: int) -> float:
    """Angles between all pairs of classes in 32 dimensions."""
    means = np.random.default_rng(0).standard_normal((num_classes, 32), dtype=np.float32)
    summary = ClassStats.from_arrays(means, np.arange(num_classes)).finish()
    start = process_time()
    compute(summary, preset=["nc2_equiangular_means"])
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--classes", type=int, default=50_257)
    arguments = parser.parse_args()
    print(f"all metrics, N = 200, D = {arguments.features}: {wide(arguments.features):.2f} s")
    print(f"angles, K = {arguments.classes}, D = 32: {pairs(arguments.classes):.2f} s")


if __name__ == "__main__":
    main()
