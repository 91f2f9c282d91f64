"""The imbalance curve: its predictions, and its threshold against the closed form."""

import numpy as np
import pytest

from ncollapse.theory.curve import imbalance_curve
from ncollapse.theory.imbalance import collapse_threshold
from ncollapse.theory.predict import predict

COUNTS = (500, 300, 20, 20)


@pytest.mark.parametrize("features", ["signed", "nonnegative"])
def test_the_threshold_is_that_of_the_closed_form(features):
    options = {"weight_decay": 6e-3, "feature_decay": 4e-3, "features": features}
    level = np.sqrt(6e-3 * 4e-3)
    curve = imbalance_curve(COUNTS, points=8, **options)
    lost = [
        size
        for size in range(1, 500)
        if level >= collapse_threshold((500, 300, size, size), features=features)[2]
    ]
    assert curve.smallest == (2, 3)
    assert curve.threshold == max(lost)
    assert 1 < curve.threshold < 500


def test_its_points_are_predictions_and_hold_the_counts_themselves():
    options = {"weight_decay": 1e-3, "feature_decay": 1e-3}
    curve = imbalance_curve(COUNTS, points=6, **options)
    assert list(curve.sizes) == sorted(curve.sizes, reverse=True)
    assert {500, 20, 1} <= set(curve.sizes.tolist())
    here = curve.sizes.tolist().index(20)
    np.testing.assert_allclose(curve.margins[here], predict(COUNTS, **options).margins, rtol=1e-12)
    assert curve.margins.shape == (len(curve.sizes), 4)


def test_one_small_class_alone_never_merges():
    curve = imbalance_curve((500, 300, 20), points=5, weight_decay=1e-3, feature_decay=1e-3)
    assert curve.threshold is None
