"""hong2025's figures of training, 3 to 6."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.report.images import save_figure
from ncollapse.report.style import class_colours, faint

if TYPE_CHECKING:
    import xarray as xr

    from ncollapse.papers.hong2025.three_layers import ThreeLayers
    from ncollapse.papers.hong2025.training import Curves, Training
    from ncollapse.papers.hong2025.training_choices import Choices


def figure3(result: Training, out: Path) -> list[Path]:
    """nc1, trace quotient and gap against d/n, a line for each σ; a column for each way."""
    ways = {
        "descent": "descent",
        "polished": "L-BFGS from there",
        "optimum": "homotopy",
        "returned": "built, moved, L-BFGS",
    }
    rows = {"nc1_pinv": "nc1 (3.2)", "nc1_quotient": "trace quotient", "gap": "gap"}

    def draw(figure: Any) -> None:
        axes = figure.subplots(len(rows), len(ways), sharex=True, sharey="row")
        lines: list[Any] = []
        for column, (way, title) in enumerate(ways.items()):
            for axis, name in zip(axes[:, column], rows, strict=True):
                lines = plot_ends(axis, result, f"{way}_{name}")
            axes[0, column].set_title(title)
            axes[-1, column].set_xlabel("d / n")
        for axis, label in zip(axes[:, 0], rows.values(), strict=True):
            axis.set_ylabel(label)
        figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))
        figure.supxlabel(
            f"n = {result.count} per class, {result.width} neurons, {result.epochs:,} epochs, full "
            "batches. Filled: collapse is proven feasible; hollow: it is not.\nTriangles: exact "
            "boundary of each σ, for large n; the built network exists beyond it only",
            fontsize=8,
        )

    return [save_figure(out / "figure3.png", (12.0, 8.0), draw)]


def figure4(result: Curves, out: Path) -> list[Path]:
    """A panel for each metric."""
    return _training_curves(result, out / "figure4.png")


def figure5(result: Curves, out: Path) -> list[Path]:
    """A panel for each metric."""
    return _training_curves(result, out / "figure5.png")


def figure6(result: ThreeLayers, out: Path) -> list[Path]:
    """A row for each reading of the first layer's law, a column for the gap and each metric."""
    readings, names = ("variance 1/√d₁", "normalised"), list(result.curves.data_vars)
    reached = result.ends.where(result.ends["invertible"]).max()

    def draw(figure: Any) -> None:
        axes = figure.subplots(len(readings), len(names), sharex=True, sharey="col")
        lines: list[Any] = []
        for row, reading in zip(axes, readings, strict=True):
            for axis, name in zip(row, names, strict=True):
                lines = plot_widths(axis, result, str(reading), str(name))
            row[0].set_ylabel(reading)
        for axis, name in zip(axes[0], names, strict=True):
            axis.set_title(f"{name}\noptimum: {float(reached[name]):.0e}", fontsize=10)
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))
        figure.supxlabel(
            f"{result.data}, N = {result.num_samples}, {result.neurons} neurons in the last layer, full "
            "batches, one start for all readings. In the titles: after homotopy, largest over the widths "
            "with a kernel of rank N,\nat which the optimum is the same. Variance 1/d₁ is normalised on "
            "average",
            fontsize=8,
        )

    return [save_figure(out / "figure6.png", (2.6 * len(names), 5.4), draw)]


def choices(result: Choices, out: Path) -> list[Path]:
    """Dead share and gap over the initial scale, a line a width; gap over flow time, a line a batch."""
    sigmas = result.runs["sigma"].values

    def draw(figure: Any) -> None:
        dead, gap, time = figure.subplots(1, 3)
        ends = result.runs["gap"].isel(epoch=-1)
        for axis, values in ((dead, result.dead_share), (gap, ends)):
            plot_starts(axis, values.isel(sigma=-1).sel(batch=0))
            axis.set(xlabel="initial scale", xscale="log", title=f"σ = {sigmas[-1]:g}")
        dead.axhline(result.predicted[-1], color=faint(), ls=":", label="formula of a first step")
        dead.set_ylabel("dead share at the end")
        gap.set(ylabel="gap", yscale="log")
        plot_flow_time(time, result)
        time.set(title=f"σ = {sigmas[0]:g}")
        for axis in (dead, time):
            axis.legend(fontsize=8)
        figure.supxlabel(
            f"n = {result.count} per class, d/n = {result.ratio:g}, "
            f"{int(result.runs['epoch'][-1]):,} epochs at a constant step",
            fontsize=8,
        )

    return [save_figure(out / "choices.png", (11.0, 4.2), draw)]


