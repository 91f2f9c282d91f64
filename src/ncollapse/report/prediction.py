"""The page of a prediction: where the last layer is heading, and what imbalance changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.geometry import centring_matrix
from ncollapse.report._page import Animation, Fact, Illustration, Page, Section, Table, number
from ncollapse.report._render import render
from ncollapse.report.images import illustrate
from ncollapse.report.last_layer import (
    largest_classes,
    matrix_figure,
    means_figure,
    plane_coordinates,
)
from ncollapse.report.style import Theme, class_colours, faint, ink, page_colour, theme
from ncollapse.theory.curve import ImbalanceCurve
from ncollapse.theory.imbalance import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 60
"""Classes up to which a page lists every class and holds the whole record."""
_CORNERS = ("top right", "bottom right", "top left", "bottom left")
"""Where the names of classes stand, so that those of classes that merge can be read."""
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")


def prediction_page(prediction: Prediction, curve: ImbalanceCurve) -> Page:
    """What ``prediction`` says, and how it changes along ``curve``."""
    counts = prediction.counts
    gap = prediction.gap
    merged, dead = _names(prediction.merged), _names([prediction.dead] if prediction.dead else [])
    facts = [
        Fact("objective", number(prediction.risk, 4), "loss and regularisation at the end"),
        Fact(
            "proven gap",
            "none" if gap is None else number(max(gap, 0.0), 2),
            "nothing is proven of this theory" if gap is None else "relative, to the optimum",
        ),
        Fact("smallest margin", number(float(prediction.margins.min()), 4), _smallest(prediction)),
        Fact("merged classes", merged or "none", "their means coincide"),
    ]
    if dead:
        facts.append(Fact("dead classes", dead, "their features are zero"))
    lead = (
        f"{int(counts.sum()):,} samples of {len(counts)} classes, {int(counts.max()):,} of the largest "
        f"and {int(counts.min()):,} of the smallest. Theory: {prediction.theory.replace('_', ' ')}, "
        f"{prediction.source}."
    )
    centring = centring_matrix(len(counts))
    matrices = {
        "weight": prediction.weight_gram,
        "means": prediction.means_gram,
        "logits": centring @ prediction.logits,
    }
    figures = [matrix_figure(name, {"predicted": m}, False) for name, m in matrices.items()]
    figures.append(means_figure(counts, {"predicted means": prediction.means_gram}))
    conditions = Table(("it is assumed that",), [(line,) for line in prediction.assumptions])
    sections = [
        Section("Class by class", "", tables=[class_table(prediction)]),
        Section("Geometry", "Up to a rotation of the features.", figures),
        Section(
            "When the smallest classes change",
            _threshold_words(curve),
            [_curve_figure(prediction, curve)],
            animations=[_moving_means(curve)] if len(counts) > 2 else [],
        ),
        Section("What must hold", "", tables=[conditions]),
    ]
    record: dict[str, Any] = prediction.to_dict() if len(counts) <= _MOST_ROWS else {}
    return Page("Where is training heading?", lead, facts, (), sections, record)


def write_prediction(prediction: Prediction, curve: ImbalanceCurve, path: str | Path) -> None:
    """Write the page to ``path`` as one self-contained HTML file."""
    Path(path).write_text(render(prediction_page(prediction, curve)), encoding="utf-8")


def _names(groups: Any) -> str:
    return "; ".join(" = ".join(map(str, group)) for group in groups)


def _smallest(prediction: Prediction) -> str:
    return f"of class {int(np.argmin(prediction.margins))}: own logit less the mean of the others"


def class_table(prediction: Prediction, names: Sequence[str] = ()) -> Table:
    """Every class with its end; ``names`` are written instead of the numbers."""
    together = {k: i for i, group in enumerate(prediction.merged, 1) for k in group}
    means, rows = np.diag(prediction.means_gram), np.diag(prediction.weight_gram)

    def fate(k: int) -> str:
        if k in prediction.dead:
            return "dead"
        return f"merged, group {together[k]}" if k in together else "apart"

    lines = [
        (
            names[k] if names else str(k),
            f"{int(count):,}",
            number(float(prediction.margins[k]), 4),
            fate(k),
            number(float(np.sqrt(means[k]))),
            number(float(np.sqrt(rows[k]))),
        )
        for k, count in enumerate(prediction.counts[:_MOST_ROWS])
    ]
    left_out = len(prediction.counts) - len(lines)
    caption = f"{left_out:,} more classes are left out." if left_out else ""
    header = ("class", "samples", "margin", "end", "norm of the mean", "norm of the row of W")
    return Table(header, lines, caption, words=(3,))


def _threshold_words(curve: ImbalanceCurve) -> str:
    named = ", ".join(map(str, curve.smallest[:8])) + (" …" if len(curve.smallest) > 8 else "")
    kind = "Class" if len(curve.smallest) == 1 else "Classes"
    words = (
        f"{kind} {named} given from {curve.sizes[0]:,} samples each down to {curve.sizes[-1]:,}, "
    )
    words += "all else as it is: "
    if curve.threshold is None:
        return words + "nothing merges or dies on the way."
    return words + f"they merge or die at {curve.threshold:,} samples and below."


def _curve_figure(prediction: Prediction, curve: ImbalanceCurve) -> Illustration:
    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        margins = curve.margins
        drawn: dict[tuple[float, ...], int] = {}
        for k in range(margins.shape[1]):
            drawn.setdefault(tuple(margins[:, k].round(6)), k)
        colours = class_colours(margins.shape[1])
        for values, k in list(drawn.items())[:8]:
            style = "-" if k in curve.smallest else "--"
            axis.plot(curve.sizes, values, style, color=colours[k], label=f"class {k}")
        axis.axvline(prediction.counts.min(), color=faint(), linewidth=1, label="these counts")
        if curve.threshold is not None:
            axis.axvline(curve.threshold, color=ink(), linestyle=":", label="merging threshold")
        axis.set_xscale("log")
        axis.set_xlabel("samples of each of the smallest classes")
        axis.set_ylabel("margin")
        axis.grid(True)
        axis.legend()

    caption = "Solid: the smallest classes. Dashed: the others. Classes with equal margins are drawn once."
    alt = "Margins of the classes over the number of samples of the smallest."
    return illustrate("imbalance", "Margins against imbalance", caption, alt, (5.4, 3.8), draw)


def _moving_means(curve: ImbalanceCurve) -> Animation:
    """Class means, a frame for each count of the smallest classes.

    The plane is that of the largest class and two of the smallest, so that these are seen to merge.
    """
    others = [k for k in largest_classes(curve.predictions[-1].counts) if k not in curve.smallest]
    kept = [*others[:1], *curve.smallest[:2], *others[1:]][:3]
    plans = [plane_coordinates(found.means_gram, kept) for found in curve.predictions]
    frames = [[_trace(plan[[*kept, kept[0]]]), _trace(plan)] for plan in plans]
    labels = [
        f"{size:,} samples each in the smallest classes · margins {number(float(m.max()))} to "
        f"{number(float(m.min()))}"
        + (" · merged or dead" if curve.threshold is not None and size <= curve.threshold else "")
        for size, m in zip(curve.sizes.tolist(), curve.margins, strict=True)
    ]
    reach = 1.15 * max(float(np.abs(plan).max()) for plan in plans)
    return Animation(
        name="moving-means",
        title="Class means as the smallest classes change",
        caption=(
            f"The plane of the means of classes {', '.join(map(str, kept))}; the others are projected "
            "onto it. Move the slider to change the smallest classes."
        ),
        alt="Class means in a plane; those of the smallest classes move as they lose samples.",
        frames=frames,
        moving=[0, 1],
        labels=labels,
        light=_look("light", frames[0], reach),
        dark=_look("dark", frames[0], reach),
        slider="Samples of the smallest classes",
    )


def _trace(points: np.ndarray) -> dict[str, list[float]]:
    return {name: np.round(column, 5).tolist() for name, column in zip("xy", points.T, strict=True)}


def _look(name: Theme, first: list[dict[str, list[float]]], reach: float) -> dict[str, Any]:
    count = len(first[1]["x"])
    with theme(name):
        marker = {"color": class_colours(count), "size": 13}
        marker["symbol"] = [_SYMBOLS[k % len(_SYMBOLS)] for k in range(count)]
        edges = {"mode": "lines", "line": {"color": faint(), "width": 1.5}, "hoverinfo": "skip"}
        points = {"mode": "markers+text", "marker": marker}
        points["textposition"] = [_CORNERS[k % len(_CORNERS)] for k in range(count)]
        points |= {"text": [str(k) for k in range(count)], "name": "class means"}
        axis = {"visible": False, "range": [-reach, reach]}
        layout = {
            "paper_bgcolor": page_colour(),
            "plot_bgcolor": page_colour(),
            "font": {"color": ink(), "family": "system-ui, sans-serif", "size": 14},
            "showlegend": False,
            "margin": {"l": 0, "r": 0, "t": 10, "b": 10},
            "dragmode": "pan",
            "xaxis": axis,
            "yaxis": {**axis, "scaleanchor": "x"},
        }
    styles = zip((edges, points), first, strict=True)
    return {
        "data": [{"type": "scatter", **style, **row} for style, row in styles],
        "layout": layout,
    }
