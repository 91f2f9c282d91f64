"""Classes that a two-layer ReLU network loses: forecast from its start against its flow.

Run: OMP_NUM_THREADS=1 python benchmarks/lost_classes.py [--starts 100]
Writes docs/benchmarks/lost_classes.md. Start number i draws data with seed i and weights with seed
1000 + i; the flow runs to log(1/L) = 8, or until nothing changes any more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ncollapse.data import orthogonally_separable
from ncollapse.flow import gradient_flow
from ncollapse.models import ReLUNetwork
from ncollapse.theory.alignment import forecast_alignment

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "lost_classes.md"
SETTINGS = (
    # classes, samples a class, dimensions, neurons, largest scale, size of the start
    (8, 2, 16, 40, 10, 1e-12),
    (8, 2, 16, 40, 10, 1e-6),
    (8, 2, 16, 40, 10, 1e-3),
    (8, 2, 16, 40, 10, 1e-1),
    (3, 8, 20, 8, 3, 1e-6),
)
HEAD = """# Lost classes: forecast against flow

`theory.forecast_alignment` follows each neuron of a start alone, as in the limit of small starts; the
flow is the whole network. Data are orthogonally separable with class scales from 1 to the largest. A
start is a hit when both lose the same set of classes. "Growth" is the mean of `slowest_growth`: by how
many e-folds the slowest class grows before the fastest is fitted. Written by
`python benchmarks/lost_classes.py`.

| K | n | d | neurons | scales | start | growth | starts that lose a class | hits |
|---|---|---|---|---|---|---|---|---|
"""


def compare(setting: tuple, seed: int) -> tuple[bool, bool, float]:
    """Whether the flow loses a class, whether the forecast says which, and the growth."""
    classes, per_class, dim, width, top, size = setting
    scales = np.linspace(1, top, classes)
    data = orthogonally_separable(classes, per_class, dim, seed, scales=scales)
    model = ReLUNetwork.on(data)
    start = model.start(width, size, 1000 + seed)
    lifted = model.lift(start)
    forecast = forecast_alignment(lifted["hidden"], lifted["weight"], data)
    run = gradient_flow(model, start, log_inverse_loss=8.0, rtol=1e-5)
    groups = np.asarray(run.observations["groups"][-1])
    sizes = np.bincount(groups[groups >= 0], minlength=classes)
    lost = tuple(np.flatnonzero(sizes == 0).tolist())
    return bool(lost), lost == forecast.lost, forecast.slowest_growth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=100)
    starts = parser.parse_args().starts
    rows = []
    for setting in SETTINGS:
        losing, hits, growth = np.array(
            [compare(setting, seed) for seed in range(starts)], dtype=float
        ).T
        classes, per_class, dim, width, top, size = setting
        rows.append(
            f"| {classes} | {per_class} | {dim} | {width} | 1 … {top} | {size:g} | "
            f"{growth.mean():.2f} | {losing.sum():.0f} | {hits.sum():.0f} of {starts} |"
        )
        print(rows[-1], flush=True)
        TABLE.write_text(HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
