"""Exact linear algebra over the rationals: floats are integers times powers of two."""

from __future__ import annotations

import importlib
import importlib.util
import math
from fractions import Fraction

import numpy as np

from ncollapse.certify._factor import pivot_order

HAVE_FLINT = importlib.util.find_spec("flint") is not None
PYTHON_ELIMINATION = 1_000_000
FLINT_ENTRIES = 2_000_000
GUESS_BITS = 45


def integer_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows times the least powers of two ≥ 1 that make them integers, and those powers.

    Both are object arrays of Python integers.
    """
    mantissas, powers = np.frexp(matrix)
    odd = np.ldexp(mantissas, 53).astype(np.int64)
    zeros = np.bitwise_count((odd & -odd) - 1).astype(np.int64)
    powers = np.where(odd != 0, powers - 53 + zeros, 0)
    shifts = np.maximum(-powers, 0).max(axis=1, initial=0)
    whole = (odd >> zeros).astype(object) << (powers + shifts[:, None]).astype(object)
    return whole, 1 << shifts.astype(object)


def fractions(values: np.ndarray) -> np.ndarray:
    """The exact values of floating-point numbers; fractions stay as they are."""
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


def is_within_reach(rows: int, columns: int) -> bool:
    """Whether `solution_near` takes seconds rather than minutes on a system of this size."""
    if HAVE_FLINT and rows * columns <= FLINT_ENTRIES:
        return True
    return rows * columns * min(rows, columns) <= PYTHON_ELIMINATION


def solution_near(
    matrix: np.ndarray, right: np.ndarray, guess: np.ndarray, floats: np.ndarray
) -> np.ndarray | None:
    """An exact solution of matrix·x = right that stays at ``guess`` outside a basis of columns.

    Large systems go to python-flint where it is installed.

    Parameters
    ----------
    matrix
        ``(p, q)`` object array of integers.
    right, guess
        ``(p,)`` and ``(q,)`` object arrays of fractions.
    floats
        ``(p, q)`` the matrix with rows and columns scaled at will, from which a well-conditioned
        basis is chosen; it has no influence on exactness.

    Returns
    -------
    array or None
        ``(q,)`` fractions; None when there is no solution (for large systems also where the basis
        turns out dependent).
    """
    order, rank = pivot_order(floats)
    if matrix.size * min(matrix.shape) <= PYTHON_ELIMINATION:
        return _by_elimination(matrix, right, guess, order)
    columns = order[:rank]
    rows = pivot_order(floats[:, columns].T)[0][:rank]
    return _by_flint(matrix, right, guess, rows, columns)


def _by_flint(
    matrix: np.ndarray, right: np.ndarray, guess: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray | None:
    """Solve on a square block by Dixon's p-adic lifting, then check every equation."""
    flint = importlib.import_module("flint")
    largest = max(abs(guess))
    unit = largest / (1 << GUESS_BITS)
    solution = np.array([unit * round(value / unit) for value in guess])
    solution[columns] = Fraction(0)
    whole, bottom = common_integers(solution)
    missing, more = common_integers(right - (matrix @ whole) / Fraction(bottom))
    block = flint.fmpq_mat(flint.fmpz_mat(matrix[np.ix_(rows, columns)].tolist()))
    goal = flint.fmpq_mat(flint.fmpz_mat([[value] for value in missing]))
    part = flint.fmpq_mat(flint.fmpz_mat([[missing[i]] for i in rows]))
    try:
        block_solution = block.solve(part, algorithm="dixon")
    except ZeroDivisionError:
        return None
    if flint.fmpq_mat(flint.fmpz_mat(matrix[:, columns].tolist())) * block_solution != goal:
        return None
    for place, column in enumerate(columns):
        value = block_solution[place, 0]
        solution[column] = Fraction(int(value.p), int(value.q) * more)
    return solution


def _by_elimination(
    matrix: np.ndarray, right: np.ndarray, guess: np.ndarray, order: np.ndarray
) -> np.ndarray | None:
    """Fraction-free Gauss–Jordan elimination (Bareiss); columns enter the basis in ``order``."""
    missing, bottom = common_integers(right - matrix @ guess)
    table = np.column_stack([matrix, missing])
    used = 0
    basis: list[int] = []
    previous = 1
    for column in order:
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
