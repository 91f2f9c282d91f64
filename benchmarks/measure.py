"""Time of one pass of class statistics against the time limit and the usual two-pass recipe.

    python benchmarks/measure.py [--samples N] [--batch B] [--rounds R] [--device cuda]

The limit is NumPy's `X.T @ X` over the same batches plus one index-add of the features to a (K, D)
array, by `np.add.at` and by a sparse product (a faster index-add than NumPy has). On a CUDA
device the limit is PyTorch's product and `index_add_`. Everything is run in turn, round by
round; the table shows medians.
"""

from __future__ import annotations

import argparse
import platform
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch

from ncollapse.stats import ClassStats

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks"
BOUND = (
    "What one pass can save: the scatter takes N·D²/2 multiplications as a symmetric product, which "
    "NumPy uses for `X.T @ X`, and N·D² as PyTorch's general one; one-hot means take N·K·D more. So "
    "two passes in NumPy cost 1 + 2K/D times the scatter alone (1.0 at K = 10; 4.9, 3.0, 2.0 at K = "
    "1000 for D = 512, 1024, 2048), in PyTorch 2 + 2K/D times ours (2.0; 5.9, 4.0, 3.0), and no "
    "single pass that forms the scatter can win by more, but for the second reading of the features."
)
EXTREMES = "\n## Extreme sizes\n"
"""The section of the page that `extremes.py` measures, which is kept."""

Batches = list[tuple[Any, Any]]


def limit(batches: Batches, num_classes: int, *, fast: bool) -> None:
    dim = batches[0][0].shape[1]
    gram, sums = np.zeros((dim, dim), np.float32), np.zeros((num_classes, dim), np.float32)
    for features, labels in batches:
        gram += features.T @ features
        if fast:
            rows = np.arange(len(labels))
            ones = np.ones(len(labels), np.float32)
            hot = sparse.csr_array((ones, (labels, rows)), shape=(num_classes, len(labels)))
            sums += hot @ features
        else:
            np.add.at(sums, labels, features)


def limit_torch(batches: Batches, num_classes: int) -> None:
    features, _ = batches[0]
    dim = features.shape[1]
    gram, sums = features.new_zeros((dim, dim)), features.new_zeros((num_classes, dim))
    for features, labels in batches:
        gram += features.T @ features
        sums.index_add_(0, labels, features)


def two_pass(batches: Batches, num_classes: int) -> None:
    """One-hot means, then scatter and variances: what people write."""
    dim = batches[0][0].shape[1]
    one_hot = torch.nn.functional.one_hot if torch.is_tensor(batches[0][0]) else None
    like = batches[0][0]
    zeros = like.new_zeros if one_hot else lambda shape: np.zeros(shape, np.float32)
    counts, means = zeros((num_classes,)), zeros((num_classes, dim))
    eye = None if one_hot else np.eye(num_classes, dtype=np.float32)
    for features, labels in batches:
        hot = one_hot(labels, num_classes).to(like.dtype) if one_hot else eye[labels]
        means += hot.T @ features
        counts += hot.sum(0)
    means /= counts.clip(min=1)[:, None]
    scatter, variances = zeros((dim, dim)), zeros((num_classes,))
    for features, labels in batches:
        hot = one_hot(labels, num_classes).to(like.dtype) if one_hot else eye[labels]
        apart = features - means[labels]
        scatter += apart.T @ apart
        variances += hot.T @ (apart**2).sum(1)


def ours(batches: Batches, num_classes: int) -> None:
    stats = ClassStats(num_classes, batches[0][0].shape[1])
    for features, labels in batches:
        stats.update(features, labels)
    if stats.num_samples != sum(len(labels) for _, labels in batches):  # flushes the buffer
        raise RuntimeError("samples were lost")


