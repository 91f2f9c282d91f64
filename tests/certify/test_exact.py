"""Floats as integers times powers of two."""

from fractions import Fraction

import numpy as np
import pytest

from ncollapse.certify._exact import integer_rows


@pytest.mark.parametrize("seed", range(20), ids="seed {}".format)
def test_rows_become_the_least_integers(seed):
    generator = np.random.default_rng(seed)
    rows = generator.standard_normal((5, 6)) * 2.0 ** generator.integers(-1060, 1000, (5, 1))
    rows[1] = np.rint(8 * generator.standard_normal(6))
    rows[2] = np.ldexp(generator.integers(-9, 9, 6), -3)
    rows[3] = 0.0
    rows[generator.random(rows.shape) < 0.3] = 0.0
    whole, shifts = integer_rows(rows)
    for row, integers, shift in zip(rows, whole, shifts, strict=True):
        assert [type(value) for value in integers] == [int] * 6
        assert [Fraction(value, 1 << shift) for value in integers] == [Fraction(x) for x in row]
        assert shift == 0 or any(value % 2 for value in integers)


def test_no_columns_are_no_obstacle():
    whole, shifts = integer_rows(np.empty((2, 0)))
    assert (whole.shape, shifts) == ((2, 0), [0, 0])
