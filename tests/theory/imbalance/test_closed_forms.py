"""Closed forms against the program and against descent on the problem itself."""

import numpy as np
import pytest
from literal import data_term, descend, softmax
from scipy.optimize import minimize

from ncollapse.theory.imbalance import (
    Problem,
    balanced_scale,
    collapse_threshold,
    jump,
    linear_layers,
    nonnegative,
    regression,
    rescue_weights,
    seli,
    shrink,
    solve,
    squared,
)


def problem(counts, level, *, loss="cross_entropy", weights=1.0, **options):
    numbers = np.array(counts, dtype=float)
    shares = weights * numbers / numbers.sum()
    return Problem.of_classes(loss, shares, np.sqrt(numbers), level, **options)


def unit(matrix):
    return matrix / np.linalg.norm(matrix)


def test_seli_is_the_singular_value_decomposition_of_the_scaled_labels():
    counts = np.array([9.0, 4.0, 4.0, 1.0])
    u, values, vt = np.linalg.svd((np.eye(4) - 0.25) * np.sqrt(counts))
    weight, means, logits = seli(counts)
    root = np.sqrt(counts)
    np.testing.assert_allclose(weight, unit((u * values) @ u.T), atol=1e-14)
    np.testing.assert_allclose(means, unit((vt.T * values) @ vt / np.outer(root, root)), atol=1e-14)
    np.testing.assert_allclose(logits, unit(np.eye(4) - 0.25), atol=1e-15)


def test_the_program_approaches_seli_like_the_inverse_logarithm():
    counts = (100, 100, 100, 10, 10, 10)
    distances = []
    for level in (1e-3, 1e-5, 1e-7):
        optimum = solve(problem(counts, level), tolerance=1e-11)
        distances.append(np.linalg.norm(unit(optimum.left.dense()) - seli(counts)[0]))
    assert np.all(np.diff(distances) < 0)
    rates = np.array(distances) * np.log([1e3, 1e5, 1e7])
    assert rates.max() < 1.2 * rates.min()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 2.0, 3.0)])
@pytest.mark.parametrize("share", [0.2, 0.9, 1.5])
def test_nonnegative_features_decouple(smoothing, weights, share):
    counts = (12, 5, 5, 2)
    numbers = np.array(counts, dtype=float)
    limit = collapse_threshold(
        counts, features="nonnegative", class_weights=weights, label_smoothing=smoothing
    )
    lambda_w, lambda_h = share * limit.min() * np.array([2.0, 0.5])
    level = np.sqrt(lambda_w * lambda_h)
    geometry = nonnegative(
        problem(counts, level, weights=np.array(weights), label_smoothing=smoothing),
        weight_decay=lambda_w,
        feature_decay=lambda_h,
    )
    assert abs(geometry.gap) < 1e-14
    least, weight, means, _ = descend(
        counts,
        lambda_w,
        lambda_h,
        smoothing=smoothing,
        class_weights=weights,
        nonnegative=True,
        starts=6,
    )
    assert least == pytest.approx(geometry.risk, rel=1e-8)
    assert geometry.risk <= least * (1 + 1e-12)
    np.testing.assert_allclose(weight @ weight.T, geometry.weight_gram.dense(), atol=1e-4)
    np.testing.assert_allclose(means @ means.T, geometry.means_gram.dense(), atol=1e-4)
    # The certificate: columns of the residual with nonpositive inner products, of norm ≤ λ.
    targets = (1 - smoothing) * np.eye(4) + smoothing / 4
    residual = softmax(geometry.logits.dense()) - targets
    columns = residual * np.array(weights) * np.sqrt(numbers) / numbers.sum()
    gram = columns.T @ columns
    assert np.max(gram - np.diag(np.diag(gram))) < 1e-15
    assert np.sqrt(np.diag(gram)).max() <= level * (1 + 1e-12)


def test_nonnegative_margins_are_the_printed_ones():
    numbers = np.array([48.0, 24.0, 10.0, 3.0])
    level = 1e-3
    geometry = nonnegative(problem(numbers, level), weight_decay=level, feature_decay=level)
    logits = geometry.logits.dense()
    q = numbers.sum() * level * np.sqrt(3 / (4 * numbers))
    np.testing.assert_allclose(
        np.diag(logits) - logits.min(axis=0), np.log(3 * (1 / q - 1)), rtol=1e-13
    )


@pytest.mark.parametrize("share", [0.99, 1.01])
def test_a_nonnegative_class_dies_at_its_threshold(share):
    counts = (12, 12, 3, 3)
    level = share * collapse_threshold(counts, features="nonnegative")[2]
    geometry = nonnegative(problem(counts, level), weight_decay=level, feature_decay=level)
    _, _, means, _ = descend(counts, level, level, nonnegative=True, starts=6)
    alive = share < 1
    assert (geometry.means_gram.dense()[2, 2] > 0) == alive
    assert (np.linalg.norm(means[2]) > 3e-2) == alive
    assert alive or np.linalg.norm(means[2]) < 1e-3


