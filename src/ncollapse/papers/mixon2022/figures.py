"""mixon2022's figures: each function draws on the axes it is given and returns the lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncollapse.papers.mixon2022.experiments import FinalErrors, Starts, Subspace
from ncollapse.report.images import save_figure
from ncollapse.theory.unconstrained import risk, risk_split

_FLOOR = 1e-12
_LABELS = {
    "snc1": "‖WWᵀ − √N(I − J/C)‖",
    "snc2": "‖H − (W⊗1)ᵀ/√N‖ / ‖H‖",
    "snc3": "‖b − 1/C‖",
    "off_subspace": "‖Z − Π_S Z‖ / ‖Z‖",
}


def figure1(result: Starts, out: Path) -> list[Path]:
    """Errors in (SNC1), (SNC2) and (SNC3) over time."""

    def draw(figure: Any) -> None:
        plot_errors(result, figure.subplots(1, 3))

    return [save_figure(out / "figure1.png", (13.8, 3.8), draw)]


def figure2(result: Starts, out: Path) -> list[Path]:
    """Relative distance to the invariant subspace over time."""

    def draw(figure: Any) -> None:
        plot_distance(result, figure.subplots())

    return [save_figure(out / "figure2.png", (4.6, 3.8), draw)]


def final_errors(result: FinalErrors, out: Path) -> list[Path]:
    """Final errors against ε, an axis for each optimiser."""
    rules = list(result.errors)

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, len(rules), squeeze=False, sharey=True)[0]
        for axis, rule in zip(axes, rules, strict=True):
            plot_final_errors(result, axis, rule=rule)

    return [save_figure(out / "final_errors.png", (4.6 * len(rules), 4.2), draw)]


def subspace(result: Subspace, out: Path) -> list[Path]:
    """The risk over its two terms on S, for the random points of S."""

    def draw(figure: Any) -> None:
        plot_risk_split(result, figure.subplots())

    return [save_figure(out / "subspace.png", (4.6, 3.8), draw)]


def plot_risk_split(result: Subspace, axis: Any) -> list[Any]:
    """A dot a point: the sum of Lemma 4's terms across, the risk up; equal on the line."""
    risks = [risk(point) for point in result.points]
    drawn = axis.loglog([sum(risk_split(point)) for point in result.points], risks, "C0o")
    axis.axline((risks[0], risks[0]), slope=1.0, color="0.7", lw=1)
    axis.set_xlabel("½‖WWᵀ − √N(I − J/C)‖² + ½CN‖b − 1/C‖²")
    axis.set_ylabel("risk")
    return drawn


def plot_errors(result: Starts, axes: Sequence[Any]) -> list[Any]:
    """Errors in (SNC1), (SNC2), (SNC3) on three axes, log time against log error.

    Dashed: the exact flow on S from the projected start, for the two errors that it predicts.
    Unlike the paper the horizontal axis is logarithmic in time, since the slow last part, at a
    rate near ε², takes 10⁴ and more times as long as the collapse.
    """
    drawn = []
    for axis, name in zip(axes, ("snc1", "snc2", "snc3"), strict=True):
        for index, start in enumerate(result.starts):
            label = f"ε = {start.size:g}"
            drawn += axis.loglog(start.time, start.error(name), f"C{index}", label=label)
            if name in start.predicted:
                shown = start.predicted[name] > _FLOOR
                drawn += axis.loglog(
                    start.time[shown],
                    start.predicted[name][shown],
                    f"C{index}--",
                    alpha=0.7,
                    label="exact, on S" if index == 0 else None,
                )
        axis.set_xlabel("time")
        axis.set_ylabel(_LABELS[name])
    axes[0].legend()
    return drawn


def plot_distance(result: Starts, axis: Any) -> list[Any]:
    """Relative distance to the invariant subspace along each run."""
    drawn = []
    for index, start in enumerate(result.starts):
        label = f"ε = {start.size:g}"
        drawn += axis.loglog(start.time, start.error("off_subspace"), f"C{index}", label=label)
    axis.set_xlabel("time")
    axis.set_ylabel(_LABELS["off_subspace"])
    axis.legend()
    return drawn


def plot_final_errors(result: FinalErrors, axis: Any, *, rule: str = "flow") -> list[Any]:
    """Final errors against ε, every seed a point, with the fitted power in the legend."""
    drawn = []
    for index, (name, values) in enumerate(result.errors[rule].items()):
        label = f"{_LABELS[name]}  ∝ ε^{result.exponent(rule, name):.2f}"
        drawn += axis.loglog(result.sizes, values, f"C{index}o", markersize=4)
        drawn += axis.loglog(result.sizes, values.mean(axis=1), f"C{index}", label=label)
    axis.set_title(rule)
    axis.set_xlabel("ε")
    axis.set_ylabel("final error")
    axis.legend()
    return drawn
