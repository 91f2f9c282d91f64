"""The batch-norm theorem: its inequality, its bound on networks, and a network that attains it."""

import numpy as np
import pytest
from literal import cross_entropy

from ncollapse.theory.predict import predict

ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0.0),
    "identity": lambda z: z,
    "leaky": lambda z: np.where(z > 0, z, 0.1 * z),
}


def normalised(body, epsilon=0.0):
    """Batch norm over samples, one row a sample."""
    centred = body - body.mean(axis=0)
    return centred / np.sqrt((centred**2).mean(axis=0) + epsilon)


def objective(logits, labels, decayed, decay):
    targets = np.eye(len(logits))[:, labels]
    return cross_entropy(logits, targets).mean() + decay / 2 * sum((a**2).sum() for a in decayed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("epsilon", [0.0, 1e-2])
def test_decay_of_the_affine_parameters_is_a_penalty_on_features(seed, activation, epsilon):
    rng = np.random.default_rng(seed)
    gamma, beta = rng.standard_normal((2, 6))
    features = ACTIVATIONS[activation](
        gamma * normalised(rng.standard_normal((30, 6)) ** 3, epsilon) + beta
    )
    affine = gamma @ gamma + beta @ beta
    assert (features**2).sum() / 30 <= affine * (1 + 1e-14)
    if activation == "identity" and not epsilon:
        assert (features**2).sum() / 30 == pytest.approx(affine, rel=1e-13)


@pytest.mark.parametrize("activation", ["relu", "identity"])
@pytest.mark.parametrize("bias", [False, True])
def test_no_network_lies_below_the_bound(activation, bias):
    """Random heads and bodies, and heads and affine parameters that were trained."""
    if activation == "relu" and bias:
        features = "signed"  # still a lower bound: the bias has no theory for nonnegative features
    else:
        features = "nonnegative" if activation == "relu" else "signed"
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), (12, 6, 3))
    decay = 0.01
    bound = predict(
        (12, 6, 3), weight_decay=decay, normalisation="batch", features=features, bias=bias
    ).risk
    for seed in range(200):
        body = normalised(
            np.eye(3)[labels] @ rng.standard_normal((3, 5)) * rng.uniform(0, 3)
            + rng.standard_normal((21, 5))
        )
        gamma, beta, weight = rng.standard_normal(5), rng.standard_normal(5), np.zeros((3, 5))
        shift = np.zeros(3)
        rate = 0.2
        for _ in range(60 if seed % 2 else 1):
            pre = gamma * body + beta
            hidden = ACTIVATIONS[activation](pre)
            odds = np.exp(hidden @ weight.T + shift)
            slope = (odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[labels]) / 21
            back = slope @ weight * (pre > 0 if activation == "relu" else 1.0)
            weight = weight - rate * (slope.T @ hidden + decay * weight)
            shift = shift - rate * slope.sum(axis=0) * bias
            gamma = gamma - rate * ((back * body).sum(axis=0) + decay * gamma)
            beta = beta - rate * (back.sum(axis=0) + decay * beta)
        logits = (ACTIVATIONS[activation](gamma * body + beta) @ weight.T + shift).T
        assert objective(logits, labels, (weight, gamma, beta), decay) > bound, seed


@pytest.mark.parametrize("counts", [(12, 6, 3), (30, 30, 5, 2)])
def test_a_body_that_gives_the_class_pattern_attains_the_bound(counts):
    """ReLU, one feature a class, β = γ √(π/(1−π)): zero off the class, and no inequality is lost."""
    decay, total = 0.01, sum(counts)
    prediction = predict(counts, weight_decay=decay, normalisation="batch", features="nonnegative")
    labels = np.repeat(np.arange(len(counts)), counts)
    shares = np.array(counts) / total
    lengths = np.sqrt(np.diag(prediction.means_gram))
    gamma = lengths * np.sqrt(shares * (1 - shares))
    beta = gamma * np.sqrt(shares / (1 - shares))
    hidden = np.maximum(gamma * normalised(np.eye(len(counts))[labels]) + beta, 0.0)
    np.testing.assert_allclose(hidden, np.diag(lengths)[labels], atol=1e-13)
    weight = prediction.logits / lengths
    value = objective(weight @ hidden.T, labels, (weight, gamma, beta), decay)
    assert value == pytest.approx(prediction.risk, rel=1e-12)
    np.testing.assert_allclose(weight @ weight.T, prediction.weight_gram, atol=1e-12)


def test_margins_are_the_printed_ones():
    """Measured of networks on tight classes 48, 24, 10, 3: 7.82 7.50 7.06 6.46."""
    prediction = predict(
        (48, 24, 10, 3), weight_decay=1e-3, normalisation="batch", features="nonnegative"
    )
    np.testing.assert_allclose(prediction.margins, [7.86, 7.52, 7.08, 6.47], atol=0.005)
    assert prediction.risk == pytest.approx(0.01330, abs=5e-6)
    counts = np.array([48, 24, 10, 3])
    q = 1e-3 * np.sqrt(3 * 85 / (4 * counts))
    np.testing.assert_allclose(prediction.margins, np.log(3 * (1 / q - 1)), rtol=1e-12)
    signed = predict((60, 30, 20, 10, 5), weight_decay=3e-3, normalisation="batch")
    np.testing.assert_allclose(signed.margins, [6.99, 6.70, 6.53, 6.26, 5.99], atol=0.005)
    assert signed.risk == pytest.approx(0.03831, abs=5e-6)
