"""The claims of hong2025 about three layers, Figure 6, a row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong

if TYPE_CHECKING:
    from ncollapse.papers.hong2025.three_layers import ThreeLayers

_SCALED, _PLAIN, _NORMALISED = "variance 1/√d₁", "variance 1/d₁", "normalised"
_OURS = "ours, after Theorem 6"
_WIDEST = -2
"""Of the widths, whose last one is infinity."""


def _gain(result: ThreeLayers, reading: str, name: str) -> float:
    """A value at the widest finite layer over that at the narrowest one."""
    values = result.last(reading, name)
    return float(values[_WIDEST] / values[0])


def _lost(result: ThreeLayers, reading: str = _SCALED) -> float:
    """Share of the gain in gap, in logarithms, that goes when G is normalised."""
    gains = [np.log(_gain(result, name, "gap")) for name in (_NORMALISED, reading)]
    return float(1.0 - gains[0] / gains[1])


def _to_infinity(result: ThreeLayers, reading: str) -> float:
    infinite = result.last(_NORMALISED, "nc1_quotient")[-1]
    return float(result.last(reading, "nc1_quotient")[_WIDEST] / infinite)


def _where_invertible(values: np.ndarray, result: ThreeLayers) -> np.ndarray | Missing:
    chosen = values[result.ends["invertible"].values]
    return chosen if chosen.size else Missing("no layer is wide enough for a kernel of rank N")


def _ended(result: ThreeLayers) -> np.ndarray | Missing:
    ends = result.curves["gap"].sel(reading=_NORMALISED).isel(epoch=-1)
    return _where_invertible(ends.values, result)


_FIGURE6: dict[str, Any] = {"experiment": "hong2025.figure6"}
THREE_LAYER_CLAIMS = (
    Claim(
        id="hong2025.figure6.wider",
        statement="Figure 6",
        says="gap and trace quotient after the budget, widest layer over narrowest, variance 1/√d₁",
        source="hong2025 §3.3: collapse is stronger as d₁ increases; the threshold is ours",
        relation=Relation.AT_MOST,
        expected=0.6,
        measure=lambda r: np.array([_gain(r, _SCALED, n) for n in ("gap", "nc1_quotient")]),
        wrong=Wrong("width makes no difference", measure=lambda _: np.ones(2)),
        **_FIGURE6,
    ),
    Claim(
        id="hong2025.figure6.faster",
        statement=_OURS,
        says="share of that gain in the logarithm of the gap that goes when G is normalised",
        source="an observation of ours: variance 1/√d₁ makes steps √d₁ times longer",
        relation=Relation.AT_LEAST,
        expected=0.45,
        measure=_lost,
        wrong=Wrong("the scale of G plays no part", measure=lambda r: _lost(r, _PLAIN)),
        **_FIGURE6,
    ),
    Claim(
        id="hong2025.figure6.infinite",
        statement=_OURS,
        says="trace quotient after the budget, widest layer over infinite one, G normalised",
        source="an observation of ours; tolerance: one draw and start",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=0.5,
        measure=lambda result: _to_infinity(result, _NORMALISED),
        wrong=Wrong("nor does it at variance 1/√d₁", measure=lambda r: _to_infinity(r, _SCALED)),
        **_FIGURE6,
    ),
    Claim(
        id="hong2025.figure6.optimum",
        statement="Theorem 6 in training",
        says="gap of homotopy to the closed-form optimum, at every width with a kernel of rank N",
        source="hong2025 Theorem 6, Theorem 2(a); an observation of ours",
        relation=Relation.AT_MOST,
        expected=1e-6,
        measure=lambda r: _where_invertible(r.ends["gap"].values, r),
        wrong=Wrong("descent reaches it too", measure=_ended),
        **_FIGURE6,
    ),
)
