"""Dead pairs counted one by one, and the formulas against one step from a vanishing start."""

import numpy as np
import pytest
from scipy.stats import norm

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.train import (
    TwoLayer,
    dead_share,
    descend,
    first_step_dead_share,
    outcome,
    predicted_dead_share,
)

COUNT, WIDTH = 400, 300


@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_a_pair_is_a_sample_and_a_neuron_for_its_class_that_is_off(seed):
    generator = np.random.default_rng(seed)
    preactivations, weight = generator.standard_normal((9, 5)), generator.standard_normal((3, 5))
    labels = np.arange(9) % 3
    pairs = [
        preactivations[i, j] <= 0
        for i in range(9)
        for j in range(5)
        if max(range(3), key=lambda k: weight[k, j]) == labels[i]
    ]
    assert dead_share(preactivations, weight, labels) == pytest.approx(np.mean(pairs))


def test_no_helpful_neuron_is_no_dead_pair():
    assert dead_share(-np.ones((2, 1)), np.array([[0.0], [0.0], [1.0]]), np.array([0, 1])) == 0.0


@pytest.fixture(scope="module", params=[(0.8, 600), (1.42, 1200)], ids="sigma, d = {}".format)
def first_step(request):
    """Helpful pairs after one step, those that started off and those that started on."""
    sigma, dim = request.param
    data = gaussian_mixture([[1.0], [-1.0]], COUNT // 2, sigma, dim, 7)
    problem = TwoLayer.on(data, weight_decay=1e-3, feature_decay=1e-6)
    start = problem.start(WIDTH, init=1e-4, seed=1)
    # what a step moves W by is tiny beside W, so it is W(0) that says whom a neuron helps
    start["weight"] *= 1e4
    run = descend(problem, start=start, epochs=1, learning_rate=1.0)
    before = problem.held(start)["preactivations"]
    helps = data.labels[:, None] == np.argmax(start["weight"], axis=0)
    off = run.at(-1)["preactivations"] <= 0
    return sigma, dim, off[helps & (before <= 0)], off[helps & (before > 0)]


@pytest.mark.parametrize("started_on", [False, True])
def test_the_share_after_one_step_is_the_formula(first_step, started_on):
    sigma, dim, *pairs = first_step
    measured = pairs[started_on].mean()
    exact = first_step_dead_share(1.0, sigma, COUNT, dim, started_on=started_on)
    # pairs of one sample share its noise: N/2 independent ones at least
    error = 4.0 * np.sqrt(exact * (1.0 - exact) / (COUNT / 2)) + 0.01
    assert abs(measured - exact) < error
    other = first_step_dead_share(1.0, sigma, COUNT, dim, started_on=not started_on)
    assert abs(measured - other) > error


def test_the_leading_term_is_the_printed_formula():
    assert predicted_dead_share(2.0, 1.5, 600, 450) == pytest.approx(
        norm.cdf(-4.0 * np.sqrt(300) / (1.5**2 * np.sqrt(450)))
    )
    shares = predicted_dead_share(1.0, 1.42, 600, np.array([450, 600, 900]))
    np.testing.assert_allclose(shares, [0.343, 0.363, 0.387], atol=5e-4)
    wide = np.array([1e6, 1e9])
    exact = first_step_dead_share(1.0, 3.0, 600, wide)
    assert np.abs(predicted_dead_share(1.0, 3.0, 600, wide) - exact).max() < 1e-3


def test_it_is_predicted_from_data(feasible, infeasible):
    data = gaussian_mixture([[1.0], [-1.0]], 200, 1.2, 500, 3)
    problem = TwoLayer.on(data, weight_decay=1e-3, feature_decay=1e-6)
    predicted = outcome(descend(problem, width=4, epochs=1)).predicted_dead_share
    assert predicted == pytest.approx(predicted_dead_share(1.0, 1.2, 400, 500), abs=0.02)


def test_it_is_not_predicted_for_more_classes():
    data = gaussian_mixture(np.eye(3), 5, 0.5, 9, 3)
    problem = TwoLayer.on(data, weight_decay=1e-3, feature_decay=1e-6)
    assert outcome(descend(problem, width=4, epochs=1)).predicted_dead_share is None


def test_what_is_refused():
    with pytest.raises(ValueError, match="sigma must be a positive finite number"):
        predicted_dead_share(1.0, 0.0, 600, 450)
