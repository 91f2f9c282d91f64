"""Colours and line styles of all figures, for light and dark pages.

Class colours are Okabe and Ito's, which colour-blind readers tell apart; every class has a marker
of its own besides. Figures read the theme from matplotlib's rc parameters; a colour of their own
they hold only where a paper's figure is drawn again and readers compare the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ncollapse._extras import require

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

matplotlib = require("matplotlib")
colors = require("matplotlib.colors")

Theme = Literal["light", "dark"]

_LIGHT = ["#0072b2", "#d55e00", "#009e73", "#b25790", "#8a6d00", "#3d8fc2", "#e69f00", "#444444"]
_DARK = ["#56b4e9", "#ff8a3d", "#2fd0a0", "#e79ac8", "#f0e442", "#8fb8ff", "#ffc04d", "#c9c9c9"]
_MARKERS = "os^DvPX*<>"
_COLOURS = {
    "light": {"page": "#fffefb", "ink": "#1d2330", "faint": "#8b919c", "cycle": _LIGHT},
    "dark": {"page": "#171b22", "ink": "#e6e4de", "faint": "#79808c", "cycle": _DARK},
}


@contextmanager
def theme(name: Theme) -> Iterator[None]:
    """Draw inside this context to get the colours and sizes of the light or the dark page."""
    colours = _COLOURS[name]
    page, ink, faint = colours["page"], colours["ink"], colours["faint"]
    parameters: dict[Any, Any] = {
        "figure.facecolor": page,
        "axes.facecolor": page,
        "savefig.facecolor": page,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.edgecolor": faint,
        "xtick.color": faint,
        "ytick.color": faint,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "grid.color": faint,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": matplotlib.cycler(color=colours["cycle"]),
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "axes.labelsize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "lines.linewidth": 1.8,
        "font.family": "DejaVu Sans",
        "figure.constrained_layout.use": True,
    }
    with matplotlib.rc_context(parameters):
        yield


def class_colours(count: int) -> list[str]:
    """Colour of each class, from the current theme; they repeat from the ninth class on."""
    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    return [colors.to_hex(cycle[k % len(cycle)]) for k in range(count)]


def class_markers(count: int) -> list[str]:
    """Marker of each class, so that classes differ without colour."""
    return [_MARKERS[k % len(_MARKERS)] for k in range(count)]


def ink() -> str:
    """Colour of text in the current theme."""
    return colors.to_hex(matplotlib.rcParams["text.color"])


def faint() -> str:
    """Colour of axes and guide lines in the current theme."""
    return colors.to_hex(matplotlib.rcParams["axes.edgecolor"])


def page_colour() -> str:
    """Colour of the page in the current theme."""
    return colors.to_hex(matplotlib.rcParams["axes.facecolor"])


def diverging() -> Colormap:
    """Blue for negative, the page's own colour for zero, orange for positive."""
    cycle = class_colours(2)
    ends = np.array([0.0, 0.5, 1.0])
    colours = [cycle[0], page_colour(), cycle[1]]
    return colors.LinearSegmentedColormap.from_list(
        "diverging", list(zip(ends.tolist(), colours, strict=True))
    )