def plot_starts(axis: Any, values: xr.DataArray) -> list[Any]:
    """Values over (width, init) against the initial scale, a line for each width."""
    widths = values["width"].values
    lines = []
    for width, colour in zip(widths, class_colours(len(widths)), strict=True):
        chosen = values.sel(width=width)
        label = f"{width} neurons"
        lines += axis.plot(chosen["init"], chosen, "o-", color=colour, label=label)
    return lines


def plot_flow_time(axis: Any, result: Choices) -> list[Any]:
    """Gap at the least σ, widest network and largest start, a line for each batch size."""
    gaps = result.runs["gap"].isel(sigma=0, width=-1, init=0)
    batches = gaps["batch"].values.tolist()
    lines = []
    for batch, colour in zip(batches, class_colours(len(batches)), strict=True):
        label = f"batches of {batch}" if batch else "full batches"
        style = {"color": colour, "label": label, "ls": "--" if batch else "-"}
        lines += axis.loglog(result.flow_time(batch), gaps.sel(batch=batch), **style)
    axis.set(xlabel="flow time", ylabel="gap")
    return lines


def plot_ends(axis: Any, result: Training, name: str) -> list[Any]:
    """Trials' geometric means against d/n, a line for each σ; returns the lines."""
    sigmas, ratios = result.cells["sigma"].values, result.cells["ratio"].values
    lines = []
    colours, boundary = class_colours(len(sigmas)), result.boundary
    for place, colour in enumerate(colours):
        axis.plot(boundary[place], 0.02, "^", color=colour, transform=axis.get_xaxis_transform())
        cells = result.cells.isel(sigma=place)
        values = np.exp(np.mean(np.log(np.maximum(cells[name].values, 1e-20)), axis=-1))
        feasible = cells["feasible"].mean("trial").values > 0.5
        label = f"σ = {sigmas[place]:g}"
        lines += axis.plot(ratios, values, color=colour, label=label)
        for marked, face in ((feasible, colour), (~feasible, "none")):
            axis.plot(ratios[marked], values[marked], "o", color=colour, markerfacecolor=face)
    axis.set_yscale("log")
    return lines


def plot_widths(axis: Any, result: ThreeLayers, reading: str, name: str) -> list[Any]:
    """Trials' geometric means against epochs, a line for each width; returns these lines."""
    curves = result.mean_curves(reading, name)
    lines = []
    for width, colour in zip(result.widths, class_colours(len(result.widths)), strict=True):
        values = curves.sel(width=width)
        style = {"color": colour, "ls": "-" if width else "--"}
        label = f"d₁ = {result.label(width)}"
        lines += axis.loglog(curves["epoch"], values, label=label, **style)
    return lines


def _training_curves(result: Curves, path: Path) -> list[Path]:
    def draw(figure: Any) -> None:
        axes = figure.subplots(1, len(result.values), sharex=True)
        lines: list[Any] = []
        for axis, (name, values) in zip(axes, result.values.items(), strict=True):
            lines = [
                axis.loglog(
                    result.epochs,
                    row,
                    color=colour,
                    ls="-" if place % 2 == 0 else "--",
                    label=f"d/n = {result.ratios[place]:g}",
                )[0]
                for place, (row, colour) in enumerate(
                    zip(values, class_colours(len(values)), strict=True)
                )
            ]
            axis.set(title=name, xlabel="epoch")
        figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))
        figure.supxlabel(f"σ = {result.sigma:g}, n = {result.count}, full batches", fontsize=8)

    return [save_figure(path, (15.0, 3.8), draw)]
