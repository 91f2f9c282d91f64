"""The gap from logits is a true lower bound, streams and merges."""

import numpy as np
import pytest
from literal import cross_entropy, descend, softmax

from ncollapse.theory.imbalance import (
    LastLayerObjective,
    LastLayerStats,
    Problem,
    optimality_gap,
    solve,
)
from ncollapse.theory.predict import predict

SETTINGS = [
    (counts, level, bias)
    for counts in ((8, 4, 2), (5, 5, 5), (9, 3, 1, 1))
    for level in (0.01, 0.05)
    for bias in (False, True, 0.1)
] + [((6, 2), 0.02, False), ((6, 2), 0.02, True)]

STEPS = (0, 1, 3, 10, 30, 100, 300)


def network(rng, counts, decays, bias, steps):
    """A random last layer with features of its own, after some steps of descent."""
    labels = np.repeat(np.arange(len(counts)), counts)
    targets, total = np.eye(len(counts))[:, labels], len(labels)
    weight = rng.uniform(0.1, 2) * rng.standard_normal((len(counts), 5))
    features = rng.uniform(0.1, 2) * rng.standard_normal((total, 5))
    shift = rng.standard_normal(len(counts)) * (bias is not False)
    decay = 0.0 if isinstance(bias, bool) else bias
    for _ in range(steps):
        slope = (softmax(weight @ features.T + shift[:, None]) - targets) / total
        weight, features = (
            weight - 0.5 * (slope @ features + decays[0] * weight),
            features - 2.0 * (slope.T @ weight + decays[1] * features),
        )
        shift = shift - (slope.sum(axis=1) + decay * shift) * (bias is not False)
    return labels, weight, features, shift


def risk(labels, weight, features, shift, decays, bias):
    logits = weight @ features.T + shift[:, None]
    value = cross_entropy(logits, np.eye(len(weight))[:, labels]).mean()
    value += decays[0] / 2 * (weight**2).sum() + decays[1] / 2 * (features**2).sum()
    return value + (0.0 if isinstance(bias, bool) else bias / 2 * shift @ shift)


def measured(labels, weight, features, shift, decays, bias):
    return optimality_gap(
        features @ weight.T + shift,
        labels,
        weight,
        features,
        weight_decay=decays[0],
        feature_decay=decays[1],
        bias=None if bias is False else shift,
        bias_decay=None if isinstance(bias, bool) else bias,
    )


@pytest.mark.parametrize(("counts", "level", "bias"), SETTINGS, ids=str)
def test_no_last_layer_beats_the_bound(counts, level, bias):
    """50 networks of each of 20 settings against the optimum over all last layers."""
    numbers = np.array(counts, dtype=float)
    optimum = solve(
        Problem.of_classes(
            "cross_entropy", numbers / numbers.sum(), np.sqrt(numbers), level, bias=bias
        ),
        tolerance=1e-11,
    )
    decays = 2 * level, level / 2
    least = descend(counts, *decays, bias=bias, starts=1)[0]
    assert least >= optimum.bound * (1 - 1e-12)
    smallest = np.inf
    for seed in range(50):
        point = network(np.random.default_rng(seed), counts, decays, bias, STEPS[seed % 7])
        gap = measured(*point, decays, bias)
        assert gap.value == pytest.approx(risk(*point, decays, bias), rel=1e-12)
        # Some networks are optimal to rounding, so their bound is the optimum to rounding.
        assert gap.bound <= min(optimum.risk, least) * (1 + 1e-13), seed
        smallest = min(smallest, gap.gap)
    assert -1e-13 <= smallest < 0.2


def test_the_gap_closes_at_the_optimum():
    counts, decays = (8, 4, 2), (0.02, 0.01)
    for bias in (False, True, 0.1):
        _, weight, means, shift = descend(counts, *decays, bias=bias)
        labels = np.repeat(np.arange(3), counts)
        gap = measured(labels, weight, means[labels], shift, decays, bias)
        assert -1e-12 <= gap.gap < 1e-5
    guessed = optimality_gap(
        means[labels] @ weight.T, labels, weight, means[labels], weight_decay=0.02
    )
    assert guessed.measured
    assert guessed.feature_decay == pytest.approx(0.01, rel=1e-5)


