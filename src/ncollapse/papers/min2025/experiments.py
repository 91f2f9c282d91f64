"""The experiments of min2025: its theorem, its figure, and the digits on which it is true."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.data import (
    Dataset,
    SeparableSubset,
    largest_separable_subset,
    load_images,
    orthogonally_separable,
)
from ncollapse.papers import experiment
from ncollapse.papers.min2025.network import Progress, Run, run
from ncollapse.theory.alignment import AlignmentForecast

_ESCAPED = 0.9
"""Share of its first value at which the loss counts as having fallen: the fastest class moves it."""


@dataclass(frozen=True, eq=False)
class AlignmentTimes:
    """When neurons align and when the loss falls, against the size of the start.

    Attributes
    ----------
    sizes
        ``(M,)`` norms of the initial input weights.
    aligned, escaped
        ``(M,)`` times t, not s: T*, NaN where it was not reached, and where the loss has fallen to
        `_ESCAPED` of its start.
    rate
        λ = √(1 − 1/K) max_k ‖Σ_{i in k} x_i‖, at which the fastest class's neurons grow while logits
        are small.
    """

    sizes: np.ndarray
    aligned: np.ndarray
    escaped: np.ndarray
    rate: float

    def slope(self, times: np.ndarray) -> float:
        """Of ``times`` over log(1/size), by least squares over the smaller half of the starts."""
        small = np.argsort(self.sizes)[: max(2, len(self.sizes) // 2)]
        return float(np.polyfit(-np.log(self.sizes[small]), times[small], 1)[0])

    def to_dict(self) -> dict[str, Any]:
        return {
            "sizes": self.sizes.tolist(),
            "aligned": [None if np.isnan(time) else float(time) for time in self.aligned],
            "escaped": self.escaped.tolist(),
            "rate": self.rate,
        }


@dataclass(frozen=True, eq=False)
class LostClasses:
    """Runs in which classes compete for few neurons, each with the forecast from its start."""

    runs: tuple[Run, ...]

    @property
    def forecasts(self) -> tuple[AlignmentForecast, ...]:
        return tuple(run.forecast for run in self.runs if run.forecast is not None)

    @property
    def group_sizes(self) -> np.ndarray:
        """``(M, K)`` neurons of each class at the end."""
        return np.array([run.alignment.group_sizes for run in self.runs])

    def to_dict(self) -> dict[str, Any]:
        return {
            "group_sizes": self.group_sizes.tolist(),
            "forecasts": [forecast.to_dict() for forecast in self.forecasts],
        }


@experiment(
    "Collapse of a shallow ReLU network",
    "every claim of the theorem on orthogonally separable data, at log(1/L) = 3000",
    quick={},
    paper={"num_classes": 6, "width": 96, "until": 30_000.0},
    run_of=attrgetter("trajectory"),
)
def separable(
    *,
    num_classes: int = 3,
    per_class: int = 8,
    dim: int = 20,
    width: int = 48,
    scale: float = 1e-6,
    seed: int = 0,
    until: float = 3000.0,
    rtol: float = 1e-5,
) -> Run:
    """The theorem's own setting: classes of lengths from 1 to 3, a small balanced start."""
    lengths = np.linspace(1.0, 3.0, num_classes)
    data = orthogonally_separable(num_classes, per_class, dim, seed, scales=lengths)
    return run(data, width=width, scale=scale, seed=seed, log_inverse_loss=until, rtol=rtol)


@experiment(
    "Digits in a shallow ReLU network",
    "what is left of the theorem on real digits, of which a fifth of the pairs break its assumption",
    quick={},
    paper={"per_class": 100},
    run_of=attrgetter("trajectory"),
)
def digits(
    *,
    labels: tuple[int, ...] = (0, 1, 2),
    per_class: int = 60,
    data_dir: Path | None = None,
    width: int = 48,
    scale: float = 1e-3,
    seed: int = 0,
    until: float = 300.0,
    rtol: float = 2e-3,
    on_progress: Progress | None = None,
) -> Run:
    """The poster's figure: centred digits 0, 1, 2; those of an installed package by default.

    ``data_dir`` is a folder of IDX files; the paper does not print the number of digits.
    """
    data = load_images(labels, per_class, folder=data_dir).centred()
    return run(
        data,
        width=width,
        scale=scale,
        seed=seed,
        log_inverse_loss=until,
        rtol=rtol,
        on_progress=on_progress,
    )


