"""Measured margins beside predicted ones, and distances to every theory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.papers.imbalance.experiments import Comparison, Minority
from ncollapse.report.images import save_figure
from ncollapse.report.style import class_colours, class_markers, faint


def depth(result: Comparison, out: Path) -> list[Path]:
    """Margins and distances of networks with decay on every layer."""
    return [_draw(result, out / "depth.png")]


def batch_norm(result: Comparison, out: Path) -> list[Path]:
    """Margins and distances of networks with batch norm."""
    return [_draw(result, out / "batch_norm.png")]


def minority(result: Minority, out: Path) -> list[Path]:
    """Distance of the two smallest classes across the threshold."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        axis.plot(result.sizes, result.predicted, "_", markersize=18, label="predicted")
        axis.plot(result.sizes, result.distances, "o", label="measured")
        least = result.sizes[:1]
        axis.plot(least, [result.rescued], "s", label="with rescuing weights")
        axis.plot(
            least, [result.rescued_predicted], "_", markersize=18, label="predicted with them"
        )
        axis.set_xlabel("samples of each of the two smallest classes")
        axis.set_ylabel("distance of their means")
        axis.grid(True)
        axis.legend()

    return [save_figure(out / "minority.png", (5.4, 3.8), draw)]


def _draw(result: Comparison, path: Path) -> Path:
    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        plot_margins(result, left)
        plot_distances(result, right)

    return save_figure(path, (9.2, 3.8), draw)


def plot_margins(result: Comparison, axis: Any) -> None:
    """Every class of every network: measured against predicted, with the diagonal."""
    colours, markers = class_colours(len(result.counts)), class_markers(len(result.counts))
    for k, count in enumerate(result.counts):
        predicted = [one.predicted[k] for one in result.networks]
        measured = [one.margins[k] for one in result.networks]
        axis.plot(predicted, measured, markers[k], color=colours[k], label=f"{count} samples")
    ends = [min(one.predicted.min() for one in result.networks)]
    ends.append(max(one.predicted.max() for one in result.networks))
    axis.plot(ends, ends, color=faint(), linewidth=1)
    axis.set_xlabel("margin predicted before training")
    axis.set_ylabel("margin measured")
    axis.grid(True)
    axis.legend()


def plot_distances(result: Comparison, axis: Any) -> None:
    """Largest of the three distances of each network to every theory."""
    names = [
        row.name for row in result.networks[0].explanation.theories if np.isfinite(row.largest)
    ]
    for place, name in enumerate(names):
        far = result.distances(name)
        axis.plot(np.full(len(far), place), far, "o", color=f"C{int(name == result.theory)}")
    axis.set_yscale("log")
    axis.set_xticks(range(len(names)), [name.replace("_", " ") for name in names], rotation=30)
    axis.set_ylabel("largest distance of unit matrices")
    axis.grid(True)
