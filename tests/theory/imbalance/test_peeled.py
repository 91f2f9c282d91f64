"""The convex program against descent, another solver, and gaps computed anew."""

import numpy as np
import pytest
from literal import descend, program_value, proven_gap, targets_of

from ncollapse.theory.imbalance import Problem, collapse_threshold, solve
from ncollapse.theory.predict import predict

SPREAD = (500, 320, 200, 128, 80, 51, 32, 20, 12, 5)


def program(counts, level, *, loss="cross_entropy", weights=None, patterns=None, **options):
    numbers = np.array(counts, dtype=float)
    shares = numbers / numbers.sum() * (1.0 if weights is None else np.asarray(weights))
    if patterns is not None:
        return Problem.of_patterns(loss, shares, np.sqrt(numbers), level, patterns, **options)
    return Problem.of_classes(loss, shares, np.sqrt(numbers), level, **options)


def multi_label():
    """Six classes, ten patterns of several labels each."""
    patterns = (np.random.default_rng(0).random((6, 10)) < 0.4).astype(float)
    patterns[0, patterns.sum(axis=0) == 0] = 1.0
    return patterns


RAMP = np.linspace(0.5, 2.0, 10)
# Values of CVXPY 1.9.3 with Clarabel 0.11.1 at tolerance 1e-11; benchmarks/predict.py solves them
# again.
OTHER_SOLVER = {
    "cross-entropy": ({}, 0.344176697257, 13.561832),
    "free bias": ({"bias": True}, 0.308676190369, 15.174127),
    "decayed bias": ({"bias": 0.01}, 0.332504499432, 13.493022),
    "smoothed, weighted": (
        {"label_smoothing": 0.1, "weights": RAMP},
        0.625876180716,
        11.275533,
    ),
    "squared, weighted, decayed bias": (
        {"loss": "squared", "bias": 0.01, "weights": RAMP},
        0.053189715857,
        2.840177,
    ),
    "label patterns": (
        {"patterns": multi_label() / multi_label().sum(axis=0)},
        0.951437665411,
        11.026847,
    ),
    "label patterns, squared, free bias": (
        {"patterns": multi_label(), "loss": "squared", "bias": True},
        0.058095233012,
        3.732448,
    ),
    "large decay": ({"factor": 5.0}, 1.180327736157, 7.370779),
}


@pytest.mark.parametrize("name", OTHER_SOLVER)
def test_the_optimum_is_that_of_another_solver(name):
    options, value, length = OTHER_SOLVER[name]
    options = dict(options)
    level = 0.4 * np.sqrt(5) / sum(SPREAD) * options.pop("factor", 1.0)
    optimum = solve(program(SPREAD, level, **options), tolerance=1e-11)
    assert optimum.risk == pytest.approx(value, rel=1e-10)
    assert np.linalg.norm(optimum.logits.dense()) == pytest.approx(length, rel=1e-6)
    assert -1e-12 <= optimum.gap <= 1e-10


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("share", [0.03, 0.3, 1.5])
def test_the_gap_computed_anew_is_small_for_counts_that_all_differ(size, share):
    counts = np.unique(np.round(np.geomspace(30, 3000, size)))
    assert len(counts) == size
    level = share * np.sqrt(counts.min()) / counts.sum()
    optimum = solve(program(counts, level), tolerance=1e-7)
    shares = counts / counts.sum()
    gap = proven_gap(optimum.logits.dense(), np.eye(size), shares, counts, level)
    assert optimum.gap <= 1e-7
    assert -1e-12 <= gap <= 1e-6


