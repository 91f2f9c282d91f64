"""Nonnegative least squares from its normal equations, by block pivoting along a ridge path.

Block pivoting exchanges every wrongly placed index at once, so a few Cholesky factorisations
replace the hundreds of single exchanges of Lawson and Hanson. It may cycle; a ridge that shrinks
from stage to stage, each started from the last set, keeps it short of that, and at each stage a
few proximal steps remove the ridge again. What remains undecided is left to a slower method.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncollapse.certify._factor import cholesky, cholesky_solve

FIRST_RIDGE = 1e-2
WARM_RIDGE = 1e-4
SHRINK = 0.1
MAX_PIVOTS = 60
PATIENCE = 4
TOLERANCE = 1e-11


@dataclass(frozen=True)
class Passive:
    """Indices with positive solution, the solution there, and the factor of gram + ridge."""

    index: np.ndarray
    values: np.ndarray
    factor: np.ndarray


def nonnegative_normal_equations(
    gram: np.ndarray,
    linear: np.ndarray,
    start: np.ndarray | None = None,
    ridge: float = FIRST_RIDGE,
) -> Passive | None:
    """Minimise ½yᵀHy − qᵀy over y ≥ 0, H positive semidefinite with diagonal of order one.

    ``start`` marks the indices of a guess of the passive set; the better it is, the smaller the
    first ``ridge`` may be. Returns None when the path did not end within the allowed pivots.
    """
    passive = linear > 0 if start is None else start
    solved_ridge, pivots = 1.0, 0
    while pivots < MAX_PIVOTS:
        stage, used = _block_pivoting(gram, linear, ridge, passive)
        pivots += used
        if stage is None:
            ridge = float(np.sqrt(ridge * solved_ridge))
            if solved_ridge < 1.05 * ridge:
                return None
            continue
        solved_ridge = ridge
        passive = np.zeros(len(linear), dtype=bool)
        passive[stage.index] = True
        finished = _without_ridge(gram, linear, stage)
        if finished is not None:
            return finished
        ridge *= SHRINK
    return None


def _block_pivoting(
    gram: np.ndarray, linear: np.ndarray, ridge: float, passive: np.ndarray
) -> tuple[Passive | None, int]:
    fewest, patience = len(linear) + 1, PATIENCE
    for pivots in range(1, MAX_PIVOTS + 1):
        stage = _solve_on(gram, linear, ridge, np.flatnonzero(passive))
        if stage is None:
            return None, pivots
        gradient = gram[:, stage.index] @ stage.values - linear
        wrong = gradient < -TOLERANCE
        wrong[stage.index] = stage.values < 0
        count = int(np.count_nonzero(wrong))
        if count == 0:
            return stage, pivots
        if count < fewest:
            fewest, patience = count, PATIENCE
        elif patience == 0:
            return None, pivots
        else:
            patience -= 1
        passive = passive ^ wrong
    return None, MAX_PIVOTS


def _solve_on(
    gram: np.ndarray, linear: np.ndarray, ridge: float, index: np.ndarray
) -> Passive | None:
    if len(index) == 0:
        return Passive(index, np.empty(0), np.empty((0, 0)))
    factor = ridged_factor(gram[np.ix_(index, index)], ridge)
    if factor is None:
        return None
    return Passive(index, cholesky_solve(factor, linear[index]), factor)


def _without_ridge(gram: np.ndarray, linear: np.ndarray, stage: Passive) -> Passive | None:
    """Follow the proximal iteration to ridge zero on a fixed set; None if not optimal then."""
    index = stage.index
    if len(index) == 0:
        return stage
    block = gram[np.ix_(index, index)]
    values = proximal_solve(block, stage.factor, linear[index], stage.values)
    if values.min() < 0:
        return None
    gradient = gram[:, index] @ values - linear
    gradient[index] = 0.0
    return Passive(index, values, stage.factor) if gradient.min() >= -TOLERANCE else None


def ridged_factor(block: np.ndarray, ridge: float) -> np.ndarray | None:
    """Lower Cholesky factor of block + ridge·I (the upper triangle is arbitrary), or None."""
    shifted = np.array(block, order="F")
    shifted.flat[:: len(shifted) + 1] += ridge
    return cholesky(shifted)


def proximal_solve(
    block: np.ndarray, factor: np.ndarray, target: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Iterate x ← x + (block + ridge)⁻¹(target − block x) until it stalls."""
    values, previous = start, np.inf
    for step in range(60):
        change = cholesky_solve(factor, target - block @ values)
        values = values + change
        relative = np.abs(change).max() / max(np.abs(values).max(), np.finfo(float).tiny)
        if relative < 1e-12 or (step > 5 and relative > 0.9 * previous):
            break
        previous = relative
    return values
