"""Claims of mixon2022 on strong collapse and on the invariant subspace S: no run is needed."""

from __future__ import annotations

import math

import numpy as np

from ncollapse.claims import Relation, Wrong, rows_of
from ncollapse.metrics import measure
from ncollapse.papers.mixon2022.experiments import Subspace
from ncollapse.theory.unconstrained import (
    Point,
    distance_to_invariant_subspace,
    eigenspace_projections,
    exact_solution,
    linearised_bound,
    linearised_solution,
    on_invariant_subspace,
    risk,
    risk_split,
    strong_collapse_residuals,
)

_ROUNDING = 1e-12
_LATE = 40.0
"""A time at which e^{−√N t} is below rounding."""
_TIMES = (0.05, 0.2, 1.0, 3.0)
_COLLAPSE = (
    "nc1_pinv",
    "nc2_equinorm_means",
    "nc2_equiangular_means",
    "nc3_duality",
    "nc4_agreement",
)


def _collapse_metrics(result: Subspace, turned: bool = False) -> np.ndarray:
    """NC1–NC4 at strong collapse; ``turned`` rotates the features alone."""
    point = result.collapsed
    labels = np.repeat(np.arange(len(point.weight)), result.per_class)
    features = point.features[:, ::-1] if turned else point.features
    metrics = measure(
        features, labels, weight=point.weight, bias=point.bias, preset=_COLLAPSE
    ).metrics
    return np.array([metrics[name] for name in _COLLAPSE])


def _lemma_4(result: Subspace, *, bias: bool = True) -> np.ndarray:
    """Risk on S less its two terms, relative; without ``bias`` the second is left out."""
    rest = []
    for point in result.points:
        weights, biases = risk_split(point)
        total = weights + biases if bias else weights
        rest.append((risk(point) - total) / risk(point))
    return np.array(rest)


def _risk_over_distance(result: Subspace, power: float) -> np.ndarray:
    """Risk of points on S at distance η from strong collapse, over η^power."""
    collapsed = result.collapsed
    ratios = []
    for size in (1e-2, 1e-3, 1e-4):
        for point in result.points:
            weight = collapsed.weight + size * point.weight
            near = on_invariant_subspace(weight, result.per_class, 1.0 / len(weight) + size)
            errors = strong_collapse_residuals(near)
            ratios.append(risk(near) / (errors["snc1"] ** power + errors["snc3"] ** power))
    return np.array(ratios)


def _rank_deficient(result: Subspace) -> np.ndarray:
    """‖WWᵀ − √N(I − Π)‖ at the end of the exact flow, for W₀ of each rank below K − 1."""
    root = math.sqrt(result.per_class)
    errors = []
    for point in result.deficient:
        end = exact_solution(point, _LATE).weight
        left, singular, _ = np.linalg.svd(point.weight)
        kept = left[:, : np.sum(singular > _ROUNDING)]
        errors.append(np.linalg.norm(end @ end.T - root * kept @ kept.T))
    return np.array(errors)


def _rank_deficient_risk(result: Subspace) -> np.ndarray:
    return np.array([risk(exact_solution(point, _LATE)) for point in result.deficient])


def _missing_risk(result: Subspace) -> np.ndarray:
    """N/2 for each of the K − 1 directions that W₀ lacks (Lemma 4)."""
    count = len(result.collapsed.weight)
    ranks = np.array([np.linalg.matrix_rank(point.weight) for point in result.deficient])
    return 0.5 * result.per_class * (count - 1 - ranks)


def _linearised(result: Subspace) -> np.ndarray:
    """‖U(t) − e^{√N t} Π_T U₀‖ over its bound, at several times and starts."""
    root = math.sqrt(result.per_class)
    ratios = []
    for start in result.starts:
        weight, features = eigenspace_projections(start.weight, start.features)["grow"]
        bound = linearised_bound(start.weight, start.features)
        for time in _TIMES:
            there, grown = (
                linearised_solution(start.weight, start.features, time),
                math.exp(root * time),
            )
            off = np.sum((there.weight - grown * weight) ** 2)
            off += np.sum((there.features - grown * features) ** 2)
            ratios.append(math.sqrt(off) / bound)
    return np.array(ratios)


def _linearised_whole(result: Subspace) -> np.ndarray:
    """The same without taking out what grows."""
    ratios = []
    for start in result.starts:
        there = linearised_solution(start.weight, start.features, _TIMES[-1])
        size = math.sqrt(np.sum(there.weight**2) + np.sum(there.features**2))
        ratios.append(size / linearised_bound(start.weight, start.features))
    return np.array(ratios)


def _gradient_off(result: Subspace, *, on: bool = True) -> np.ndarray:
    """Relative distance of ∇R from S, at points of S or at random ones."""
    return np.array(
        [
            distance_to_invariant_subspace(_gradient(point, result.per_class))
            for point in (result.points if on else result.starts)
        ]
    )


