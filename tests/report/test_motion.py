"""Frames of a run against a literal transcription of where a feature is drawn, and their clock."""

from dataclasses import replace

import numpy as np
import pytest

from ncollapse.flow import flow_ufm, flow_ulpm, flow_upfm
from ncollapse.report._motion import clock_of, motion, upright_simplex

RUNS = {
    "ulpm, K = 3": lambda: flow_ulpm(num_classes=3, per_class=4, dim=5, seed=1),
    "ufm, K = 3": lambda: flow_ufm(num_classes=3, per_class=3, dim=15, seed=0),
    "upfm-l2, K = 4": lambda: flow_upfm(
        "upfm-l2", num_classes=4, per_class=3, dim=8, lambda_w=0.01, lambda_h=0.01
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request):
    return RUNS[request.param]()


def literal(run, state):
    """Features and rows of W of one recorded state, step by step, in the final means' plane."""
    classes, per_class = run.setup.num_classes, run.setup.per_class
    ideal = upright_simplex(classes)

    def centred(features):
        means = [features[k * per_class : (k + 1) * per_class].mean(axis=0) for k in range(classes)]
        average = sum(means) / classes
        return features - average, np.array([mean - average for mean in means])

    _, last = centred(run.features_at(-1))
    plane = np.linalg.svd(last)[2][: classes - 1]
    left, _, right = np.linalg.svd((last @ plane.T).T @ ideal)
    turn = left @ right

    features, _ = centred(run.features_at(state))
    weight = run.classifier_at(state)[0]
    rows = weight - weight.mean(axis=0)
    drawn = []
    for points in (features, rows):
        size = np.sqrt(np.mean([point @ point for point in points]))
        drawn.append(np.array([turn.T @ (plane @ point) / size for point in points]))
    inside = features @ plane.T @ plane
    outside = np.sum((features - inside) ** 2) / np.sum(features**2)
    return *drawn, outside


@pytest.mark.parametrize("classes", [3, 4])
def test_the_simplex_is_one_and_stands_upright(classes):
    vertices = upright_simplex(classes)
    wanted = (classes * np.eye(classes) - 1) / (classes - 1)
    np.testing.assert_allclose(vertices @ vertices.T, wanted, atol=1e-14)
    np.testing.assert_allclose(vertices[0], np.eye(classes - 1)[-1], atol=1e-14)


@pytest.mark.parametrize(("frame", "state"), [(0, 0), (-1, -1)])
def test_first_and_last_frames_are_the_literal_transcription(run, frame, state):
    moved = motion(run, frames=9)
    features, rows, outside = literal(run, state)
    np.testing.assert_allclose(moved.features[frame], features, atol=1e-9)
    np.testing.assert_allclose(moved.classifier[frame], rows, atol=1e-9)
    assert moved.outside[frame] == pytest.approx(outside, rel=1e-6, abs=1e-12)
    per_class = run.setup.per_class
    assert moved.means.shape[1] == run.setup.num_classes
    np.testing.assert_allclose(moved.means[frame][1], features[per_class : 2 * per_class].mean(0))
    target = np.repeat(moved.ideal, per_class, axis=0)
    near = np.mean(np.sum((features - target) ** 2, axis=1))
    assert moved.distance[frame] == pytest.approx(np.sqrt(near + outside), rel=1e-6, abs=1e-9)


def test_features_end_on_the_vertices_and_start_far_from_them(run):
    moved = motion(run)
    target = np.repeat(moved.ideal, run.setup.per_class, axis=0)
    gaps = np.linalg.norm(moved.features - target, axis=2).max(axis=1)
    assert gaps[-1] < 0.05 < 0.8 < gaps[0]
    assert moved.distance[-1] < 0.05 < 0.8 < moved.distance[0]
    assert np.abs(moved.classifier[-1] - moved.ideal).max() < 0.05


def test_frames_are_even_in_log_log_time_from_zero_to_the_end(run):
    moved, path = motion(run, frames=30), run
    assert np.ptp(np.diff(moved.clock)) < 1e-12
    assert moved.log_time[0] == -np.inf
    assert moved.log_time[-1] == pytest.approx(path.log_time[-1])
    assert moved.log_inverse_loss[-1] == path.log_inverse_loss[-1]
    assert moved.log_inverse_loss[0] <= path.log_inverse_loss[0]
    np.testing.assert_allclose(clock_of(moved.log_time), moved.clock, rtol=1e-12, atol=1e-15)


def test_the_clock_is_defined_early_and_is_log_log_time_late():
    times = np.array([1e-3, 0.5, 3.0, 1e4])
    np.testing.assert_allclose(clock_of(np.log(times)), np.log(1 + np.log(1 + times)))
    assert clock_of(np.array([1e6]))[0] == pytest.approx(np.log(1e6), rel=1e-6)


def test_what_cannot_be_drawn_is_refused():
    few = flow_ulpm(num_classes=3, per_class=4, dim=5, until=2.0)
    with pytest.raises(ValueError, match=r"3 classes, on a triangle, or 4.* but .* is 5"):
        motion(replace(few, setup=replace(few.setup, counts=(4,) * 5)))
    with pytest.raises(ValueError, match="frames must be at least 2"):
        motion(few, frames=1)
    still = {**few.snapshots}
    still["features"] = np.ones_like(still["features"])
    with pytest.raises(ValueError, match="features coincide at the recorded state 0"):
        motion(replace(few, snapshots=still))
