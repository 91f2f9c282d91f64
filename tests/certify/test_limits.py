"""The largest class size that can collapse, and random first layers."""

import json

import numpy as np
import pytest

from ncollapse.certify import centre_exactly, certify, collapse_limit, random_layer
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.geometry import unit_rows


@pytest.mark.parametrize("seed", range(3), ids=lambda seed: f"seed={seed}")
def test_the_limit_is_the_one_a_scan_finds(seed):
    data = gaussian_mixture(np.eye(2), [30, 26], 0.8, 24, seed)
    order = np.random.default_rng(seed).permutation(56)
    inputs, labels = data.inputs[order], data.labels[order]
    limit = collapse_limit(inputs, labels)
    scanned = 0
    for size in range(1, 31):
        chosen = np.concatenate([np.flatnonzero(labels == k)[:size] for k in (0, 1)])
        if certify(inputs[chosen], labels[chosen]).verdict == "infeasible":
            break
        scanned = size
    assert limit.size == scanned
    assert limit.next_size == scanned + 1
    assert limit.certificate.verified
    assert limit.obstacle.verified
    assert limit.obstacle.verdict == "infeasible"


def test_no_limit_when_everything_can_collapse():
    data = gaussian_mixture(np.eye(2), [5, 7], 0.5, 20, 0)
    limit = collapse_limit(data.inputs, data.labels)
    assert (limit.size, limit.next_size, limit.obstacle) == (7, None, None)


def test_some_classes_may_reach_further_than_all():
    """Class 1 is a point and its double, which nothing maps to 1 at once."""
    inputs, labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 2.0]]), [0, 1, 0, 1]
    limit = collapse_limit(inputs, labels, classes=[0])
    assert (limit.size, limit.next_size, limit.certificate.covered) == (2, None, (0,))
    assert limit.certificate.verdict == "undecided"
    assert collapse_limit(inputs, labels).size == 1


def test_the_record_of_a_limit_keeps_what_differs_between_runs_apart():
    data = gaussian_mixture(np.eye(2), [30, 26], 0.8, 24, 0)
    first, second = (collapse_limit(data).to_dict() for _ in range(2))
    assert first.pop("volatile").keys() == {"certificate", "obstacle"}
    assert second.pop("volatile")["obstacle"]["seconds"]
    assert json.dumps(first) == json.dumps(second)


def test_one_sample_may_already_be_too_many():
    limit = collapse_limit(np.array([[1.0], [2.0]]), np.array([0, 1]))
    assert (limit.size, limit.next_size, limit.certificate) == (0, 1, None)


def test_the_obstacle_ends_with_the_class_that_fails():
    """Class 2 lies between the others, so only it cannot be mapped to 1 with them below 0."""
    inputs = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    certificate = certify(inputs, [0, 1, 2], stop_at_obstacle=True)
    assert [entry.verdict for entry in certificate.classes] == [
        "feasible",
        "feasible",
        "infeasible",
    ]
    first = certify(inputs, [0, 1, 2], classes=[2, 0, 1], stop_at_obstacle=True)
    assert ([entry.label for entry in first.classes], first.verified) == ([2], True)
    assert len(certify(inputs, [0, 1, 2], classes=[2, 0, 1]).classes) == 3
    limit = collapse_limit(inputs, [0, 1, 2])
    assert (limit.size, limit.next_size) == (0, 1)
    assert limit.obstacle.classes[-1].label == 2


@pytest.mark.parametrize("seed", range(3), ids=lambda seed: f"seed={seed}")
def test_whole_data_are_centred_without_rounding(seed):
    data = np.random.default_rng(seed).integers(0, 256, (37, 5)).astype(float)
    centred = centre_exactly(data)
    assert (centred.sum(axis=0) == 0).all()
    np.testing.assert_array_equal(centred * 64, 37 * data - data.sum(axis=0))
    np.testing.assert_array_equal(centre_exactly(data * 2.0**-900), centred * 2.0**-900)
    for rounded in (data / 255, data * 2.0**-1074, np.vstack([data * 2.0**60, data])):
        with pytest.raises(ValueError, match="multiples of one power of two below"):
            centre_exactly(rounded)
    with pytest.raises(ValueError, match=r"finite matrix \(N, d\)"):
        centre_exactly(data[0])


def test_a_wide_random_layer_has_full_rank_and_a_narrow_one_cannot():
    inputs = unit_rows(np.random.default_rng(0).standard_normal((30, 6)))
    wide = random_layer(inputs, 200, seed=1)
    assert (wide.rank, wide.proven) == (30, True)
    features = np.maximum(
        inputs @ (np.random.default_rng(1).standard_normal((6, 200)) / np.sqrt(200)), 0
    )
    smallest = np.linalg.svd(features, compute_uv=False)[-1]
    assert wide.smallest_singular_value == pytest.approx(smallest, rel=1e-9)
    assert wide.kernel_eigenvalue < wide.kernel_eigenvalue_printed + 1e-12
    assert wide.sufficient_width > 30
    narrow = random_layer(inputs, 20, seed=1)
    assert (narrow.rank, narrow.proven, narrow.smallest_singular_value) == (20, False, 0.0)


def test_positive_multiples_never_separate():
    inputs = np.array([[1.0, 2.0], [2.0, 4.0], [1.0, -1.0]])
    layer = random_layer(inputs, 50, seed=0)
    assert (layer.rank, layer.proven) == (2, False)
    assert layer.kernel_eigenvalue is None
