"""Escape directions: dense Hessians, Example 3.1, random points, and none at the optimum."""

import math

import numpy as np
import pytest

from ncollapse.geometry import simplex_etf
from ncollapse.theory import layer_peeled as lp
from ncollapse.theory.landscape import (
    _bottom_eigenpair,
    escape_direction,
    example_3_1,
    riemannian_hessian,
)


def stack(weight, features):
    return np.concatenate([weight.ravel(), features.ravel()])


def collapsed_pair(num_classes, per_class, dim, scale):
    weight = scale * simplex_etf(num_classes, dim, seed=2)
    return weight, np.repeat(weight, per_class, axis=0) / math.sqrt(per_class)


def test_riemannian_hessian_is_the_second_derivative_along_great_circles():
    rng = np.random.default_rng(0)
    weight, features = rng.standard_normal((3, 4)), rng.standard_normal((6, 4))
    point = stack(weight, features)
    radius = np.linalg.norm(point)
    hessian = riemannian_hessian(weight, features)
    here = lp.log_loss(weight, features)

    def scaled_loss(flat):
        return math.exp(lp.log_loss(flat[:12].reshape(3, 4), flat[12:].reshape(6, 4)) - here)

    for _ in range(5):
        tangent = rng.standard_normal(point.size)
        tangent -= (tangent @ point) / radius**2 * point
        tangent /= np.linalg.norm(tangent)
        h = 1e-3 / radius
        up, down = (
            scaled_loss(math.cos(angle) * point + radius * math.sin(angle) * tangent)
            for angle in (h, -h)
        )
        second = (up - 2.0 + down) / (radius * h) ** 2
        assert tangent @ (hessian @ tangent) == pytest.approx(second, abs=1e-5)
    np.testing.assert_allclose(hessian @ point, 0.0, atol=1e-12)


def test_example_3_1_is_the_printed_one():
    weight, features = example_3_1()
    block = np.array([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]])
    np.testing.assert_array_equal(weight, block)
    np.testing.assert_array_equal(features, block.T)
    d_weight, d_features = lp.log_loss_gradient(weight, features)
    factor = d_weight[0, 0]
    np.testing.assert_allclose(d_weight, factor * weight, atol=1e-15)
    np.testing.assert_allclose(d_features, factor * features, atol=1e-15)
    loss = math.exp(lp.log_loss(weight, features))
    softmax = np.exp([2.0, -2.0, 0.0, 0.0]) / np.exp([2.0, -2.0, 0.0, 0.0]).sum()
    assert loss == pytest.approx(-4 * math.log(softmax[0]))


@pytest.mark.parametrize("alpha", [1e-3, 0.05, 0.3])
def test_the_example_s_own_escape_lowers_the_loss_as_printed(alpha):
    weight, features = example_3_1(alpha)
    start_w, start_h = example_3_1()
    assert np.linalg.norm(weight) == pytest.approx(np.linalg.norm(start_w))
    assert np.linalg.norm(features) == pytest.approx(np.linalg.norm(start_h))
    scale = 1 + 2 * alpha**2
    logits = np.array([2 + 4 * alpha**2, 4 * alpha**2 - 2, -4 * alpha**2, -4 * alpha**2]) / scale
    np.testing.assert_allclose(sorted(features[0] @ weight.T), sorted(logits), atol=1e-12)
    assert lp.log_loss(weight, features) < lp.log_loss(start_w, start_h)


def test_escape_from_example_3_1_is_by_curvature_at_least_that_of_the_paper():
    weight, features = example_3_1()
    escape = escape_direction(weight, features)
    assert escape is not None
    assert escape.kind == "curvature"
    assert abs(escape.slope) < 1e-12
    moved = escape.apply(weight, features)
    assert np.linalg.norm(stack(*moved)) == pytest.approx(np.linalg.norm(stack(weight, features)))
    drop = lp.log_loss(weight, features) - lp.log_loss(*moved)
    assert escape.decrease == pytest.approx(drop, rel=1e-12)
    assert drop == pytest.approx(0.2932, abs=5e-5)
    assert abs(stack(escape.weight, escape.features) @ stack(weight, features)) < 1e-12
    paper = stack(*example_3_1(1e-4)) - stack(weight, features)
    paper /= np.linalg.norm(paper)
    hessian = riemannian_hessian(weight, features)
    assert escape.curvature <= paper @ (hessian @ paper) + 1e-9
    assert escape.curvature == pytest.approx(np.linalg.eigvalsh(hessian @ np.eye(32))[0], rel=1e-9)


@pytest.mark.parametrize("seed", range(6), ids=lambda seed: f"seed={seed}")
def test_curvature_is_followed_towards_the_descending_side(seed):
    rng = np.random.default_rng(seed)
    weight, features = (part + 1e-3 * rng.standard_normal((4, 4)) for part in example_3_1())
    escape = escape_direction(weight, features)
    assert escape is not None
    assert escape.kind == "curvature"
    assert escape.slope < 0.0


@pytest.mark.parametrize("scale", [0.3, 2.0, 20.0])
@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed{seed}") for seed in range(4)])
def test_random_points_have_a_verified_way_down(seed, scale):
    rng = np.random.default_rng(seed)
    weight, features = scale * rng.standard_normal((4, 6)), scale * rng.standard_normal((12, 6))
    escape = escape_direction(weight, features)
    assert escape is not None
    drop = lp.log_loss(weight, features) - lp.log_loss(*escape.apply(weight, features))
    assert drop > 0.0
    assert escape.decrease == pytest.approx(drop, rel=1e-9)
    assert escape.slope <= 0.0