def contestants(
    numpy_batches: Batches, torch_batches: Batches, num_classes: int
) -> dict[str, Callable]:
    cuda = torch_batches[0][0].is_cuda
    found: dict[str, Callable] = {}
    if cuda:
        found["limit"] = lambda: limit_torch(torch_batches, num_classes)
    else:
        found["limit"] = lambda: limit(numpy_batches, num_classes, fast=False)
        found["limit, sparse add"] = lambda: limit(numpy_batches, num_classes, fast=True)
        found["ours, NumPy"] = lambda: ours(numpy_batches, num_classes)
        found["two-pass, NumPy"] = lambda: two_pass(numpy_batches, num_classes)
    found["ours, PyTorch"] = lambda: ours(torch_batches, num_classes)
    found["two-pass, PyTorch"] = lambda: two_pass(torch_batches, num_classes)
    return found


def timed(run: Callable, cuda: bool) -> float:
    if cuda:
        torch.cuda.synchronize()
    start = perf_counter()
    run()
    if cuda:
        torch.cuda.synchronize()
    return perf_counter() - start


def peak_mib(run: Callable) -> float:
    """Peak of what one run allocates through Python's allocators (NumPy's arrays are counted)."""
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def case(dim: int, num_classes: int, arguments: argparse.Namespace) -> dict[str, float]:
    rng = np.random.default_rng(0)
    count = arguments.samples
    labels = rng.integers(0, num_classes, count)
    means = rng.standard_normal((num_classes, dim)).astype(np.float32)
    features = rng.standard_normal((count, dim)).astype(np.float32)
    features *= 0.1
    features += means[labels]
    device = torch.device(arguments.device)
    cuda = device.type == "cuda"
    cuts = range(0, count, arguments.batch)
    on_host = [(features[i : i + arguments.batch], labels[i : i + arguments.batch]) for i in cuts]
    on_device = [
        (torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)) for x, y in on_host
    ]
    runs = contestants(on_host, on_device, num_classes)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds + 1):
        for name, run in runs.items():
            times[name].append(timed(run, cuda))
    row = {name: median(values[1:]) for name, values in times.items()}
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        runs["ours, PyTorch"]()
        row["peak MiB"] = (torch.cuda.max_memory_allocated() - held) / 2**20
    else:
        row["peak MiB"] = peak_mib(runs["ours, NumPy"])
    return row


def table(rows: list[tuple[int, int, dict[str, float]]]) -> str:
    names = [name for name in rows[0][2] if name != "peak MiB"]
    mine = [name for name in names if name.startswith("ours")]
    others = [name for name in names if not name.startswith("ours")]
    ratios = [
        (other, own)
        for own in mine
        for other in others
        if other.startswith("limit") or other.endswith(own.split(", ")[1])
    ]
    head = ["D", "K", *[f"{name} (ms)" for name in names]]
    head += [f"{other} ÷ {own}" for other, own in ratios] + ["peak MiB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for dim, num_classes, row in rows:
        cells = [str(dim), str(num_classes), *[f"{row[name] * 1e3:.1f}" for name in names]]
        cells += [f"{row[other] / row[own]:.2f}" for other, own in ratios]
        lines.append("| " + " | ".join([*cells, f"{row['peak MiB']:.0f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=32768)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000, 5000])
    arguments = parser.parse_args()
    rows = []
    for dim in arguments.dims:
        for num_classes in arguments.classes:
            rows.append((dim, num_classes, case(dim, num_classes, arguments)))
            print(table(rows[-1:]), flush=True)
    cuda = arguments.device.startswith("cuda")
    where = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    text = (
        f"# Statistics in one pass ({where})\n\n"
        f"{arguments.samples} float32 samples in batches of {arguments.batch}, in memory; "
        f"medians of {arguments.rounds} interleaved rounds; "
        f"NumPy {np.__version__}, PyTorch {torch.__version__}, "
        f"{torch.get_num_threads()} threads. A ratio above 1 means that ours is faster.\n\n"
        f"{table(rows)}\n\n{BOUND}\n"
    )
    TABLE.mkdir(parents=True, exist_ok=True)
    page = TABLE / f"measure{'-cuda' if cuda else ''}.md"
    by_hand = page.read_text().partition(EXTREMES)[1:] if page.exists() else ()
    page.write_text(text + "".join(by_hand))
    print(text)


if __name__ == "__main__":
    main()
