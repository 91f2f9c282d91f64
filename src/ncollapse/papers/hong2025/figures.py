"""hong2025's figures: each function draws on the axes it is given and returns the artists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from ncollapse.papers.hong2025.experiments import SHARES
from ncollapse.papers.hong2025.training_figures import choices as choices
from ncollapse.papers.hong2025.training_figures import figure3 as figure3
from ncollapse.papers.hong2025.training_figures import figure4 as figure4
from ncollapse.papers.hong2025.training_figures import figure5 as figure5
from ncollapse.papers.hong2025.training_figures import figure6 as figure6
from ncollapse.report.images import save_figure
from ncollapse.report.style import class_colours, faint, ink
from ncollapse.theory.boundary import gordon_bound
from ncollapse.theory.generalisation import (
    best_error,
    corrected_lower_error,
    theorem7a_error,
    theorem7b_error,
)
from ncollapse.theory.minimisers import collapse_threshold, minimiser

if TYPE_CHECKING:
    import xarray as xr

    from ncollapse.papers.hong2025.generalisation import Errors
    from ncollapse.papers.hong2025.image_limits import LargestCounts
    from ncollapse.papers.hong2025.minimisers import Theorem2
    from ncollapse.papers.hong2025.phase import Phase
    from ncollapse.papers.hong2025.two_neurons import TwoNeurons

_PHASE_LINES: dict[str, dict[str, Any]] = {
    "exact": {"color": "#00a36c", "linewidth": 2.4, "label": "exact boundary"},
    "union": {"color": "red", "linewidth": 1.8, "label": "union bound"},
    "gordon": {
        "color": "blue",
        "linewidth": 1.8,
        "linestyle": "--",
        "label": "Gordon's bound (K+1)/2",
    },
}
"""The union bound and Gordon's in the paper's own colours, for readers who compare."""
_NEAR = 0.08
"""Share of the most images tried below which a number would be written across a mark."""


def figure1(result: Phase, out: Path) -> list[Path]:
    """A panel for each angle."""
    panels = [
        (f"angle {np.degrees(angle):.0f}°", result.success.sel(angle=angle))
        for angle in result.grid.angles
    ]
    return _phase(result, panels, 3.0 * len(panels), out / "figure1.png")


def figure2(result: Phase, out: Path) -> list[Path]:
    """One panel."""
    title = f"K = {result.grid.classes}, means $e_k$"
    return _phase(result, [(title, result.success)], 7.0, out / "figure2.png")


def theorem7(result: Errors, out: Path) -> list[Path]:
    """A panel for each d/n."""
    ratios = result.ratios.ravel()

    def draw(figure: Any) -> None:
        axes = np.atleast_1d(figure.subplots(1, len(ratios), sharey=True))
        artists: list[Any] = []
        for axis, ratio in zip(axes, ratios, strict=True):
            artists = plot_errors(axis, result, float(ratio))
            axis.set(title=f"d/n = {ratio:g}", xlabel="noise σ/‖μ‖")
        axes[0].set_ylabel("misclassification error")
        figure.legend(handles=artists, loc="outside upper center", ncols=3)
        figure.supxlabel(
            f"n = {result.count} per class, {result.cells.sizes['trial']} samples at each σ. "
            "The lower bounds are drawn at c₁ = c₂ = 0;\nthe printed one, stated for "
            "d ≥ 2n log n, takes the unlikely case of its proof and overshoots",
            fontsize=8,
        )

    return [save_figure(out / "theorem7.png", (5.0 * len(ratios), 4.8), draw)]


def images(result: LargestCounts, out: Path) -> list[Path]:
    """Groups of bars, and the table of all that was found."""
    cells = result.cells

    def draw(figure: Any) -> None:
        axes = np.atleast_1d(figure.subplots(1, cells.sizes["data"], sharey=True))
        artists: list[Any] = []
        for axis, name in zip(axes, cells["data"].values, strict=True):
            artists = plot_largest(axis, cells.sel(data=name))
            tried = int(cells["tried"].sel(data=name).max())
            axis.set(title=f"{name}\n(up to {tried} a class)", xlabel="number of classes K")
        axes[0].set_ylabel("largest n per class that can collapse")
        axes[0].margins(y=0.1)
        figure.legend(handles=artists, loc="outside upper center", ncols=2)
        figure.supxlabel(
            "first n images of each class; n and n + 1 are both decided with proof\n"
            "(+: all images tried can collapse; a … b: undecided above a and up to b)",
            fontsize=8,
        )

    size = 2.6 + 3.0 * cells.sizes["data"], 5.0
    return [save_figure(out / "images.png", size, draw), result.write_table(out / "images.csv")]


def theorem2(result: Theorem2, out: Path) -> list[Path]:
    """A panel for each model."""
    models = list(result.logit_size)

    def draw(figure: Any) -> None:
        for axis, model in zip(np.atleast_1d(figure.subplots(1, len(models))), models, strict=True):
            plot_sizes(axis, result, model)

    return [save_figure(out / "theorem2.png", (4.6 * len(models), 3.8), draw)]


def theorem8(result: TwoNeurons, out: Path) -> list[Path]:
    """Scores and ties over the noise, side by side."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        plot_scores(left, result)
        plot_ties(right, result)

    return [save_figure(out / "theorem8.png", (9.6, 4.0), draw)]


