"""The depth law: its scalar problems, deep linear networks, and the explicit network."""

import numpy as np
import pytest
from literal import cross_entropy, data_term, softmax
from scipy.optimize import minimize

from ncollapse.theory.imbalance import (
    Problem,
    class_directions,
    class_margins,
    collapsed_network,
    decoupled_depth,
    layer_decays,
    signed_depth,
)

COUNTS = np.array([48.0, 24.0, 10.0, 3.0])


def problem(counts, norms, decays, loss="cross_entropy", smoothing=0.0):
    level = float(np.exp(np.mean(np.log(decays))))
    return Problem.of_classes(
        loss, counts / counts.sum(), 1.0 / norms, level, label_smoothing=smoothing
    )


def margins_of(logits):
    own = np.diag(logits)
    return own - (logits.sum(axis=0) - own) / (len(own) - 1)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("decay", [1e-3, 0.02, 0.2])
def test_each_margin_is_the_argmin_over_a_fine_grid(loss, depth, decay):
    norms = np.array([1.0, 2.0, 0.5, 1.5])
    geometry = decoupled_depth(problem(COUNTS, norms, [decay], loss), layer_decays(decay, depth))
    logits, shares = geometry.logits.dense(), COUNTS / COUNTS.sum()
    frame = np.eye(4) - 0.25 if loss == "cross_entropy" else np.eye(4)
    grid, total = np.append(0.0, np.geomspace(1e-6, 30, 200_000)), 0.0
    for k in range(4):
        columns = np.outer(frame[:, k], grid)
        losses = (
            cross_entropy(columns, np.eye(4)[:, [k]])
            if loss == "cross_entropy"
            else 0.5 * ((columns - np.eye(4)[:, [k]]) ** 2).sum(axis=0)
        )
        length = np.linalg.norm(frame[:, k]) * grid / norms[k]
        objective = shares[k] * losses + decay * depth / 2 * length ** (2 / depth)
        np.testing.assert_allclose(logits[:, k], columns[:, objective.argmin()], atol=1e-3)
        total += objective.min()
    assert geometry.risk == pytest.approx(total, rel=1e-7)


def test_the_margins_are_those_measured_of_small_networks():
    """Predicted for inputs of norm 1, measured for norms close to it."""
    geometry = decoupled_depth(problem(COUNTS, np.ones(4), [1e-3]), layer_decays(1e-3, 3))
    np.testing.assert_allclose(
        margins_of(geometry.logits.dense()), [8.21, 7.55, 6.58, 5.28], atol=0.06
    )


def deep_linear(counts, norms, decays, loss, starts=6):
    """Best of descents on W_L ⋯ W_1 with orthogonal class inputs of the given norms."""
    size, depth = len(counts), len(decays)
    shares, inputs = counts / counts.sum(), np.diag(norms)

    def value(flat):
        layers = flat.reshape(depth, size, size)
        forward = [inputs]
        for layer in layers:
            forward.append(layer @ forward[-1])
        result = data_term(loss, forward[-1], np.eye(size), shares)
        result += sum(d / 2 * (w**2).sum() for d, w in zip(decays, layers, strict=True))
        odds = softmax(forward[-1]) if loss == "cross_entropy" else forward[-1]
        back, gradient = (odds - np.eye(size)) * shares, [None] * depth
        for m in reversed(range(depth)):
            gradient[m] = back @ forward[m].T + decays[m] * layers[m]
            back = layers[m].T @ back
        return result, np.array(gradient).ravel()

    rng, best = np.random.default_rng(0), None
    for _ in range(starts):
        layers = [2.0 * np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in decays[1:]]
        product = np.eye(size)
        for layer in layers:
            product = layer @ product
        layers.append(2.0 * np.linalg.inv(product) * np.linalg.norm(product, 2))
        result = minimize(
            value,
            np.ravel(layers) + 0.02 * rng.standard_normal(depth * size**2),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 20000, "maxfun": 40000, "ftol": 0.0, "gtol": 1e-12},
        )
        best = result if best is None or result.fun < best.fun else best
    layers = best.x.reshape(depth, size, size)
    means = inputs
    for layer in layers[:-1]:
        means = layer @ means
    return best.fun, layers[-1], means


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("decays", [(1e-3, 4e-3), (1e-3,) * 3, (1e-3, 5e-4, 2e-3, 1e-3)])
def test_deep_linear_networks_on_orthogonal_inputs_follow_the_law(loss, decays):
    """Proven there; and different decays enter as their geometric mean."""
    norms = np.array([1.0, 2.0, 0.7, 1.5])
    decays = np.array(decays)
    geometry = signed_depth(problem(COUNTS, norms, decays, loss), decays)
    least, weight, means = deep_linear(COUNTS, norms, decays, loss)
    assert geometry.risk == pytest.approx(least, rel=1e-6)
    np.testing.assert_allclose(weight @ means, geometry.logits.dense(), atol=5e-3)
    scale = np.linalg.norm(geometry.weight_gram.dense())
    np.testing.assert_allclose(weight @ weight.T, geometry.weight_gram.dense(), atol=2e-3 * scale)
    scale = np.linalg.norm(geometry.means_gram.dense())
    np.testing.assert_allclose(means.T @ means, geometry.means_gram.dense(), atol=2e-3 * scale)
    assert (geometry.gap is None) == (len(decays) > 2)


