"""ji2022 Figures 1 and 3 to 8: each function draws on the axes it is given and returns the lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.papers.ji2022.networks import NAMES, Networks
from ncollapse.report.images import save_figure
from ncollapse.report.panels import PANELS

Draw = Callable[[Networks, Path], list[Path]]
_EPOCHS = (2, 5, 20, 100, 500)


def drawn_as(name: str) -> Draw:
    """A function that draws the four panels as ``name``.png; nothing where nothing was trained."""

    def draw_all(result: Networks, out: Path) -> list[Path]:
        def draw(figure: Any) -> None:
            plot_panels(result, list(figure.subplots(2, 2).flat))

        return [save_figure(out / f"{name}.png", (9.2, 7.6), draw)] if result.runs else []

    return draw_all


def plot_panels(result: Networks, axes: Sequence[Any]) -> list[Any]:
    """Four axes as in the paper: epochs on a log log scale across, metrics on a log scale up.

    Solid: features. Dashed: classifier. Thin: the flow of the layer-peeled model at the same loss.
    Vertical: training error zero from there on.
    """
    drawn = []
    for index, (name, run) in enumerate(result.runs.items()):
        later, colour = run.s >= 2, f"C{index}"
        across, reference = np.log(run.s[later]), result.reference(name)
        for axis, (_, names) in zip(axes, PANELS, strict=True):
            for metric, style in zip(names, ("-", "--"), strict=False):
                label = f"{metric}, {NAMES[name]}"
                values = run.observations[metric][later]
                drawn += axis.loglog(across, values, colour + style, label=label)
                flow = reference[metric][later]
                drawn += axis.loglog(across, flow, colour + style, lw=0.8, alpha=0.5)
                drawn[-1].set_label("flow at equal loss" if style == "-" else "")
            if result.fitted(name).any():
                zero = run.s[result.fitted(name)][0]
                axis.axvline(np.log(max(zero, 2.0)), color=colour, lw=0.8, ls=":")
    for axis, (title, _) in zip(axes, PANELS, strict=True):
        shown = [
            epoch for epoch in _EPOCHS if any(epoch <= run.s[-1] for run in result.runs.values())
        ]
        axis.set_xticks(np.log(shown), [str(epoch) for epoch in shown])
        axis.set_xticks([], minor=True)
        axis.set_title(title)
        axis.set_xlabel("epoch (log log scale)")
        axis.legend(fontsize="x-small")
    return drawn
