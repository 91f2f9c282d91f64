"""Floats as integers times powers of two, and systems solved over the rationals."""

from fractions import Fraction

import numpy as np
import pytest

from ncollapse.certify import _exact
from ncollapse.certify._exact import (
    common_integers,
    fractions,
    integer_rows,
    is_within_reach,
    solution_near,
)


@pytest.mark.parametrize("seed", range(20), ids="seed {}".format)
def test_rows_become_the_least_integers(seed):
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((5, 6)) * 2.0 ** generator.integers(-1060, 1000, (5, 1))
    rows[1] = np.rint(8 * generator.standard_normal(6))
    rows[2] = np.ldexp(generator.integers(-9, 9, 6), -3)
    rows[3] = 0.0
    rows[generator.random(rows.shape) < 0.3] = 0.0
    whole, units = integer_rows(rows)
    for row, integers, unit in zip(rows, whole, units, strict=True):
        assert [type(value) for value in [unit, *integers]] == [int] * 7
        assert [Fraction(value, unit) for value in integers] == [Fraction(x) for x in row]
        assert unit == 1 or any(value % 2 for value in integers)


def test_no_columns_are_no_obstacle():
    whole, units = integer_rows(np.empty((2, 0)))
    assert (whole.shape, units.tolist()) == ((2, 0), [1, 1])


def test_fractions_over_their_least_common_denominator():
    values = fractions(np.array([0.5, -0.75, 3.0]))
    assert values.tolist() == [Fraction(1, 2), Fraction(-3, 4), Fraction(3)]
    assert fractions(values).tolist() == values.tolist()
    whole, bottom = common_integers(np.array([Fraction(1, 6), Fraction(-3, 4)], dtype=object))
    assert (whole.tolist(), bottom) == ([2, -9], 12)
    whole, bottom = common_integers(values[2:])
    assert (whole.tolist(), bottom) == ([3], 1)


def test_what_is_within_reach_with_and_without_flint(monkeypatch):
    assert _exact.HAVE_FLINT
    for rows, columns, by_flint in (
        (1, 2_000_000, True),
        (1, 2_000_001, False),
        (2_000_000, 1, True),
        (100, 101, True),
        (2000, 2000, False),
    ):
        assert is_within_reach(rows, columns) == by_flint
    monkeypatch.setattr(_exact, "HAVE_FLINT", False)
    for rows, columns, in_python in (
        (1, 1_000_000, True),
        (1, 1_000_001, False),
        (100, 100, True),
        (100, 101, False),
        (50, 400, True),
        (400, 50, True),
        (400, 51, False),
    ):
        assert is_within_reach(rows, columns) == in_python


def elimination(*system):
    return solution_near(*system)


def flint(*system):
    """As for a system that is too large for elimination in Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_exact, "PYTHON_ELIMINATION", 0)
        patch.setattr(_exact, "_by_elimination", None)
        return solution_near(*system)


METHODS = pytest.mark.parametrize("method", [elimination, flint])


def random_system(rng):
    """A consistent system of any shape and rank with a guess beside one of its solutions."""
    rows, columns, rank = rng.integers(1, 6, 3)
    matrix = rng.integers(-9, 10, (rows, rank)) @ rng.integers(-9, 10, (rank, columns))
    solution = rng.integers(-9, 10, columns)
    divisor = Fraction(int(rng.integers(1, 9)))
    guess = fractions(solution / float(divisor) + 1e-9 * rng.standard_normal(columns))
    whole = matrix.astype(object)
    return whole, (whole @ solution.astype(object)) / divisor, guess, matrix.astype(float)


@METHODS
@pytest.mark.parametrize("seed", range(30), ids="seed {}".format)
def test_a_solution_is_exact_and_stays_at_the_guess_outside_a_basis(method, seed):
    matrix, right, guess, floats = random_system(np.random.default_rng(seed))
    if not matrix.any():
        return
    solution = method(matrix, right, guess, floats)
    assert all(matrix @ solution == right)
    unit = max(abs(guess)) / (1 << 45)
    stays = guess if method is elimination else [unit * round(value / unit) for value in guess]
    rank = np.linalg.matrix_rank(floats)
    assert sum(value == other for value, other in zip(solution, stays, strict=True)) >= (
        len(guess) - rank
    )


@METHODS
def test_a_contradiction_has_no_solution(method):
    matrix = np.array([[1, 2], [2, 4]], dtype=object)
    guess = fractions(np.array([1.0, 1.0]))
    right = np.array([Fraction(3), Fraction(7)], dtype=object)
    assert method(matrix, right, guess, matrix.astype(float)) is None
    right[1] = Fraction(6)
    assert method(matrix, right, guess, matrix.astype(float)).tolist() == [1, 1]


def test_how_large_a_system_is_eliminated_in_python(monkeypatch):
    matrix, ones = np.ones((2, 3), dtype=int).astype(object), fractions(np.ones(3))
    monkeypatch.setattr(_exact, "_by_elimination", lambda *_: "python")
    monkeypatch.setattr(_exact, "_by_flint", lambda *_: "flint")
    for limit, way in ((12, "python"), (11, "flint")):
        monkeypatch.setattr(_exact, "PYTHON_ELIMINATION", limit)
        assert solution_near(matrix, ones[:2], ones, np.ones((2, 3))) == way


def test_the_basis_is_chosen_from_the_floats():
    """Columns enter in the order of their pivots, so the largest of the floats moves."""
    matrix, right = np.array([[1, 1]], dtype=object), np.array([Fraction(3)], dtype=object)
    guess = fractions(np.array([1.0, 1.0]))
    for order, expected in (([[1.0, 9.0]], [1, 2]), ([[9.0, 1.0]], [2, 1])):
        for method in (elimination, flint):
            assert method(matrix, right, guess, np.array(order)).tolist() == expected


def test_a_dependent_column_is_passed_over():
    matrix, right = np.array([[1, 1, 0], [0, 0, 1]], dtype=object), fractions(np.array([2.0, 3.0]))
    misleading = np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 1.0]])
    solution = elimination(matrix, right, fractions(np.array([1.0, 0.5, 1.0])), misleading)
    assert solution.tolist() == [1.5, 0.5, 3]


def test_rows_are_exchanged_where_the_pivot_is_zero():
    matrix = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]], dtype=object)
    right, floats = fractions(np.array([2.0, 3.0, 4.0, 5.0])), np.diag([4.0, 3.0, 2.0, 1.0])
    assert elimination(matrix, right, fractions(np.zeros(4)), floats).tolist() == [5, 2, 3, 4]


def test_a_basis_that_rounding_took_for_independent_gives_no_solution():
    matrix, right = np.array([[1, 1], [2, 2]], dtype=object), fractions(np.array([2.0, 4.0]))
    misleading = np.array([[1.0, 1.0], [2.0, 2.5]])
    assert flint(matrix, right, fractions(np.array([1.0, 0.5])), misleading) is None
