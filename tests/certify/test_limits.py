"""The largest class size that can collapse, and random first layers."""

import numpy as np
import pytest

from ncollapse.certify import certify, collapse_limit, random_layer
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


def test_one_sample_may_already_be_too_many():
    limit = collapse_limit(np.array([[1.0], [2.0]]), np.array([0, 1]))
    assert (limit.size, limit.next_size, limit.certificate) == (0, 1, None)


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