def plot_success(
    axis: Any, success: xr.DataArray, lines: Mapping[str, Any], line_sigmas: Any
) -> list[Any]:
    """A success rate over ``ratio`` and ``sigma`` in greys, with ``lines`` d/n(σ) by name over it.

    Returns the artists: the mesh first, then the lines in the order of ``lines``.
    """
    image = success.transpose("sigma", "ratio")
    mesh = axis.pcolormesh(
        image["ratio"].values, image["sigma"].values, image.values, cmap="gray", vmin=0, vmax=1
    )
    limits = axis.get_xlim(), axis.get_ylim()
    drawn = []
    for name, ratios in lines.items():
        drawn += axis.plot(ratios, line_sigmas, **_PHASE_LINES[name])
    axis.set(xlim=limits[0], ylim=limits[1])
    return [mesh, *drawn]


def plot_errors(axis: Any, result: Errors, ratio: float) -> list[Any]:
    """Errors against σ at one d/n, on logarithmic axes; returns the lines and the point sets."""
    from ncollapse.papers.hong2025.generalisation import proven_noise

    sigmas = np.geomspace(result.sigmas.min(), result.sigmas.max(), 100)
    proven = sigmas[sigmas < proven_noise(result.count, ratio)]
    colours = class_colours(4)
    curves = (
        (best_error(sigmas, ratio), colours[1], "-", "exact curve (n → ∞)"),
        (theorem7b_error(sigmas, ratio, result.count), colours[0], "--", "(2.28) as printed"),
        (corrected_lower_error(sigmas, ratio), colours[0], "-", "lower bound from its proof"),
        (theorem7a_error(sigmas, ratio, result.count), colours[2], ":", "relaxed program of 7(a)"),
    )
    drawn = []
    for values, colour, style, label in curves:
        drawn += axis.plot(sigmas, values, color=colour, ls=style, label=label)
    bound = np.full(proven.shape, result.count**-2.0)
    drawn += axis.plot(proven, bound, color=colours[3], label="upper bound n⁻², Theorem 7(a)")
    cells = result.cells.sel(ratio=ratio)
    for name, marker, label in (("neuron", "o", "one neuron"), ("pair", "x", "two neurons")):
        drawn += axis.plot(
            cells["sigma"],
            cells[name].mean("trial"),
            ls="none",
            marker=marker,
            color=ink(),
            markerfacecolor="none",
            label=f"{label}, exact program",
        )
    axis.set(xscale="log", yscale="log", ylim=(1e-8, 1.0))
    axis.set_xticks([0.2, 0.5, 1.0, 2.0], ["0.2", "0.5", "1", "2"])
    axis.set_xticks([], minor=True)
    return drawn


def plot_largest(axis: Any, cells: xr.Dataset) -> list[Any]:
    """Bars over the number of classes, raw beside centred, and marks of what Theorem 3 knows.

    Returns the two sets of bars and the two sets of marks.
    """
    places = np.arange(cells.sizes["classes"])
    near = _NEAR * float(cells["tried"].max())
    blue, orange = class_colours(2)
    sets, edges = [], []
    for centred, shift, colour, label in (
        (False, -0.2, blue, "raw"),
        (True, 0.2, orange, "centred"),
    ):
        chosen = cells.sel(centred=centred)
        values, tried = chosen["largest"].values, chosen["tried"].values
        undecided = chosen["undecided"].values
        spanned = np.where(chosen["spanned"] < tried, chosen["spanned"], np.nan)
        sets.append(axis.bar(places + shift, values, 0.38, color=colour, label=label))
        edges.append((places + shift, chosen["independent"].values, spanned))
        for place, value, most, mark, gap in zip(
            places + shift, values, tried, spanned, undecided, strict=True
        ):
            top = mark if value < mark < value + near else value
            text = f"{value}" + ("+" if value == most else f"\n…{value + gap}" if gap else "")
            axis.text(place, top + near / 8, text, ha="center", va="bottom", fontsize=9)
    across, low, high = (np.concatenate(part) for part in zip(*edges, strict=True))
    below = axis.plot(
        across, low, "^", color=ink(), markersize=5, label="all images independent up to here"
    )
    above = axis.plot(
        across,
        high,
        "_",
        color=ink(),
        markersize=18,
        mew=2,
        label="one class alone already fails above here",
    )
    axis.set_xticks(places, [str(k) for k in cells["classes"].values])
    return [*sets, *below, *above]