@pytest.mark.parametrize("features", ["signed", "nonnegative"])
def test_rescue_weights_are_the_smallest(features):
    counts = (100, 9, 9, 4, 4)
    decays = {"weight_decay": 0.03, "feature_decay": 0.02}
    level = np.sqrt(0.03 * 0.02)
    weights = rescue_weights(counts, features=features, **decays)
    assert weights[0] == 1.0
    assert weights.min() >= 1.0
    assert weights[-1] > 1.0
    reached = collapse_threshold(counts, features=features, class_weights=weights)
    np.testing.assert_allclose(reached[weights > 1], level, rtol=1e-14)
    if features == "signed":
        np.testing.assert_allclose(weights[-1], sum(counts) * level / 2, rtol=1e-14)
        for factor, apart in ((0.99, False), (1.01, True)):
            factors = np.where(weights > 1, factor * weights, 1.0)
            optimum = solve(problem(counts, level, weights=factors), tolerance=1e-12)
            logits = optimum.logits.dense()
            assert (np.linalg.norm(logits[:, 3] - logits[:, 4]) > 1e-2) == apart


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("share", [0.3, 1.2, 20.0])
def test_squared_loss_is_a_soft_threshold(bias, smoothing, share):
    counts = (30, 8, 8, 3)
    level = share * np.sqrt(3) / sum(counts)
    program = problem(counts, level, loss="squared", bias=bias, label_smoothing=smoothing)
    closed, solved = squared(program), solve(program, tolerance=1e-13)
    assert abs(closed.gap) < 1e-13
    assert closed.risk == pytest.approx(solved.risk, rel=1e-11)
    np.testing.assert_allclose(closed.logits.dense(), solved.logits.dense(), atol=1e-6)
    if not bias and not smoothing:
        wanted = np.diag(np.maximum(0.0, 1 - sum(counts) * level / np.sqrt(counts)))
        np.testing.assert_allclose(closed.logits.dense(), wanted, atol=1e-14)
    if bias and not smoothing:
        numbers = np.array(counts, dtype=float)
        matrix = (np.eye(4) - np.outer(numbers, np.ones(4)) / numbers.sum()) * np.sqrt(numbers)
        u, values, vt = np.linalg.svd(matrix)
        kept = (u * np.maximum(0, values - numbers.sum() * level)) @ vt / np.sqrt(numbers)
        np.testing.assert_allclose(closed.logits.dense(), kept, atol=1e-13)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("share", [0.1, 0.8, 1.1])
def test_balanced_cross_entropy_is_a_scaled_simplex(smoothing, share):
    size, per_class = 5, 7
    level = share / (size * np.sqrt(per_class))
    optimum = solve(
        problem([per_class] * size, level, label_smoothing=smoothing, bias=True), tolerance=1e-14
    )
    scale = balanced_scale(size, per_class, level, smoothing)
    assert (scale == 0.0) == (smoothing + share >= 1)
    np.testing.assert_allclose(optimum.logits.dense(), scale * (np.eye(size) - 1 / size), atol=1e-7)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_shrinking_is_the_argmin_and_jumps_where_stated(depth):
    power, strength = 2 / (depth + 1), 0.3
    grid = np.linspace(0.0, 4.0, 400_001)
    for value in (0.2, 0.7, 1.1, 2.0, 3.5):
        objective = 0.5 * (grid - value) ** 2 + strength * grid**power
        assert shrink(value, strength, power) == pytest.approx(grid[objective.argmin()], abs=2e-5)
    threshold, least = jump(strength, power)
    assert shrink(0.99 * threshold, strength, power) == 0.0
    above = shrink(1.01 * threshold, strength, power)
    assert above > 0.0
    assert depth == 1 or above > least > 0.0
    # At the jump zero and σ* are equally good.
    zero, other = 0.5 * threshold**2, 0.5 * (least - threshold) ** 2 + strength * least**power
    assert zero == pytest.approx(other, rel=1e-13)


