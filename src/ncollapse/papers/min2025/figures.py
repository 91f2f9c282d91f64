"""min2025's figures of the end of a run: the four panels of its poster, masses and dead samples.

Every function draws on the Axes or figure it is given and returns the artists that carry the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.container import BarContainer
from matplotlib.figure import FigureBase
from matplotlib.image import AxesImage
from mpl_toolkits.mplot3d import Axes3D

from ncollapse.data import Dataset
from ncollapse.papers.min2025.experiments import AlignmentTimes, LostClasses
from ncollapse.papers.min2025.network import Run
from ncollapse.papers.min2025.panels import UNASSIGNED, Correlation, Panels, Projection
from ncollapse.report.images import save_figure
from ncollapse.report.style import class_colours, class_markers, diverging, faint, ink

_LEAST_IMAGE_SIDE = 8


def digits(run: Run, out: Path) -> list[Path]:
    """The report of a run: its page and every figure on it."""
    from ncollapse.papers.min2025.page import write_report

    return write_report(run, out)


separable = separable_digits = digits


def alignment_time(result: AlignmentTimes, out: Path) -> list[Path]:
    """T* and the time at which the loss falls, over log(1/size)."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        small = -np.log10(result.sizes)
        axis.plot(small, result.aligned, "o-", label="neurons aligned, T*")
        axis.plot(small, result.escaped, "s--", label="loss begins to fall")
        axis.set_xlabel("log₁₀(1 / size of the start)")
        axis.set_ylabel("time t")
        axis.legend()

    return [save_figure(out / "alignment_time.png", (4.6, 3.8), draw)]


def lost_classes(result: LostClasses, out: Path) -> list[Path]:
    """Neurons of each class at the end, over those that its start foretold."""

    def draw(figure: Any) -> None:
        axis = figure.subplots()
        foretold = [forecast.group_sizes for forecast in result.forecasts]
        axis.plot(np.ravel(foretold), result.group_sizes.ravel(), "o", alpha=0.5)
        axis.axline((0, 0), slope=1.0, color=faint(), lw=1)
        axis.set_xlabel("neurons foretold")
        axis.set_ylabel("neurons at the end")

    return [save_figure(out / "lost_classes.png", (4.6, 3.8), draw)]


def digit_correlation(ax: Axes, correlation: Correlation, classes: np.ndarray) -> AxesImage:
    """Cosines of all pairs of inputs, sorted by class: orange positive, blue negative."""
    edges = correlation.edges
    shown = ax.imshow(
        correlation.cosines, cmap=diverging(), vmin=-1, vmax=1, interpolation="nearest"
    )
    for edge in edges[1:-1]:
        ax.axhline(edge - 0.5, color=ink(), linewidth=0.8)
        ax.axvline(edge - 0.5, color=ink(), linewidth=0.8)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    names = [f"class {name}" for name in classes]
    ax.set_xticks(middles, names)
    ax.set_yticks(middles, names, rotation=90, va="center")
    ax.tick_params(length=0)
    ax.figure.colorbar(shown, ax=ax, shrink=0.8, label="cosine of the angle between two inputs")
    return shown


def neuron_weights(figure: FigureBase, panels: Panels, classes: np.ndarray) -> list[AxesImage]:
    """Average input weights of each group above the average input of its class."""
    count = len(classes)
    axes = figure.subplots(2, count, squeeze=False)
    shown = []
    for k in range(count):
        cosine = panels.groups.cosines[k]
        size = panels.groups.sizes[k]
        shown.append(draw_vector(axes[0, k], panels.groups.weights[k]))
        shown.append(draw_vector(axes[1, k], panels.groups.inputs[k]))
        axes[0, k].set_title(f"{size} neurons → class {classes[k]}", loc="center", fontsize=10)
        label = "no neurons" if cosine is None else f"cosine {cosine:.3f}"
        axes[1, k].set_xlabel(label, fontsize=11, fontweight="bold")
    axes[0, 0].set_ylabel("average input weight")
    axes[1, 0].set_ylabel("average input")
    return shown


def output_directions(ax: Axes, panels: Panels, classes: np.ndarray) -> list[PathCollection]:
    """Output weights v_j against the ETF directions, in `simplex_plane`."""
    count = len(classes)
    colours, markers = class_colours(count), class_markers(count)
    reach = 1.08 * max(float(np.linalg.norm(panels.outputs, axis=1).max()), 1e-300)
    unit = panels.etf / np.linalg.norm(panels.etf, axis=1, keepdims=True)
    groups = []
    for k in range(count):
        tip = reach * unit[k]
        ax.plot([0, tip[0]], [0, tip[1]], color=colours[k], linestyle="--", linewidth=1, zorder=1)
        ax.text(
            1.1 * tip[0], 1.1 * tip[1], str(classes[k]), color=colours[k], ha="center", va="center"
        )
        own = panels.outputs[panels.assigned == k]
        groups.append(_scatter(ax, own, colours[k], markers[k], size=44))
    loose = panels.outputs[panels.assigned == UNASSIGNED]
    if len(loose):
        groups.append(_scatter(ax, loose, faint(), "x", size=30))
    ax.scatter([0], [0], color=ink(), s=12, zorder=3)
    ax.set_aspect("equal")
    ax.margins(0.12)
    ax.axis("off")
    return groups


