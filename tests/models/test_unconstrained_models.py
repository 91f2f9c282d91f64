"""Models of unconstrained features: losses and gradients against literal formulas, starts, invariants."""

import jax
import numpy as np
import pytest
from scipy.special import logsumexp

from ncollapse.metrics import measure
from ncollapse.models import LayerPeeled, PositiveFeatures, UnconstrainedFeatures
from ncollapse.models.unconstrained import collapse_metrics, sorted_labels
from ncollapse.theory import layer_peeled
from ncollapse.theory.ends import METRIC_NAMES
from ncollapse.theory.minimisers import minimiser
from ncollapse.theory.unconstrained import (
    Point,
    distance_to_invariant_subspace,
    risk,
    strong_collapse_residuals,
)

LABELS = np.repeat(np.arange(3), 4)


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def test_layer_peeled_loss_and_gradient_are_those_of_the_theory():
    model = LayerPeeled.of(3, 4)
    for scale in (0.1, 3.0, 1e3):
        start = model.start(5, scale, seed=2)
        weight, features = start["weight"], start["features"]
        assert float(model.log_loss(start)) == pytest.approx(
            layer_peeled.log_loss(weight, features), rel=1e-12
        )
        gradient = jax.grad(model.log_loss)(start)
        d_weight, d_features = layer_peeled.log_loss_gradient(weight, features)
        np.testing.assert_allclose(gradient["weight"], d_weight, rtol=1e-9, atol=1e-12 * scale)
        np.testing.assert_allclose(gradient["features"], d_features, rtol=1e-9, atol=1e-12 * scale)


def test_observed_kkt_defect_margin_and_strong_residuals_are_those_of_the_theory():
    model = LayerPeeled.of(3, 4)
    weight = 3.0 * np.linalg.qr(np.random.default_rng(0).standard_normal((5, 3)))[0].T
    start = {"weight": weight, "features": np.repeat(weight, 4, axis=0) + 0.1}
    observed = model.observe(start)
    kkt = layer_peeled.kkt_residuals(start["weight"], start["features"])
    assert float(observed["kkt_defect"]) == pytest.approx(1.0 - kkt.cosine, rel=1e-9)
    assert float(observed["margin"]) == pytest.approx(kkt.margin)
    squared = UnconstrainedFeatures.of(3, 4)
    start = squared.start(5, 1.0, seed=3) | {"bias": np.array([0.1, 0.2, 0.4])}
    point = Point(start["weight"], start["features"], start["bias"])
    assert float(squared.loss(start)) == pytest.approx(risk(point), rel=1e-12)
    observed = squared.observe(start)
    for name, value in strong_collapse_residuals(point).items():
        assert float(observed[name]) == pytest.approx(value, rel=1e-12)
    assert float(observed["off_subspace"]) == pytest.approx(distance_to_invariant_subspace(point))


@pytest.mark.parametrize("name", ["upfm-ce", "upfm-l2"])
def test_positive_features_have_the_printed_risk_and_stay_positive(name):
    model = PositiveFeatures.of(name, 3, 4, 0.02, 0.03)
    start = model.start(5, 1.3, seed=1)
    lifted = model.lift(start)
    weight, features = lifted["weight"], lifted["features"]
    assert features.min() >= 0.0
    assert np.linalg.norm(features) == pytest.approx(1.3)
    total = 0.0
    for feature, own in zip(features, LABELS, strict=True):
        logits = weight @ feature
        if name == "upfm-ce":
            total += logsumexp(logits) - logits[own]
        else:
            total += 0.5 * np.sum((logits - np.eye(3)[own]) ** 2)
    printed = total / 12 + 0.01 * np.sum(weight**2) + 0.015 * np.sum(features**2)
    assert float(model.loss(start)) == pytest.approx(printed, rel=1e-12)


def test_observed_metrics_are_those_of_the_metrics_module():
    rng = np.random.default_rng(5)
    features, weight = rng.standard_normal((12, 6)), rng.standard_normal((3, 6))
    found = collapse_metrics(features, weight)
    measured = measure(features, LABELS, weight=weight, preset=tuple(found)).metrics
    assert set(measured) == set(found)
    for name, value in found.items():
        assert float(value) == pytest.approx(measured[name], rel=1e-9), name


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_predicted_metrics_are_what_is_measured_on_the_minimiser(model, num_classes):
    point = minimiser(model, num_classes=num_classes, per_class=4, lambda_w=1e-2, lambda_h=2e-3)
    weight, features = point.construct(num_classes + 1)
    labels = np.repeat(np.arange(num_classes), 4)
    measured = measure(features, labels, weight=weight, preset=METRIC_NAMES)
    assert not measured.undefined
    assert set(point.metrics) == set(METRIC_NAMES)
    for name, value in measured.metrics.items():
        assert value == pytest.approx(point.metrics[name], abs=1e-7), name


def test_invariants_do_not_move_along_the_gradient():
    """d(WᵀW − HᵀH)/ds = 0 to first order, for both losses that conserve it."""
    for model in (LayerPeeled.of(3, 4), UnconstrainedFeatures.of(3, 4)):
        start = model.start(5, 2.0, seed=0)
        velocity = jax.grad(model.log_loss)(start)
        _, change = jax.jvp(model.invariants, (start,), (velocity,))
        assert float(np.abs(change).max()) < 1e-14


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sorted_labels(1, 3), "num_classes must be at least 2"),
        (lambda: sorted_labels(3, 0), "per_class must be at least 1"),
        (lambda: LayerPeeled.of(4, 2).start(2, 1.0, 0), r"num_classes - 1 = 3.*simplex"),
        (lambda: LayerPeeled.of(4, 2).start(3, 0.0, 0), "saddle"),
        (lambda: LayerPeeled.of(4, 2).start(3, -1.0, 0), "positive finite"),
        (lambda: PositiveFeatures.of("upfm", 3, 2, 1.0, 1.0), "name must be"),
        (lambda: PositiveFeatures.of("upfm-ce", 3, 2, 0.0, 1.0), "lambda_w must be a positive"),
        (lambda: PositiveFeatures.of("upfm-l2", 3, 2, 1.0, 1.0).start(2, 1.0, 0), "disjoint"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
