"""Kill a running sweep with SIGKILL at random moments, resume it, and check that nothing is lost.

Usage: python benchmarks/sweep_kills.py [--kills 50] [--workers 1] [--seed 0]

A child process runs the sweep and is killed, its workers with it, after a random time. After each
kill the folder is read with plain xarray: every cell that is marked done must hold the value that
an uninterrupted loop computes. Every cell appends a line to a log when it starts, so that cells
which start a second time although they were on disk are seen, and so are those in flight.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

from ncollapse.sweep import Grid, cell_seed, run_sweep

DIMS = {"sigma": [0.1, 0.5, 1.0, 2.0], "trial": range(1500)}
PAUSE = 0.005
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "sweep_kills.md"


def cell(sigma: float, trial: int, seed: int, log: str) -> float:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{sigma} {trial}\n".encode())
    os.close(descriptor)
    time.sleep(PAUSE)
    return value(sigma, seed)


def value(sigma: float, seed: int) -> float:
    return float(sigma * np.random.default_rng(seed).standard_normal())


def expected() -> np.ndarray:
    grid = Grid.from_values(DIMS)
    values = [value(c["sigma"], cell_seed(0, c, ["sigma", "trial"])) for c in grid]
    return np.array(values).reshape(grid.shape)


def sweep(folder: Path, log: Path, workers: int) -> xr.Dataset:
    arguments = {"log": str(log)}
    return run_sweep(
        cell, DIMS, folder, outputs={"value": float}, arguments=arguments, workers=workers
    )


def started_cells(log: Path) -> list[tuple[float, int]]:
    if not log.exists():
        return []
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(float(sigma), int(trial)) for sigma, trial in lines]


def read_done(folder: Path, reference: np.ndarray) -> tuple[set[tuple[float, int]], bool]:
    """Cells marked done, and whether all of them hold the right value."""
    if not (folder / "cells.zarr").exists():
        return set(), True
    with xr.open_zarr(folder / "cells.zarr") as found:
        done, values = found["done"].values, found["value"].values
    cells = {(DIMS["sigma"][i], int(j)) for i, j in np.argwhere(done)}
    return cells, bool((values[done] == reference[done]).all())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        sweep(Path(options.child[0]), Path(options.child[1]), options.workers)
        return
    report = kill_and_resume(options.kills, options.workers, options.seed)
    print(report)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(report + "\n")


def kill_and_resume(kills: int, workers: int, seed: int) -> str:
    generator = np.random.default_rng(seed)
    reference = expected()
    again, lost, wrong, idle = 0, 0, 0, 0
    in_flight: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name) / "sweep", Path(name) / "log"
        done: set[tuple[float, int]] = set()
        for number in range(kills):
            before = len(started_cells(log))
            process = start(folder, log, workers)
            if number % 5:
                wait_for_more(log, before, process)
                time.sleep(generator.uniform(0.0, 0.7))
            else:
                time.sleep(generator.uniform(0.0, 6.0))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            fresh = started_cells(log)[before:]
            idle += not fresh
            now, right = read_done(folder, reference)
            again += len(done & set(fresh))
            lost += len(done - now)
            wrong += not right
            in_flight.append(len(set(fresh) - now))
            done = now
        left = reference.size - len(done)
        before = len(started_cells(log))
        result = sweep(folder, log, 0)
        last = started_cells(log)[before:]
        again += len(done & set(last))
        identical = bool((result["value"].values == reference).all())
        total = len(started_cells(log))
    return "\n".join(
        [
            "# Killing a sweep",
            "",
            f"`python benchmarks/sweep_kills.py --kills {kills} --workers {workers} "
            f"--seed {seed}`: {reference.size:,} cells of {1000 * PAUSE:g} ms, SIGKILL to all its "
            "processes at random moments (every fifth within six seconds of the start, the "
            "others within 0.7 s of the first cell), then a resume to the end.",
            "",
            "| | |",
            "|---|---|",
            f"| kills | {kills} |",
            f"| of them before the first cell (start-up, making or reading the folder) | {idle} |",
            f"| finished cells lost | {lost} |",
            f"| finished cells computed again | {again} |",
            f"| kills after which a finished cell held a wrong value | {wrong} |",
            f"| cells in flight at a kill, median and most | {np.median(in_flight):g}, "
            f"{max(in_flight)} |",
            f"| cells computed, of which in flight at a kill | {total:,}, {sum(in_flight)} |",
            f"| cells left for the last resume | {left:,} |",
            f"| final result equal to the uninterrupted loop, bit for bit | "
            f"{'yes' if identical else 'NO'} |",
        ]
    )


def wait_for_more(log: Path, before: int, process: subprocess.Popen[bytes]) -> None:
    while len(started_cells(log)) <= before:
        if process.poll() is not None:
            raise RuntimeError(f"the sweep ended by itself with status {process.returncode}")
        time.sleep(0.002)


def start(folder: Path, log: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        __file__,
        "--workers",
        str(workers),
        "--child",
        str(folder),
        str(log),
    ]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