def _gradient(point: Point, per_class: int) -> Point:
    """∇R as the paper prints it before Theorem 2: A Hᵀ, WᵀA and A1 with A = WH + b1ᵀ − Y."""
    targets = np.repeat(np.eye(len(point.weight)), per_class, axis=0)
    rest = point.features @ point.weight.T + point.bias - targets
    return Point(rest.T @ point.features, rest @ point.weight, rest.sum(axis=0))


def _slope_errors(result: Subspace, factor: float = 1.0) -> np.ndarray:
    """Central differences of R along random directions over ``factor``·⟨∇R, direction⟩, less 1."""
    errors = []
    for point, way in zip(result.starts, result.starts[::-1], strict=True):
        slope = _gradient(point, result.per_class)
        pairs = [(slope.weight, way.weight), (slope.features, way.features), (slope.bias, way.bias)]
        along = factor * sum(float(np.sum(left * right)) for left, right in pairs)
        there, back = (
            Point(
                point.weight + step * way.weight,
                point.features + step * way.features,
                point.bias + step * way.bias,
            )
            for step in (1e-5, -1e-5)
        )
        errors.append((risk(there) - risk(back)) / 2e-5 / along - 1.0)
    return np.array(errors)


_row = rows_of("mixon2022.subspace", expected=0.0, tolerance=_ROUNDING)

INVARIANT = (
    _row(
        "zero-risk",
        "Lemma 1(a)",
        "risk at a point of strong collapse",
        measure=lambda r: risk(r.collapsed),
        wrong=Wrong(
            "b = 0 will do",
            measure=lambda r: risk(
                Point(r.collapsed.weight, r.collapsed.features, 0.0 * r.collapsed.bias)
            ),
        ),
    ),
    _row(
        "collapse",
        "Lemma 1(b), (NC1)–(NC4)",
        "NC1, NC2 (norms, angles), NC3 and the share of NC4's decisions that agree, at strong "
        "collapse",
        expected=lambda _: np.array([0.0, 0.0, 0.0, 0.0, 1.0]),
        measure=_collapse_metrics,
        wrong=Wrong(
            "(SNC1) suffices, whatever the orientation of the features",
            measure=lambda r: _collapse_metrics(r, turned=True),
        ),
    ),
    _row(
        "gradient",
        "∇R, display before Theorem 2",
        "difference quotient of R over ⟨∇R, direction⟩, less 1, at random points",
        source="mixon2022, display before Theorem 2; tolerance: of central differences",
        tolerance=1e-6,
        measure=_slope_errors,
        wrong=Wrong("∇R without the ½ in R", measure=lambda r: _slope_errors(r, 2.0)),
    ),
    _row(
        "linearised",
        "Theorem 2, bound",
        "‖(W, H)(t) − e^{√N t} Π_T (W₀, H₀)‖ over e^{1/(C√N)} ‖Π_{T⊥}(W₀, H₀)‖, linearised",
        relation=Relation.AT_MOST,
        expected=1.0,
        measure=_linearised,
        wrong=Wrong("nothing grows", measure=_linearised_whole),
    ),
    _row(
        "invariant",
        "Theorem 3(a)",
        "relative distance of ∇R from S, at points of S",
        measure=_gradient_off,
        wrong=Wrong("so it is everywhere", measure=lambda r: _gradient_off(r, on=False)),
    ),
    _row(
        "rank-deficient",
        "Theorem 3(c)",
        "‖WWᵀ − √N(I − Π)‖ at the end of the exact flow from W₀ of every rank below C − 1",
        measure=_rank_deficient,
        wrong=Wrong(
            "a start of any rank ends at strong collapse",
            measure=lambda r: np.array(
                [
                    strong_collapse_residuals(exact_solution(point, _LATE))["snc1"]
                    for point in r.deficient
                ]
            ),
        ),
    ),
    _row(
        "rank-deficient-risk",
        "Theorem 3(c) with Lemma 4",
        "risk where these end: N/2 for each direction that W₀ lacks",
        source="ours: (3) at the limit of Theorem 3(c); derived",
        expected=_missing_risk,
        measure=_rank_deficient_risk,
        wrong=Wrong("the risk vanishes", expected=lambda _: 0.0),
    ),
    _row(
        "risk-on-subspace",
        "Lemma 4 (3)",
        "risk at random points of S less its two terms, relative",
        measure=_lemma_4,
        wrong=Wrong("the bias costs nothing", measure=lambda r: _lemma_4(r, bias=False)),
    ),
    _row(
        "minimisers",
        "Lemma 4, in particular",
        "risk on S over the squared errors of (SNC1) and (SNC3), near strong collapse, at least ½",
        source="mixon2022 Lemma 4: ½ and CN/2 are its coefficients",
        relation=Relation.AT_LEAST,
        expected=0.5,
        tolerance=1e-6,
        measure=lambda r: _risk_over_distance(r, 2.0),
        wrong=Wrong(
            "the risk rises in proportion to the errors themselves",
            measure=lambda r: _risk_over_distance(r, 1.0),
        ),
    ),
)
