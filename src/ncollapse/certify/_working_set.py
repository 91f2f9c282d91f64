"""The fast method: inner products of the class, and of those other samples that can matter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import solve_triangular

from ncollapse.certify._active_set import (
    FIRST_RIDGE,
    WARM_RIDGE,
    Passive,
    nonnegative_normal_equations,
    proximal_solve,
    ridged_factor,
)
from ncollapse.certify._factor import cholesky, cholesky_solve
from ncollapse.certify._scaling import ScaledProblem
from ncollapse.certify._types import Candidate, Direction, Multipliers

WORST_PIVOT = 1e-5
MARGINS = (1e-7, 1e-5)
"""Slacks asked of β, relative to ‖x_j‖‖β‖, so that rounding cannot overturn its signs."""
FEASIBLE_GAP = 1e-7
SIGN_TOLERANCE = 1e-9
NEAR = 0.01
"""Rows this close to their bound, relative to ‖x_j‖‖β‖, are likely to reach it next."""

ROUNDS = 25
POLISH_RIDGE = 1e-10


def by_inner_products(problem: ScaledProblem) -> Iterator[Candidate]:
    """Candidates from the Gram matrix, or nothing where its condition asks for a better method."""
    projector = _Projector.of(problem.own, problem.target)
    if projector is None:
        return
    work = _WorkingSet(problem.rest, projector)
    if len(work.index) == 0:
        yield Direction(projector.shortest)
        return
    start, ridge = None, FIRST_RIDGE
    for _ in range(ROUNDS):
        scale = float(np.mean(np.diag(work.block)))
        height = float(np.sqrt(np.mean(work.overshoot**2)))
        if scale <= 1e-9 * float(np.mean(work.norms[work.index] ** 2)) or height == 0.0:
            return
        linear = work.overshoot / height
        gram = work.block / scale + np.outer(linear, linear)
        passive = nonnegative_normal_equations(gram, linear, start, ridge)
        if passive is None:
            # A set of critical size is the hardest one; more rows move away from it.
            if work.extend(projector.shortest, margin=1.0).size == 0:
                return
            start, ridge = None, FIRST_RIDGE
            continue
        gap = 1.0 - float(linear[passive.index] @ passive.values)
        if gap <= FEASIBLE_GAP:
            multipliers = _multipliers(work, gram, linear, scale, passive)
            if multipliers is not None:
                yield multipliers
            return
        beta = work.direction(passive.index, passive.values * (height / (scale * gap)))
        added = work.extend(beta)
        if added.size == 0:
            yield from _directions(work, passive.index, float(np.linalg.norm(beta)))
            return
        start = np.zeros(len(work.index), dtype=bool)
        start[passive.index] = start[added] = True
        ridge = WARM_RIDGE if added.size < 0.2 * passive.index.size else FIRST_RIDGE


class _Projector:
    """Solutions of the equalities Aβ = t through the Cholesky factor of AAᵀ."""

    def __init__(self, own: np.ndarray, target: np.ndarray, factor: np.ndarray) -> None:
        self.own, self.target, self.factor = own, target, factor
        self.shortest = self.corrected(np.zeros(own.shape[1]), rounds=2)

    @classmethod
    def of(cls, own: np.ndarray, target: np.ndarray) -> _Projector | None:
        factor = cholesky(own @ own.T)
        if factor is None or np.diag(factor).min() < WORST_PIVOT * np.diag(factor).max():
            return None
        return cls(own, target, factor)

    def coefficients(self, right: np.ndarray) -> np.ndarray:
        return cholesky_solve(self.factor, right)

    def corrected(self, beta: np.ndarray, rounds: int = 1) -> np.ndarray:
        for _ in range(rounds):
            beta = beta + self.own.T @ self.coefficients(self.target - self.own @ beta)
        return beta

    def off(self, vector: np.ndarray) -> np.ndarray:
        """The part of a vector that is orthogonal to every row of A."""
        for _ in range(2):
            vector = vector - self.own.T @ self.coefficients(self.own @ vector)
        return vector


class _WorkingSet:
    """Some rows of B, their overshoot Bβ₀ and the inner products of their parts off the class."""

    def __init__(self, rest: np.ndarray, projector: _Projector) -> None:
        self.rest, self.projector = rest, projector
        self.norms = np.sqrt(np.einsum("ij,ij->i", rest, rest))
        self.all_overshoot = rest @ projector.shortest
        spare = rest.shape[1] - len(projector.own)
        positive = int(np.count_nonzero(self.all_overshoot > 0))
        size = min(positive, 3 * spare + 60) + 20
        first = np.argsort(-self.all_overshoot)[:size]
        self.index = np.empty(0, dtype=np.intp)
        self.block = np.empty((0, 0))
        self._reduced = np.empty((len(projector.own), 0))
        self._add(first[self.norms[first] > 0])

    @property
    def overshoot(self) -> np.ndarray:
        return self.all_overshoot[self.index]

    def _add(self, new: np.ndarray) -> None:
        rows = self.rest[new]
        reduced = solve_triangular(
            self.projector.factor, self.projector.own @ rows.T, lower=True, check_finite=False
        )
        corner = rows @ rows.T - reduced.T @ reduced
        cross = self.rest[self.index] @ rows.T - self._reduced.T @ reduced
        self.block = np.block([[self.block, cross], [cross.T, corner]])
        self._reduced = np.hstack([self._reduced, reduced])
        self.index = np.concatenate([self.index, new])

    def extend(self, beta: np.ndarray, margin: float = -SIGN_TOLERANCE) -> np.ndarray:
        """If rows outside the set have too little slack under β, add these and those nearly so.

        Returns the positions of the former, which come first.
        """
        sizes = float(np.linalg.norm(beta)) * self.norms
        excess = self.rest @ beta + margin * sizes
        excess[self.index] = -np.inf
        count = int(np.count_nonzero(excess > 0))
        if count == 0:
            return np.empty(0, dtype=np.intp)
        known = len(self.index)
        near = np.flatnonzero(excess > -NEAR * sizes)
        limit = max(100, known)
        self._add(near[np.argsort(-excess[near])][:limit])
        return np.arange(known, known + min(count, limit))

    def combine(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        return values @ self.rest[self.index[positions]]

    def direction(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        """β₀ minus the part off the class of a combination of rows."""
        projector = self.projector
        return projector.shortest - projector.off(self.combine(positions, values))


def _directions(work: _WorkingSet, positions: np.ndarray, size: float) -> Iterator[Direction]:
    """β with every slack at least a small margin: the least norm, up to that margin."""
    for margin in MARGINS:
        tight = positions
        for _ in range(6):
            beta = _with_margin(work, tight, margin * size)
            if beta is None:
                return
            added = work.extend(beta, margin=0.5 * margin)
            short = _short_positions(work, tight, beta, 0.5 * margin)
            if len(added) == 0 and len(short) == 0:
                yield Direction(work.projector.corrected(beta))
                break
            tight = np.concatenate([tight, short, added])


def _short_positions(
    work: _WorkingSet, tight: np.ndarray, beta: np.ndarray, margin: float
) -> np.ndarray:
    norms = work.norms[work.index]
    excess = work.rest[work.index] @ beta + margin * float(np.linalg.norm(beta)) * norms
    excess[tight] = 0.0
    return np.flatnonzero(excess > 0)


def _with_margin(work: _WorkingSet, tight: np.ndarray, margin: float) -> np.ndarray | None:
    projector = work.projector
    if len(tight) == 0:
        return projector.shortest
    rows = work.rest[work.index[tight]]
    goal = -margin * work.norms[work.index[tight]]
    block = work.block[np.ix_(tight, tight)]
    factor = ridged_factor(block, POLISH_RIDGE * float(np.mean(np.diag(block))))
    if factor is None:
        return None
    beta = projector.shortest
    for _ in range(2):
        beta = projector.corrected(beta)
        short = goal - rows @ beta
        values = proximal_solve(block, factor, short, np.zeros(len(tight)))
        beta = beta + projector.off(values @ rows)
    return projector.corrected(beta)


def _multipliers(
    work: _WorkingSet, gram: np.ndarray, linear: np.ndarray, scale: float, passive: Passive
) -> Multipliers | None:
    """Drive Aᵀu + Bᵀy to zero, y kept positive on the passive set."""
    index = passive.index
    rows = work.rest[work.index[index]]
    factor = ridged_factor(gram[np.ix_(index, index)], POLISH_RIDGE)
    if factor is None:
        return None
    values, projector = passive.values, work.projector
    for _ in range(3):
        left = projector.off(values @ rows)
        short = linear[index] * (1.0 - linear[index] @ values) - rows @ left / scale
        values = np.maximum(values + cholesky_solve(factor, short), 0.0)
    total = values @ rows
    free = -projector.coefficients(projector.own @ total)
    free -= projector.coefficients(projector.own @ (projector.own.T @ free + total))
    height = -float(projector.target @ free)
    if height <= 0:
        return None
    nonneg = np.zeros(len(work.rest))
    nonneg[work.index[index]] = values / height
    return Multipliers(free / height, nonneg)
