"""The sentences that a measurement starts with say what the metrics say."""

import numpy as np
import pytest

from ncollapse.geometry import simplex_etf
from ncollapse.metrics import headline, measure


def cloud(means, spread, seed=0, per_class=40):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(means)), per_class)
    noise = rng.standard_normal((len(labels), means.shape[1])) * np.asarray(spread)[labels, None]
    return means[labels] + noise, labels


def test_each_sentence_has_its_number():
    means = 3.0 * simplex_etf(4)
    features, labels = cloud(means, [0.01, 0.01, 0.3, 0.01])
    measured = measure(features, labels, classes=None)
    within, worst, closest, shape = headline(measured)
    share = 100 * np.sqrt(measured.metrics["nc1_quotient"])
    assert f"Samples lie {share:.2g} % as far" in within
    assert worst.startswith("Least collapsed: class 2, ")
    assert "(all pairs -0.333 in a simplex)" in closest
    assert f"nearer to a simplex ({measured.metrics['nc2_etf_means']:.2g})" in shape


def test_classes_are_called_by_their_names_and_the_shape_is_the_nearer_one():
    features, labels = cloud(np.eye(3)[:, [0, 1, 2]] * [1, 1, 4], [0.2] * 3)
    lines = headline(measure(features, np.array(["ant", "bee", "cow"])[labels]))
    assert lines[1].startswith(("Least collapsed: class ant", "Least collapsed: class bee"))
    assert "classes ant and bee" in lines[2]
    features, labels = cloud(np.eye(3), [0.01] * 3)
    assert "nearer to an orthogonal frame" in headline(measure(features, labels))[3]


def test_sentences_without_numbers_are_left_out():
    features = np.random.default_rng(0).standard_normal((20, 3))
    assert headline(measure(features, np.zeros(20, dtype=int), preset=["within_variation"])) == []
    same = np.tile(np.eye(2), (4, 1))
    assert headline(measure(same, np.arange(8) // 4)) == []


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_scale_plays_no_part(factor):
    features, labels = cloud(simplex_etf(3), [0.1, 0.2, 0.3])
    assert headline(measure(factor * features, labels)) == headline(measure(features, labels))