def clouds(seed, spread):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), (9, 6, 3))
    frame = np.linalg.qr(rng.standard_normal((20, 20)))[0][:3]
    return frame[labels] * 1.3 + spread * rng.standard_normal((18, 20)), labels


@pytest.mark.parametrize("seed", range(3))
def test_class_directions_are_the_shortest(seed):
    inputs, labels = clouds(seed, 0.08)
    for k, direction in enumerate(class_directions(inputs, labels)):
        sign = np.where(labels == k, 1.0, -1.0)
        limit = (labels == k).astype(float)
        direct = minimize(
            lambda w: w @ w,
            direction * 1.5,
            jac=lambda w: 2 * w,
            constraints={
                "type": "ineq",
                "fun": lambda w, s=sign, h=limit: s * (inputs @ w) - h,
                "jac": lambda w, s=sign: s[:, None] * inputs,
            },
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert np.min(sign * (inputs @ direction) - limit) > -1e-9
        np.testing.assert_allclose(direction, direct.x, atol=1e-5)
        assert np.linalg.norm(direction) >= 1 / class_margins(inputs, labels)[k] - 1e-12


@pytest.mark.parametrize("decays", [(1e-3, 1e-3), (4e-3, 1e-3, 2.5e-4)])
@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_the_explicit_network_attains_the_bound(decays, spread):
    inputs, labels = clouds(0, spread)
    decays = np.array(decays)
    directions = class_directions(inputs, labels)
    norms = 1 / np.linalg.norm(directions, axis=1)
    geometry = decoupled_depth(problem(np.array([9.0, 6.0, 3.0]), norms, decays), decays)
    margins = margins_of(geometry.logits.dense())
    network = collapsed_network(directions, margins, decays, inputs, labels)
    assert network.bound == pytest.approx(geometry.risk, rel=1e-12)
    assert network.objective <= network.bound * (1 + 1e-12)
    if spread == 0.0:
        assert network.objective == pytest.approx(network.bound, rel=1e-9)
        np.testing.assert_allclose(norms, np.linalg.norm(inputs[[0, 9, 15]], axis=1), rtol=1e-9)
    # Its objective is what a plain forward pass gives.
    hidden = inputs.T
    for weight in network.weights[:-1]:
        hidden = np.maximum(weight @ hidden, 0)
    data = cross_entropy(network.weights[-1] @ hidden, np.eye(3)[:, labels]).mean()
    decayed = sum(d / 2 * (w**2).sum() for d, w in zip(decays, network.weights, strict=True))
    assert network.objective == pytest.approx(data + decayed, rel=1e-12)
    gram = network.weights[-1] @ network.weights[-1].T
    np.testing.assert_allclose(gram, geometry.weight_gram.dense(), atol=1e-9)


def test_depth_and_decays_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="depth must be at least 2 layers, but it is 1"):
        layer_decays(1e-3, 1)
    with pytest.raises(ValueError, match="one for each of 3 layers"):
        layer_decays([1e-3, 1e-3], 3)


def test_classes_that_nothing_keeps_apart_are_named():
    inputs, labels = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 2])
    with pytest.raises(ValueError, match="class 0: no direction"):
        class_directions(inputs, labels)
    with pytest.raises(ValueError, match="labels must be the numbers"):
        class_margins(inputs, np.array([0, 2, 2]))
