"""Drawing of the mixon2022 experiments: takes axes, returns the lines drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ncollapse.papers.mixon2022._experiment import FinalErrors, Starts

_LABELS = {
    "snc1": "‖WWᵀ − √N(I − J/C)‖",
    "snc2": "‖H − (W⊗1)ᵀ/√N‖ / ‖H‖",
    "snc3": "‖b − 1/C‖",
    "off_subspace": "‖Z − Π_S Z‖ / ‖Z‖",
}


def plot_figure1(result: Starts, axes: Sequence[Any]) -> list[Any]:
    """Errors in (SNC1), (SNC2), (SNC3) on three axes, log time against log error.

    Dashed: the exact flow on S from the projected start, for the two errors that it predicts.
    Unlike the paper the horizontal axis is logarithmic in time, since the slow last part, at a
    rate near ε², takes 10⁴ and more times as long as the collapse.
    """
    drawn = []
    for axis, name in zip(axes, ("snc1", "snc2", "snc3"), strict=True):
        for index, start in enumerate(result.starts):
            drawn += axis.loglog(
                start.time, start.error(name), f"C{index}", label=f"ε = {start.size:g}"
            )
            if name in start.predicted:
                floor = 1e-12
                shown = start.predicted[name] > floor
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


def plot_figure2(result: Starts, axis: Any) -> list[Any]:
    """Relative distance to the invariant subspace along each run."""
    drawn = []
    for index, start in enumerate(result.starts):
        drawn += axis.loglog(
            start.time, start.error("off_subspace"), f"C{index}", label=f"ε = {start.size:g}"
        )
    axis.set_xlabel("time")
    axis.set_ylabel(_LABELS["off_subspace"])
    axis.legend()
    return drawn


def plot_final_errors(result: FinalErrors, axis: Any, *, rule: str = "flow") -> list[Any]:
    """Final errors against ε, every seed a point, with the fitted power in the legend."""
    drawn = []
    for index, (name, values) in enumerate(result.errors[rule].items()):
        label = f"{_LABELS[name]}  ∝ ε^{result.exponents[rule][name]:.2f}"
        drawn += axis.loglog(result.sizes, values, f"C{index}o", markersize=4)
        drawn += axis.loglog(result.sizes, values.mean(axis=1), f"C{index}", label=label)
    axis.set_title(rule)
    axis.set_xlabel("ε")
    axis.set_ylabel("final error")
    axis.legend()
    return drawn
