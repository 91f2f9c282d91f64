"""The claims of hong2025 about training, Figures 3 to 5, a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ncollapse.claims import Missing, Relation, Wrong, rows_of

if TYPE_CHECKING:
    from ncollapse.papers.hong2025.training import Curves, Training
    from ncollapse.papers.hong2025.training_choices import Choices

_CLOSE = 1e-6
"""Gap below which a run counts as at the optimum, whose risk is 2.6e-3 at n = 40."""
_STUCK = 1e-5
"""Gap above which a polished run counts as in a local minimum."""
_SEARCHES = ("optimum", "polished")
_OURS = "ours, after Figure 3"


def _missing(feasible: bool) -> Missing:
    return Missing(f"no run of this grid is proven {'feasible' if feasible else 'infeasible'}")


def _ends(name: str, *, feasible: bool = True) -> Callable[[Training], np.ndarray | Missing]:
    def measure(result: Training) -> np.ndarray | Missing:
        values = result.where(feasible, name)
        return values if values.size else _missing(feasible)

    return measure


def _best_quotient(feasible: bool) -> Callable[[Training], np.ndarray | Missing]:
    """The smaller trace quotient of homotopy and of L-BFGS from where descent ended."""

    def measure(result: Training) -> np.ndarray | Missing:
        values = [result.where(feasible, f"{way}_nc1_quotient") for way in _SEARCHES]
        return np.minimum(values[0], values[1]) if values[0].size else _missing(feasible)

    return measure


def _reached(way: str) -> Callable[[Training], float | Missing]:
    """Share of feasible runs that end within 1e-6 of the closed-form optimum."""

    def measure(result: Training) -> float | Missing:
        gaps = _ends(f"{way}_gap")(result)
        return gaps if isinstance(gaps, Missing) else float(np.mean(gaps < _CLOSE))

    return measure


def _local(way: str) -> Callable[[Training], np.ndarray | Missing]:
    """Gap by another way over that of polished descent, where this ended in a local minimum."""

    def measure(result: Training) -> np.ndarray | Missing:
        gaps, others = (result.where(True, f"{name}_gap") for name in ("polished", way))
        stuck = gaps > _STUCK
        return others[stuck] / gaps[stuck] if stuck.any() else Missing("no run ended in one")

    return measure


def _at_low_noise(name: str) -> Callable[[Training], np.ndarray]:
    """At the least σ and d/n above 1.1."""
    return lambda r: r.cells[name].isel(sigma=0).sel(ratio=r.cells["ratio"] > 1.1).values


_figure3, _figure4, _figure5 = (rows_of(f"hong2025.figure{number}") for number in (3, 4, 5))
_choices = rows_of("hong2025.choices")
_FIGURE3_ROWS = (
    _figure3(
        "optimum",
        _OURS,
        "share of runs where collapse is feasible that homotopy brings within 1e-6 of the optimum",
        "hong2025 Theorem 2(a); an observation of ours",
        relation=Relation.AT_LEAST,
        expected=0.95,
        measure=_reached("optimum"),
        wrong=Wrong("descent and L-BFGS from its end reach it too", measure=_reached("polished")),
    ),
    _figure3(
        "infeasible",
        _OURS,
        "smaller trace quotient, of homotopy and of polished descent, where collapse is infeasible",
        "hong2025 Theorem 3; the threshold is ours",
        relation=Relation.AT_LEAST,
        expected=1e-5,
        measure=_best_quotient(False),
        wrong=Wrong("feasibility makes no difference", measure=_best_quotient(True)),
    ),
    _figure3(
        "built",
        "Theorem 2(a), Theorem 3",
        "gap of the network built from the certificate to the closed-form optimum",
        "hong2025 (2.12); tolerance: rounding",
        expected=0.0,
        tolerance=1e-10,
        measure=_ends("built_gap"),
        wrong=Wrong("training finds that network", measure=_ends("descent_gap")),
    ),
    _figure3(
        "stable",
        _OURS,
        "gap after the built network is moved by a tenth of its size and descends by L-BFGS",
        "an observation of ours",
        relation=Relation.AT_MOST,
        expected=1e-7,
        measure=_ends("returned_gap"),
        wrong=Wrong("where descent ended is as good a start", measure=_ends("polished_gap")),
    ),
    _figure3(
        "local",
        _OURS,
        "gap of a local minimum moved by a hundredth of its size, after L-BFGS, over its own",
        "an observation of ours; tolerance: flat directions",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=0.1,
        measure=_local("local"),
        wrong=Wrong("a nudge frees it, as homotopy does", measure=_local("optimum")),
    ),
    _figure3(
        "descent",
        _OURS,
        "gap of full-batch descent after the budget where collapse is feasible",
        "an observation of ours",
        relation=Relation.AT_LEAST,
        expected=2e-4,
        measure=_ends("descent_gap"),
        wrong=Wrong("descent reaches the optimum", measure=_ends("optimum_gap")),
    ),
    _figure3(
        "slow",
        _OURS,
        "nc1 (3.2) of full-batch descent at the least σ and d/n above 1.1",
        "an observation of ours",
        relation=Relation.AT_LEAST,
        expected=2e-3,
        measure=_at_low_noise("descent_nc1_pinv"),
        wrong=Wrong("descent ends at the optimum", measure=_at_low_noise("optimum_nc1_pinv")),
    ),
    _figure3(
        "printed",
        "§3.2 as printed",
        "nc1 (3.2) at the least σ and d/n above 1.1, by full-batch descent",
        "hong2025 §3.2: all below 1e-4; batch size not given",
        relation=Relation.AT_MOST,
        expected=1e-4,
        measure=_at_low_noise("descent_nc1_pinv"),
        corrected="hong2025.figure3.slow",
    ),
)


def _end_over_start(name: str) -> Callable[[Curves], np.ndarray]:
    return lambda result: result.values[name][:, -1] / result.values[name][:, 0]


_CURVE_ROWS = (
    _figure4(
        "falls",
        "Figure 4",
        "nc1 (3.2) at σ = 0.18 at the end over that at the start, at each d/n",
        "hong2025 Figure 4; the threshold is ours",
        relation=Relation.AT_MOST,
        expected=0.2,
        measure=_end_over_start("nc1_pinv"),
        wrong=Wrong(
            "training leaves it as it was", measure=lambda r: r.values["nc1_pinv"][:, 0] ** 0
        ),
    ),
    _figure5(
        "hidden",
        "ours, after Figure 5",
        "trace quotient over nc1 (3.2) at σ = 1.42 at the end, at each d/n",
        "an observation of ours: (3.2) hides that nothing collapses",
        relation=Relation.AT_LEAST,
        expected=40.0,
        measure=lambda r: r.values["nc1_quotient"][:, -1] / r.values["nc1_pinv"][:, -1],
        wrong=Wrong(
            "both measure the same",
            measure=lambda r: r.values["nc1_pinv"][:, -1] / r.values["nc1_pinv"][:, -1],
        ),
    ),
    _figure5(
        "stays",
        "Figure 5",
        "trace quotient at σ = 1.42 at the end, at each d/n",
        "hong2025 §3.2: far from collapse; the threshold is ours",
        relation=Relation.AT_LEAST,
        expected=1.0,
        measure=lambda r: r.values["nc1_quotient"][:, -1],
        wrong=Wrong("(3.2) says how far", measure=lambda r: r.values["nc1_pinv"][:, -1]),
    ),
)


def _one(result: Choices) -> np.ndarray:
    return np.ones(result.runs.sizes["width"])


_CHOICE_ROWS = (
    _choices(
        "first-step",
        _OURS,
        "share of helpful pairs that start off and are off after one step, vanishing start",
        "ours: the formula is proven as a limit of large N and d; tolerance: draws",
        expected=lambda r: r.formula[:, 0],
        tolerance=0.03,
        measure=lambda r: r.first_step[:, 0],
        wrong=Wrong("pairs that start on do the same", measure=lambda r: r.first_step[:, 1]),
    ),
    _choices(
        "initial-scale",
        _OURS,
        "dead share at the end from the largest start over that from the smallest, highest σ",
        "an observation of ours: the formula of the first step is not that of the end",
        relation=Relation.AT_LEAST,
        expected=1.1,
        measure=lambda r: r.scale_ratio(),
        wrong=Wrong("the initial scale plays no part", measure=_one),
    ),
    _choices(
        "batch",
        _OURS,
        "gap at the least σ after the same epochs, smallest batch over all samples",
        "an observation of ours; hong2025 §3.2 names no batch size",
        relation=Relation.AT_MOST,
        expected=0.6,
        measure=lambda r: r.small_over_all(same_time=False),
        wrong=Wrong("the batch size plays no part", measure=_one),
    ),
    _choices(
        "flow-time",
        _OURS,
        "gap at the least σ after the same flow time, smallest batch over all samples",
        "ours: at a small step both follow the gradient flow; tolerance: noise of the batches",
        expected=1.0,
        tolerance=0.05,
        measure=lambda r: r.small_over_all(same_time=True),
        wrong=Wrong("epochs are what counts", measure=lambda r: r.small_over_all(same_time=False)),
    ),
)

TRAINING_CLAIMS = (*_FIGURE3_ROWS, *_CURVE_ROWS, *_CHOICE_ROWS)
