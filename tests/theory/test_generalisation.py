"""Best errors under collapse: the limit against exact programs, these against definitions."""

import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, norm

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.least_distance import least_distance
from ncollapse.theory import generalisation
from ncollapse.theory.boundary import phase_boundary
from ncollapse.theory.generalisation import (
    best_error,
    best_neuron,
    best_pair,
    bivariate_normal,
    corrected_lower_error,
    theorem7a_error,
    theorem7b_error,
)

OPPOSITE = np.array([[1.0, 0.0], [-1.0, 0.0]])


def sample(n, dim, sigma, seed):
    data = gaussian_mixture(OPPOSITE, n, sigma, dim, seed)
    mean = np.zeros(dim)
    mean[0] = 1.0
    return data.of_class(0), data.of_class(1), mean


def test_best_error_at_four_places():
    errors = best_error([0.5, 1.0, 1.0, 2.0], [2.0, 2.0, 3.0, 2.5])
    assert errors == pytest.approx([0.082, 0.258, 0.214, 0.363], abs=5e-4)


@pytest.mark.parametrize(("sigma", "ratio"), [(0.5, 2.0), (1.0, 2.0), (1.0, 3.0), (2.0, 2.5)])
def test_best_error_is_the_largest_slope_on_a_grid(sigma, ratio):
    slopes = np.linspace(0.0, np.sqrt(ratio), 200_001)
    length = sigma * np.sqrt(1 + slopes**2)
    excess = (slopes**2 + length**2) * norm.cdf(-slopes / length)
    excess -= slopes * length * norm.pdf(slopes / length)
    slope = slopes[1 + slopes**2 + excess / sigma**2 <= ratio].max()
    expected = norm.cdf(-slope / (sigma * np.sqrt(1 + slope**2)))
    assert float(best_error(sigma, ratio)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("sigma", "ratio"), [(0.5, 2.0), (1.0, 3.0), (2.0, 2.5)])
def test_finite_samples_approach_the_limit(sigma, ratio):
    seeds = range(4)
    errors = [
        best_neuron(*sample(120, int(120 * ratio), sigma, seed), sigma).error for seed in seeds
    ]
    # The spread of one error at n = 120 is about 0.01.
    assert np.mean(errors) == pytest.approx(float(best_error(sigma, ratio)), abs=0.015)


def test_only_the_ratio_of_noise_and_norm_matters():
    assert best_error(1.0, 2.0, norm=2.0) == pytest.approx(best_error(0.5, 2.0), rel=1e-9)


def test_below_the_boundary_there_is_no_neuron():
    boundary = float(phase_boundary(OPPOSITE, 0.5).ratio)
    assert best_error(0.5, boundary + 1e-6) < 0.5
    with pytest.raises(ValueError, match=f"phase boundary {boundary:.5f}"):
        best_error(0.5, boundary - 1e-3)


def test_best_error_at_noise_beyond_every_square():
    assert best_error([1e-320, 1e-160, 1e-12], 2.0).tolist() == [0.0, 0.0, 0.0]
    assert best_error([1e160, 1e300], 2.0).tolist() == [0.5, 0.5]
    # a² = δ/(3/2) − 1 in the limit of large noise.
    slope = np.sqrt(4.0 / 1.5 - 1.0)
    expected = slope / np.sqrt(1 + slope**2) / np.sqrt(2 * np.pi) * 1e-5
    assert 0.5 - float(best_error(1e5, 4.0)) == pytest.approx(expected, rel=1e-4)


def test_no_ratio_at_or_below_one_is_feasible():
    for sigma in (0.1, 1.0, 100.0):
        with pytest.raises(ValueError, match="ratio must be at least the phase boundary"):
            best_error(sigma, [3.0, 1.0])
    with pytest.raises(ValueError, match=r"but it is 0\.5"):
        best_error(1.0, 0.5)


def test_bounds_are_their_formulas():
    n, sigma, ratio = 300, 0.2, 1.5
    d = ratio * n
    expected = norm.cdf(-np.sqrt((d - n + 1) / d) / sigma)
    assert float(theorem7a_error(sigma, ratio, n)) == pytest.approx(expected, rel=1e-12)
    kept = norm.cdf(-0.9 * 3.0 * np.sqrt((d - n + 1) / d) / 2.0)
    assert float(theorem7a_error(2.0, ratio, n, 3.0, epsilon=0.1)) == pytest.approx(kept, rel=1e-12)
    assert float(theorem7a_error(1.0, 1.0, 4)) == pytest.approx(norm.cdf(-0.5))
    s, c1, c2 = 0.8, 0.3, 0.2
    inner = s**3 * np.exp(-1 / (2 * s**2)) / np.sqrt(2 * np.pi) + s**2 + 1
    inner -= (c1 * s**2 + c2 * s) * np.sqrt(np.log(n) / n)
    expected = 1 - norm.cdf((n / (2 * 3600) * inner + s**2) ** -0.5)
    printed = theorem7b_error(1.6, 12.0, n, norm=2.0, c1=c1, c2=c2)
    assert float(printed) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.0])
