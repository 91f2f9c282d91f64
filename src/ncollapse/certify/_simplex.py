"""The last resort for small data: a phase-one simplex method in rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ncollapse.certify._exact import common_integers, integer_rows
from ncollapse.certify._types import Direction, Multipliers

AFFORDABLE_ENTRIES = 4000


def is_affordable(own: np.ndarray, rest: np.ndarray) -> bool:
    rows = len(own) + len(rest)
    return rows * (2 * own.shape[1] + len(rest) + rows) <= AFFORDABLE_ENTRIES


def exact_candidate(own: np.ndarray, rest: np.ndarray) -> Direction | Multipliers | None:
    """Decide Aβ = 1, Bβ ≤ 0 exactly; the answer is rounded to floating point at the end.

    None when it leaves the range of floating-point numbers.

    Minimises the sum of artificial variables over A(p − q) + a = 1, B(p − q) + s + b = 0 with
    p, q, s, a, b ≥ 0 by Bland's rule, which cannot cycle. Zero means feasible with β = p − q;
    otherwise the dual solution π ≤ 0 on B gives the multipliers −π.
    """
    stacked, shifts = integer_rows(np.vstack([own, rest]))
    rows, dim, first = len(stacked), own.shape[1], len(own)
    identity = np.eye(rows, dtype=object)
    right = np.array([Fraction(1 << shift) for shift in shifts], dtype=object)
    right[first:] = Fraction(0)
    table = np.column_stack([stacked, -stacked, identity[:, first:], identity, right])
    table = table + Fraction(0)
    artificial = table.shape[1] - 1 - rows
    basis = list(range(artificial, artificial + rows))
    cost = -table.sum(axis=0)
    cost[artificial:-1] = Fraction(0)
    while True:
        entering = next((j for j in range(artificial) if cost[j] < 0), None)
        if entering is None:
            break
        column = table[:, entering]
        ratios = [(table[i, -1] / column[i], basis[i], i) for i in range(rows) if column[i] > 0]
        row = min(ratios)[2]
        table[row] = table[row] / table[row, entering]
        for i in range(rows):
            if i != row and table[i, entering] != 0:
                table[i] = table[i] - table[i, entering] * table[row]
        cost = cost - cost[entering] * table[row]
        basis[row] = entering
    if cost[-1] == 0:
        values = np.full(2 * dim, Fraction(0), dtype=object)
        for i, j in enumerate(basis):
            if j < 2 * dim:
                values[j] = table[i, -1]
        beta = _to_floats(values[:dim] - values[dim:])
        return None if beta is None else Direction(beta)
    dual = np.array([Fraction(1) - value for value in cost[artificial:-1]], dtype=object)
    scale = np.array([Fraction(1 << shift) for shift in shifts], dtype=object)
    whole, _ = common_integers(-dual * scale)
    largest = max(abs(value) for value in whole)
    if largest.bit_length() > 53:
        whole = whole / Fraction(largest)
    floats = _to_floats(whole)
    return None if floats is None else Multipliers(floats[:first], floats[first:])


def _to_floats(values: np.ndarray) -> np.ndarray | None:
    try:
        return np.array([float(value) for value in values])
    except OverflowError:
        return None
