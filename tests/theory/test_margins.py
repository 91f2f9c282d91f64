"""Max-margin directions and limit masses."""

import numpy as np
import pytest
from scipy.optimize import minimize, nnls

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


def test_margins_of_rows_of_very_different_size():
    """γ = r/√(1 + r²) for r·e₁ and e₂."""
    for r in [1.0, 1e-3, 1e-6, 1e-7, 1e-8, 1e-12]:
        direction, margin = max_margin(np.array([[r, 0.0], [0.0, 1.0]]))
        assert margin == pytest.approx(r / np.hypot(1.0, r), rel=1e-12), r
        np.testing.assert_allclose(direction, [1 / np.hypot(1, r), r / np.hypot(1, r)], rtol=1e-12)


def test_margins_of_nearly_antiparallel_rows():
    """γ is the distance of the origin from the segment between e₁ and (−1, ε): ε/√(4 + ε²)."""
    for angle in [1e-3, 1e-6, 1e-8, 1e-10]:
        inputs = np.array([[1.0, 0.0], [-1.0, angle]])
        direction, margin = max_margin(inputs)
        assert margin == pytest.approx(angle / np.hypot(2.0, angle), rel=1e-9), angle
        assert (inputs @ direction).min() == margin


@pytest.mark.parametrize("seed", range(30), ids=lambda seed: f"seed={seed}")
def test_the_margin_is_the_distance_of_the_hull_from_the_origin(seed):
    """Each side bounds the other: γ from a direction, ‖Σ λ_i x_i‖ from a convex combination."""
    generator = np.random.default_rng(seed)
    count, dim = generator.integers(2, 12), generator.integers(2, 8)
    inputs = generator.standard_normal((count, dim))
    inputs[:, 0] = np.abs(inputs[:, 0]) + 0.1
    inputs *= 10 ** generator.uniform(-3, 3, (count, 1))
    inputs = np.vstack([inputs, inputs[: seed % 3]])
    direction, margin = max_margin(inputs)
    assert np.linalg.norm(direction) == pytest.approx(1.0, rel=1e-14)
    assert margin == pytest.approx((inputs @ direction).min(), rel=1e-12)
    smallest = np.linalg.norm(inputs, axis=1).min()
    stacked = np.vstack([inputs.T / smallest, 1e6 * np.ones(len(inputs))])
    shares = nnls(stacked, np.append(np.zeros(dim), 1e6), maxiter=10_000)[0]
    hull = np.linalg.norm(shares @ inputs) / shares.sum()
    assert margin == pytest.approx(hull, rel=1e-6)


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


def test_margins_that_no_square_can_hold():
    inputs = np.array([[1e-200, 0.0], [-1e200, 0.0]])
    limit = relu_limit(Dataset.from_arrays(inputs, np.array([0, 1])))
    assert limit.margins.tolist() == [1e-200, 1e200]
    assert limit.masses.tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], "row 1 is the zero vector"),
        ([[1.0, 0.0], [-1.0, 0.0]], "no direction has a positive inner product"),
        ([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]], "no direction has a positive inner product"),
        ([[1.0, 0.0], [-1.0, 1e-16]], "no direction has a positive inner product"),
        # These differ from a contradiction by rounding: a direction, but no mixture that bounds it,
        ([[1.0, 0.0], [-1.0, 1e-15]], "no direction has a positive inner product"),
        # or one that bounds it far above,
        ([[3.0, 1.0], [-3.0, 3e-15 - 1.0]], "no direction has a positive inner product"),
        (
            2.0**-30 * np.array([[3.0, 1.0], [-3.0, 3e-15 - 1.0]]),
            "no direction has a positive inner product",
        ),
        # or no multiplier at all.
        ([[0.8918937566999977], [-0.891893756699998]], "no direction has a positive inner product"),
    ],
)
def test_inputs_without_a_margin(inputs, words):
    with pytest.raises(ValueError, match=words):
        max_margin(np.array(inputs))


def test_arrays_are_a_data_set():
    inputs, labels = np.array([[1.0, 0.0], [0.5, 0.5], [-1.0, 0.3]]), np.array([4, 4, 7])
    limit = relu_limit(Dataset.from_arrays(inputs, labels))
    assert relu_limit(inputs, labels).to_dict() == limit.to_dict()


def test_classes_without_a_margin_are_named():
    inputs = np.array([[1.0, 0], [-1, 0], [0, 1], [1, 1]])
    with pytest.raises(ValueError, match=r"class 5: no direction has a positive inner product"):
        relu_limit(Dataset.from_arrays(inputs, np.array([5, 5, 9, 9])))