@pytest.mark.parametrize("scale", [0.5, 3.0, 10.0, 1000.0])
@pytest.mark.parametrize(("num_classes", "per_class", "dim"), [(2, 2, 3), (3, 4, 3), (5, 10, 20)])
def test_none_at_the_optimum(num_classes, per_class, dim, scale):
    assert escape_direction(*collapsed_pair(num_classes, per_class, dim, scale)) is None


def test_collapse_with_unequal_norms_is_not_optimal():
    weight, features = collapsed_pair(3, 4, 3, 2.0)
    escape = escape_direction(2.0 * weight, features)
    assert escape is not None
    assert escape.decrease > 1e-2


def test_the_way_with_the_larger_decrease_is_taken():
    """Where the gradient is enormous, weak curvature is not the way down."""
    num_classes, per_class, dim, radius = 3, 2, 4, 200.0
    weight, features = collapsed_pair(num_classes, per_class, dim, 1.0)
    weight = 1.1 * weight
    shrink = radius / np.linalg.norm(stack(weight, features))
    weight, features = shrink * weight, shrink * features
    escape = escape_direction(weight, features)
    assert escape is not None
    assert escape.kind == "gradient"
    optimum = lp.sphere_optimum(radius**2, num_classes=num_classes, per_class=per_class)
    possible = lp.log_loss(weight, features) - optimum
    assert 0.9 * possible < escape.decrease <= possible


def test_a_gradient_without_negative_curvature_is_followed():
    """On the circle {W = cos φ·W₀, H = sin φ·H₀} through collapse the gradient is a single line."""
    weight, features = collapsed_pair(2, 1, 1, 1.0)
    features = 1.2 * features
    escape = escape_direction(weight, features)
    assert escape is not None
    assert escape.kind == "gradient"
    d_weight, d_features = lp.log_loss_gradient(weight, features)
    point, gradient = stack(weight, features), stack(d_weight, d_features)
    tangent = gradient - (gradient @ point) / (point @ point) * point
    np.testing.assert_allclose(
        stack(escape.weight, escape.features), -tangent / np.linalg.norm(tangent), atol=1e-12
    )
    assert escape.slope == pytest.approx(-np.linalg.norm(tangent))
    optimum = lp.sphere_optimum(point @ point, num_classes=2, per_class=1)
    assert escape.decrease == pytest.approx(lp.log_loss(weight, features) - optimum, rel=1e-3)


def test_the_dictionary_is_json_ready_and_the_origin_is_refused():
    escape = escape_direction(*example_3_1())
    assert escape is not None
    assert escape.to_dict()["kind"] == "curvature"
    with pytest.raises(ValueError, match="origin"):
        escape_direction(np.zeros((3, 2)), np.zeros((6, 2)))


def test_samples_in_any_order_have_labels_and_single_precision_is_not_kept():
    rng = np.random.default_rng(3)
    weight, features = rng.standard_normal((3, 4)), rng.standard_normal((6, 4))
    single = weight.astype(np.float32), features.astype(np.float32)
    weight, features = (part.astype(float) for part in single)
    order, labels = rng.permutation(6), np.repeat(np.arange(3), 2)
    expected = escape_direction(weight, features)
    shuffled = escape_direction(weight, features[order], labels[order])
    assert shuffled.decrease == pytest.approx(expected.decrease, rel=1e-9)
    assert escape_direction(*single).decrease == expected.decrease
    vector = rng.standard_normal(36)
    product = riemannian_hessian(weight, features) @ vector
    moved = np.append(vector[:12], vector[12:].reshape(6, 4)[order])
    other = riemannian_hessian(weight, features[order], labels[order]) @ moved
    np.testing.assert_allclose(other[12:].reshape(6, 4), product[12:].reshape(6, 4)[order])
    assert (riemannian_hessian(*single) @ vector).tolist() == product.tolist()


@pytest.mark.parametrize("size", [10, 300])
@pytest.mark.parametrize("ends", [(-3.0, 1.0), (-1.0, 3.0), (0.5, 2.0)])
def test_the_bottom_eigenpair_is_that_of_the_dense_matrix(size, ends):
    """By all of them or by Lanczos steps, with the largest modulus at either end."""
    basis = np.linalg.qr(np.random.default_rng(size).standard_normal((size, size)))[0]
    values = np.append(ends[0], np.linspace(ends[0] + 0.4, ends[1], size - 1))
    matrix = (basis * values) @ basis.T
    value, vector, norm = _bottom_eigenpair(lambda v: matrix @ v, size, seed=0)
    assert value == pytest.approx(ends[0], abs=1e-6)
    assert abs(vector @ basis[:, 0]) == pytest.approx(1.0, abs=1e-6)
    assert norm == pytest.approx(max(np.abs(ends)), rel=0.03)


def test_the_same_seed_gives_the_same_direction():
    rng = np.random.default_rng(0)
    weight, features = rng.standard_normal((4, 8)), rng.standard_normal((8, 8))
    default, one, two = (
        escape_direction(weight, features, **s) for s in ({}, {"seed": 0}, {"seed": 0})
    )
    assert default.to_dict() == one.to_dict() == two.to_dict()
