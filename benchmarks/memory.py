"""Peak memory of 50,000 classes in 4096 dimensions: statistics, then metrics that need no pairs.

python benchmarks/memory.py [--classes K] [--dim D] [--samples N]
"""

from __future__ import annotations

import argparse
import resource
from time import perf_counter

import numpy as np

from ncollapse.metrics import compute
from ncollapse.stats import ClassStats

PRESET = ("nc1_pinv", "nc2_etf_means", "nc2_equinorm_means", "nc3_alignment", "nc3_duality")


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--samples", type=int, default=100_000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    stats = ClassStats(arguments.classes, arguments.dim)
    start = perf_counter()
    for first in range(0, arguments.samples, 4096):
        labels = np.arange(first, min(first + 4096, arguments.samples)) % arguments.classes
        stats.update(rng.standard_normal((len(labels), arguments.dim), dtype=np.float32), labels)
    summary = stats.finish()
    print(f"statistics: {perf_counter() - start:.0f} s, peak {peak_gib():.2f} GiB", flush=True)
    del stats
    weight = rng.standard_normal((arguments.classes, arguments.dim), dtype=np.float32)
    found = compute(summary, preset=PRESET, weight=weight)
    print(f"metrics: {perf_counter() - start:.0f} s, peak {peak_gib():.2f} GiB")
    print(found)


if __name__ == "__main__":
    main()