def linear_network(counts, decays, feature_decay, starts=12):
    """Best of descents on (W_1 … W_M, H) with one feature vector a class; own logits."""
    size, numbers = len(counts), np.array(counts, dtype=float)
    shares = numbers / numbers.sum()

    def value(flat):
        layers = flat.reshape(len(decays) + 1, size, size)
        forward = [layers[0]]
        for layer in layers[1:]:
            forward.append(layer @ forward[-1])
        result = data_term("squared", forward[-1], np.eye(size), shares)
        result += feature_decay / 2 * (layers[0] ** 2).sum(axis=0) @ numbers
        result += sum(d / 2 * (w**2).sum() for d, w in zip(decays, layers[1:], strict=True))
        back, gradient = (forward[-1] - np.eye(size)) * shares, [None] * len(layers)
        for m in range(len(decays), 0, -1):
            gradient[m] = back @ forward[m - 1].T + decays[m - 1] * layers[m]
            back = layers[m].T @ back
        gradient[0] = back + feature_decay * layers[0] * numbers
        return result, np.array(gradient).ravel()

    rng, best = np.random.default_rng(0), None
    for start in range(starts):
        frame = np.linalg.qr(rng.standard_normal((size, size)))[0] if start else np.eye(size)
        alive = np.diag([1.0] * (size - 1) + [start % 2])  # half of them without the last class
        layers = [0.8 * frame @ alive, *[0.8 * np.eye(size)] * (len(decays) - 1)]
        layers.append(0.8 * alive @ frame.T)
        result = minimize(
            value,
            np.ravel(layers) + 0.05 * rng.standard_normal((len(decays) + 1) * size**2),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 20000, "maxfun": 40000, "ftol": 0.0, "gtol": 1e-12},
        )
        best = result if best is None or result.fun < best.fun else best
    product = np.eye(size)
    for layer in best.x.reshape(-1, size, size):
        product = layer @ product
    return best.fun, product


@pytest.mark.parametrize("decays", [(0.02,), (0.01, 0.02), (0.01, 0.005, 0.01)])
def test_linear_layers_against_descent(decays):
    counts, feature_decay = (12, 6, 4), 0.004
    own = linear_layers(counts, layer_decays=decays, feature_decay=feature_decay)
    _, product = linear_network(counts, decays, feature_decay)
    assert own.min() > 0
    np.testing.assert_allclose(product, np.diag(own), atol=1e-6)


@pytest.mark.parametrize("layers", [2, 3])
def test_a_class_of_linear_layers_jumps_by_descent_too(layers):
    """The objective is better with the small class below its threshold, and without it above."""
    counts, feature_decay = np.array([40.0, 4.0]), 0.004
    power = 2 / (layers + 1)
    level = 1.0
    for _ in range(200):  # the strength at which √4 is the threshold
        level *= np.sqrt(4) / jump(level, power)[0]
    mean = level * power / counts.sum()
    decay = (mean ** (layers + 1) / feature_decay) ** (1 / layers)
    for factor, alive in ((0.99, True), (1.01, False)):
        # μ goes with λ^{layers/(layers+1)}
        decays = [decay * factor ** ((layers + 1) / layers)] * layers
        own = linear_layers(counts, layer_decays=decays, feature_decay=feature_decay)
        assert (own[1] > 0) == alive
        _, product = linear_network(counts, decays, feature_decay, starts=20)
        np.testing.assert_allclose(product, np.diag(own), atol=1e-5)


def test_regression_fits_the_directions_above_the_threshold():
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((3, 3)) @ rng.standard_normal((3, 25)) + 4.0
    centred = targets - targets.mean(axis=1, keepdims=True)
    covariance, size = centred @ centred.T / 25, 25
    deviations = np.sqrt(np.linalg.eigvalsh(covariance))
    level = (deviations[0] + deviations[1]) / 2 / 5
    lambda_w, lambda_h = 2 * level, level / 2
    closed = regression(covariance, size, weight_decay=lambda_w, feature_decay=lambda_h)
    assert closed.rank == 2

    def value(flat):
        weight, features, bias = flat[:9].reshape(3, 3), flat[9:84].reshape(3, 25), flat[84:]
        error = (weight @ features + bias[:, None] - targets) / size
        result = 0.5 * size * (error**2).sum()
        result += lambda_w / 2 * (weight**2).sum() + lambda_h / 2 * (features**2).sum()
        slope = error @ features.T + lambda_w * weight, weight.T @ error + lambda_h * features
        return result, np.concatenate([slope[0].ravel(), slope[1].ravel(), error.sum(axis=1)])

    result = minimize(
        value,
        rng.standard_normal(87),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20000, "maxfun": 40000, "ftol": 0.0, "gtol": 1e-13},
    )
    assert result.fun == pytest.approx(closed.risk, rel=1e-9)
    weight = result.x[:9].reshape(3, 3)
    np.testing.assert_allclose(weight @ weight.T, closed.weight_gram, atol=1e-5)
    assert abs(closed.gap) < 1e-14
    assert closed.to_dict()["rank"] == 2


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (-np.eye(2), "no negative eigenvalue"),
        (np.ones((2, 3)), r"must be a square matrix, but its shape is \(2, 3\)"),
    ],
)
def test_what_is_no_covariance_is_refused(covariance, message):
    with pytest.raises(ValueError, match=message):
        regression(covariance, 10, weight_decay=0.1, feature_decay=0.1)
