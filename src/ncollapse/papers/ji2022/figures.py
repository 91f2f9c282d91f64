"""ji2022's figures: each function draws on the axes it is given and returns the lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.papers.ji2022.experiments import METRICS, Example, Figure2, Rates, Solutions
from ncollapse.papers.ji2022.network_figures import drawn_as
from ncollapse.report.images import save_figure
from ncollapse.report.panels import PANELS

figure1, figure3, figure4 = drawn_as("figure1"), drawn_as("figure3"), drawn_as("figure4")
figure5, figure6 = drawn_as("figure5"), drawn_as("figure6")
figure7, figure8 = drawn_as("figure7"), drawn_as("figure8")


def example31(result: Example, out: Path) -> list[Path]:
    """The loss along both ways down."""

    def draw(figure: Any) -> None:
        plot_escapes(result, figure.subplots())

    return [save_figure(out / "example31.png", (4.6, 3.8), draw)]


def figure2(result: Figure2, out: Path) -> list[Path]:
    """The four panels of the paper."""

    def draw(figure: Any) -> None:
        plot_panels(result, list(figure.subplots(2, 2).flat))

    return [save_figure(out / "figure2.png", (9.2, 7.6), draw)]


def rates(result: Rates, out: Path) -> list[Path]:
    """All metrics over log(1/L), with the slopes ½ and 1."""

    def draw(figure: Any) -> None:
        plot_rates(result, figure.subplots())

    return [save_figure(out / "rates.png", (7.0, 4.6), draw)]


def plot_escapes(result: Example, axis: Any) -> list[Any]:
    """Change of log L against the angle walked on the sphere, ours and the paper's."""
    drawn = axis.plot(result.angles, result.ours, "C0", label="bottom eigenvector of the Hessian")
    drawn += axis.plot(result.paper_angles, result.paper, "C1--", label="Example 3.1's own curve")
    axis.axhline(0.0, color="0.7", lw=1)
    axis.set_xlabel("angle on the sphere")
    axis.set_ylabel("log L − log L(start)")
    axis.legend(loc="lower left")
    return drawn


def plot_panels(result: Figure2, axes: Sequence[Any]) -> list[Any]:
    """Four axes as in the paper: log log t across, log metric up.

    Solid: the flow, beyond where the paper stops. Dots: gradient descent at its epochs, placed at
    t = epoch · step, so that both are the same path. Grey: slope 1/log t.
    """
    path, trained = result.run, result.descent
    later = path.log_time > 1.0
    epochs = np.log(trained.epochs * result.time_step)
    shown = epochs > 1.0
    drawn = []
    for axis, (title, names) in zip(axes, PANELS, strict=True):
        for index, name in enumerate(names):
            values, marks = path.observations[name], trained.observations[name]
            drawn += axis.loglog(path.log_time[later], values[later], f"C{index}", label=name)
            drawn += axis.loglog(epochs[shown], marks[shown], f"C{index}.", label=f"{name}, GD")
        anchor = path.observations[names[0]][-1] * path.log_time[-1]
        drawn += axis.loglog(
            path.log_time[later], anchor / path.log_time[later], "0.7", lw=1, label="∝ 1/log t"
        )
        axis.set_title(title)
        axis.set_xlabel("log t (log scale)")
        axis.legend(fontsize="x-small")
    return drawn


def plot_rates(result: Rates, axis: Any) -> list[Any]:
    """Each metric over log(1/L) with its fitted power, and guides of slope ½ and 1 in grey."""
    path = result.run
    level = path.log_inverse_loss
    late = level > 1.0
    drawn = []
    for index, name in enumerate(METRICS):
        label = f"{name}, power {result.exponents[name]:.3f}"
        values = path.observations[name]
        drawn += axis.loglog(level[late], values[late], f"C{index}", label=label)
    for power in (0.5, 1.0):
        drawn += axis.loglog(level[late], level[late] ** -power, "0.6", lw=1, ls=":")
    axis.set_xlabel("log(1/L)")
    axis.set_ylabel("distance from collapse")
    axis.legend(fontsize="x-small")
    return drawn


def separation(result: Solutions, out: Path) -> list[Path]:
    """The margin against the loss while a feature changes its class."""

    def draw(figure: Any) -> None:
        plot_crossing(result, figure.subplots())

    return [save_figure(out / "separation.png", (4.6, 3.8), draw)]


def plot_crossing(result: Solutions, axis: Any) -> list[Any]:
    """q_min over L; below log 2, dashed, no sample is on the wrong side."""
    loss, margins = result.crossing.T
    drawn = axis.plot(loss, margins, "C0")
    drawn.append(axis.axvline(np.log(2.0), color="0.4", ls="--", lw=1))
    axis.axhline(0.0, color="0.7", lw=1)
    axis.set_xscale("log")
    axis.set_xlabel("loss L")
    axis.set_ylabel("smallest margin")
    return drawn
