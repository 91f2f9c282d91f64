"""Multiply rows by powers of two, which is exact, so that data of any size have norms near one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncollapse.certify._types import Candidate, Direction, Multipliers

ALIKE = 6
"""Rows whose largest entries lie within this many powers of two share one exponent."""


@dataclass(frozen=True, eq=False)
class ScaledProblem:
    """Find β with Aβ = t and Bβ ≤ 0; row i of A is that of the class times 2^−own_exponents[i]."""

    own: np.ndarray
    rest: np.ndarray
    target: np.ndarray
    own_exponents: np.ndarray
    rest_exponents: np.ndarray

    @classmethod
    def of(cls, own: np.ndarray, rest: np.ndarray) -> ScaledProblem:
        rows, exponents = scale_rows(own)
        others, other_exponents = scale_rows(rest)
        target = np.ldexp(1.0, exponents.min() - exponents)
        return cls(rows, others, target, exponents, other_exponents)

    def undo(self, answer: Candidate) -> Candidate:
        """The same answer for the rows as they were."""
        if isinstance(answer, Direction):
            return Direction(np.ldexp(answer.beta, -self.own_exponents.min()))
        least = min(self.own_exponents.min(), self.rest_exponents.min())
        return Multipliers(
            np.ldexp(answer.free, least - self.own_exponents),
            np.ldexp(answer.nonneg, least - self.rest_exponents),
        )


def scale_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows times 2^−e and the exponents e; zero rows stay zero with the least exponent."""
    largest = np.maximum(rows.max(axis=1), -rows.min(axis=1))
    exponents = np.frexp(largest)[1]
    nonzero = largest > 0
    if not nonzero.any():
        return rows, np.zeros_like(exponents)
    exponents[~nonzero] = exponents[nonzero].min()
    if exponents.max() - exponents.min() <= ALIKE:
        # One exponent for all keeps the geometry of ordinary data.
        exponents[:] = exponents.max()
        if abs(exponents[0]) <= ALIKE:
            return rows, np.zeros_like(exponents)
    return np.ldexp(rows, -exponents[:, None]), exponents


def shared_row(own: np.ndarray, rest: np.ndarray) -> tuple[int, int] | None:
    """Indices of one row that is in both matrices, or None."""
    scale = max(np.abs(own).max(), np.abs(rest).max(), np.finfo(float).tiny)
    weights = np.random.default_rng(0).uniform(0.5, 1.0, own.shape[1])
    weights = weights / scale if 1.0 / scale < np.inf else weights
    left, right = own @ weights, rest @ weights
    order = np.argsort(right)
    tolerance = 1e-10 * own.shape[1]
    low = np.searchsorted(right[order], left - tolerance)
    high = np.searchsorted(right[order], left + tolerance)
    for i in np.flatnonzero(high > low):
        for j in order[low[i] : high[i]]:
            if np.array_equal(own[i], rest[j]):
                return int(i), int(j)
    return None
