"""Claims of ji2022 on problem (3.1): its optima, their multipliers, and Theorem 3.1's equality."""

from __future__ import annotations

import math

import numpy as np

from ncollapse.claims import Relation, Wrong, rows_of
from ncollapse.papers.ji2022.experiments import Solutions
from ncollapse.papers.ji2022.minimum_norm import (
    deficit_residual,
    kkt_fit,
    kkt_residual,
    margin_deficit,
)
from ncollapse.theory.layer_peeled import log_loss, log_loss_gap

_SOLVED = 1e-6
"""Relative precision to which the solver is trusted; it stops at 1e-12 of the value."""


def _values(result: Solutions) -> np.ndarray:
    return np.array([0.5 * (np.sum(w**2) + np.sum(h**2)) for w, h in result.points])


def _multipliers(result: Solutions) -> np.ndarray:
    """Those that are not of a sample's own class, over all points."""
    fits = [kkt_fit(*point, binds=1e-4)[1] for point in result.points]
    own = np.repeat(np.eye(result.num_classes, dtype=bool), result.per_class, axis=0)
    return np.array([fit[~own] for fit in fits])


def _residuals(result: Solutions, stretch: float = 1.0) -> np.ndarray:
    return np.array([kkt_residual(stretch * w, h, binds=1e-4) for w, h in result.points])


def _least_margin(result: Solutions, threshold: float) -> float:
    loss, margins = result.crossing.T
    return float(margins[loss < threshold].min())


def _level(result: Solutions, margin: float) -> float:
    """log L where every wrong logit is ``margin`` below the right one."""
    count = result.num_classes
    samples = count * result.per_class
    return math.log(samples * math.log1p((count - 1) * math.exp(-margin)))


def _wrong_gap(result: Solutions, weight: np.ndarray, features: np.ndarray) -> float:
    """log(L/L∗) with n for √n in the margin of L∗."""
    square = float(np.sum(weight**2) + np.sum(features**2))
    bound = 0.5 * square / ((result.num_classes - 1) * result.per_class)
    return log_loss(weight, features) - _level(result, bound)


def _near(result: Solutions) -> list[tuple[np.ndarray, np.ndarray]]:
    pairs = zip(result.points, result.random, strict=False)
    return [(w + 0.05 * dw, h + 0.05 * dh) for (w, h), (dw, dh) in pairs]


_row = rows_of("ji2022.separation")

OPTIMA = (
    _row(
        "value",
        "(3.1), Corollary 3.1",
        "½(‖W‖² + ‖H‖²) where a solver of (3.1) ends, against (K−1)√n",
        source="ji2022 Theorem 3.1 at q_min = 1",
        expected=lambda r: (r.num_classes - 1) * math.sqrt(r.per_class),
        tolerance=lambda r: _SOLVED * (r.num_classes - 1) * math.sqrt(r.per_class),
        measure=_values,
        wrong=Wrong("(K−1)n", expected=lambda r: (r.num_classes - 1) * r.per_class),
    ),
    _row(
        "collapse",
        "Corollary 3.1",
        "distance of these optima from collapse with ‖W‖ = ‖H‖: the terms of duality, mean and "
        "margins of `MarginDeficit`",
        expected=0.0,
        tolerance=_SOLVED,
        measure=lambda r: np.array([margin_deficit(*point).total for point in r.points]),
        wrong=Wrong(
            "any point that separates is as good",
            measure=lambda r: np.array([margin_deficit(w, 2.0 * h).total for w, h in r.points]),
        ),
    ),
    _row(
        "kkt-point",
        "Corollary 3.1, Definition A.1",
        "residual of the stationarity of (3.1) at these optima, with multipliers Λ ≥ 0",
        expected=0.0,
        tolerance=_SOLVED,
        measure=_residuals,
        wrong=Wrong("so is the point with W doubled", measure=lambda r: _residuals(r, 2.0)),
    ),
    _row(
        "multipliers",
        "(3.1), its multipliers",
        "multipliers λ_kij at these optima, all equal to 1/(K√n)",
        source="ours: h_ki = λ K w_k and w_k = √n h_ki; derived",
        expected=lambda r: 1.0 / (r.num_classes * math.sqrt(r.per_class)),
        tolerance=_SOLVED,
        measure=_multipliers,
        wrong=Wrong("1/(Kn)", expected=lambda r: 1.0 / (r.num_classes * r.per_class)),
    ),
    _row(
        "only-if",
        "Theorem 3.1, only if",
        "1 − q_min/bound less its terms of duality, mean and margins, at random points",
        source="ours: the terms that the proof of Theorem 3.1 drops, summed; proven",
        expected=0.0,
        tolerance=lambda r: 1e-12 * max(margin_deficit(*point).total for point in r.random),
        measure=lambda r: np.array([deficit_residual(*point) for point in r.random]),
        wrong=Wrong(
            "a mean of the classifier's rows costs nothing",
            measure=lambda r: np.array([deficit_residual(*p, mean=False) for p in r.random]),
        ),
    ),
    _row(
        "separated",
        "Remark 3.2",
        "least q_min while L < log 2, as one feature of a collapsed point moves to another class",
        relation=Relation.AT_LEAST,
        expected=0.0,
        measure=lambda r: _least_margin(r, math.log(2.0)),
        wrong=Wrong("L < 1 suffices", measure=lambda r: _least_margin(r, 1.0)),
    ),
    _row(
        "sphere-optimum",
        "Theorem 3.3, if",
        "log(L/L∗) at these optima, L∗ the least loss on their sphere",
        expected=0.0,
        tolerance=_SOLVED,
        measure=lambda r: np.array([log_loss_gap(*point) for point in r.points]),
        wrong=Wrong(
            "n for √n in the margin of L∗",
            measure=lambda r: np.array([_wrong_gap(r, *point) for point in r.points]),
        ),
    ),
    _row(
        "sphere-only-if",
        "Theorem 3.3, only if",
        "log(L/L∗) at points a twentieth of a random point away from these optima",
        relation=Relation.AT_LEAST,
        expected=_SOLVED,
        measure=lambda r: np.array([log_loss_gap(*point) for point in _near(r)]),
        wrong=Wrong(
            "n for √n in the margin of L∗",
            measure=lambda r: np.array([_wrong_gap(r, *point) for point in _near(r)]),
        ),
    ),
    _row(
        "norm-condition",
        "Remark 3.3",
        "log(L/L∗) of these optima with W doubled, against that of q_min at ⅘ of its bound",
        source="ours: W doubled makes q_min 2 and ρ²/2 of the optimum's 5/2",
        expected=lambda r: _level(r, 2.0) - _level(r, 2.5),
        tolerance=_SOLVED,
        measure=lambda r: np.array([log_loss_gap(2.0 * w, h) for w, h in r.points]),
        wrong=Wrong("any ratio of ‖W‖ to ‖H‖ will do", expected=lambda _: 0.0),
    ),
)
