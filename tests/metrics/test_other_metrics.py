"""Kernels, regression, the split of the squared loss, and outlier scores, against their
formulas.
"""

import formulas as f
import numpy as np
import pytest

import ncollapse.metrics as metrics
from ncollapse.geometry import simplex_etf
from ncollapse.stats import ClassStats


def draw(seed, num_classes=4, dim=6, count=50):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, count)])
    means = rng.standard_normal((num_classes, dim)) + 1
    features = means[labels] + 0.3 * rng.standard_normal((len(labels), dim))
    weight = rng.standard_normal((num_classes, dim))
    return features, labels, weight, rng.standard_normal(num_classes)


@pytest.mark.parametrize("shape", [(4, 6), (6, 3)], ids=str)
def test_kernel_metrics_are_those_of_the_features(shape):
    features, labels, _, _ = draw(0, *shape)
    cloud = f.Cloud(features, labels)
    gram = features @ features.T
    assert metrics.kernel_nc1(gram, 3 * labels) == pytest.approx(f.nc1_quotient(cloud), rel=1e-10)
    assert metrics.kernel_nc1_pinv(gram, labels) == pytest.approx(f.nc1_pinv(cloud), rel=1e-9)


def test_kernels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="square"):
        metrics.kernel_nc1(np.ones((2, 3)), [0, 1])
    with pytest.raises(ValueError, match="symmetric"):
        metrics.kernel_nc1(np.array([[1.0, 2], [0, 1]]), [0, 1])
    for metric in (metrics.kernel_nc1, metrics.kernel_nc1_pinv):
        with pytest.raises(metrics.UndefinedMetricError, match="coincide"):
            metric(np.ones((3, 3)), [0, 1, 1])


def regression_case(seed, noise):
    """Features in the row space of W; WWᵀ proportional to Σ^{1/2} − γ^{1/2} I at noise 0."""
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal((200, 2)) @ np.array([[2.0, 0.5], [0, 1]])
    centred = targets - targets.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / 200)
    root = (vectors * (np.sqrt(values) - 0.3)) @ vectors.T
    lower = np.linalg.cholesky(root)
    weight = np.hstack([lower, np.zeros((2, 3))])
    features = centred @ np.linalg.inv(lower).T @ np.eye(2, 5)
    return features + noise * rng.standard_normal(features.shape) + 3, weight, targets


def test_regression_collapse_is_zero_at_its_limit():
    found = metrics.regression_collapse(*regression_case(0, 0.0))
    assert max(found.nrc1, found.nrc2, found.nrc3) < 1e-12
    assert found.gamma == pytest.approx(0.09, rel=1e-4)


def test_regression_collapse_equals_its_formulas():
    features, weight, targets = regression_case(1, 0.5)
    rng = np.random.default_rng(1)
    weight = weight + 0.2 * rng.standard_normal(weight.shape)
    found = metrics.regression_collapse(features, weight, targets)
    centred = features - features.mean(axis=0)
    principal = np.linalg.svd(centred)[2][:2]

    def outside(basis):
        projector = basis.T @ np.linalg.inv(basis @ basis.T) @ basis
        unit = [h / np.linalg.norm(h) for h in centred]
        return np.mean([np.sum((u - projector @ u) ** 2) for u in unit])

    assert found.nrc1 == pytest.approx(outside(principal), rel=1e-10)
    assert found.nrc2 == pytest.approx(outside(weight), rel=1e-10)
    values, vectors = np.linalg.eigh(np.cov(targets.T, bias=True))
    gram = weight @ weight.T / np.linalg.norm(weight @ weight.T)

    def distance(gamma):
        root = (vectors * (np.sqrt(values) - np.sqrt(gamma))) @ vectors.T
        return np.sum((gram - root / np.linalg.norm(root)) ** 2)

    scan = min(distance(gamma) for gamma in np.linspace(0, values.min(), 2001))
    assert distance(found.gamma) == pytest.approx(found.nrc3, abs=1e-12)
    assert found.nrc3 <= scan + 1e-12


def test_regression_arguments_are_checked():
    features, weight, targets = regression_case(2, 0.1)
    with pytest.raises(ValueError, match="weight must have 5 columns"):
        metrics.regression_collapse(features, weight[:, :3], targets)
    with pytest.raises(ValueError, match="targets must have shape"):
        metrics.regression_collapse(features, weight, targets[:, :1])
    with pytest.raises(metrics.UndefinedMetricError, match="targets are all equal"):
        metrics.regression_collapse(features, weight, np.ones_like(targets))


def test_squared_loss_from_statistics_is_that_of_the_samples():
    features, labels, weight, bias = draw(3)
    summary = ClassStats.from_arrays(features, labels).finish()
    errors = features @ weight.T + bias - np.eye(4)[labels]
    expected = 0.5 * np.mean(np.sum(errors**2, axis=1))
    assert metrics.squared_loss(summary, weight, bias) == pytest.approx(expected, rel=1e-12)


