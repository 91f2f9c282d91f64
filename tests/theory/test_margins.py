"""Max-margin directions and limit masses."""

import numpy as np
import pytest
from scipy.optimize import minimize

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.theory.margins import max_margin, relu_limit


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_margin_against_direct_maximisation(seed, scale):
    generator = np.random.default_rng(seed)
    inputs = np.array([2.0, 0, 0, 0]) + generator.standard_normal((6, 4))
    direct = minimize(
        lambda w: w @ w,
        np.array([1.0, 0, 0, 0]),
        jac=lambda w: 2 * w,
        constraints={"type": "ineq", "fun": lambda w: inputs @ w - 1, "jac": lambda w: inputs},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    length = np.linalg.norm(direct.x)
    direction, margin = max_margin(scale * inputs)
    assert margin == pytest.approx(scale / length, rel=1e-6)
    np.testing.assert_allclose(direction, direct.x / length, atol=1e-5)


def test_one_sample_points_to_itself():
    direction, margin = max_margin(np.array([[3.0, 4.0]]))
    np.testing.assert_allclose(direction, [0.6, 0.8])
    assert margin == pytest.approx(5.0)


def test_masses_balance_the_class_losses():
    data = orthogonally_separable(4, 6, 10, seed=2, scales=[1, 2, 3, 1.5])
    limit = relu_limit(data)
    products = limit.masses * limit.margins
    np.testing.assert_allclose(products, products[0])
    assert limit.masses.sum() == pytest.approx(0.5)
    total = np.sum(limit.hidden**2) + np.sum(limit.weight**2)
    assert total == pytest.approx(1.0)
    np.testing.assert_allclose(
        np.linalg.norm(limit.hidden, axis=1), np.linalg.norm(limit.weight, axis=0)
    )


def test_classes_without_a_margin_are_named():
    inputs = np.array([[1.0, 0], [-1, 0], [0, 1], [1, 1]])
    with pytest.raises(ValueError, match=r"class 5: no direction has a positive inner product"):
        relu_limit(Dataset.from_arrays(inputs, np.array([5, 5, 9, 9])))
