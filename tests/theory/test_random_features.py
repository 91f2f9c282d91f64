"""The kernel of a random first layer against simulation, and both constants."""

import numpy as np
import pytest

from ncollapse.geometry import unit_rows
from ncollapse.theory.random_features import (
    MEAN_FEATURE,
    PRINTED_CONSTANT,
    random_feature_kernel,
    width_bound,
)

INPUTS = unit_rows(np.random.default_rng(0).standard_normal((5, 3)))


@pytest.mark.parametrize("constant", [MEAN_FEATURE, PRINTED_CONSTANT, 0.0])
def test_kernel_is_the_expectation(constant):
    draws = np.maximum(np.random.default_rng(1).standard_normal((400_000, 3)) @ INPUTS.T, 0.0)
    products = (draws - constant).T @ (draws - constant) / len(draws)
    # Products have a standard deviation below 1.5, so five standard errors are 0.012.
    assert random_feature_kernel(INPUTS, constant) == pytest.approx(products, abs=0.012)
    assert draws.mean() == pytest.approx(MEAN_FEATURE, abs=0.003)


def test_known_angles():
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    plain = np.array([[0.5, 1 / (2 * np.pi), 0.0], [1 / (2 * np.pi), 0.5, 1 / (2 * np.pi)]])
    assert random_feature_kernel(rows, 0.0)[:2] == pytest.approx(plain, abs=1e-15)
    centred = random_feature_kernel(rows)
    assert centred[:2] == pytest.approx(plain - 1 / (2 * np.pi), abs=1e-15)
    # With the constant of the paper, twice the mean, the subtracted and the added terms cancel.
    assert random_feature_kernel(rows, PRINTED_CONSTANT)[:2] == pytest.approx(plain, abs=1e-15)


def test_inputs_may_be_whole_numbers():
    plain = random_feature_kernel(np.eye(3))
    assert random_feature_kernel([[1, 0, 0], [0, 1, 0], [0, 0, 1]]).tolist() == plain.tolist()


def test_width_bound_is_its_formula():
    smallest = np.linalg.eigvalsh(random_feature_kernel(INPUTS))[0]
    expected = np.linalg.norm(INPUTS, 2) ** 4 * 5 * np.log(5) / smallest**2
    assert width_bound(INPUTS) == pytest.approx(expected, rel=1e-10)
    smallest = np.linalg.eigvalsh(random_feature_kernel(INPUTS, 0.0))[0]
    expected = np.linalg.norm(INPUTS, 2) ** 4 * 5 * np.log(5) / smallest**2
    assert width_bound(INPUTS, 0.0) == pytest.approx(expected, rel=1e-10)


def test_parallel_rows_and_other_norms_are_refused():
    with pytest.raises(ValueError, match="parallel rows"):
        width_bound(np.vstack([INPUTS, INPUTS[:1]]))
    with pytest.raises(ValueError, match=r"^inputs must be a matrix \(samples, dimensions\)"):
        random_feature_kernel(np.ones(2))
    with pytest.raises(ValueError, match="row 0 has norm 2"):
        random_feature_kernel(np.array([[2.0, 0.0], [1.0, 0.0]]))
    with pytest.raises(ValueError, match=r"row 1 has norm 0\.5"):
        random_feature_kernel(np.array([[1.0, 0.0], [0.5, 0.0]]))