def test_a_point_beside_the_optimum_has_no_small_gap():
    counts = np.array(SPREAD, dtype=float)
    level = 0.3 * np.sqrt(5) / counts.sum()
    logits = solve(program(counts, level), tolerance=1e-10).logits.dense()
    shares = counts / counts.sum()
    assert proven_gap(1.01 * logits, np.eye(10), shares, counts, level) > 1e-6


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("bias", [False, True, 0.02])
@pytest.mark.parametrize("share", [0.2, 0.9, 1.4])
def test_groups_of_equal_counts_change_nothing(loss, bias, share):
    counts = np.array([40, 12, 40, 7, 12, 40, 7], dtype=float)
    weights = np.array([1.0, 2.0, 1.0, 1.5, 2.0, 1.0, 1.5])
    level = share * np.sqrt(7) / counts.sum()
    smoothing = 0.05
    grouped = solve(
        program(counts, level, loss=loss, weights=weights, bias=bias, label_smoothing=smoothing),
        tolerance=1e-12,
    )
    targets = targets_of(7, smoothing)
    alone = solve(
        program(counts, level, loss=loss, weights=weights, bias=bias, patterns=targets),
        tolerance=1e-12,
    )
    assert len(grouped.problem.rows.sizes) == 3
    assert grouped.risk == pytest.approx(alone.risk, rel=1e-11)
    shift = grouped.bias[grouped.problem.rows.index]
    dense = program_value(
        loss,
        grouped.logits.dense(),
        shift,
        targets,
        weights * counts / counts.sum(),
        counts,
        level,
        0.0 if isinstance(bias, bool) else bias,
    )
    assert grouped.risk == pytest.approx(dense, rel=1e-12)
    np.testing.assert_allclose(grouped.logits.dense(), alone.logits.dense(), atol=2e-5)
    np.testing.assert_allclose(grouped.left.dense(), alone.left.dense(), atol=2e-4)
    np.testing.assert_allclose(grouped.right.dense(), alone.right.dense(), atol=2e-4)


def test_ten_thousand_classes_in_three_groups_are_three_rows():
    counts = [1000] * 3000 + [300] * 3000 + [100] * 4000
    optimum = solve(program(counts, 1e-6), tolerance=1e-8)
    assert optimum.logits.core.shape == (3, 3)
    assert optimum.gap <= 1e-8


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("bias", [False, True, 0.02])
def test_descent_on_all_features_ends_at_the_program(loss, bias):
    counts = (9, 5, 5, 2)
    weights = (1.0, 1.3, 1.3, 2.0)
    lambda_w, lambda_h = 0.02, 0.01
    optimum = solve(
        program(counts, np.sqrt(lambda_w * lambda_h), loss=loss, weights=weights, bias=bias),
        tolerance=1e-13,
    )
    least, weight, means, shift = descend(
        counts, lambda_w, lambda_h, loss=loss, bias=bias, class_weights=weights
    )
    assert least == pytest.approx(optimum.risk, rel=1e-9)
    ratio = np.sqrt(lambda_h / lambda_w)
    np.testing.assert_allclose(weight @ weight.T, ratio * optimum.left.dense(), atol=2e-5)
    root = np.sqrt(counts)
    wanted = optimum.right.dense() / np.outer(root, root) / ratio
    np.testing.assert_allclose(means @ means.T, wanted, atol=2e-5)
    wanted = optimum.logits.dense() + optimum.bias[optimum.problem.rows.index][:, None]
    got = weight @ means.T + shift[:, None]
    if loss == "cross_entropy":  # constants of the bias do not matter
        got, wanted = got - got.mean(axis=0), wanted - wanted.mean(axis=0)
    np.testing.assert_allclose(got, wanted, atol=2e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("weight", [1.0, 1.7])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_minority_classes_merge_where_predicted(bias, weight, smoothing):
    counts, weights = (12, 12, 3, 3), (1.0, 1.0, weight, weight)
    limit = collapse_threshold(counts, class_weights=weights, label_smoothing=smoothing)[2]
    assert limit == pytest.approx((1 - smoothing) * weight * np.sqrt(3) / 30)
    for level, apart in ((0.99 * limit, True), (1.01 * limit, False)):
        # One column a class, so that nothing of the reduction by groups enters.
        targets = targets_of(4, smoothing)
        optimum = solve(
            program(counts, level, weights=weights, bias=bias, patterns=targets), tolerance=1e-13
        )
        logits = optimum.logits.dense()
        distance = np.linalg.norm(logits[:, 2] - logits[:, 3])
        least, _, means, _ = descend(
            counts, level, level, bias=bias, class_weights=weights, smoothing=smoothing
        )
        moved = np.linalg.norm(means[2] - means[3])
        assert least == pytest.approx(optimum.risk, rel=1e-8)
        assert (distance > 1e-2) == apart
        assert (moved > 5e-2) == apart
        assert apart or max(distance, moved) < 2e-3


@pytest.mark.parametrize("counts", [(48, 24, 10, 3), (100, 100, 10, 10)])
def test_the_gap_stays_proven_where_the_loss_is_below_rounding_of_the_logits(counts):
    prediction = predict(counts, weight_decay=1e-12, feature_decay=1e-12)
    assert prediction.risk < 1e-9
    assert abs(prediction.gap) < 1e-7
