"""Closed forms of hong2025 Theorem 2 against direct optimisation and dense certificates."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from ncollapse.metrics import measure
from ncollapse.theory.minimisers import (
    Optimality,
    _optimality,
    collapse_threshold,
    dual_matrix,
    minimiser,
    primal_matrix,
)

GRID = [
    (2, 3, 1.0, 0.3),
    (3, 2, 0.5, 0.1),
    (3, 4, 0.2, 0.8),
    (4, 2, 2.0, 0.05),
    (5, 3, 0.1, 0.5),
    (3, 1, 1.0, 0.9),
    (3, 2, 1.0, 1.2),
    (4, 3, 0.3, 2.0),
]
"""K, n, λ_W/λ_H, and √(λ_W λ_H) as a share of the collapse threshold (beyond 1: no collapse)."""


def regularisation(model, num_classes, per_class, ratio, share):
    level = share * collapse_threshold(model, num_classes=num_classes, per_class=per_class)
    return level * np.sqrt(ratio), level / np.sqrt(ratio)


def risk(model, weight, features, per_class, lambda_w, lambda_h):
    """(2.6) and (2.7) as printed, sample by sample."""
    num_classes = weight.shape[0]
    total = 0.0
    for index, feature in enumerate(features):
        own = index // per_class
        logits = weight @ feature
        if model == "upfm-ce":
            total += logsumexp(logits) - logits[own]
        else:
            total += 0.5 * np.sum((logits - np.eye(num_classes)[own]) ** 2)
    penalty = lambda_w / 2 * np.sum(weight**2) + lambda_h / 2 * np.sum(features**2)
    return total / len(features) + penalty


def optimise(model, num_classes, per_class, lambda_w, lambda_h, seed):
    """Best of a few bounded quasi-Newton descents from random starts, with H ≥ 0 as a bound."""
    dim = num_classes + 1
    count = num_classes * per_class
    labels = np.repeat(np.arange(num_classes), per_class)
    targets = np.eye(num_classes)[labels]

    def value(flat):
        weight = flat[: num_classes * dim].reshape(num_classes, dim)
        features = flat[num_classes * dim :].reshape(count, dim)
        logits = features @ weight.T
        if model == "upfm-ce":
            norm = logsumexp(logits, axis=1, keepdims=True)
            data = np.mean(norm[:, 0] - logits[np.arange(count), labels])
            slope = (np.exp(logits - norm) - targets) / count
        else:
            data = 0.5 * np.sum((logits - targets) ** 2) / count
            slope = (logits - targets) / count
        total = data + lambda_w / 2 * np.sum(weight**2) + lambda_h / 2 * np.sum(features**2)
        d_weight = slope.T @ features + lambda_w * weight
        d_features = slope @ weight + lambda_h * features
        return total, np.concatenate([d_weight.ravel(), d_features.ravel()])

    rng = np.random.default_rng(seed)
    bounds = [(None, None)] * (num_classes * dim) + [(0.0, None)] * (count * dim)
    best = None
    for _ in range(4):
        start = rng.uniform(0.0, 1.0, len(bounds)) * 2.0
        descent = minimize(
            value,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 50},
        )
        if best is None or descent.fun < best.fun:
            best = descent
    assert best is not None
    weight = best.x[: num_classes * dim].reshape(num_classes, dim)
    return weight, best.x[num_classes * dim :].reshape(count, dim), best.fun


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("case", GRID, ids=str)
def test_direct_optimisation_ends_at_the_closed_form(model, case):
    num_classes, per_class, ratio, share = case
    lambda_w, lambda_h = regularisation(model, num_classes, per_class, ratio, share)
    point = minimiser(
        model, num_classes=num_classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    )
    weight, features, least = optimise(model, num_classes, per_class, lambda_w, lambda_h, seed=3)
    assert point.collapsed == (share < 1.0)
    assert least == pytest.approx(point.risk, abs=1e-9)
    assert point.risk <= least + 1e-12
    # The logits are the unique minimiser; at the origin the risk is flat, so only they settle.
    wanted = np.repeat(point.logits(), per_class, axis=0)
    np.testing.assert_allclose(features @ weight.T, wanted, atol=1e-6)
    if point.collapsed:
        means = features.reshape(num_classes, per_class, -1).mean(axis=1)
        np.testing.assert_allclose(means @ means.T, point.mean_gram(), atol=1e-6)
        np.testing.assert_allclose(weight @ weight.T, point.weight_gram(), atol=1e-6)


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("case", GRID, ids=str)
def test_the_constructed_point_has_the_stated_risk_and_shape(model, case):
    num_classes, per_class, ratio, share = case
    lambda_w, lambda_h = regularisation(model, num_classes, per_class, ratio, share)
    point = minimiser(
        model, num_classes=num_classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    )
    weight, features = point.construct(num_classes + 2)
    assert weight.shape == (num_classes, num_classes + 2)
    assert features.min() >= 0.0
    assert risk(model, weight, features, per_class, lambda_w, lambda_h) == pytest.approx(
        point.risk, rel=1e-13
    )
    np.testing.assert_allclose(weight @ weight.T, point.weight_gram(), atol=1e-14)
    np.testing.assert_allclose(
        features @ weight.T, np.repeat(point.logits(), per_class, 0), atol=1e-14
    )


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("case", GRID, ids=str)
def test_the_certificate_is_that_of_the_dense_multiplier(model, case):
    num_classes, per_class, ratio, share = case
    lambda_w, lambda_h = regularisation(model, num_classes, per_class, ratio, share)
    point = minimiser(
        model, num_classes=num_classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    )
    dual, primal = dual_matrix(point), primal_matrix(point)
    eigenvalues = np.linalg.eigvalsh(dual)
    assert point.optimality.holds()
    assert point.optimality.largest_eigenvalue == pytest.approx(eigenvalues[-1], rel=1e-12)
    assert point.optimality.smallest_eigenvalue == pytest.approx(
        eigenvalues[0], abs=1e-14 * eigenvalues[-1]
    )
    assert np.linalg.norm(dual @ primal) <= 1e-13 * np.linalg.norm(dual) * np.linalg.norm(primal)
    labels = np.repeat(np.arange(num_classes), per_class)
    same = labels[:, None] == labels[None, :]
    positivity = point.lambda_h * np.eye(labels.size) - 2 * dual[num_classes:, num_classes:]
    assert positivity.min() >= -1e-16
    assert abs(np.sum(positivity * primal[num_classes:, num_classes:])) < 1e-15
    assert np.abs(positivity[same]).max() < 1e-15


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize(
    ("lambda_w", "lambda_h"),
    [
        (1e-6, 1e-6),
        (1e-9, 1e-12),
        (1e-300, 1e-300),
        (5e-324, 5e-324),
        (1e-300, 1.0),
        (1e300, 1e300),
    ],
)
def test_the_certificate_holds_however_small_the_regularisation(model, lambda_w, lambda_h):
    point = minimiser(model, num_classes=3, per_class=4, lambda_w=lambda_w, lambda_h=lambda_h)
    assert point.optimality.holds(), point.optimality
    assert point.collapsed == (lambda_w < 1e10)
    level = np.sqrt(lambda_w) * np.sqrt(lambda_h)
    # hong2025's formulas where λ is far below the threshold; √(nK(K−1)) = √24 here, √n K = 6.
    if model == "upfm-l2":
        assert point.a == max(0.0, 1.0 - 6.0 * level)
        expected = 6.0 * level
    else:
        log_level = 0.5 * (np.log(lambda_w) + np.log(lambda_h) + np.log(24.0))
        assert point.a == pytest.approx(max(0.0, np.log(2.0) - log_level), rel=1e-5)
        expected = np.sqrt(24.0) * level * (1.0 + point.a)
    if point.collapsed:
        assert point.risk == pytest.approx(expected, rel=1e-5, abs=1e-322)
    assert np.isfinite(point.risk)
    assert np.isfinite(point.b)


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("case", GRID, ids=str)
def test_the_multiplier_holds_the_gradient_of_the_data_term(model, case):
    num_classes, per_class, ratio, share = case
    lambda_w, lambda_h = regularisation(model, num_classes, per_class, ratio, share)
    point = minimiser(
        model, num_classes=num_classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    )
    logits = np.repeat(point.logits(), per_class, axis=0)
    targets = np.repeat(np.eye(num_classes), per_class, axis=0)
    predicted = softmax(logits, axis=1) if model == "upfm-ce" else logits
    gradient = (predicted - targets) / len(targets)
    np.testing.assert_allclose(
        dual_matrix(point)[num_classes:, :num_classes], 0.5 * gradient, atol=1e-15
    )


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
def test_predicted_metrics_are_those_of_the_constructed_point(model):
    point = minimiser(model, num_classes=4, per_class=3, lambda_w=1e-3, lambda_h=2e-3)
    weight, features = point.construct()
    labels = np.repeat(np.arange(4), 3)
    names = list(point.metrics)
    measured = measure(features, labels, weight=weight, preset=names).metrics
    assert len(point.metrics) == 16
    for name, value in point.metrics.items():
        assert measured[name] == pytest.approx(value, abs=1e-7), name


def test_a_certificate_needs_both_of_its_conditions():
    assert Optimality(-1e-14, 1e-14, 1.0).holds()
    assert not Optimality(-1e-3, 0.0, 1.0).holds()
    assert not Optimality(0.0, 1e-3, 1.0).holds()
    assert Optimality(-1e-3, 1e-3, 1.0).holds(tolerance=1e-2)
    assert Optimality(-1e-12, 1e-12, 1.0).holds()
    assert not Optimality(-1e-14, 0.0, 1e-3).holds()


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("per_class", [1, 3])
def test_complementarity_beside_the_minimiser_is_that_of_the_dense_matrices(model, per_class):
    regularisation = {"lambda_w": 3e-2, "lambda_h": 1e-2}
    point = minimiser(model, num_classes=4, per_class=per_class, **regularisation)
    for a, b in [(0.9, 1.3 * point.b), (1.4 * point.a, point.b)]:
        dual, primal = dual_matrix(point), primal_matrix(replace(point, a=a, b=b))
        norms = [np.linalg.norm(matrix) for matrix in (dual @ primal, dual, primal)]
        found = _optimality(model, 4, per_class, *regularisation.values(), a, b)
        assert found.complementarity == pytest.approx(norms[0] / norms[1] / norms[2], rel=1e-12)
        assert found.complementarity > 1e-3


@pytest.mark.parametrize("model", ["upfm-ce", "upfm-l2"])
def test_a_point_holds_its_threshold_and_no_metrics_at_zero(model):
    threshold = collapse_threshold(model, num_classes=4, per_class=3)
    for share in (0.5, 2.0):
        level = share * threshold
        point = minimiser(model, num_classes=4, per_class=3, lambda_w=level, lambda_h=level)
        assert point.threshold == threshold
        assert bool(point.metrics) == point.collapsed == (share < 1.0)


def test_a_point_beside_the_minimiser_is_refused_a_certificate():
    right = minimiser("upfm-ce", num_classes=3, per_class=2, lambda_w=1e-2, lambda_h=1e-2)
    wrong = dual_matrix(right)
    wrong[:3, 3:] *= 1.01
    wrong[3:, :3] *= 1.01
    assert np.linalg.eigvalsh(wrong)[0] < -1e-6


def test_the_dimensions_and_the_thresholds_of_the_paper():
    # sqrt(n (K-1)/K) > K n lambda  (Theorem 2(a)), and 1 > sqrt(n) K lambda (its proof of (b)).
    assert collapse_threshold("upfm-ce", num_classes=4, per_class=5) == pytest.approx(
        np.sqrt(5 * 3 / 4) / 20
    )
    assert collapse_threshold("upfm-l2", num_classes=4, per_class=5) == pytest.approx(
        1 / (4 * np.sqrt(5))
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "upfm"}, "model must be one of"),
        ({"num_classes": 1}, "num_classes must be at least 2"),
        ({"per_class": 0}, "per_class must be at least 1"),
        ({"lambda_w": 0.0}, "lambda_w must be a positive"),
        ({"lambda_h": -1.0}, "lambda_h must be a positive"),
    ],
)
def test_bad_arguments_are_named(change, message):
    good = {"model": "upfm-ce", "num_classes": 3, "per_class": 2, "lambda_w": 0.1, "lambda_h": 0.1}
    model = (good | change).pop("model")
    arguments = {name: value for name, value in (good | change).items() if name != "model"}
    with pytest.raises(ValueError, match=message):
        minimiser(model, **arguments)


def test_thresholds_are_for_known_models_only():
    with pytest.raises(ValueError, match=r"model must be one of .*, but it is 'upfm-CE'"):
        collapse_threshold("upfm-CE", num_classes=3, per_class=2)
    with pytest.raises(ValueError, match="per_class must be at least 1"):
        collapse_threshold("upfm-ce", num_classes=3, per_class=0)


def test_too_few_dimensions_say_why():
    point = minimiser("upfm-l2", num_classes=4, per_class=2, lambda_w=1e-3, lambda_h=1e-3)
    with pytest.raises(ValueError, match="disjoint supports"):
        point.construct(3)


def test_the_dictionary_is_json_ready():
    fields = minimiser(
        "upfm-ce", num_classes=3, per_class=2, lambda_w=1e-2, lambda_h=1e-2
    ).to_dict()
    assert {"a", "b", "risk", "metrics", "smallest_eigenvalue"} <= fields.keys()
    assert abs(fields["smallest_eigenvalue"]) < 1e-15
    assert fields["collapsed"] is True
