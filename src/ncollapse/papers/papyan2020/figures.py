"""papyan2020's figures: each function draws on the axes it is given and returns the lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncollapse.papers.papyan2020.experiments import Curves
from ncollapse.report.images import save_figure

PANELS = (
    ("Loss", ("loss",)),
    ("Training error", ("error",)),
    ("Equal norms (Figure 2)", ("nc2_equinorm_means", "nc2_equinorm_weight")),
    ("Equal, maximal angles (Figures 3, 4)", ("nc2_equiangular_means", "nc2_equiangular_weight")),
    ("Self-duality (Figure 5)", ("nc3_duality",)),
    ("Variability within classes (Figure 6)", ("nc1_pinv",)),
    ("Disagreement with nearest class mean (Figure 7)", ("mismatch",)),
)


def curves(result: Curves, out: Path) -> list[Path]:
    """The seven panels."""

    def draw(figure: Any) -> None:
        axes = list(figure.subplots(2, 4).flat)
        axes[-1].set_visible(False)
        plot_panels(result, axes)

    return [save_figure(out / "curves.png", (14.0, 6.4), draw)]


def plot_panels(result: Curves, axes: Sequence[Any]) -> list[Any]:
    """An axis for each of `PANELS`, over the epochs; the line is where the error is zero for good."""
    run, drawn = result.run, []
    shares = {"error": result.errors, "mismatch": 1.0 - run.observations["nc4_agreement"]}
    later = run.s >= 1
    for axis, (title, names) in zip(axes, PANELS, strict=False):
        for name in names:
            values = (run.observations | shares)[name]
            drawn += axis.semilogx(run.s[later], values[later], marker=".", label=name)
        if names[0] not in shares:
            axis.set_yscale("log")
        if result.zero is not None:
            axis.axvline(run.s[result.zero], color="0.5", ls="--", lw=1)
        axis.set_title(title, fontsize="medium")
        axis.set_xlabel("epoch")
        axis.grid(True, alpha=0.4)
        if len(names) > 1:
            axis.legend(fontsize="x-small")
    return drawn
