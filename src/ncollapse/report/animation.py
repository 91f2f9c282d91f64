"""Unconstrained features moving onto their triangle or tetrahedron, as a plotly figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse._extras import require
from ncollapse.report._motion import Motion, motion
from ncollapse.report._page import Animation, number, percent
from ncollapse.report.style import Theme, class_colours, faint, ink, page_colour, theme
from ncollapse.runs import Run

_SYMBOLS = ("circle", "square", "diamond", "square-open")
_MOST_DRAWN = 100
"""Features of each class that are drawn; means are those of all."""


def animate(run: Run, *, frames: int = 121, colours: Theme = "light") -> Any:
    """A plotly figure of ``run`` with a slider and buttons of its own, for notebooks.

    What is drawn is `motion`'s: features, class means, rows of W and the ideal simplex, in two
    dimensions for K = 3 and in a scene to turn for K = 4. Frames are evenly spaced in
    log(1 + log(1 + t)), and the slider says log t.

    Raises
    ------
    ValueError
        As `motion`.
    ModuleNotFoundError
        plotly is not installed.
    """
    go = require("plotly.graph_objects")
    traces = _traces(motion(run, frames=frames))
    shown = traces.drawn(colours)
    names = [str(place) for place in range(len(traces.frames))]
    steps = [
        {"label": label, "method": "animate", "args": [[name], _immediately(0)]}
        for name, label in zip(names, traces.ticks, strict=True)
    ]
    beside = {"len": 0.78, "x": 0.22, "pad": {"t": 20}}
    slider = {"steps": steps, "currentvalue": {"prefix": "log t = "}, **beside}
    buttons = [
        {"label": "Play", "method": "animate", "args": [None, _immediately(80)]},
        {"label": "Pause", "method": "animate", "args": [[None], _immediately(0)]},
    ]
    place = {"x": 0.0, "xanchor": "left", "y": 0, "yanchor": "top", "pad": {"t": 50}}
    menu = {"type": "buttons", "direction": "right", "showactive": False, **place}
    menu["buttons"] = buttons
    layout = {**shown["layout"], "sliders": [slider], "updatemenus": [menu]}
    moving = [
        go.Frame(
            name=name,
            data=[
                {**shown["data"][place], **row}
                for place, row in zip(traces.moving, rows, strict=True)
            ],
            traces=traces.moving,
        )
        for name, rows in zip(names, traces.frames, strict=True)
    ]
    return go.Figure(data=shown["data"], layout=layout, frames=moving)


def build_animation(run: Run, *, frames: int = 121) -> Animation:
    """`animate` for a page, which brings its own slider and button and follows its colours.

    Raises ``ValueError`` as `motion` does.
    """
    moved = motion(run, frames=frames)
    traces = _traces(moved)
    classes = run.setup.num_classes
    shape = "triangle" if classes == 3 else "tetrahedron"
    return Animation(
        name="motion",
        title=f"Onto the {shape}",
        caption=_caption(run, classes),
        alt=(
            f"Features of {classes} classes, moving among the corners of a {shape}; their root mean square "
            f"distance to their own corners goes from {number(float(moved.distance[0]))} to "
            f"{number(float(moved.distance[-1]))}."
        ),
        frames=traces.frames,
        moving=traces.moving,
        labels=traces.labels,
        light=traces.drawn("light"),
        dark=traces.drawn("dark"),
    )


@dataclass(frozen=True)
class _Traces:
    """Traces in the order ideal simplex, features class by class, means, rows of W.

    ``reach (2, K − 1)`` holds the ends of each axis.
    """

    ideal: np.ndarray
    reach: np.ndarray
    frames: list[list[dict[str, list[Any]]]]
    labels: list[str]
    ticks: list[str]

    @property
    def moving(self) -> list[int]:
        return list(range(1, len(self.ideal) + 3))

    def drawn(self, colours: Theme) -> dict[str, Any]:
        """``data`` at the first frame and ``layout``, in the colours of the light or dark page."""
        with theme(colours):
            styles, layout = _styles(len(self.ideal)), _layout(len(self.ideal), self.reach)
        kind = "scatter" if len(self.ideal) == 3 else "scatter3d"
        rows = [_closed_edges(self.ideal), *self.frames[0]]
        data = [{"type": kind, **style, **row} for style, row in zip(styles, rows, strict=True)]
        return {"data": data, "layout": layout}


def _traces(moved: Motion) -> _Traces:
    classes = len(moved.ideal)
    grouped = moved.features.reshape(len(moved.clock), classes, -1, classes - 1)
    drawn = grouped[:, :, :_MOST_DRAWN]
    frames = [
        [
            *(_coordinates(points) for points in drawn[frame]),
            _coordinates(moved.means[frame]),
            _rays(moved.classifier[frame]),
        ]
        for frame in range(len(moved.clock))
    ]
    points = np.concatenate([part.reshape(-1, classes - 1) for part in (drawn, moved.classifier)])
    points = np.concatenate([points, moved.ideal])
    reach = np.stack([points.min(axis=0) - 0.08, points.max(axis=0) + 0.08])
    ticks = [_tick(log_time) for log_time in moved.log_time]
    labels = [
        f"{'t = 0' if tick == '−∞' else 'log t = ' + tick} · log(1/L) = {number(float(level))} · "
        f"distance to the corners {number(float(distance))} · "
        f"{percent(float(outside), 2)} of the squared norm outside this picture"
        for tick, level, distance, outside in zip(
            ticks, moved.log_inverse_loss, moved.distance, moved.outside, strict=True
        )
    ]
    return _Traces(moved.ideal, reach, frames, labels, ticks)


def _styles(classes: int) -> list[dict[str, Any]]:
    """Of each trace: name, mode, marker, line."""
    solid = classes == 4
    colours = class_colours(classes)
    features = [
        {
            "name": f"class {k}",
            "mode": "markers",
            "marker": {"color": colour, "symbol": symbol, "size": 5 if solid else 9},
            "opacity": 0.75,
        }
        for k, (colour, symbol) in enumerate(zip(colours, _SYMBOLS[:classes], strict=True))
    ]
    ends = [0, 6 if solid else 10, 0] * classes
    return [
        {
            "name": "ideal simplex",
            "mode": "lines",
            "line": {"color": faint(), "width": 3 if solid else 1.5, "dash": "solid"},
            "hoverinfo": "skip",
        },
        *features,
        {
            "name": "class means",
            "mode": "markers",
            "marker": {
                "color": colours,
                "symbol": "circle-open",
                "size": 13 if solid else 20,
                "line": {"width": 3},
            },
        },
        {
            "name": "rows of W",
            "mode": "lines+markers",
            "line": {"color": ink(), "width": 3 if solid else 1.5},
            "marker": {
                "color": ink(),
                "symbol": "circle"
                if solid
                else "x",  # a scene draws an x in a font of the reader's
                "size": ends,
                "line": {"width": 0},
            },
        },
    ]


def _layout(classes: int, reach: np.ndarray) -> dict[str, Any]:
    page = page_colour()
    legend = {"orientation": "h", "x": 0.5, "xanchor": "center", "y": 1.0, "yanchor": "bottom"}
    layout: dict[str, Any] = {
        "paper_bgcolor": page,
        "plot_bgcolor": page,
        "font": {"color": ink(), "family": "system-ui, sans-serif", "size": 14},
        "legend": {**legend, "itemsizing": "constant"},
        "margin": {"l": 0, "r": 0, "t": 10, "b": 10},
        "uirevision": "kept",
        "hovermode": "closest",
    }
    if classes == 3:
        across, up = ({"visible": False, "range": ends.tolist()} for ends in reach.T)
        return {**layout, "dragmode": "pan", "xaxis": across, "yaxis": {**up, "scaleanchor": "x"}}
    farthest = float(np.abs(reach).max())
    axis = {"visible": False, "range": [-farthest, farthest]}
    scene = {"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "cube"}
    camera = {"eye": {"x": 0.75, "y": 0.95, "z": 0.45}, "center": {"x": 0, "y": 0, "z": 0.1}}
    return {**layout, "scene": {**scene, "dragmode": "orbit", "camera": camera}}


def _caption(run: Run, classes: int) -> str:
    shape = "a triangle" if classes == 3 else "a tetrahedron"
    drag = "Drag to move the picture." if classes == 3 else "Drag to turn it."
    words = (
        f"Small marks are features, rings class means, spokes rows of W, and {shape} of unit "
        "vertices is what collapse predicts. All are seen in the directions that the centred class "
        "means span at the end; in each frame features are centred and divided by the root mean "
        "square of their norms, rows of W by that of theirs. Frames are evenly spaced in "
        "log(1 + log(1 + t)), which is log log t once t is large; between recorded states marks are "
        f"interpolated. {drag}"
    )
    if run.setup.model.startswith("upfm"):
        words += (
            " These features are nonnegative and end on orthogonal axes; once their average is "
            "subtracted such axes are a simplex as well."
        )
    if run.setup.per_class > _MOST_DRAWN:
        words += f" The first {_MOST_DRAWN} features of each class are drawn."
    return words


def _coordinates(points: np.ndarray) -> dict[str, list[Any]]:
    """Columns by the name of their axis, to four digits after the point."""
    return {
        name: [None if np.isnan(value) else round(float(value), 4) for value in column]
        for name, column in zip("xyz", points.T, strict=False)
    }


def _rays(ends: np.ndarray) -> dict[str, list[Any]]:
    """From the origin to each of ``ends``, with a gap after it."""
    gap = np.full_like(ends, np.nan)
    path = np.stack([np.zeros_like(ends), ends, gap], axis=1)
    return _coordinates(path.reshape(-1, ends.shape[1]))


def _closed_edges(vertices: np.ndarray) -> dict[str, list[Any]]:
    """Every edge between ``vertices``, with a gap after it."""
    gap = np.full(vertices.shape[1], np.nan)
    first, second = np.triu_indices(len(vertices), k=1)
    edges = [(vertices[a], vertices[b], gap) for a, b in zip(first, second, strict=True)]
    return _coordinates(np.concatenate(edges).reshape(-1, vertices.shape[1]))


def _tick(log_time: float) -> str:
    return "−∞" if np.isneginf(log_time) else number(float(log_time))


def _immediately(duration: int) -> dict[str, Any]:
    return {
        "mode": "immediate",
        "fromcurrent": True,
        "frame": {"duration": duration, "redraw": True},
        "transition": {"duration": 0},
    }