def test_batches_and_parts_give_the_same_state():
    rng = np.random.default_rng(0)
    labels, weight, features, _ = network(rng, (30, 8, 3), (0.02, 0.01), False, 20)
    logits = features @ weight.T
    whole = LastLayerStats(3).update(logits, labels, features)
    order = rng.permutation(41)
    parts = [
        LastLayerStats(3).update(logits[i], labels[i], features[i])
        for i in np.split(order, [10, 25])
    ]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    residuals = softmax(logits.T) - np.eye(3)[:, labels]
    assert whole.residual_norm() == pytest.approx(np.linalg.norm(residuals, 2), rel=1e-12)
    for name, value in vars(whole).items():
        np.testing.assert_allclose(getattr(merged, name), value, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("bias", [False, True, 0.1])
@pytest.mark.parametrize(
    "loss", [{"label_smoothing": 0.1}, {"class_weights": (1.0, 2.0, 0.5)}], ids=["smooth", "weight"]
)
def test_smoothing_and_class_weights_have_their_bound(bias, loss):
    counts, decays = (8, 4, 2), (0.03, 0.02)
    weights, smoothing = loss.get("class_weights", np.ones(3)), loss.get("label_smoothing", 0.0)
    shares = np.array(weights) * counts / 14
    optimum = predict(counts, weight_decay=0.03, feature_decay=0.02, bias=bias, **loss).risk
    least, weight, means, shift = descend(
        counts, *decays, bias=bias, smoothing=smoothing, class_weights=weights, starts=1
    )
    assert least == pytest.approx(optimum, rel=1e-9)
    objective = LastLayerObjective(
        *decays, bias_decay=None if isinstance(bias, bool) else bias, **loss
    )

    def gap_of(weight, features, shift, labels):
        stats = objective.stats(3).update(features @ weight.T + shift, labels, features)
        return objective.gap(stats, weight, None if bias is False else shift)

    labels = np.repeat(np.arange(3), counts)
    gap = gap_of(weight, means[labels], shift, labels)
    assert gap.value == pytest.approx(optimum, rel=1e-9)
    # A free bias with smoothing has no Markov chain, and so perhaps only the entropy of the labels.
    limit = 1.0 if bias is True and smoothing else 1e-4
    assert -1e-12 <= gap.gap < limit
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels, weight, features, shift = network(rng, counts, decays, bias, STEPS[seed % 7])
        gap = gap_of(weight, features, shift, labels)
        logits = weight @ features.T + shift[:, None]
        targets = (1 - smoothing) * np.eye(3) + smoothing / 3
        value = cross_entropy(logits, targets[:, labels]) @ (shares / counts)[labels]
        value += 0.015 * (weight**2).sum() + 0.01 * (features**2).sum()
        value += 0.0 if isinstance(bias, bool) else bias / 2 * shift @ shift
        assert gap.value == pytest.approx(value, rel=1e-12)
        assert gap.bound <= optimum * (1 + 1e-13), seed


@pytest.mark.parametrize("counts", [(8, 4, 2), (5, 5, 5, 5), (30, 9, 3, 1, 1), (6, 2)])
@pytest.mark.parametrize("level", [0.01, 0.05])
def test_nonnegative_features_have_a_bound_of_their_own(counts, level):
    """Tight at their optimum, dead classes included, where that of signed features is not."""
    decays = {"weight_decay": 2 * level, "feature_decay": level / 2}
    law = predict(counts, features="nonnegative", **decays)
    labels = np.repeat(np.arange(len(counts)), counts)
    lengths = np.sqrt(np.diag(law.means_gram))
    weight = np.divide(law.logits, lengths, out=np.zeros_like(law.logits), where=lengths > 0)
    features = np.diag(lengths)[labels]
    arguments = features @ weight.T, labels, weight, features
    gap = optimality_gap(*arguments, nonnegative=True, **decays)
    signed = optimality_gap(*arguments, **decays)
    assert gap.value == signed.value == pytest.approx(law.risk, rel=1e-12)
    assert abs(gap.gap) < 1e-9
    assert signed.gap > 0.005
    for seed in range(30):
        rng = np.random.default_rng(seed)
        _, weight, features, _ = network(
            rng, counts, (2 * level, level / 2), False, STEPS[seed % 7]
        )
        features = np.abs(features)
        arguments = features @ weight.T, labels, weight, features
        bound = optimality_gap(*arguments, nonnegative=True, **decays).bound
        assert optimality_gap(*arguments, **decays).bound <= bound * (1 + 1e-13), seed
        assert bound <= law.risk * (1 + 1e-13), seed


@pytest.mark.parametrize("seed", range(5))
def test_the_norm_over_nonnegative_vectors_is_bounded(seed):
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(0, 4, 12), rng.standard_normal((12, 4))
    stats = LastLayerStats(4, class_weights=(1, 2, 3, 4)).update(logits, labels, logits)
    residuals = (softmax(logits.T) - np.eye(4)[:, labels]) * (labels + 1)
    over_all, over_cone = stats.residual_norm(), stats.residual_norm(nonnegative=True)
    assert over_all == pytest.approx(np.linalg.norm(residuals, 2), rel=1e-12)
    assert over_cone <= over_all * (1 + 1e-14)
    best = 0.0
    for _ in range(20):
        v = rng.random(12)
        for _ in range(50):  # projected power steps go up
            v = np.maximum(v + residuals.T @ (residuals @ v), 0.0)
            v /= np.linalg.norm(v)
        best = max(best, np.linalg.norm(residuals @ v))
    assert best <= over_cone * (1 + 1e-12)


def test_batch_norm_has_its_decay_over_the_samples():
    rng = np.random.default_rng(0)
    labels, weight, features, _ = network(rng, (8, 4, 2), (0.02, 0.01), False, 20)
    arguments = features @ weight.T, labels, weight, features
    of_norm = optimality_gap(*arguments, weight_decay=0.02, normalisation="batch")
    assert of_norm == optimality_gap(*arguments, weight_decay=0.02, feature_decay=0.02 / 14)
    affine = optimality_gap(
        *arguments, weight_decay=0.02, normalisation="batch", feature_decay=0.05
    )
    assert affine.feature_decay == pytest.approx(0.05 / 14)
    assert not affine.measured


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_weights": (1.0, 2.0, 3.0)}, "class_weights must be 2 numbers, one a class"),
        ({"label_smoothing": -0.1}, "label_smoothing must be at least 0 and below 1"),
        ({"bias_decay": -1.0}, "bias_decay must be a positive"),
        ({"normalisation": "layer"}, "normalisation must be one of None, batch"),
        ({"labels": np.array([0, 3])}, "labels must lie in 0 … 1"),
        ({"logits": np.zeros((2, 3))}, "logits must have 2 columns"),
        ({"features": np.zeros((3, 4))}, "features has 3 rows for 2 rows of logits"),
        ({"weight_decay": 0.0}, "weight_decay must be a positive"),
        ({"features": np.zeros((2, 4))}, "feature_decay is needed"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {
        "logits": np.zeros((2, 2)),
        "labels": np.array([0, 1]),
        "weight": np.ones((2, 4)),
        "features": np.ones((2, 4)),
        "weight_decay": 0.1,
    }
    with pytest.raises(ValueError, match=message):
        optimality_gap(**good | change)
