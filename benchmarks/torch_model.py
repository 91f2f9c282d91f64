"""Measuring through a network: forward passes, time and memory against what people write.

    python benchmarks/torch_model.py [--samples N] [--rounds R] [--device cuda]

The recipe goes over the data twice: class means, then within-class scatter, with a D×D
pseudo-inverse at the end. Collecting goes over it once, keeps all features, and then does the same.
"forward only" is one pass that measures nothing: the limit. Everything is run in turn, round by
round; the table shows medians. Peak memory is that of a process of its own, above the peak of a
pass that measures nothing.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn

from ncollapse.torch import measure_model

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks"


class Network(nn.Module):
    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        sizes = (3, 32, 64, 128)
        blocks: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            blocks += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.neck = nn.Sequential(nn.Linear(sizes[-1], dim), nn.ReLU())
        self.fc = nn.Linear(dim, num_classes)
        self.calls = 0

    def features(self, images: Tensor) -> Tensor:
        self.calls += 1
        return self.neck(self.body(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images))


class Loader:
    """Class patterns with noise, made batch by batch."""

    def __init__(self, count: int, batch: int, num_classes: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.labels = (torch.arange(count) % num_classes).to(device)
        patterns = torch.randn(min(num_classes, 100), 3, 32, 32, generator=generator)
        self.patterns = 3 * patterns.to(device)
        self.noise = torch.randn(batch, 3, 32, 32, generator=generator).to(device)
        self.batch = batch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for labels in self.labels.split(self.batch):
            yield self.patterns[labels % len(self.patterns)] + self.noise[: len(labels)], labels


def forward_only(model: Network, loader: Loader) -> None:
    for images, _ in loader:
        model(images)


def one_pass(model: Network, loader: Loader) -> float:
    return measure_model(model, loader, nc4=False, progress=False).metrics["nc1_pinv"]


def with_nc4(model: Network, loader: Loader) -> float:
    return measure_model(model, loader, progress=False).metrics["nc1_pinv"]


def recipe(model: Network, loader: Loader) -> float:
    """One-hot means in the first pass, scatter and nearest-mean decisions in the second."""
    num_classes, dim = model.fc.weight.shape
    means = model.fc.weight.new_zeros(num_classes, dim)
    counts = model.fc.weight.new_zeros(num_classes)
    for images, labels in loader:
        hot = nn.functional.one_hot(labels, num_classes).to(means.dtype)
        means += hot.T @ model.features(images)
        counts += hot.sum(0)
    means /= counts.clip(min=1)[:, None]
    scatter, agreements = means.new_zeros(dim, dim), 0
    for images, labels in loader:
        features = model.features(images)
        apart = features - means[labels]
        scatter += apart.T @ apart
        nearest = torch.cdist(features, means).argmin(1)
        agreements += int((nearest == model.fc(features).argmax(1)).sum())
    return _nc1(scatter / len(loader.labels), means)


def collect(model: Network, loader: Loader) -> float:
    """All features kept, then the same formulas."""
    features = torch.cat([model.features(images) for images, _ in loader])
    num_classes, dim = model.fc.weight.shape
    means = features.new_zeros(num_classes, dim).index_add_(0, loader.labels, features)
    means /= torch.bincount(loader.labels, minlength=num_classes).clip(min=1)[:, None]
    apart = features - means[loader.labels]
    return _nc1(apart.T @ apart / len(features), means)


def _nc1(within: Tensor, means: Tensor) -> float:
    centred = means - means.mean(0)
    between = centred.T @ centred / len(means)
    return float((within @ torch.linalg.pinv(between, hermitian=True)).trace() / len(means))


CONTESTANTS: dict[str, Callable[[Network, Loader], float | None]] = {
    "forward only": forward_only,
    "ours": one_pass,
    "ours with nc4": with_nc4,
    "recipe with nc4": recipe,
    "collect": collect,
}


def scene(arguments: argparse.Namespace, dim: int, num_classes: int) -> tuple[Network, Loader]:
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    model = Network(dim, num_classes).to(device).eval().requires_grad_(False)
    return model, Loader(arguments.samples, arguments.batch, num_classes, device)


def timed(run: Callable, model: Network, loader: Loader) -> float:
    if model.fc.weight.is_cuda:
        torch.cuda.synchronize()
    start = perf_counter()
    run(model, loader)
    if model.fc.weight.is_cuda:
        torch.cuda.synchronize()
    return perf_counter() - start


def peak_mib(arguments: argparse.Namespace, name: str, dim: int, num_classes: int) -> float:
    command = [sys.executable, __file__, "--peak", name, "--device", arguments.device]
    command += ["--dims", str(dim), "--classes", str(num_classes)]
    command += ["--samples", str(arguments.samples), "--batch", str(arguments.batch)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def show_peak(arguments: argparse.Namespace) -> None:
    """Print the growth of this process's peak memory over one run of one contestant."""
    model, loader = scene(arguments, arguments.dims[0], arguments.classes[0])
    forward_only(model, loader)
    cuda = model.fc.weight.is_cuda
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.max_memory_allocated() / 2**20
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        held = _resident("VmRSS")
    CONTESTANTS[arguments.peak](model, loader)
    if cuda:
        print(torch.cuda.max_memory_allocated() / 2**20 - held)
    else:
        print(_resident("VmHWM") - held)


def _resident(name: str) -> float:
    """Memory of this process in MiB, now (VmRSS) or at its peak (VmHWM); Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def rows(arguments: argparse.Namespace, dim: int, num_classes: int) -> list[str]:
    model, loader = scene(arguments, dim, num_classes)
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    calls, values = {}, {}
    for name, run in CONTESTANTS.items():
        model.calls = 0
        values[name] = run(model, loader)
        calls[name] = model.calls
    for _ in range(arguments.rounds):
        for name, run in CONTESTANTS.items():
            times[name].append(timed(run, model, loader))
    medians = {name: median(taken) for name, taken in times.items()}
    lines = []
    for name in CONTESTANTS:
        value = values[name]
        cells = [dim, num_classes, name, calls[name], f"{medians[name] * 1e3:.0f}"]
        cells += [f"{medians[name] / medians['forward only']:.2f}"]
        cells += [f"{peak_mib(arguments, name, dim, num_classes):.0f}"]
        cells += ["" if value is None else f"{value:.6g}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--peak", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        with torch.no_grad():
            show_peak(arguments)
        return
    head = ["D", "K", "what", "forward passes", "time (ms)", "÷ forward only", "peak MiB", "nc1"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    with torch.no_grad():
        for dim in arguments.dims:
            for num_classes in arguments.classes:
                lines += rows(arguments, dim, num_classes)
                print("\n".join(lines[-len(CONTESTANTS) :]), flush=True)
    cuda = arguments.device.startswith("cuda")
    where = torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine()
    text = (
        f"# Measuring through a network ({where})\n\n"
        f"A small convolutional network, {arguments.samples} images in batches of "
        f"{arguments.batch}; medians of {arguments.rounds} interleaved rounds; PyTorch "
        f"{torch.__version__}, {torch.get_num_threads()} threads.\n\n" + "\n".join(lines) + "\n"
    )
    TABLE.mkdir(parents=True, exist_ok=True)
    (TABLE / f"torch_model{'-cuda' if cuda else ''}.md").write_text(text)


if __name__ == "__main__":
    main()
