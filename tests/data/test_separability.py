"""Orthogonal separability against its definition, and the largest subset against all subsets."""

import itertools

import numpy as np
import pytest

from ncollapse.certify import certify
from ncollapse.data import (
    Dataset,
    is_orthogonally_separable,
    largest_separable_subset,
    load_images,
    orthogonal_separability,
    orthogonally_separable,
)


def literal_violations(inputs, labels):
    """Whether each pair i < j has the wrong sign, in exact arithmetic."""
    wrong = {}
    for i, j in itertools.combinations(range(len(labels)), 2):
        product = sum(int(a) * int(b) for a, b in zip(inputs[i], inputs[j], strict=True))
        wrong[i, j] = product <= 0 if labels[i] == labels[j] else product >= 0
    return wrong


@pytest.mark.parametrize("seed", range(5), ids=lambda seed: f"seed={seed}")
def test_separability_counts_what_the_definition_counts(seed):
    generator = np.random.default_rng(seed)
    inputs, labels = generator.integers(-3, 4, (12, 3)), np.arange(12) % 3
    inputs[seed] = 0
    measured = orthogonal_separability(Dataset.from_arrays(inputs, labels))
    wrong = literal_violations(inputs, labels)
    assert measured.violating_share == pytest.approx(np.mean(list(wrong.values())))
    for k in range(3):
        touching = [bad for pair, bad in wrong.items() if k in labels[list(pair)]]
        assert measured.violating_share_per_class[k] == pytest.approx(np.mean(touching))
    products = {pair: inputs[pair[0]] @ inputs[pair[1]] for pair in wrong}
    same = {pair: labels[pair[0]] == labels[pair[1]] for pair in wrong}
    assert measured.smallest_within == min(p for pair, p in products.items() if same[pair])
    assert measured.largest_across == max(p for pair, p in products.items() if not same[pair])
    norms = np.linalg.norm(inputs, axis=1)
    norms[norms == 0] = 1.0
    cosines = {(i, j): p / norms[i] / norms[j] for (i, j), p in products.items()}
    assert measured.smallest_within_cosine == pytest.approx(
        min(c for pair, c in cosines.items() if same[pair])
    )
    assert measured.largest_across_cosine == pytest.approx(
        max(c for pair, c in cosines.items() if not same[pair])
    )
    assert not measured.separable


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_generated_data_are_separable_with_their_scales(classes):
    scales = np.linspace(1, 3, classes)
    data = orthogonally_separable(classes, 8, 20, seed=3, scales=scales, noise=0.9)
    measured = orthogonal_separability(data)
    assert measured.separable
    assert measured.violating_share == 0.0
    assert measured.smallest_within > 0 > measured.largest_across
    norms = [np.linalg.norm(data.of_class(k), axis=1).mean() for k in range(classes)]
    np.testing.assert_allclose(np.array(norms) / norms[0], scales, rtol=0.2)


@pytest.mark.parametrize("factor", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_one_answer_for_rows_of_any_size(factor, turn):
    inputs = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.0], [-turn, 0.1]])
    inputs[::2] *= factor
    data = Dataset.from_arrays(inputs, np.array([0, 0, 1, 1]))
    expected = turn > 0
    assert orthogonal_separability(data).separable == expected
    assert is_orthogonally_separable(data) == expected
    assert certify(data.inputs, data.labels).orthogonally_separable == expected


def test_a_zero_vector_violates_every_pair():
    data = Dataset.from_arrays(np.array([[1.0], [0.0], [2.0]]), np.array([0, 1, 0]))
    measured = orthogonal_separability(data)
    assert not measured.separable
    assert not is_orthogonally_separable(data)
    assert measured.violating_share == pytest.approx(2 / 3)
    assert measured.largest_across_cosine == 0.0


def test_separability_as_json():
    data = orthogonally_separable(2, 1, 3, seed=0)
    fields = orthogonal_separability(data).to_dict()
    assert fields["smallest_within"] == np.inf
    assert fields["violating_share_per_class"] == [0.0, 0.0]


def largest_of_all_subsets(inputs, labels):
    wrong = literal_violations(inputs, labels)
    rows = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    for size in range(min(map(len, rows)), 0, -1):
        for parts in itertools.product(*(itertools.combinations(own, size) for own in rows)):
            if not any(wrong[pair] for pair in itertools.combinations(sorted(sum(parts, ())), 2)):
                return size
    return 0


@pytest.mark.parametrize("seed", range(40), ids=lambda seed: f"seed={seed}")
def test_the_largest_subset_is_that_of_all_subsets(seed):
    generator = np.random.default_rng(seed)
    num_classes = 2 + seed % 2
    labels = np.repeat(np.arange(num_classes), 12 // num_classes)
    inputs = generator.integers(-4, 5, (12, 2 + seed % 3))
    inputs[:, :num_classes] += (
        2 * np.eye(num_classes, min(num_classes, inputs.shape[1]), dtype=int)[labels]
    )
    inputs -= (seed % 5) // 3
    subset = largest_separable_subset(inputs, labels + 5, exchanges=300)
    best = largest_of_all_subsets(inputs, labels)
    assert subset.per_class == best <= subset.upper_bound
    kept = labels[subset.indices]
    assert np.bincount(kept, minlength=num_classes).tolist() == [best] * num_classes
    assert not any(literal_violations(inputs[subset.indices], kept).values())
    assert subset.to_dict()["indices"] == sorted(subset.indices.tolist())


def test_digits_that_are_orthogonally_separable():
    data = load_images([0, 1, 2])
    centre = np.mean([data.of_class(k).mean(axis=0) for k in range(3)], axis=0)
    inputs = data.inputs - centre
    subset = largest_separable_subset(inputs, data.labels, exchanges=300)
    assert 72 <= subset.per_class <= subset.upper_bound < 500
    kept = Dataset.from_arrays(inputs[subset.indices], data.labels[subset.indices])
    assert kept.counts.tolist() == [subset.per_class] * 3
    assert orthogonal_separability(kept).separable


def test_separable_data_are_kept_whole_and_bad_arguments_refused():
    data = orthogonally_separable(3, 4, 6, seed=1)
    subset = largest_separable_subset(data.inputs, data.labels)
    assert subset.indices.tolist() == list(range(12))
    assert subset.per_class == subset.upper_bound == 4
    with pytest.raises(ValueError, match="exchanges must be at least 0"):
        largest_separable_subset(data.inputs, data.labels, exchanges=-1)