def plot_sizes(axis: Any, result: Theorem2, model: str) -> list[Any]:
    """a against √(λ_W λ_H) as a share of the threshold: Theorem 2 a curve, the flow's ends dots."""
    shape = {"num_classes": result.num_classes, "per_class": result.per_class}
    fine = np.linspace(0.02, max(SHARES[-1], result.shares.max()), 200)
    levels = fine * collapse_threshold(model, **shape)
    curve = [minimiser(model, **shape, lambda_w=one, lambda_h=one).a for one in levels]
    drawn = axis.plot(fine, curve, "C0", label="Theorem 2")
    drawn += axis.plot(result.shares, result.logit_size[model], "C1o", label="flow")
    axis.axvline(1.0, color=faint(), lw=1)
    axis.set(title=model, xlabel="√(λ_W λ_H) / threshold", ylabel="a")
    axis.legend()
    return drawn


def plot_scores(axis: Any, result: TwoNeurons) -> list[Any]:
    """−s Φ⁻¹(error) of the best neuron against s: exact, its limit, and as printed."""
    sigmas = np.geomspace(result.sigmas[0], result.sigmas[-1], 60)
    exact = -sigmas * ndtri(best_error(sigmas, result.ratio))
    colours = class_colours(2)
    drawn = axis.plot(sigmas, exact, color=colours[1], label="exact curve (n → ∞)")
    drawn += axis.plot(
        sigmas,
        np.sqrt(result.ratio / sigmas),
        "--",
        color=colours[0],
        label="as printed, √(d/n) s$^{-3/2}$",
    )
    drawn.append(axis.axhline(result.limit, color=faint(), lw=1))
    mean, trials = result.scores.mean(axis=1), result.scores.shape[1]
    spread = 2.0 * result.scores.std(axis=1, ddof=1) / np.sqrt(trials)
    drawn.append(
        axis.errorbar(
            result.sigmas, mean, spread, fmt="o", color=ink(), mfc="none", label="best neuron"
        )
    )
    axis.set(xscale="log", ylim=(0.0, 1.5), xlabel="noise s = σ/‖μ‖", ylabel="−s Φ⁻¹(error)")
    axis.set_title(f"Error at large noise, d/n = {result.ratio:g}")
    _noise_ticks(axis, result)
    axis.legend(fontsize=8)
    return drawn


def plot_ties(axis: Any, result: TwoNeurons) -> list[Any]:
    """Errors of the pair against s, both neurons off being an error and not, and their bound."""
    drawn: list[Any] = []
    for values, mark, label in (
        (result.pair, "x", "pair, both off is an error"),
        (result.pair - result.tied, "+", "pair, both off is none"),
        (result.lower, "-", "mean of the single errors"),
    ):
        drawn += axis.plot(result.sigmas, values.mean(axis=1), mark, color=ink(), label=label)
    axis.set(xscale="log", xlabel="noise s = σ/‖μ‖", ylabel="misclassification error")
    axis.set_title("Theorem 8(b) counts ties as errors")
    _noise_ticks(axis, result)
    axis.legend(fontsize=8)
    return drawn


def _noise_ticks(axis: Any, result: TwoNeurons) -> None:
    axis.set_xticks(result.sigmas, [f"{sigma:g}" for sigma in result.sigmas])
    axis.set_xticks([], minor=True)


def _phase(
    result: Phase, panels: list[tuple[str, xr.DataArray]], width: float, path: Path
) -> list[Path]:
    """Panels with their lines, one legend and one colour bar; and the table of crossings."""
    grid = result.grid
    fine = np.linspace(0.02, max(grid.sigmas), 200)
    exact, union = grid.boundary(fine), grid.union(fine)
    gordon = np.full(fine.shape, gordon_bound(grid.classes))

    def draw(figure: Any) -> None:
        axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
        artists: list[Any] = []
        for index, (axis, (title, success)) in enumerate(zip(axes, panels, strict=True)):
            lines = {"exact": exact[index], "union": union[index], "gordon": gordon}
            artists = plot_success(axis, success, lines, fine)
            axis.set(title=title, xlabel="d / n")
        axes[0].set_ylabel("noise σ")
        bar = figure.colorbar(artists[0], ax=axes, shrink=0.9, pad=0.01)
        bar.set_label("share of trials that can collapse")
        figure.legend(handles=artists[1:], loc="outside upper center", ncols=3)
        figure.supxlabel(
            f"n = {grid.count} per class, {grid.trials} trials a cell. A trial is one draw, of "
            "which each d uses the first d coordinates:\nverdicts at different d are coupled, "
            "each distributed as in an independent draw.",
            fontsize=8,
        )

    table = path.with_name("crossings.csv")
    return [save_figure(path, (width, 4.8), draw), result.write_crossings(table)]