def test_the_corrected_lower_bound_holds_and_the_printed_one_does_not_for_small_noise(sigma):
    n, ratio = 40, 12.0
    error = best_neuron(*sample(n, int(n * ratio), sigma, 0), sigma).error
    limit = float(best_error(sigma, ratio))
    assert corrected_lower_error(sigma, ratio) < min(error, limit)
    assert (theorem7b_error(sigma, ratio, n) > limit) == (sigma < 0.9)


@pytest.mark.parametrize(("ratio", "crossing"), [(12.0, 5.2), (20.0, 4.8), (50.0, 4.4)])
def test_the_printed_lower_bound_fails_at_large_noise_too(ratio, crossing):
    for sigma in (crossing - 0.1, crossing + 0.1, 10.0):
        exact = float(best_error(sigma, ratio))
        printed = float(theorem7b_error(sigma, ratio, 100))
        assert (printed > exact) == (sigma > crossing), sigma
        assert corrected_lower_error(sigma, ratio) < exact


@pytest.mark.parametrize(("sigma", "ratio", "norm_"), [(0.4, 12.0, 1.0), (3.0, 20.0, 2.0)])
def test_the_corrected_lower_bound_is_its_formula(sigma, ratio, norm_):
    s = sigma / norm_
    excess = quad(lambda g: (s * g - 1) ** 2 * norm.pdf(g), 1 / s, 40.0)[0]
    expected = 1 - norm.cdf(((s**2 + excess) / (2 * ratio) + s**2) ** -0.5)
    assert float(corrected_lower_error(sigma, ratio, norm_)) == pytest.approx(expected, rel=1e-9)


def test_the_gap_is_the_excess_over_the_least_norm(monkeypatch):
    own, rest, mean = sample(20, 45, 0.7, 0)
    best = best_neuron(own, rest, mean, 0.7)

    def feasible_but_not_least(matrix, bound):
        answer = least_distance(matrix, bound)
        assert np.count_nonzero(answer.multipliers) > 1
        inside = least_distance(matrix, bound + 1.0)
        return replace(answer, point=inside.point)

    monkeypatch.setattr(generalisation, "least_distance", feasible_but_not_least)
    other = best_neuron(own, rest, mean, 0.7)
    lengths = [np.linalg.norm(neuron.beta) / (mean @ neuron.beta) for neuron in (other, best)]
    assert lengths[0] > 1.001 * lengths[1]
    assert other.gap == pytest.approx(1 - (lengths[1] / lengths[0]) ** 2, rel=1e-6)
    assert best.gap < 1e-12


@pytest.mark.parametrize("correlation", [-1.0, -0.99, -0.3, 0.0, 0.6, 0.999, 1.0])
def test_bivariate_normal_probabilities(correlation):
    covariance = [[1.0, correlation], [correlation, 1.0]]
    for h, k in itertools.product([-3.0, -0.2, 0.0, 0.5, 4.0], repeat=2):
        expected = multivariate_normal.cdf([h, k], [0, 0], covariance, allow_singular=True)
        assert bivariate_normal(h, k, correlation) == pytest.approx(expected, abs=2e-15), (h, k)


def test_small_bivariate_probabilities_keep_their_digits():
    for h, k, correlation in [(6.0, -7.0, -0.5), (2.0, -9.0, 0.3), (-1e-200, 0.0, 0.5)]:
        root = np.sqrt(1 - correlation**2)
        expected = quad(
            lambda x, k=k, rho=correlation, root=root: norm.pdf(x) * norm.cdf((k - rho * x) / root),
            -40.0,
            h,
            epsabs=0.0,
            epsrel=1e-10,
            limit=500,
            points=[-9.0, -5.0, 0.0],
        )[0]
        assert bivariate_normal(h, k, correlation) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("dim", "seed", "binding"), [(14, 0, 0), (8, 3, 1), (9, 4, 1)])
