"""Turning a drawing function into the pictures of a page."""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.figure import Figure

from ncollapse.papers._style import Theme, theme
from ncollapse.report._page import Illustration

_DOTS_PER_INCH = 140
_SHOWN_PER_INCH = 86


def illustrate(
    name: str,
    title: str,
    caption: str,
    alt: str,
    size: tuple[float, float],
    draw: Callable[[Figure], object],
) -> Illustration:
    """Draw once for light and once for dark pages; ``size`` is in inches."""
    light, dark = _png(draw, size, "light"), _png(draw, size, "dark")
    return Illustration(name, title, caption, alt, light, dark, round(_SHOWN_PER_INCH * size[0]))


def _png(draw: Callable[[Figure], object], size: tuple[float, float], name: Theme) -> bytes:
    with theme(name):
        figure = Figure(figsize=size)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