@experiment(
    "Digits on which the theorem is true",
    "every claim of the theorem on real digits, chosen so that its assumption holds",
    quick={},
    paper={"labels": (0, 1, 2, 7)},
    run_of=attrgetter("trajectory"),
)
def separable_digits(
    *,
    labels: tuple[int, ...] = (0, 1, 2),
    per_class: int | None = None,
    data_dir: Path | None = None,
    width: int = 48,
    scale: float = 1e-6,
    seed: int = 0,
    until: float = 300.0,
    rtol: float = 1e-4,
    on_progress: Progress | None = None,
) -> Run:
    """A choice of digits that is orthogonally separable, centred by the mean of all class means.

    At most ``per_class`` of each class are kept.
    """
    every = load_images(labels, folder=data_dir)
    _, data = separable_choice(centred_by_class_means(every), per_class)
    return run(
        data,
        width=width,
        scale=scale,
        seed=seed,
        log_inverse_loss=until,
        rtol=rtol,
        on_progress=on_progress,
    )


@experiment(
    "When neurons align",
    "T* and the time at which the loss falls, against the size of the start",
    quick={},
    paper={"sizes": tuple(10.0**-power for power in range(2, 13)), "num_classes": 4},
)
def alignment_time(
    *,
    sizes: tuple[float, ...] = (1e-3, 1e-5, 1e-7, 1e-9),
    num_classes: int = 3,
    per_class: int = 8,
    dim: int = 20,
    width: int = 48,
    seed: int = 0,
    rtol: float = 1e-5,
) -> AlignmentTimes:
    """One start, made smaller and smaller, each run until log(1/L) = 1."""
    lengths = np.linspace(1.0, 3.0, num_classes)
    data = orthogonally_separable(num_classes, per_class, dim, seed, scales=lengths)
    aligned, escaped = [], []
    for size in sizes:
        one = run(data, width=width, scale=size, seed=seed, log_inverse_loss=1.0, rtol=rtol)
        log_time, path = one.alignment.log_time, one.trajectory
        aligned.append(np.nan if log_time is None else math.exp(log_time))
        level = path.log_inverse_loss
        escaped.append(math.exp(np.interp(level[0] - math.log(_ESCAPED), level, path.log_time)))
    sums = np.array([data.of_class(k).sum(axis=0) for k in range(num_classes)])
    rate = math.sqrt(1.0 - 1.0 / num_classes) * float(np.linalg.norm(sums, axis=1).max())
    return AlignmentTimes(np.array(sizes), np.array(aligned), np.array(escaped), rate)


@experiment(
    "Which class loses its neurons",
    "classes of very different lengths compete for few neurons, against the start's forecast",
    quick={},
    paper={"seeds": tuple(range(20))},
)
def lost_classes(
    *,
    num_classes: int = 8,
    per_class: int = 2,
    dim: int = 24,
    width: int = 40,
    scale: float = 1e-6,
    seeds: tuple[int, ...] = (0, 1, 2),
    rtol: float = 1e-5,
) -> LostClasses:
    """Classes of lengths 1 to 10, run until log(1/L) = 1; a seed for data and start alike."""
    lengths = np.linspace(1.0, 10.0, num_classes)
    runs = []
    for seed in seeds:
        data = orthogonally_separable(num_classes, per_class, dim, seed, scales=lengths)
        one = run(data, width=width, scale=scale, seed=seed, log_inverse_loss=1.0, rtol=rtol)
        runs.append(one)
    return LostClasses(tuple(runs))


def centred_by_class_means(data: Dataset) -> Dataset:
    """``data`` less the mean of its class means."""
    means = [data.of_class(k).mean(axis=0) for k in range(data.num_classes)]
    return Dataset(data.inputs - np.mean(means, axis=0), data.labels, data.classes, data.name)


def separable_choice(
    data: Dataset, per_class: int | None = None
) -> tuple[SeparableSubset, Dataset]:
    """`largest_separable_subset` of ``data``, and these samples, ``per_class`` a class at most.

    Raises ``ValueError`` when fewer than two a class can be kept.
    """
    subset = largest_separable_subset(data.inputs, data.labels)
    size = subset.per_class if per_class is None else min(per_class, subset.per_class)
    if size < 2:
        raise ValueError(
            f"data must hold at least 2 orthogonally separable samples of each class, but "
            f"{subset.per_class} were found"
        )
    labels = data.labels[subset.indices]
    kept = np.concatenate([subset.indices[labels == k][:size] for k in range(data.num_classes)])
    name = f"{data.name}, {size} a class that are orthogonally separable"
    return subset, Dataset(data.inputs[kept], data.labels[kept], data.classes, name)
