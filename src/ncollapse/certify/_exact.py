"""Exact linear algebra over the rationals: floats are integers times powers of two."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def integer_rows(matrix: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Rows times 2^s as Python integers (object array), and the shifts s ≥ 0."""
    out = np.empty(matrix.shape, dtype=object)
    shifts = []
    for i, row in enumerate(matrix.tolist()):
        ratios = [value.as_integer_ratio() for value in row]
        shift = max((bottom.bit_length() - 1 for _, bottom in ratios), default=0)
        out[i] = [top << (shift - bottom.bit_length() + 1) for top, bottom in ratios]
        shifts.append(shift)
    return out, shifts


def fractions(values: np.ndarray) -> np.ndarray:
    """The exact values of floating-point numbers."""
    out = np.empty(values.shape, dtype=object)
    out[:] = [Fraction(value) for value in values.tolist()]
    return out


def common_integers(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Fractions times their common denominator, and that denominator."""
    bottom = 1
    for value in values:
        bottom = math.lcm(bottom, value.denominator)
    out = np.empty(values.shape, dtype=object)
    out[:] = [value.numerator * (bottom // value.denominator) for value in values]
    return out, bottom


def solution_near(
    matrix: np.ndarray, right: np.ndarray, guess: np.ndarray, order: np.ndarray
) -> np.ndarray | None:
    """An exact solution of matrix·x = right that keeps ``guess`` outside a basis of columns.

    Fraction-free Gauss–Jordan elimination (Bareiss); columns enter the basis in ``order``.

    Parameters
    ----------
    matrix
        ``(p, q)`` object array of integers.
    right, guess
        ``(p,)`` and ``(q,)`` object arrays of fractions.

    Returns
    -------
    ``(q,)`` fractions, or None when the system has no solution.
    """
    missing, bottom = common_integers(right - matrix @ guess)
    table = np.column_stack([matrix, missing])
    used = 0
    basis: list[int] = []
    previous = 1
    for column in order:
        if used == len(table):
            break
        candidates = np.flatnonzero(table[used:, column] != 0)
        if candidates.size == 0:
            continue
        row = used + int(candidates[0])
        table[[used, row]] = table[[row, used]]
        pivot = table[used, column]
        others = np.arange(len(table)) != used
        table[others] = (
            table[others] * pivot - np.outer(table[others, column], table[used])
        ) // previous
        previous = pivot
        basis.append(int(column))
        used += 1
    if any(table[used:, -1] != 0):
        return None
    solution = guess.copy()
    for row, column in enumerate(basis):
        solution[column] += Fraction(table[row, -1], table[row, column] * bottom)
    return solution
