"""Claims of min2025 on the start: when neurons align, and which class gets none."""

from __future__ import annotations

import numpy as np

from ncollapse.claims import Missing, Wrong, rows_of
from ncollapse.papers.min2025.experiments import AlignmentTimes, LostClasses

_SCALE_FREE = "ours: while logits are small, directions move at a rate that no scale enters"


def _alignment_slope(result: AlignmentTimes) -> float | Missing:
    """Of T* over log(1/size), relative to the slope of the time at which the loss falls."""
    if np.isnan(result.aligned).any():
        return Missing("not every start aligned")
    return result.slope(result.aligned) * result.rate


def _disagreements(result: LostClasses) -> int:
    """Classes, over all runs, that are lost and were not forecast to be, or the reverse."""
    foretold = np.array([forecast.group_sizes == 0 for forecast in result.forecasts])
    return int(np.sum(foretold != (result.group_sizes == 0)))


def _misplaced(result: LostClasses) -> int:
    """Neurons, over all runs, by which group sizes differ from the forecast."""
    foretold = np.array([forecast.group_sizes for forecast in result.forecasts])
    return int(np.abs(foretold - result.group_sizes).sum())


_alignment_time = rows_of("min2025.alignment_time", prefix="min2025.alignment-time")
_lost_classes = rows_of("min2025.lost_classes", prefix="min2025.lost-classes")

STARTS = (
    _alignment_time(
        "aligned",
        "alignment theorem: some T*",
        "slope of T* over log(1/size of the start), times the rate λ of growth: T* stays",
        _SCALE_FREE + "; tolerance: the error of the integrator's steps",
        expected=0.0,
        tolerance=1e-3,
        measure=_alignment_slope,
        wrong=Wrong("T* waits until the loss falls, log(1/size)/λ", expected=lambda _: 1.0),
    ),
    _alignment_time(
        "escaped",
        "small initialisation",
        "slope over log(1/size of the start) of the time at which the loss falls, times the "
        "rate λ = √(1 − 1/K) max_k ‖Σ_{i in k} x_i‖",
        _SCALE_FREE + ": aligned neurons grow like e^{λt}",
        expected=1.0,
        tolerance=1e-2,
        measure=lambda result: result.slope(result.escaped) * result.rate,
        wrong=Wrong(
            "logits, of degree 2, have to grow from the size itself", expected=lambda _: 0.5
        ),
    ),
    _lost_classes(
        "classes",
        "alignment theorem: K groups",
        "classes that are lost without having been forecast, or the reverse, over all runs",
        "ours: theory.alignment; the limit of small starts, checked, not proved",
        expected=0.0,
        measure=_disagreements,
        wrong=Wrong(
            "every class keeps a neuron",
            measure=lambda result: int(np.sum(result.group_sizes == 0)),
        ),
    ),
    _lost_classes(
        "neurons",
        "alignment theorem: K groups",
        "neurons by which the groups' sizes differ from the forecast, over all runs",
        "ours: theory.alignment; the limit of small starts, checked, not proved",
        expected=0.0,
        measure=_misplaced,
        wrong=Wrong(
            "classes share the neurons equally",
            measure=lambda result: float(
                np.abs(result.group_sizes - result.group_sizes.mean(axis=1)[:, None]).sum()
            ),
        ),
    ),
)
