"""A data set seen in several ways: each view is the certificate of the changed inputs."""

import numpy as np
import pytest

from ncollapse.certify import FEASIBLE, INFEASIBLE, certify, collapse_limit, survey
from ncollapse.data import orthogonally_separable


def noise(seed, per_class=6, dim=4, classes=2):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((per_class * classes, dim)), np.arange(per_class * classes) % classes


@pytest.mark.parametrize("seed", range(3))
def test_views_are_certificates_of_the_changed_inputs(seed):
    inputs, labels = noise(seed)
    expected = {
        "raw": inputs,
        "centred": inputs - inputs.mean(axis=0),
        "with a bias": np.column_stack([inputs, np.ones(len(inputs))]),
    }
    for view in survey(inputs, labels).views:
        assert view.certificate.verdict == certify(expected[view.name], labels).verdict, seed
        assert view.limit.certificate.verified, seed
        if view.limit.obstacle is not None:
            assert view.limit.obstacle.verified, seed


def test_the_limit_is_that_of_the_same_order():
    inputs, labels = noise(5, per_class=9)
    raw = survey(inputs, labels, seed=3).views[0]
    order = np.random.default_rng(3).permutation(len(inputs))
    sizes = {n: _verdict(inputs[order], labels[order], n) for n in range(1, 10)}
    assert raw.limit.size == max(n for n, verdict in sizes.items() if verdict == FEASIBLE)
    assert raw.limit.next_size == min(n for n, verdict in sizes.items() if verdict == INFEASIBLE)


def _verdict(inputs, labels, size):
    kept = np.concatenate([np.flatnonzero(labels == k)[:size] for k in range(2)])
    return certify(inputs[kept], labels[kept]).verdict


def test_no_size_above_the_largest_is_asked_about():
    inputs, labels = noise(0, per_class=12, dim=6)
    whole = collapse_limit(inputs, labels)
    assert 2 < whole.size < 12
    part = collapse_limit(inputs, labels, largest=2)
    assert (part.size, part.next_size, part.obstacle) == (2, None, None)
    assert collapse_limit(inputs, labels, largest=12).size == whole.size
    with pytest.raises(ValueError, match="largest must be at least 1, but it is 0"):
        collapse_limit(inputs, labels, largest=0)


def test_words_for_data_that_can_collapse():
    found = survey(orthogonally_separable(3, 4, 6, seed=0))
    assert found.feasible
    assert found.views[0].limit is None
    assert "collapse on all 12 samples at their optimum (proven)" in found.sentences()[0]
    assert "to_optimum" not in found.advice()[0]
    assert "method optimum" in found.advice()[0]


def test_words_for_data_that_cannot():
    inputs, labels = noise(1, per_class=7, dim=3)
    found = survey(inputs, labels)
    assert not found.feasible
    assert "class 0 has 7 samples in 3 dimensions" in found.sentences()[0]
    best = max(view.limit.size for view in found.views)
    assert f"at most {best} sample" in found.advice()[0]
    assert "behind a random first layer" in found.sentences()[-1]
    record = found.to_dict()
    assert record["views"][0]["verdict"] == INFEASIBLE
    assert record["counts"] == {"0": 7, "1": 7}


def test_the_number_of_samples_is_the_reason_only_where_it_is():
    inputs = np.array([[1.0, 2.0], [5.0, 1.0], [3.0, 4.0], [0.0, 2.0]])
    said = survey(inputs, np.array([0, 0, 1, 1])).sentences()[0]
    assert "samples in 2 dimensions" not in said
    assert "leaves one of another class above 0" in said


def test_equal_samples_of_two_classes_stop_every_network():
    inputs, labels = noise(2)
    inputs[3] = inputs[0]
    found = survey(inputs, np.array(["a", "b"])[labels])
    assert found.twins == (0, 3)
    assert found.sentences()[-1].startswith("Samples 0 (class a) and 3 (class b) are equal")
    inputs[3], inputs[2] = inputs[5] + 1, inputs[0]
    assert survey(inputs, labels).twins is None


def test_progress_comes_in_order():
    steps = []
    inputs, labels = noise(0)
    survey(inputs, labels, progress=lambda *step: steps.append(step))
    assert [step[1:] for step in steps] == [(0, 4), (1, 4), (2, 4), (3, 4)]
