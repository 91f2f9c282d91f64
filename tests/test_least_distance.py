"""Least-distance programming against its optimality conditions."""

import numpy as np
import pytest

from ncollapse.least_distance import least_distance


@pytest.mark.parametrize("seed", range(20))
def test_feasible_answers_meet_the_optimality_conditions(seed):
    generator = np.random.default_rng(seed)
    matrix = generator.standard_normal((6, 8))
    bound = generator.standard_normal(6)
    answer = least_distance(matrix, bound)
    slack = matrix @ answer.point - bound
    assert slack.min() > -1e-9
    assert answer.multipliers.min() >= 0.0
    np.testing.assert_allclose(answer.point, matrix.T @ answer.multipliers, atol=1e-9)
    assert np.abs(slack * answer.multipliers).max() < 1e-9


def test_contradiction_comes_with_its_multipliers():
    matrix = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    bound = np.array([1.0, 1.0, -5.0])
    answer = least_distance(matrix, bound)
    assert answer.point is None
    assert answer.multipliers.min() >= 0.0
    np.testing.assert_allclose(matrix.T @ answer.multipliers, 0.0, atol=1e-12)
    assert bound @ answer.multipliers > 0.5


def test_known_point():
    answer = least_distance(np.array([[3.0, 4.0]]), np.array([5.0]))
    np.testing.assert_allclose(answer.point, [0.6, 0.8])
