"""The two-layer ReLU network: loss in the log domain, gradients, groups, invariants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.models import (
    DEAD,
    MIXED,
    ReLUNetwork,
    log_cross_entropy,
    log_softplus,
    neuron_groups,
    sample_margins,
)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def literal_log_loss(inputs, labels, hidden, weight):
    total = 0.0
    for x, y in zip(inputs, labels, strict=True):
        logits = sum(max(float(hidden[j] @ x), 0.0) * weight[:, j] for j in range(hidden.shape[0]))
        total += np.log(np.sum(np.exp(logits))) - logits[y]
    return np.log(total)


@pytest.mark.parametrize("seed", range(4))
def test_log_loss_is_the_log_of_summed_cross_entropy(seed):
    data = orthogonally_separable(3, 4, 6, seed)
    model = ReLUNetwork.on(data)
    start = model.start(7, 1.3, seed)
    full = model.lift(start)
    expected = literal_log_loss(data.inputs, data.labels, full["hidden"], full["weight"])
    assert float(model.log_loss(start)) == pytest.approx(expected, abs=1e-12)


def test_log_softplus_where_the_loss_itself_underflows():
    values = jnp.array([-1e6, -800.0, -40.0, -36.0, -1.0, 0.0, 30.0])
    expected = [-1e6, -800.0, -40.0, -36.0]
    np.testing.assert_allclose(log_softplus(values)[:4], expected, rtol=1e-15)
    np.testing.assert_allclose(
        log_softplus(values)[4:], np.log(np.log1p(np.exp(np.array(values[4:])))), rtol=1e-14
    )
    slopes = jax.vmap(jax.grad(log_softplus))(values)
    assert bool(jnp.all(jnp.isfinite(slopes)))
    np.testing.assert_allclose(slopes[:4], 1.0, atol=1e-15)


def test_cross_entropy_and_margins_of_known_logits():
    logits = jnp.array([[2.0, 1.0, -1.0], [-3000.0, 0.0, 3000.0]])
    one_hot = jnp.array([[1.0, 0, 0], [0, 0, 1.0]])
    np.testing.assert_allclose(sample_margins(logits, one_hot), [1.0, 3000.0])
    found = log_cross_entropy(logits, one_hot)
    assert float(found[0]) == pytest.approx(np.log(np.log1p(np.exp(-1.0) + np.exp(-3.0))))
    assert float(found[1]) == -3000.0


@pytest.mark.parametrize("seed", range(4))
def test_gradient_against_finite_differences(seed):
    data = orthogonally_separable(3, 4, 6, seed)
    model = ReLUNetwork.on(data)
    start = {name: jnp.asarray(leaf) for name, leaf in model.start(5, 1.0, seed).items()}
    gradient = jax.grad(model.log_loss)(start)
    generator = np.random.default_rng(seed)
    for _ in range(5):
        towards = {n: generator.standard_normal(leaf.shape) for n, leaf in start.items()}
        step = 1e-6

        def moved(by, towards=towards):
            return float(model.log_loss({n: start[n] + by * towards[n] for n in start}))

        slope = (moved(step) - moved(-step)) / (2 * step)
        exact = sum(float(jnp.sum(gradient[n] * towards[n])) for n in start)
        assert slope == pytest.approx(exact, rel=1e-6, abs=1e-8)


def test_groups_are_read_from_the_exact_sign_pattern():
    one_hot = jnp.eye(3)[jnp.array([0, 0, 1, 1, 2])]
    patterns = {
        "class 0": ([1, 1, 0, 0, 0], 0),
        "class 1": ([0, 0, 1, 1, 0], 1),
        "class 2": ([0, 0, 0, 0, 1], 2),
        "nothing": ([0, 0, 0, 0, 0], DEAD),
        "part of 0": ([1, 0, 0, 0, 0], MIXED),
        "0 and more": ([1, 1, 0, 0, 1], MIXED),
        "everything": ([1, 1, 1, 1, 1], MIXED),
    }
    active = jnp.array([pattern for pattern, _ in patterns.values()]).T > 0
    expected = [group for _, group in patterns.values()]
    np.testing.assert_array_equal(neuron_groups(active, one_hot), expected)


def test_start_is_balanced_and_seeded():
    model = ReLUNetwork.on(orthogonally_separable(3, 4, 6, 0))
    start = model.start(9, 1e-3, 5)
    assert np.abs(model.invariants(start)).max() < 1e-20
    np.testing.assert_array_equal(start["hidden"], model.start(9, 1e-3, 5)["hidden"])
    assert not np.array_equal(start["hidden"], model.start(9, 1e-3, 6)["hidden"])


def test_weights_orthogonal_to_the_inputs_are_dropped_exactly():
    inputs = np.zeros((4, 10))
    inputs[:, :2] = [[1, 2], [2, 1], [-1, -2], [-2, -1]]
    model = ReLUNetwork.on(Dataset.from_arrays(inputs, np.array([0, 0, 1, 1])))
    assert model.coordinates.shape == (4, 2)
    start = model.start(6, 1.0, 0)
    np.testing.assert_allclose(
        model.features(start), np.maximum(inputs @ model.lift(start)["hidden"].T, 0), atol=1e-14
    )


def test_bad_models_are_refused():
    model = ReLUNetwork.on(orthogonally_separable(3, 4, 6, 0))
    with pytest.raises(ValueError, match="width must be at least the number of classes, 3"):
        model.start(2, 1.0, 0)
    with pytest.raises(ValueError, match="scale must be a positive"):
        model.start(5, 0.0, 0)
    with pytest.raises(ValueError, match="row 1 is the zero vector"):
        ReLUNetwork.on(Dataset.from_arrays(np.array([[1.0], [0.0]]), np.array([0, 1])))