def principal_components(
    ax: Axes, projection: Projection, data: Dataset, *, hollow: np.ndarray | None = None
) -> list[Any]:
    """First principal components coloured by class; rows in ``hollow`` get a ring around them.

    Three components on 3-D axes, else two. All axes share one scale.
    """
    solid = isinstance(ax, Axes3D) and projection.coordinates.shape[1] == 3
    points = projection.coordinates[:, : 3 if solid else 2]
    colours, markers = class_colours(data.num_classes), class_markers(data.num_classes)
    groups = []
    for k in range(data.num_classes):
        own = points[data.labels == k]
        depth = {"depthshade": False} if solid else {}
        groups.append(
            ax.scatter(
                *own.T,
                s=20,
                color=colours[k],
                marker=markers[k],
                linewidths=0,
                alpha=0.85,
                label=f"class {data.classes[k]}",
                **depth,
            )
        )
    if hollow is not None and len(hollow):
        ring = points[hollow]
        groups.append(
            ax.scatter(*ring.T, s=130, facecolors="none", edgecolors=ink(), label="dead sample")
        )
    if isinstance(ax, Axes3D) and solid:
        _plain_box(ax, points)
    else:
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xlabel("component 1")
        ax.set_ylabel("component 2")
    return groups


def group_masses(
    ax: Axes, panels: Panels, predicted: np.ndarray | None, classes: np.ndarray
) -> BarContainer:
    """Share of ‖θ‖² in the input weights of each group: bars measured, diamonds predicted."""
    where = np.arange(len(classes))
    bars = ax.bar(where, panels.masses, width=0.55, color=class_colours(len(classes)), alpha=0.75)
    ax.set_xticks(where, [f"class {name}" for name in classes])
    top = float(panels.masses.max())
    if predicted is not None:
        ax.scatter(where, predicted, marker="D", s=60, color=ink(), zorder=3, label="predicted")
        top = max(top, float(predicted.max()))
        ax.legend(loc="upper right", bbox_to_anchor=(1.0, 1.12))
    for k, mass in enumerate(panels.masses):
        ax.text(k, 0.02 * top, f"{mass:.4f}", ha="center", va="bottom", fontsize=9)
    ax.set_ylabel("mass  ‖Wₖ‖² / ‖θ‖²")
    ax.set_ylim(0, 1.15 * top if top > 0 else 1)
    return bars


def margin_cosines(ax: Axes, panels: Panels, classes: np.ndarray) -> PathCollection:
    """Cosine between the input weights of each group and the max-margin direction of its class."""
    pairs = [(k, value) for k, value in enumerate(panels.cos_to_max_margin) if value is not None]
    known, values = [k for k, _ in pairs], [value for _, value in pairs]
    colours = class_colours(len(classes))
    lows = [0.0] * len(known)
    ax.vlines(known, lows, values, colors=[colours[k] for k in known], linewidth=2)
    shown = ax.scatter(known, values, s=60, color=[colours[k] for k in known], zorder=3)
    for k, value in pairs:
        ax.annotate(
            f"{value:.4f}", (k, value), (0, 9), textcoords="offset points", ha="center", fontsize=9
        )
    ax.axhline(1.0, color=ink(), linestyle="--", linewidth=1)
    ax.set_xticks(np.arange(len(classes)), [f"class {name}" for name in classes])
    ax.set_xlim(-0.6, len(classes) - 0.4)
    ax.set_ylim(0, 1.15)
    ax.set_ylabel("cosine to uₖ")
    return shown


def dead_samples(figure: FigureBase, run: Run, rows: Sequence[int]) -> list[AxesImage]:
    """The inputs in ``rows``, on which every neuron is off."""
    axes = figure.subplots(1, len(rows), squeeze=False)[0]
    shown = []
    for ax, row in zip(axes, rows, strict=True):
        shown.append(draw_vector(ax, run.data.inputs[row]))
        name = run.data.classes[run.data.labels[row]]
        ax.set_title(f"row {row}, class {name}", loc="center", fontsize=10)
    return shown


def draw_vector(ax: Axes, vector: np.ndarray) -> AxesImage:
    """A vector as a square image if its length allows, else as a strip; zero is the page."""
    side = isqrt(len(vector))
    square = side * side == len(vector) and side >= _LEAST_IMAGE_SIDE
    picture = vector.reshape(side, side) if square else vector[None, :]
    largest = float(np.abs(vector).max())
    limit = largest if largest > 0 else 1.0
    shown = ax.imshow(
        picture,
        cmap=diverging(),
        vmin=-limit,
        vmax=limit,
        aspect="equal" if square else "auto",
        interpolation="nearest",
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(True)
    ax.spines[:].set_alpha(0.5)
    return shown


def _scatter(ax: Axes, points: np.ndarray, colour: str, marker: str, size: float) -> PathCollection:
    for point in points:
        ax.plot([0, point[0]], [0, point[1]], color=colour, linewidth=0.8, alpha=0.35, zorder=1)
    edge = {} if marker == "x" else {"linewidths": 0}
    return ax.scatter(*points.T, s=size, color=colour, marker=marker, alpha=0.8, zorder=2, **edge)


def _plain_box(ax: Axes3D, points: np.ndarray) -> None:
    """Equal scales, the three axes through the origin, and nothing else."""
    low, high = np.minimum(points.min(axis=0), 0), np.maximum(points.max(axis=0), 0)
    centre, half = (low + high) / 2, 0.45 * max(float((high - low).max()), 1e-300)
    for axis, (setter, middle) in enumerate(
        zip((ax.set_xlim, ax.set_ylim, ax.set_zlim), centre, strict=True)
    ):
        setter(middle - half, middle + half)
        end = np.zeros(3)
        end[axis] = max(high[axis], half / 2)
        ax.plot(*np.column_stack([np.zeros(3), end]), color=faint(), linewidth=0.9)
        ax.text(
            1.09 * end[0],
            1.09 * end[1],
            1.09 * end[2],
            f"PC{axis + 1}",
            color=ink(),
            fontsize=8,
            ha="center",
            va="center",
        )
    ax.set_axis_off()
    ax.view_init(elev=22, azim=35)
    ax.set_box_aspect((1, 1, 1))
