"""Drawing of phase diagrams: one axis, a success rate, and curves over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ncollapse._checks import require

STYLES: dict[str, dict[str, Any]] = {
    "exact": {"color": "#D55E00", "linewidth": 2.2, "label": "exact boundary"},
    "union": {"color": "#0072B2", "linewidth": 1.8, "label": "union bound"},
    "gordon": {
        "color": "#CC79A7",
        "linewidth": 1.8,
        "linestyle": "--",
        "label": "Gordon's bound (K+1)/2",
    },
}


def plot_success(
    axis: Any,
    success: xr.DataArray,
    curves: Mapping[str, Any],
    curve_sigmas: Any,
) -> list[Any]:
    """Draw a success rate over ``ratio`` and ``sigma`` in greys, and curves d/n(σ) over it.

    Returns the artists: the mesh first, then the lines in the order of ``curves``.
    """
    image = success.transpose("sigma", "ratio")
    mesh = axis.pcolormesh(
        image["ratio"].values, image["sigma"].values, image.values, cmap="gray", vmin=0, vmax=1
    )
    limits = axis.get_xlim(), axis.get_ylim()
    lines = []
    for name, ratios in curves.items():
        lines += axis.plot(ratios, curve_sigmas, **STYLES[name])
    axis.set(xlim=limits[0], ylim=limits[1])
    return [mesh, *lines]


def save_panels(
    panels: Sequence[tuple[str, xr.DataArray]],
    curves: Sequence[Mapping[str, Any]],
    curve_sigmas: Any,
    caption: str,
    path: Path,
) -> None:
    """One panel for each (title, success rate), with its curves, one legend and one colour bar."""
    figure_class = require("matplotlib.figure", "report").Figure
    count = len(panels)
    width = 7.0 if count == 1 else 3.0 * count
    figure = figure_class(figsize=(width, 4.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, count, sharey=True))
    artists: list[Any] = []
    for axis, (title, success), lines in zip(axes, panels, curves, strict=True):
        artists = plot_success(axis, success, lines, curve_sigmas)
        axis.set(title=title, xlabel="d / n")
    axes[0].set_ylabel("noise σ")
    bar = figure.colorbar(artists[0], ax=axes, shrink=0.9, pad=0.01)
    bar.set_label("share of trials that can collapse")
    figure.legend(handles=artists[1:], loc="outside upper center", ncols=3)
    figure.supxlabel(caption, fontsize=8)
    figure.savefig(path, dpi=150)
