"""Time hong2025's Figure 1 from nothing, over numbers of workers, beside one linear program a cell.

Usage: python benchmarks/figure1.py [--scale paper] [--workers 1 2] [--programs 5] [--repeat 1]

Each run computes the whole figure into a fresh folder, start of the workers included. The results
of all runs must be identical. The linear programs are a random sample of the figure's cells, each
solved by SciPy's HiGHS as the paper's experiment does; the time of all cells is extrapolated.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from scipy.optimize import linprog
from threadpoolctl import threadpool_limits

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.papers.hong2025 import figure1
from ncollapse.papers.hong2025.phase import Grid, Phase

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "figure1.md"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", choices=figure1.scales, default="paper")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--programs", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=1)
    options = parser.parse_args()
    seconds: dict[int, list[float]] = {workers: [] for workers in options.workers}
    results = []
    for _ in range(options.repeat):
        for workers in options.workers:
            taken, result = timed_figure(options.scale, workers)
            seconds[workers].append(taken)
            results.append(result)
    grid, found = results[0].grid, results[0].cells
    cells = found["feasible"].size * len(grid.ratios)
    programs, agree = linear_programs(grid, results[0], options.programs)
    lines = [
        "# Figure 1 of hong2025",
        "",
        f"`python benchmarks/figure1.py --scale {options.scale}`: {cells:,} cells, n = "
        f"{grid.count}, {int(found['verdicts'].sum()):,} programs solved, "
        f"{int(found['proven'].sum()):,} verdicts proven; from nothing to the finished file, "
        f"start of the workers included, median of {options.repeat}.",
        "",
        "| workers | seconds | speed-up |",
        "|---|---|---|",
    ]
    fewest = min(options.workers)
    first = median(seconds[fewest])
    for workers in sorted(options.workers):
        taken = median(seconds[workers])
        lines.append(f"| {workers} | {taken:.1f} | {first / taken:.2f} |")
    lines += [
        "",
        "Results of all runs are bit-identical: "
        + ("yes" if all(found.identical(other.cells) for other in results) else "NO"),
    ]
    if programs:
        whole = median(programs) * cells
        lines += [
            "",
            f"One linear program a cell, HiGHS in one thread, {len(programs)} random cells: "
            f"median {median(programs):.2f} s (from {min(programs):.2f} to {max(programs):.2f}), "
            f"so {whole / 3600:.1f} h for all cells on one core, {whole / first:,.0f} times the "
            f"time of {fewest} worker(s). Verdicts equal: {agree} of {len(programs)}.",
        ]
    report = "\n".join(lines)
    print(report)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(report + "\n")


def timed_figure(scale: str, workers: int) -> tuple[float, Phase]:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        settings = figure1.scales[scale]
        result = figure1(**settings, folder=Path(folder) / "sweep", workers=workers)
        return time.perf_counter() - start, result


def linear_programs(grid: Grid, result: Phase, count: int) -> tuple[list[float], int]:
    """Seconds for ``count`` random cells, and how many verdicts equal a success rate of 0 or 1."""
    generator = np.random.default_rng(0)
    success = result.success
    seconds: list[float] = []
    agree = 0
    while len(seconds) < count:
        i, j, k = (int(generator.integers(size)) for size in success.shape)
        if 0.0 < float(success[i, j, k]) < 1.0:
            continue
        angle, sigma = grid.angles[i], grid.sigmas[j]
        data = gaussian_mixture(grid.means(angle), grid.count, sigma, grid.dimensions[k], generator)
        own, rest = data.of_class(0), data.of_class(1)
        with threadpool_limits(limits=1):
            start = time.perf_counter()
            answer = linprog(
                np.zeros(own.shape[1]),
                A_ub=rest,
                b_ub=np.zeros(len(rest)),
                A_eq=own,
                b_eq=np.ones(len(own)),
                bounds=(None, None),
                method="highs",
            )
            seconds.append(time.perf_counter() - start)
        agree += (answer.status == 0) == bool(success[i, j, k])
    return seconds, agree


if __name__ == "__main__":
    main()
