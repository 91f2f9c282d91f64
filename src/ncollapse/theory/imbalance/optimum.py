"""Points of (P) with the proof of how good they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ncollapse.theory.imbalance._groups import GroupMatrix
from ncollapse.theory.imbalance.problem import Problem

CUTS = (1.0, 0.1, 1e-2, 1e-4, np.inf)
"""Singular values of Z diag(s) below these shares of their mean may be zero at the optimum."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """A minimiser of (P) with its proof.

    ``logits`` Z, ``left`` UΣUᵀ and ``right`` VΣVᵀ of Z diag(s) = UΣVᵀ, all by group;
    ``bias`` b by group of rows; ``risk`` the value of (P), ``bound`` a value of (D), so that no
    point lies below it; ``gap`` = (risk − bound)/risk.
    """

    problem: Problem
    logits: GroupMatrix
    left: GroupMatrix
    right: GroupMatrix
    bias: np.ndarray
    risk: float
    bound: float

    @property
    def gap(self) -> float:
        return (self.risk - self.bound) / self.risk if self.risk > 0 else 0.0


def prove(
    problem: Problem,
    core: np.ndarray,
    inner: np.ndarray,
    bias: np.ndarray,
    cuts: Iterable[float] = CUTS,
) -> Optimum:
    """The point with the best bound that it leads to.

    ``core`` and ``inner`` are the parts of Z, ``bias`` is b in the coordinates of the core.
    """
    u, values, vt = np.linalg.svd(core * problem.scales, full_matrices=False)
    data, slope = problem.data(core, inner, bias)
    scaled = np.abs(inner) * problem.scales if inner.size else inner
    norm = values.sum() + problem.inner_norm(inner)
    risk = data + problem.penalty * norm + 0.5 * problem.decay_of_bias * bias @ bias
    return Optimum(
        problem=problem,
        logits=problem.matrix(core, inner),
        left=GroupMatrix((u * values) @ u.T, scaled, problem.rows, problem.rows),
        right=GroupMatrix((vt.T * values) @ vt, scaled, problem.columns, problem.columns),
        bias=bias / problem.rows.roots,
        risk=float(risk),
        bound=max(bounds(problem, core, inner, slope, norm / problem.rows.count, cuts)),
    )


def bounds(
    problem: Problem,
    core: np.ndarray,
    inner: np.ndarray,
    slope: np.ndarray,
    mean: float,
    cuts: Iterable[float] = CUTS,
) -> Iterator[float]:
    """Values of (D) near the point: G = −R diag(c/s)/λ, moved to operator norm at most 1.

    At the optimum G is a subgradient of the nuclear norm: UVᵀ plus a part of norm ≤ 1 elsewhere.
    Cutting the singular values of Z diag(s)/ν + G at 1 gives such a matrix, and the error of the
    bound is of second order where G itself, scaled down, would be off in first order. ``mean`` is
    about the mean singular value of Z diag(s), ν a share of it.
    """
    normal, d_inner = problem.gather(slope)
    strength = -problem.weights / (problem.scales * problem.penalty)
    normal, d_inner = normal * strength, d_inner * strength if inner.size else d_inner
    direction = problem.scales * problem.columns.roots
    if problem.bias is True:
        normal = _off(normal, direction)
    for cut in cuts:
        if mean == 0.0 and np.isfinite(cut):
            continue
        scales = problem.scales / (cut * mean) if mean else np.zeros_like(problem.scales)
        u, values, vt = np.linalg.svd(core * scales + normal, full_matrices=False)
        clipped = (u * np.minimum(values, 1.0)) @ vt
        if problem.bias is True:
            clipped = _off(clipped, direction)
        moved = inner * scales + d_inner if inner.size else inner
        yield _feasible_value(problem, clipped, np.clip(moved, -1.0, 1.0))


def _off(matrix: np.ndarray, direction: np.ndarray) -> np.ndarray:
    unit = direction / np.linalg.norm(direction)
    return matrix - np.outer(matrix @ unit, unit)


def _interior(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """G of the labels moved towards their mean, where every q is positive and Rc = 0."""
    core, inner = problem.gather(problem.targets)
    share = problem.weights * problem.columns.roots
    mean = core @ share / (share @ problem.columns.roots)
    strength = problem.weights / (problem.scales * problem.penalty)
    core = (core - np.outer(mean, problem.columns.roots)) * strength
    inner = inner * strength if inner.size else inner
    norm = max(np.linalg.norm(core, 2), np.abs(inner).max(initial=0.0), 1.0)
    return core / norm, inner / norm


def _feasible_value(problem: Problem, core: np.ndarray, inner: np.ndarray) -> float:
    """(D) at G, or near it where an entry of q = t + r is negative: the better of two repairs.

    Mixed with the interior point as much as makes every q nonnegative; and, unless a free bias asks
    for Rc = 0, with negative entries set to zero, columns divided by their sums, and G by its norm.
    """

    def q(core: np.ndarray, inner: np.ndarray) -> np.ndarray:
        slope = problem.dual_slope(core, inner)
        return np.where(problem.times > 0, problem.targets + slope, 0.0)

    if problem.loss != "cross_entropy" or (outside := q(core, inner)).min() >= 0.0:
        return problem.dual_value(core, inner)
    inside = _interior(problem)
    below = outside < 0.0
    shares = outside[below] / (outside[below] - q(*inside)[below])
    share = min(1.0, (1 + 1e-9) * shares.max())
    points = [((1.0 - share) * core + share * inside[0], (1.0 - share) * inner + share * inside[1])]
    if problem.bias is not True:
        cut = np.maximum(outside, 0.0)
        cut /= np.sum(problem.times * cut, axis=0)
        core, inner = problem.gather(cut - problem.targets)
        strength = -problem.weights / (problem.scales * problem.penalty)
        core, inner = core * strength, inner * strength if inner.size else inner
        norm = max(np.linalg.norm(core, 2), np.abs(inner).max(initial=0.0), 1.0)
        points.append((core / norm, inner / norm))
    return max(problem.dual_value(*point) for point in points)