def test_best_neuron_is_the_optimum_of_a_general_method(dim, seed, binding):
    own, rest, mean = sample(6, dim, 0.7, seed)
    neuron = best_neuron(own, rest, mean, 0.7)
    assert np.allclose(own @ neuron.beta, 1.0, atol=1e-9)
    assert (rest @ neuron.beta).max() <= 1e-9
    assert np.sum(rest @ neuron.beta > -1e-9) == binding
    assert neuron.gap < 1e-9
    general = minimize(
        lambda beta: -(mean @ beta) / np.linalg.norm(beta),
        neuron.beta + 0.1 * np.random.default_rng(seed).standard_normal(dim),
        method="SLSQP",
        constraints=[
            {"type": "eq", "fun": lambda beta: own @ beta - 1.0},
            {"type": "ineq", "fun": lambda beta: -(rest @ beta)},
        ],
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert neuron.error == pytest.approx(norm.cdf(general.fun / 0.7), abs=1e-5)


def test_the_error_of_the_pair_is_what_simulation_finds():
    own, rest, mean = sample(20, 50, 0.8, 1)
    pair = best_pair(own, rest, mean, 0.8)
    rng = np.random.default_rng(0)
    noise = 0.8 * rng.standard_normal((100_000, 50))
    wrong = 0.0
    for sign in (1.0, -1.0):
        points = sign * mean + noise
        output = np.maximum(points @ pair.first.beta, 0) - np.maximum(points @ pair.second.beta, 0)
        wrong += 0.5 * np.mean(sign * output <= 0)
    assert pair.error == pytest.approx(wrong, abs=4 * 0.5 / np.sqrt(100_000))
    assert pair.lower <= pair.error


def test_no_neuron_on_contradictory_samples():
    own, rest, mean = sample(20, 21, 2.0, 0)
    assert best_neuron(own, rest, mean, 2.0) is None
    assert best_pair(own, rest, mean, 2.0) is None
    # One class has a neuron, the other is at two distances on one ray.
    own, rest = np.array([[1.0, 0.0]]), np.array([[-1.0, 0.0], [-2.0, 0.0]])
    assert best_neuron(own, rest, [1.0, 0.0], 1.0) is not None
    assert best_pair(own, rest, [1.0, 0.0], 1.0) is None
    assert best_pair(rest, own, [-1.0, 0.0], 1.0) is None
    # More samples than dimensions: no direction is 1 on all of them.
    own, rest, mean = sample(5, 3, 0.5, 0)
    assert best_neuron(own, rest, mean, 0.5) is None
    # The only direction that is 1 on the class is at right angles to its mean.
    assert best_neuron(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), [1.0, 0.0], 1.0) is None


def test_samples_and_levels_are_worked_on_in_double_precision():
    own, rest = [[1, 0], [1, 1]], [[-1, 0], [-2, 1]]
    floats = np.array(own, float), np.array(rest, float)
    mean = np.array([0.9, 0.1], dtype=np.float32)
    whole = best_pair(own, rest, mean, 0.7)
    assert whole.to_dict() == best_pair(*floats, mean.astype(float), 0.7).to_dict()
    sigma, ratio = np.float32(0.7), np.float32(2.3)
    assert best_error(sigma, ratio) == best_error(float(sigma), float(ratio))


def test_refused_arguments():
    own, rest, mean = sample(3, 8, 1.0, 0)
    with pytest.raises(ValueError, match=r"^own must be a matrix \(samples, dimensions\)"):
        best_neuron(own[0], rest, mean, 1.0)
    with pytest.raises(ValueError, match=r"^rest must be a matrix \(samples, dimensions\)"):
        best_neuron(own, rest[0], mean, 1.0)
    with pytest.raises(ValueError, match=r"^mean must be finite"):
        best_neuron(own, rest, np.full(8, np.nan), 1.0)
    with pytest.raises(ValueError, match="share one dimension"):
        best_neuron(own, rest[:, :-1], mean, 1.0)
    with pytest.raises(ValueError, match="sigma must be"):
        best_neuron(own, rest, mean, 0.0)
    with pytest.raises(ValueError, match="norm must be"):
        best_error(1.0, 2.0, norm=-1.0)
    with pytest.raises(ValueError, match="ratio must be at least 1"):
        theorem7a_error(0.1, 0.5, 300)
    for bound in (
        lambda sigma, norm: theorem7a_error(sigma, 2.0, 300, norm),
        lambda sigma, norm: theorem7b_error(sigma, 20.0, 300, norm),
        lambda sigma, norm: corrected_lower_error(sigma, 20.0, norm),
    ):
        with pytest.raises(ValueError, match=r"^sigma must be positive"):
            bound(-1.0, 1.0)
        with pytest.raises(ValueError, match="norm must be a positive"):
            bound(1.0, 0.0)


def test_bounds_name_a_ratio_that_is_none():
    for bound in (
        lambda ratio: best_error(1.0, ratio),
        lambda ratio: theorem7a_error(1.0, ratio, 300),
        lambda ratio: theorem7b_error(1.0, ratio, 300),
        lambda ratio: corrected_lower_error(1.0, ratio),
    ):
        with pytest.raises(ValueError, match=r"^ratio must be positive"):
            bound(-2.0)


def test_means_of_norm_one_unless_told():
    assert corrected_lower_error(0.4, 12.0) == corrected_lower_error(0.4, 12.0, norm=1.0)


def test_the_package_does_without_scipy_stats():
    code = "import sys, ncollapse; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
