"""The risk against its literal formula, its derivatives against JAX, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.data import Dataset
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.metrics import measure
from ncollapse.train import (
    METRIC_NAMES,
    TwoLayer,
    arc_cosine_gram,
    random_layer_features,
    restore,
    risk_and_gradient,
)

DECAYS = {"weight_decay": 0.02, "feature_decay": 0.003}


def literal_risk(hidden, weight, inputs, one_hot, slope=0.0):
    """hong2025 (2.4) as it stands, our rows for its columns."""
    features = jnp.where(inputs @ hidden.T > 0, inputs @ hidden.T, slope * (inputs @ hidden.T))
    logits = features @ weight.T
    losses = jax.nn.logsumexp(logits, axis=1) - jnp.sum(logits * one_hot, axis=1)
    decay = 0.5 * DECAYS["weight_decay"] * jnp.sum(weight**2)
    return jnp.mean(losses) + decay + 0.5 * DECAYS["feature_decay"] * jnp.sum(features**2)


@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_risk_and_gradient_are_those_of_the_literal_formula(seed, slope):
    generator = np.random.default_rng(seed)
    inputs, hidden = generator.standard_normal((9, 5)), generator.standard_normal((4, 5))
    weight, one_hot = generator.standard_normal((3, 4)), np.eye(3)[np.arange(9) % 3]
    risk, to_preactivations, to_weight = risk_and_gradient(
        inputs @ hidden.T, weight, one_hot, slope=slope, **DECAYS
    )
    with jax.enable_x64(True):
        expected, gradients = jax.value_and_grad(literal_risk, argnums=(0, 1))(
            jnp.asarray(hidden), jnp.asarray(weight), inputs, one_hot, slope
        )
    assert risk == pytest.approx(float(expected), rel=1e-14)
    np.testing.assert_allclose(to_preactivations.T @ inputs, gradients[0], rtol=0, atol=1e-14)
    np.testing.assert_allclose(to_weight, gradients[1], rtol=0, atol=1e-14)


def test_no_overflow_at_huge_logits():
    preactivations, weight = np.full((4, 2), 1e3), 1e3 * np.array([[1.0, 0.0], [-1.0, 0.0]])
    risk, *gradients = risk_and_gradient(preactivations, weight, np.eye(2)[[0, 1, 0, 1]], **DECAYS)
    assert np.isfinite(risk)
    assert all(np.isfinite(part).all() for part in gradients)


def test_metrics_are_those_of_the_features(feasible):
    data, _, problem = feasible
    start = problem.start(6, seed=3)
    features = np.maximum(data.inputs @ start["hidden"].T, 0.0)
    expected = measure(features, data.labels, weight=start["weight"], preset=METRIC_NAMES)
    values, undefined = problem.metrics(problem.held(start))
    assert values == pytest.approx(expected.metrics, rel=1e-10)
    assert undefined == {}


def test_the_arc_cosine_gram_is_the_limit_of_random_layers():
    data = gaussian_mixture(np.eye(2), 4, 0.7, 5, 0)
    limit, width = arc_cosine_gram(data.inputs), 400_000
    features = random_layer_features(data, width, variance=1.0 / width, seed=1).inputs
    scale = np.sqrt(np.outer(np.diag(limit), np.diag(limit)))
    assert np.abs((features @ features.T - limit) / scale).max() < 6.0 / np.sqrt(width)


def test_reading_the_deviation_as_a_variance_scales_the_gram_matrix():
    data = gaussian_mixture(np.eye(2), 4, 0.7, 5, 0)
    theorem, figure = (
        random_layer_features(data, 100, variance=variance, seed=1).inputs
        for variance in (1.0 / 100, 1.0 / 10)
    )
    np.testing.assert_allclose(figure @ figure.T, 10.0 * theorem @ theorem.T)


def test_a_start_is_the_default_of_linear_layers(feasible):
    _, _, problem = feasible
    start = problem.start(500, init=2.0, seed=0)
    assert np.abs(start["hidden"]).max() == pytest.approx(2.0 / np.sqrt(24), rel=1e-3)
    assert np.abs(start["weight"]).max() == pytest.approx(2.0 / np.sqrt(500), rel=1e-2)
    assert np.array_equal(problem.start(500, init=2.0, seed=0)["hidden"], start["hidden"])


def test_a_start_of_a_gram_matrix_has_its_covariance(feasible):
    data, _, problem = feasible
    kernel = TwoLayer(problem.gram, data.labels, 1e-3, 1e-6)
    drawn = kernel.start(40_000, init=0.5, seed=0)["preactivations"]
    scale = 0.25 * problem.gram.max()
    np.testing.assert_allclose(drawn @ drawn.T / 40_000, 0.25 * problem.gram, atol=0.03 * scale)


@pytest.mark.parametrize("dim", [10, 24, 40])
def test_factors_span_the_preactivations(dim):
    data = gaussian_mixture([[1.0], [-1.0]], 12, 0.5, dim, 1)
    problem = TwoLayer.on(data, weight_decay=1e-3, feature_decay=1e-6)
    rank = min(dim, 24)
    size = np.trace(problem.gram) / rank
    close = {"atol": 1e-12 * np.abs(problem.gram).max()}
    np.testing.assert_allclose(problem.factor() @ problem.factor().T, problem.gram, **close)
    whitened = problem.whitened_factor()
    assert problem.invertible == isinstance(whitened, float) == (dim >= 24)
    columns = np.eye(24) * whitened if dim >= 24 else whitened
    np.testing.assert_allclose(columns.T @ columns, size * np.eye(rank), **close)
    preactivations = data.inputs @ np.random.default_rng(0).standard_normal((3, dim)).T
    held = problem.coefficients(preactivations)
    np.testing.assert_allclose(problem.gram @ held, preactivations, atol=1e-10)
    lost = preactivations - columns @ (columns.T @ preactivations) / size
    assert np.abs(lost).max() < 1e-10


@pytest.mark.parametrize("name", ["weight_decay", "feature_decay"])
def test_without_decay_the_infimum_is_not_attained(feasible, name):
    with pytest.raises(ValueError, match=f"{name} must be positive .*infimum is not attained"):
        TwoLayer.on(feasible[0], **({"weight_decay": 1e-3, "feature_decay": 1e-6} | {name: 0.0}))


def test_what_is_refused(feasible):
    data, _, problem = feasible
    with pytest.raises(ValueError, match="width must be at least the number of classes, 2"):
        problem.start(1)
    with pytest.raises(ValueError, match="init must be a positive finite number"):
        problem.start(4, init=0.0)
    with pytest.raises(ValueError, match="hidden must be a matrix"):
        problem.held({"hidden": np.ones((4, 3)), "weight": np.ones((2, 4))})
    with pytest.raises(ValueError, match=re.escape("weight must be (2, 4)")):
        problem.held({"hidden": np.ones((4, 24)), "weight": np.ones((2, 3))})
    with pytest.raises(ValueError, match="preactivations must be a matrix"):
        problem.held({"preactivations": np.ones((3, 4)), "weight": np.ones((2, 4))})
    with pytest.raises(ValueError, match="weight must be finite"):
        problem.held({"hidden": np.ones((4, 24)), "weight": np.full((2, 4), np.nan)})
    with pytest.raises(ValueError, match="gram must be a symmetric matrix"):
        TwoLayer(np.triu(problem.gram), data.labels, 1e-3, 1e-6)
    with pytest.raises(ValueError, match="labels must be 0"):
        TwoLayer(problem.gram, data.labels + 1, 1e-3, 1e-6)
    with pytest.raises(ValueError, match=r"no run of ncollapse.train"):
        restore(problem.setup(), {"coordinates": np.ones(2)})
    uneven = Dataset.from_arrays(data.inputs[:-1], data.labels[:-1])
    with pytest.raises(ValueError, match=r"every class as many samples.*12, 11"):
        _ = TwoLayer.on(uneven, weight_decay=1e-3, feature_decay=1e-6).lower_bound
