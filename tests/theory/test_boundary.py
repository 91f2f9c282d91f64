"""The phase boundary against its definition, its limits and the known bounds."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from ncollapse.geometry import unit_pair
from ncollapse.theory.boundary import (
    _Objective,
    expected_square_excess,
    gordon_bound,
    phase_boundary,
    theorem5a_bound,
    theorem5a_noise,
    union_bound,
    union_bound_noise,
)

SIGMAS = np.array([0.1, 0.2, 0.5, 1.0, 2.0])


def literal_boundary(means, sigma, sizes, target):
    """δ* by its formula, the expectation by quadrature, the minimum by a method without slopes."""
    grid = np.linspace(-12.0, 12.0, 40_001)
    density = norm.pdf(grid)

    def excess(mean, deviation):
        return np.trapezoid(np.maximum(mean + deviation * grid, 0.0) ** 2 * density, grid)

    def objective(a):
        total = max(-(means[target] @ a), 0.0) ** 2
        for k in range(len(means)):
            if k != target:
                share = sizes[k] / sizes[target]
                total += share * excess(means[k] @ a, sigma * np.sqrt(1 + a @ a))
        return 1 + a @ a + total / sigma**2

    best = minimize(
        objective,
        np.zeros(means.shape[1]),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000},
    )
    return best.fun


@pytest.mark.parametrize("mean", [-30.0, -1.0, 0.0, 2.0])
def test_expected_square_excess_is_its_integral(mean):
    value = quad(lambda g: (mean + 0.7 * g) ** 2 * norm.pdf(g), -mean / 0.7, 60.0)[0]
    assert expected_square_excess(mean, 0.7) == pytest.approx(value, rel=1e-7, abs=1e-14)


@pytest.mark.parametrize(
    ("means", "sigma", "sizes", "target"),
    [
        (unit_pair(np.pi), 0.3, [1, 1], 0),
        (unit_pair(0.5), 0.7, [150, 450], 0),
        (unit_pair(0.0), 0.2, [300, 100], 1),
        (np.eye(3), 0.5, [1, 2, 3], 1),
        (np.array([[1.0, 0.5], [-2.0, 0.1], [0.0, -1.0], [0.0, 0.0]]), 0.8, [4, 1, 1, 2], 3),
        # ⟨μ_t, a⟩ < 0 at the minimum.
        (np.array([[3.0, 0.6], [6.0, 0.0]]), 3.0, [1, 2], 0),
    ],
)
def test_boundary_is_the_minimum_of_its_formula(means, sigma, sizes, target):
    boundary = phase_boundary(means, sigma, sizes, target)
    assert float(boundary.ratio) == pytest.approx(
        literal_boundary(means, sigma, sizes, target), rel=1e-7
    )
    assert boundary.minimiser.shape == (means.shape[1],)


@pytest.mark.parametrize(
    ("means", "values"),
    [
        (unit_pair(np.pi), [1.0436, 1.1117, 1.2880, 1.4157, 1.4751]),
        (unit_pair(np.pi / 2), [1.0436, 1.1117, 1.2880, 1.4157, 1.4751]),
        (unit_pair(0.5), [1.1151, 1.2323, 1.3740, 1.4384, 1.4777]),
        (unit_pair(0.0), [1.3923, 1.3954, 1.4127, 1.4456, 1.4785]),
        (np.eye(4), [1.1391, 1.3799, 1.9929, 2.3302, 2.4537]),
    ],
    ids=["opposite", "orthogonal", "angle 0.5", "same", "K=4"],
)
def test_boundary_at_five_noise_levels(means, values):
    assert phase_boundary(means, SIGMAS).ratio == pytest.approx(values, abs=5.1e-5)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
def test_limits_of_large_and_small_noise(num_classes):
    means = np.eye(num_classes)
    large = float(phase_boundary(means, 1e4).ratio)
    assert large == pytest.approx(gordon_bound(num_classes), rel=1e-6)
    assert 1.0 < float(phase_boundary(means, 1e-3).ratio) < 1.001


def test_noise_beyond_every_square_has_the_limit():
    levels = np.array([1e-320, 1e-160, 1e-10, 1e160, 1e308])
    separated = phase_boundary(np.eye(3), levels)
    assert separated.ratio == pytest.approx([1.0, 1.0, 1.0, 2.0, 2.0], abs=1e-14)
    same = phase_boundary(unit_pair(0.0), levels)
    assert same.ratio == pytest.approx([1.391263] * 3 + [1.5] * 2, abs=1e-6)
    # ⟨μ, a⟩/σ has a limit as σ → 0.
    assert same.minimiser[1, 0] == pytest.approx(same.minimiser[2, 0] * 1e-150, rel=1e-12)
    near = phase_boundary(unit_pair(0.0), 1e-5).minimiser[0]
    assert same.minimiser[2, 0] == pytest.approx(near * 1e-5, rel=1e-4)
    tiny = phase_boundary(1e-200 * np.eye(3), 1e-200)
    assert float(tiny.ratio) == pytest.approx(float(phase_boundary(np.eye(3), 1.0).ratio))
    assert float(phase_boundary(np.zeros((3, 2)), 1e-160).ratio) == 2.0
    assert float(phase_boundary(1e10 * np.eye(3), 1e-320).ratio) == pytest.approx(1.0, abs=1e-14)


def test_means_in_single_precision_are_not_worked_on_in_it():
    means = np.array([[1.0, 0.3], [0.7, -0.4]], dtype=np.float32)
    plain = phase_boundary(means.astype(float), 0.4)
    assert phase_boundary(means, 0.4).to_dict() == plain.to_dict()


@pytest.mark.parametrize("sigma", [0.05, 0.7, 4.0])
def test_the_minimiser_is_that_of_the_formula(sigma):
    """No step away from a lowers φ, and φ(a) is δ*."""
    means, sizes, target = np.array([[1.0, 0.5], [-0.3, 0.1], [0.2, -1.0]]), [2, 1, 3], 0
    boundary = phase_boundary(means, sigma, sizes, target)

    def objective(a):
        deviation = sigma * np.sqrt(1 + a @ a)
        total = min(means[0] @ a, 0.0) ** 2
        for share, mean in ((0.5, means[1] @ a), (1.5, means[2] @ a)):
            z = mean / deviation
            total += share * (
                (mean**2 + deviation**2) * norm.cdf(z) + mean * deviation * norm.pdf(z)
            )
        return 1 + a @ a + total / sigma**2

    a = boundary.minimiser
    assert objective(a) == pytest.approx(float(boundary.ratio), rel=1e-12)
    for angle in np.linspace(0, 2 * np.pi, 8):
        step = 1e-4 * min(sigma, 1.0) * np.array([np.cos(angle), np.sin(angle)])
        assert objective(a + step) > objective(a)


def test_one_value_a_noise_level_in_any_order_and_shape():
    levels = np.array([[0.5, 2.0], [0.1, 1.0]])
    boundary = phase_boundary(unit_pair(1.0), levels)
    assert boundary.ratio.shape == (2, 2)
    assert boundary.minimiser.shape == (2, 2, 2)
    assert boundary.sigma.tolist() == levels.tolist()
    for place in np.ndindex(2, 2):
        alone = phase_boundary(unit_pair(1.0), levels[place])
        assert float(alone.ratio) == pytest.approx(boundary.ratio[place], rel=1e-10)


def test_boundary_does_not_depend_on_coordinates_and_scales_with_the_means():
    means = np.array([[1.0, 0.3, -0.2], [0.1, -1.0, 0.4]])
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    embedded = np.pad(means, ((0, 0), (0, 2))) @ rotation
    plain = phase_boundary(means, 0.4).ratio
    assert phase_boundary(embedded, 0.4).ratio == pytest.approx(plain, rel=1e-10)
    assert phase_boundary(1e3 * means, 400.0).ratio == pytest.approx(plain, rel=1e-10)


def test_the_known_bounds_lie_above_the_boundary():
    for angle in (np.pi, 2.0, 1.0, 0.3):
        assert (
            union_bound(unit_pair(angle), SIGMAS, 300)
            > phase_boundary(unit_pair(angle), SIGMAS).ratio
        ).all()
    assert (theorem5a_bound(np.eye(4), SIGMAS, 250) > phase_boundary(np.eye(4), SIGMAS).ratio).all()
    assert gordon_bound(4, 250) > gordon_bound(4) == 2.5


def test_gordon_bound_is_the_printed_one():
    expected = 5 / 2 + 2 * np.sqrt(3 * np.log(250) / 250) + (4 + 2 * np.log(250)) / 250
    assert gordon_bound(4, 250) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("seed", range(4), ids=lambda seed: f"seed={seed}")
def test_newton_has_the_derivatives_of_its_objective(seed):
    generator = np.random.default_rng(seed)
    own, others = generator.standard_normal(3), generator.standard_normal((2, 3))
    objective = _Objective(own, others, np.array([0.5, 2.0]), 0.7)
    point = generator.standard_normal(3)
    point *= (-1.0) ** seed * np.sign(own @ point)
    gradient, hessian = objective.derivatives(point)
    for direction in np.eye(3):
        step = 1e-5 * direction
        values = [objective.value(point + side * step) for side in (1, -1)]
        assert gradient @ direction == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-7)
        slopes = [objective.derivatives(point + side * step)[0] for side in (1, -1)]
        np.testing.assert_allclose(
            hessian @ direction, (slopes[0] - slopes[1]) / 2e-5, rtol=1e-6, atol=1e-8
        )


def test_union_bound_is_the_formula_of_its_proof():
    n, ratio, angle, epsilon = 300, 1.6, 2.9, 0.01
    d, loss = ratio * n, 4 * epsilon / (1 - epsilon) ** 2
    assert np.cos(angle) < -loss
    expected = (1 - epsilon) * np.sqrt((d - n) / d) / (2 * np.sqrt(np.log(n)))
    noise = union_bound_noise(unit_pair(angle), ratio, n, epsilon=epsilon)
    assert float(noise) == pytest.approx(expected, rel=1e-12)
    near = np.sqrt(1 - (np.cos(1.0) + loss) ** 2)
    noise = union_bound_noise(3.0 * unit_pair(1.0), ratio, n, epsilon=epsilon)
    assert float(noise) == pytest.approx(3.0 * expected * near, rel=1e-12)


def test_means_at_right_angles_count_as_near_ones_where_epsilon_is_not_zero():
    loss = 4 * 0.01 / (1 - 0.01) ** 2
    straight = union_bound_noise(unit_pair(np.pi), 1.6, 300, epsilon=0.01)
    for angle in (np.pi / 2, np.arccos(-0.9 * loss)):
        noise = union_bound_noise(unit_pair(angle), 1.6, 300, epsilon=0.01)
        shape = np.sqrt(1 - (abs(np.cos(angle)) + loss) ** 2)
        assert float(noise) == pytest.approx(float(straight) * shape, rel=1e-12)


def test_a_mean_of_zero_guarantees_nothing():
    means = np.array([[0.0, 0.0], [1.0, 0.0]])
    assert float(union_bound_noise(means, 1.6, 300)) == 0.0
    assert np.isinf(union_bound(means, 1e-3, 300))


def test_noise_at_the_limit_of_large_ratios_is_not_guaranteed():
    limit = theorem5a_noise(np.eye(3), 1e300, 300)
    assert np.isinf(theorem5a_bound(np.eye(3), limit, 300))
    assert np.isfinite(theorem5a_bound(np.eye(3), np.nextafter(limit, 0.0), 300))


def test_bounds_take_the_shorter_mean_and_the_smallest_singular_value():
    n, ratio = 300, 1.6
    plain = union_bound_noise(unit_pair(np.pi), ratio, n)
    unequal = union_bound_noise(np.diag([1.0, 5.0]) @ unit_pair(np.pi), ratio, n)
    assert float(unequal) == pytest.approx(float(plain), rel=1e-14)
    equal = theorem5a_noise(0.3 * np.eye(3), ratio, n)
    assert float(theorem5a_noise(np.diag([0.3, 1.0, 2.0]), ratio, n)) == pytest.approx(float(equal))
    assert np.isfinite(union_bound_noise(unit_pair(np.pi), ratio, 2))


def test_the_first_class_is_the_target_unless_another_is_named():
    means, sizes = np.array([[1.0, 0.0], [0.2, 0.5], [0.0, -1.0]]), [1, 2, 4]
    first = phase_boundary(means, 0.5, sizes)
    assert float(first.ratio) == float(phase_boundary(means, 0.5, sizes, target=0).ratio)
    assert float(first.ratio) != float(phase_boundary(means, 0.5, sizes, target=1).ratio)


def test_theorem5a_is_the_formula_of_its_proof():
    n, num_classes, ratio = 250, 4, 1.5
    d = ratio * n
    expected = 0.5 * np.sqrt((d - n) * 4.0 / ((num_classes - 1) * d * np.log(num_classes * n)))
    assert float(theorem5a_noise(2.0 * np.eye(4), ratio, n)) == pytest.approx(expected, rel=1e-12)
    kept = np.sqrt((1 - 0.01) ** 2 - 16 * 0.01)
    noise = theorem5a_noise(2.0 * np.eye(4), ratio, n, epsilon=0.01)
    assert float(noise) == pytest.approx(expected * kept, rel=1e-12)


def test_bounds_as_noise_and_as_ratio_are_inverse():
    for ratio in (1.05, 1.5, 3.0):
        noise = union_bound_noise(unit_pair(2.0), ratio, 300)
        assert float(union_bound(unit_pair(2.0), noise, 300)) == pytest.approx(ratio, rel=1e-12)
    assert float(union_bound_noise(unit_pair(2.0), 0.9, 300)) == 0.0
    assert np.isinf(union_bound(unit_pair(0.0), 0.1, 300))
    assert np.isinf(theorem5a_bound(np.array([[1.0], [2.0]]), 0.1, 300))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: phase_boundary([1.0, 2.0], 1.0), r"means .* \(2,\)"),
        (lambda: phase_boundary([[1.0, 2.0]], 1.0), r"means .* \(1, 2\)"),
        (lambda: phase_boundary([[np.inf], [0.0]], 1.0), "means must be finite"),
        (lambda: phase_boundary(np.eye(2), 0.0), "sigma must be positive"),
        (lambda: phase_boundary(np.eye(2), [1.0, np.nan]), "sigma must be positive"),
        (lambda: phase_boundary(np.eye(2), 1.0, target=2), "target must be one of 0 … 1"),
        (lambda: phase_boundary(np.eye(2), 1.0, counts=[1, 2, 3]), "counts"),
        (lambda: union_bound(np.eye(3), 0.1, 300), "two classes for Theorem 4"),
        (lambda: union_bound(np.eye(2), 0.1, 1), "samples must be at least 2"),
        (lambda: theorem5a_noise(np.eye(2), 1.5, 300, epsilon=1.0), "epsilon"),
        (lambda: gordon_bound(1), "num_classes must be at least 2"),
        (lambda: union_bound(np.eye(2), -0.1, 300), "^sigma must be positive"),
        (lambda: union_bound_noise(np.eye(2), 0.0, 300), "^ratio must be positive"),
    ],
)
def test_refused_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()
