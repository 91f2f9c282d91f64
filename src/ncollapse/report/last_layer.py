"""Figures of a last layer: matrices side by side, class means in a plane, margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.report._page import Illustration
from ncollapse.report.images import illustrate
from ncollapse.report.style import class_colours, class_markers, diverging, faint, ink

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 3
"""Up to so many classes at one place are named there."""
_ONE_PLACE = 0.12
"""Points nearer than this share of the largest coordinate lie at one place."""
_MOST_TICKS = 6
MATRICES = {
    "weight": ("Classifier", "Inner products of the rows of W."),
    "means": ("Class means", "Inner products of the class means, not centred."),
    "logits": ("Logits", "Column k holds the logits of class k, less their mean."),
}
"""Title and caption of each matrix that a theory predicts."""


def matrix_figure(name: str, panels: Mapping[str, np.ndarray], unit: bool) -> Illustration:
    """Matrices in one colour scale, a panel each; ``unit``: divided by their Frobenius norms."""
    title, caption = MATRICES[name]
    scaled = {
        label: matrix / (float(np.linalg.norm(matrix)) or 1.0) if unit else matrix
        for label, matrix in panels.items()
    }
    reach = max(float(np.abs(matrix).max()) for matrix in scaled.values()) or 1.0

    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, len(scaled), squeeze=False)[0]
        images = []
        for axis, (label, matrix) in zip(axes, scaled.items(), strict=True):
            images.append(axis.imshow(matrix, cmap=diverging(), vmin=-reach, vmax=reach))
            if len(scaled) > 1:
                axis.set_title(label)
            axis.set_xlabel("class")
            axis.set_xticks(_ticks(len(matrix)))
            axis.set_yticks(_ticks(len(matrix)))
        figure.colorbar(images[0], ax=axes.tolist(), shrink=0.8)

    words = caption + (" Each matrix is divided by its norm." if unit else "")
    alt = f"{title}: {' and '.join(panels)}, as coloured squares for every pair of classes."
    return illustrate(name, title, words, alt, (1.0 + 2.5 * len(panels), 3.3), draw)


def _ticks(count: int) -> list[int]:
    return list(range(0, count, max(1, -(-count // 8))))


def largest_classes(counts: np.ndarray) -> list[int]:
    """The three largest classes, or two where there are no more; the first of equal ones."""
    return np.argsort(-counts, kind="stable")[:3].tolist()


def plane_coordinates(gram: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Means ``(K, 2)`` in the plane of those of ``classes``, from their inner products.

    The centre of ``classes`` is the origin, the first lies on the first axis, the second above it.
    Axes that the means of ``classes`` do not span are zero.
    """
    centre = np.zeros(len(gram))
    centre[list(classes)] = 1.0 / len(classes)
    moved = np.eye(len(gram)) - centre  # row k: class k less the centre, in terms of the means
    least = 1e-9 * float(np.trace(gram))
    axes: list[np.ndarray] = []
    for k in classes[:2]:
        direction = moved[k]
        for axis in axes:
            direction = direction - (direction @ gram @ axis) * axis
        square = float(direction @ gram @ direction)
        axes.append(direction / np.sqrt(square) if square > least else np.zeros_like(direction))
    return moved @ gram @ np.array(axes).T


def means_figure(
    counts: np.ndarray, grams: Mapping[str, np.ndarray], *, unit: bool = False
) -> Illustration:
    """Class means in the plane of the three largest classes: the first filled, the second as rings."""
    classes = largest_classes(counts)
    plans = {
        label: plane_coordinates(
            gram / (float(np.linalg.norm(gram)) or 1.0 if unit else 1.0), classes
        )
        for label, gram in grams.items()
    }

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        colours, markers = class_colours(len(counts)), class_markers(len(counts))
        for place, plan in enumerate(plans.values()):
            corners = plan[[*classes, classes[0]]]
            axis.plot(
                corners[:, 0],
                corners[:, 1],
                color=faint(),
                linestyle="-" if place == 0 else ":",
                zorder=1,
            )
            for k, (x, y) in enumerate(plan):
                size, fill = (64, colours[k]) if place == 0 else (170, "none")
                style = {"marker": markers[k], "edgecolors": colours[k], "zorder": 2}
                axis.scatter(x, y, size, fill, **style)
        for point, words in _places(next(iter(plans.values()))):
            axis.annotate(
                words, tuple(point), (7, 7), textcoords="offset points", color=ink(), fontsize=9
            )
        axis.set_aspect("equal")
        axis.margins(0.15)
        axis.set_axis_off()

    kinds = " rings are ".join(f"{label}" for label in plans)
    caption = (
        f"Filled marks are {kinds}. The plane is that of the means of classes "
        f"{', '.join(map(str, classes))}, the largest; the others are projected onto it."
    )
    alt = f"{len(counts)} class means as points around a triangle of the largest classes."
    return illustrate("class-means", "Class means", caption, alt, (4.4, 4.0), draw)


def _places(plan: np.ndarray) -> list[tuple[np.ndarray, str]]:
    """Every place with its classes in words."""
    near = _ONE_PLACE * float(np.abs(plan).max())
    places: list[list[int]] = []
    for k, point in enumerate(plan):
        for members in places:
            if np.linalg.norm(plan[members[0]] - point) <= near:
                members.append(k)
                break
        else:
            places.append([k])
    return [
        (
            plan[members[0]],
            ", ".join(map(str, members[:_MOST_NAMED]))
            + (" …" if len(members) > _MOST_NAMED else ""),
        )
        for members in places
    ]


def _count_ticks(counts: np.ndarray) -> list[int]:
    """Class sizes that are far enough apart on a logarithmic axis to be written below it."""
    sizes = np.unique(counts.astype(int)).tolist()
    apart = np.log(sizes[-1] / sizes[0]) / _MOST_TICKS
    ticks = [sizes[-1]]
    for size in reversed(sizes):
        if np.log(ticks[-1] / size) > apart:
            ticks.append(size)
    return ticks


def margins_figure(counts: np.ndarray, margins: Mapping[str, np.ndarray]) -> Illustration:
    """Margins against class sizes."""

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for (label, values), mark in zip(margins.items(), ("x", "o"), strict=False):
            fill: dict[str, Any] = {"markerfacecolor": "none"} if mark == "o" else {}
            axis.plot(counts, values, mark, markersize=9, markeredgewidth=1.8, label=label, **fill)
        axis.set_xscale("log")
        axis.set_xticks(_count_ticks(counts), [f"{size:,}" for size in _count_ticks(counts)])
        axis.minorticks_off()
        axis.set_xlabel("samples of the class")
        axis.set_ylabel("margin")
        axis.grid(True)
        axis.legend()

    caption = "Own logit less the mean of the others, against the size of the class."
    return illustrate("margins", "Margins", caption, "Margins over class sizes.", (4.6, 3.4), draw)
