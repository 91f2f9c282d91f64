"""Turning a drawing function into the pictures of a page, or into a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ncollapse._extras import require
from ncollapse.report._page import Illustration
from ncollapse.report.style import Theme, theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 140
_SHOWN_PER_INCH = 86

Draw = Callable[["Figure"], object]


def illustrate(
    name: str, title: str, caption: str, alt: str, size: tuple[float, float], draw: Draw
) -> Illustration:
    """Draw once for light and once for dark pages; ``size`` is in inches."""
    light, dark = _png(draw, size, "light"), _png(draw, size, "dark")
    return Illustration(name, title, caption, alt, light, dark, round(_SHOWN_PER_INCH * size[0]))


def save_figure(path: Path, size: tuple[float, float], draw: Draw) -> Path:
    """Draw in the colours of a light page and write a PNG; ``size`` is in inches."""
    path.write_bytes(_png(draw, size, "light"))
    return path


def shown_width(png: bytes) -> int:
    """CSS pixels that a PNG of `save_figure` is shown at."""
    return round(int.from_bytes(png[16:20], "big") / _DOTS_PER_INCH * _SHOWN_PER_INCH)


def _png(draw: Draw, size: tuple[float, float], name: Theme) -> bytes:
    with theme(name):
        figure = require("matplotlib.figure").Figure(figsize=size)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