def test_squared_loss_split_adds_up_and_is_pythagorean():
    features, labels, weight, bias = draw(4)
    summary = ClassStats.from_arrays(features, labels).finish()
    decay = 0.01
    found = metrics.squared_loss_split(summary, weight, bias, decay=decay)
    given = np.hstack([weight, bias[:, None]])
    total = metrics.squared_loss(summary, weight, bias) + decay / 2 * np.sum(given**2)
    assert found.total == pytest.approx(total, rel=1e-12)
    extended = np.hstack([features, np.ones((len(labels), 1))])
    second = extended.T @ extended / len(labels) + decay * np.eye(7)
    best = np.linalg.solve(second, extended.T @ np.eye(4)[labels] / len(labels)).T
    at_best = metrics.squared_loss_split(summary, best[:, :6], best[:, 6], decay=decay)
    assert at_best.perpendicular == pytest.approx(0, abs=1e-20)
    assert found.nc1 + found.nc23 == pytest.approx(at_best.total, rel=1e-12)
    apart = [
        best @ (h - m) for h, m in zip(extended, extended_means(features, labels), strict=True)
    ]
    nc1 = 0.5 * np.mean([np.sum(x**2) for x in apart]) + decay / 2 * np.sum(best**2)
    assert found.nc1 == pytest.approx(nc1, rel=1e-12)


def extended_means(features, labels):
    return np.hstack([f.Cloud(features, labels).own, np.ones((len(labels), 1))])


def test_nc5_is_zero_for_outliers_orthogonal_to_the_classes():
    features = np.repeat(np.eye(3, 5), 2, axis=0)
    summary = ClassStats.from_arrays(features, np.repeat(np.arange(3), 2)).finish()
    assert metrics.nc5(summary, np.array([0, 0, 0, 1.0, 2])) == 0
    assert metrics.nc5(summary, np.array([1.0, 0, 0, 0, 0])) == pytest.approx(1 / 3)
    with pytest.raises(metrics.UndefinedMetricError, match="outlier_mean is zero"):
        metrics.nc5(summary, np.zeros(5))


def test_nc5_does_not_let_signs_cancel():
    """Two opposite classes: cosines 1 and −1 with the outliers, whose signed average is 0."""
    summary = ClassStats.from_arrays(np.array([[1.0, 0], [-2.0, 0]]), np.arange(2)).finish()
    assert metrics.nc5(summary, np.array([3.0, 0])) == pytest.approx(1)


def test_neco_score_is_the_share_in_the_principal_space():
    features, labels, _, _ = draw(5)
    summary = ClassStats.from_arrays(features, labels).finish()
    centre = features.mean(axis=0)
    principal = np.linalg.svd(features - centre, full_matrices=False)[2][:3]
    samples = np.random.default_rng(6).standard_normal((9, 6))
    expected = [
        np.linalg.norm(principal @ (h - centre)) / np.linalg.norm(h - centre) for h in samples
    ]
    np.testing.assert_allclose(metrics.neco_scores(summary, samples), expected, rtol=1e-10)
    logits = np.arange(36.0).reshape(9, 4)
    found = metrics.neco_scores(summary, samples, logits=logits)
    np.testing.assert_allclose(found, expected * logits.max(axis=1), rtol=1e-10)


def test_nci_score_equals_its_formula(xp):
    features, labels, weight, bias = draw(7)
    cloud = f.Cloud(features, labels)
    samples = np.random.default_rng(8).standard_normal((9, 6))
    expected = []
    for h in samples:
        own = weight[np.argmax(weight @ h + bias)]
        shifted = h - cloud.mu_g
        expected.append(own @ shifted / np.linalg.norm(shifted) + 0.1 * np.abs(h).sum())
    arrays = [xp.asarray(a.astype(np.float32)) for a in (features, samples, weight, bias)]
    summary = ClassStats.from_arrays(arrays[0], xp.asarray(labels)).finish()
    found = metrics.nci_scores(summary, *arrays[1:], alpha=0.1)
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-5)


def test_separation_law_orders_layers():
    rng = np.random.default_rng(9)
    labels = rng.integers(0, 3, 90)
    found = []
    for noise in (1.0, 0.1, 0.01):
        layer = simplex_etf(3, 5)[labels] + noise * rng.standard_normal((90, 5))
        found.append(metrics.separation(ClassStats.from_arrays(layer, labels).finish()))
    steps = np.diff(np.log(found))
    assert steps == pytest.approx([-np.log(100)] * 2, rel=0.2)


def test_second_pass_merges_and_restores():
    features, labels, weight, bias = draw(10)
    summary = ClassStats.from_arrays(features, labels).finish()
    whole = metrics.SampleStats(summary, weight, bias).update(features, labels).finish()
    parts = [
        metrics.SampleStats(summary, weight, bias).update(features[cut], labels[cut])
        for cut in (slice(20), slice(20, None))
    ]
    restored = metrics.SampleStats(summary, weight, bias).load_state_dict(parts[1].state_dict())
    merged = parts[0].merge(restored).finish()
    for name in ("counts", "agreements", "correct", "nearest_correct"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    np.testing.assert_allclose(merged.within, whole.within, rtol=1e-13)


def test_second_pass_checks_its_arguments():
    features, labels, weight, bias = draw(11)
    summary = ClassStats.from_arrays(features, labels).finish()
    with pytest.raises(ValueError, match="bias was given without weight"):
        metrics.SampleStats(summary, bias=bias)
    with pytest.raises(ValueError, match="no samples"):
        metrics.SampleStats(summary).finish()
    plain = metrics.SampleStats(summary).update(features, labels)
    with pytest.raises(ValueError, match="needs the classifier"):
        metrics.nc4_agreement(plain.finish())
    with pytest.raises(ValueError, match="cannot merge"):
        plain.merge(metrics.SampleStats(summary, weight))
    with pytest.raises(ValueError, match="features must be finite, but row 1"):
        plain.update(np.array([[0.0] * 6, [np.nan] * 6]), np.array([0, 1]))
