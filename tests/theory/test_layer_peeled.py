"""ji2022's margins, optimum and KKT residuals: literal formulas, equality cases, far log domain."""

import math

import numpy as np
import pytest

from ncollapse.geometry import simplex_etf
from ncollapse.theory import layer_peeled as lp

SEEDS = [pytest.param(seed, id=f"seed{seed}") for seed in range(4)]


def random_pair(num_classes, per_class, dim, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    weight = scale * rng.standard_normal((num_classes, dim))
    return weight, scale * rng.standard_normal((num_classes * per_class, dim))


def collapsed_pair(num_classes, per_class, dim, scale, seed=1):
    weight = scale * simplex_etf(num_classes, dim, seed=seed)
    return weight, np.repeat(weight, per_class, axis=0) / math.sqrt(per_class)


def slow_loss(weight, features, per_class):
    total = 0.0
    for index, feature in enumerate(features):
        logits = weight @ feature
        total -= math.log(np.exp(logits[index // per_class]) / np.sum(np.exp(logits)))
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_log_loss_and_gradient_are_those_of_the_printed_loss(seed):
    weight, features = random_pair(4, 3, 5, seed)
    loss = slow_loss(weight, features, 3)
    assert lp.log_loss(weight, features) == pytest.approx(math.log(loss), rel=1e-13)
    d_weight, d_features = lp.log_loss_gradient(weight, features)
    rng = np.random.default_rng(seed + 100)
    for _ in range(3):
        dw, dh = rng.standard_normal(weight.shape), rng.standard_normal(features.shape)
        h = 1e-5
        up = slow_loss(weight + h * dw, features + h * dh, 3)
        down = slow_loss(weight - h * dw, features - h * dh, 3)
        slope = (up - down) / (2 * h * loss)
        assert np.sum(d_weight * dw) + np.sum(d_features * dh) == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_hessian_product_is_the_derivative_of_the_gradient(scale):
    weight, features = random_pair(3, 2, 4, 5, scale)
    labels = np.repeat(np.arange(3), 2)
    logits = features @ weight.T
    here = lp.scaled_derivatives(logits, labels)
    change = np.random.default_rng(0).standard_normal(logits.shape)
    h = 1e-6

    def gradient(step):
        there = lp.scaled_derivatives(logits + step * change, labels)
        return there.gradient * np.exp(there.log_loss - here.log_loss)

    np.testing.assert_allclose(
        here.hessian_product(change), (gradient(h) - gradient(-h)) / (2 * h), atol=1e-8
    )


def test_log_softplus_has_no_gap_where_its_branches_meet():
    points = np.array([-1e6, -37.5, -37.0, -36.5, 0.0, 40.0, 1e6])
    wanted = [-1e6, -37.5, -37.0, math.log(math.log1p(math.exp(-36.5))), math.log(math.log(2))]
    wanted += [math.log(40.0), math.log(1e6)]
    np.testing.assert_allclose(lp.log_softplus(points), wanted, rtol=1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_margin_is_the_definition_and_obeys_its_bound(seed):
    weight, features = random_pair(4, 3, 5, seed, 2.0)
    margins = []
    for index, feature in enumerate(features):
        own = index // 3
        margins.append(
            min(weight[own] @ feature - weight[j] @ feature for j in range(4) if j != own)
        )
    np.testing.assert_allclose(lp.sample_margins(weight, features), margins, rtol=1e-12)
    assert lp.margin(weight, features) == min(lp.sample_margins(weight, features))
    assert lp.margin_ratio(weight, features) < 1.0


@pytest.mark.parametrize("radius", [0.1, 1.0, 5.0, 100.0, 1e3])
def test_theorem_3_3_holds_on_random_points_with_equality_at_the_simplex(radius):
    rng = np.random.default_rng(7)
    for num_classes, per_class, dim in [(2, 3, 1), (3, 2, 4), (5, 4, 4)]:
        count = (num_classes + num_classes * per_class) * dim
        for _ in range(200):
            flat = rng.standard_normal(count)
            flat *= radius / np.linalg.norm(flat)
            weight = flat[: num_classes * dim].reshape(num_classes, dim)
            features = flat[num_classes * dim :].reshape(-1, dim)
            assert lp.log_loss_gap(weight, features) > 0.0
            assert lp.margin_ratio(weight, features) < 1.0
        weight, features = collapsed_pair(num_classes, per_class, dim, 1.0)
        shrink = radius / math.sqrt(np.sum(weight**2) + np.sum(features**2))
        weight, features = shrink * weight, shrink * features
        optimum = lp.sphere_optimum(radius**2, num_classes=num_classes, per_class=per_class)
        assert lp.log_loss(weight, features) == pytest.approx(optimum, rel=1e-13, abs=1e-13)
        assert lp.log_loss_gap(weight, features) >= 0.0
        assert lp.loss_gap(weight, features) < 1e-13 * max(1.0, abs(optimum))
        assert lp.margin_ratio(weight, features) == pytest.approx(1.0, rel=1e-12)
        tilted = lp.log_loss_gap(1.1 * weight, features * math.sqrt(2.0 - 1.21))
        assert tilted > 0.0


def test_one_sample_a_class_is_enough():
    assert lp.margin_bound(8.0, num_classes=3, per_class=1) == 2.0


def test_sphere_optimum_is_the_printed_formula():
    num_classes, per_class, square = 5, 10, 37.0
    inner = math.exp(-square / (2 * (num_classes - 1) * math.sqrt(per_class)))
    wanted = per_class * num_classes * math.log(1 + (num_classes - 1) * inner)
    optimum = lp.sphere_optimum(square, num_classes=num_classes, per_class=per_class)
    assert optimum == pytest.approx(math.log(wanted), rel=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_kkt_residuals_are_those_of_lemma_b_1(seed):
    """(B.6) and (B.7) built from the multipliers of the proof stay below ε² and δ."""
    num_classes, per_class, dim = 3, 2, 4
    weight, features = collapsed_pair(num_classes, per_class, dim, 3.0, seed)
    noise_w, noise_h = random_pair(num_classes, per_class, dim, seed, 0.1)
    weight, features = weight + noise_w, features + noise_h
    residuals = lp.kkt_residuals(weight, features)
    loss = slow_loss(weight, features, per_class)
    theta = np.concatenate([weight.ravel(), features.ravel()])
    descent = np.zeros_like(theta)
    gaps, rates, gradients = [], [], []
    for index, feature in enumerate(features):
        own = index // per_class
        total = 1.0 + sum(
            math.exp(-(weight[own] - weight[j]) @ feature) for j in range(num_classes) if j != own
        )
        for j in set(range(num_classes)) - {own}:
            gap = (weight[own] - weight[j]) @ feature
            d_weight, d_features = np.zeros_like(weight), np.zeros_like(features)
            d_weight[own] += feature
            d_weight[j] -= feature
            d_features[index] = weight[own] - weight[j]
            gradient = np.concatenate([d_weight.ravel(), d_features.ravel()])
            gaps.append(gap)
            rates.append(math.exp(-gap) / total)
            gradients.append(gradient)
            descent += rates[-1] * gradient
    q_min, rho = min(gaps), np.linalg.norm(theta)
    beta = theta @ descent / (rho * np.linalg.norm(descent))
    gamma = -math.log(math.exp(loss) - 1.0) / rho**2
    assert residuals.margin == pytest.approx(q_min)
    assert residuals.cosine == pytest.approx(beta)
    assert residuals.smoothed_margin == pytest.approx(gamma)
    assert residuals.epsilon == pytest.approx(math.sqrt(2 * (1 - beta) / gamma), rel=1e-6)
    delta = num_classes**2 * (num_classes - 1) * per_class / (2 * math.e * gamma * q_min)
    assert residuals.delta == pytest.approx(delta)
    multipliers = (
        np.array(rates) * math.sqrt(q_min) * rho / (math.sqrt(q_min) * np.linalg.norm(descent))
    )
    scaled = [gradient / math.sqrt(q_min) for gradient in gradients]
    stationarity = theta / math.sqrt(q_min) - multipliers @ np.array(scaled)
    assert np.linalg.norm(stationarity) <= residuals.epsilon * (1 + 1e-9)
    assert multipliers @ (np.array(gaps) / q_min - 1.0) <= residuals.delta


@pytest.mark.parametrize(
    "quantity",
    [
        lp.log_loss,
        lp.margin,
        lp.margin_ratio,
        lp.log_loss_gap,
        lp.loss_gap,
        lambda *model: list(lp.kkt_residuals(*model).to_dict().values()),
        lambda *model: lp.log_loss_gradient(*model)[0],
    ],
)
def test_samples_in_any_order_have_labels(quantity):
    weight, features = collapsed_pair(3, 4, 5, 3.0)
    features += 0.1 * np.random.default_rng(0).standard_normal(features.shape)
    order = np.random.default_rng(1).permutation(12)
    expected = quantity(weight, features)
    labels = np.repeat(np.arange(3), 4)[order]
    assert quantity(weight, features[order], labels) == pytest.approx(expected, rel=1e-12)


def test_a_loss_of_log_2_is_none_below_it():
    """Of two samples one has no margin, the other no loss."""
    weight, features = np.array([[1.0], [-1.0]]), np.array([[0.0], [-1e5]])
    assert lp.log_loss(weight, features) == math.log(math.log(2.0))
    with pytest.raises(ValueError, match="below log 2"):
        lp.kkt_residuals(weight, features)


def test_the_far_log_domain_loses_nothing():
    for level in (10.0, 1e3, 1e6, 1e8):
        weight, features = collapsed_pair(5, 10, 20, 1.0)
        square = np.sum(weight**2) + np.sum(features**2)
        reach = math.sqrt(level / lp.margin_bound(square, num_classes=5, per_class=10))
        weight, features = reach * weight, reach * features
        assert -lp.log_loss(weight, features) == pytest.approx(level - math.log(200), rel=1e-3)
        residuals = lp.kkt_residuals(weight, features)
        assert residuals.epsilon < 1e-6
        assert residuals.smoothed_margin == pytest.approx(1 / (8 * math.sqrt(10)), rel=6 / level)
        assert np.isfinite(np.concatenate(lp.log_loss_gradient(weight, features))).all()


def test_outside_their_domain_the_quantities_are_refused():
    weight, features = random_pair(3, 2, 4, 0, 0.1)
    with pytest.raises(ValueError, match="below log 2"):
        lp.kkt_residuals(weight, features)
    with pytest.raises(ValueError, match="saddle"):
        lp.margin_ratio(0 * weight, 0 * features)
    with pytest.raises(ValueError, match="do not share equally"):
        lp.margin(weight, features[:-1])
    with pytest.raises(ValueError, match="balanced"):
        lp.log_loss_gap(weight, features, np.array([0, 0, 0, 1, 1, 2]))
    with pytest.raises(ValueError, match=r"labels must lie in 0 … 2"):
        lp.margin(weight, features, np.array([0, 0, 1, 1, 2, 3]))
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        lp.margin_bound(1.0, num_classes=1, per_class=2)


@pytest.mark.parametrize(
    ("least", "gap", "kept"),
    [
        (0.0, 1e-16, 1e-16),
        (0.0, -3e-15, 0.0),
        (0.0, -4e-15, -4e-15),
        (-4.0, -1e-14, 0.0),
        (-4.0, -2e-14, -2e-14),
        (4.0, 0.25, 0.25),
    ],
)
def test_a_gap_below_zero_is_zero_within_rounding_only(least, gap, kept, monkeypatch):
    monkeypatch.setattr(lp, "sphere_optimum", lambda *_, **__: least)
    monkeypatch.setattr(lp, "log_loss", lambda *_: least + gap)
    found = lp.log_loss_gap(np.ones((2, 2)), np.ones((2, 2)))
    assert found == pytest.approx(kept, abs=1e-15, rel=0)
    assert (found == 0.0) == (kept == 0.0)


@pytest.mark.parametrize(
    ("weight", "features", "labels", "words"),
    [
        (np.ones(2), np.ones((4, 2)), None, r"^weight must be a matrix \(classes, features\)"),
        (np.ones((2, 2)), np.ones(4), None, r"^features must be a matrix \(samples, features\)"),
        (np.ones((1, 2)), np.ones((4, 2)), None, r"^weight must have at least 2 rows"),
        (np.ones((2, 3)), np.ones((4, 2)), None, "must have equally many columns"),
        (np.ones((2, 2)), np.ones((4, 2)), np.zeros(3, int), r"^labels has 3 entries"),
        (np.ones((3, 2)), np.ones((4, 2)), np.array([0, 0, 1, 1]), r"class sizes are \[2, 2, 0\]"),
    ],
)
def test_models_that_do_not_fit_are_named(weight, features, labels, words):
    with pytest.raises(ValueError, match=words):
        lp.margin_ratio(weight, features, labels)
