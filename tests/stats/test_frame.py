"""Rows of a frame and all their pairs, against the literal differences."""

import numpy as np
import pytest

from ncollapse.stats import _frame
from ncollapse.stats._frame import Frame, UndefinedMetricError


def frame(rows, **options):
    return Frame(rows, None, "means", tuple(range(len(rows))), **options)


@pytest.mark.parametrize("tile", [5, 512])
@pytest.mark.parametrize("close", [8, 20])
def test_close_pairs_keep_their_digits_however_many_they_are(close, tile, monkeypatch):
    """One by one where they are few, whole rows of differences where they are many."""
    monkeypatch.setattr(_frame, "TILE", tile)
    rng = np.random.default_rng(close)
    rows = rng.standard_normal((24, 3))
    rows[:close] = rows[0] + 1e-6 * rng.standard_normal((close, 3))
    rows *= 1e3
    literal = ((rows[:, None, :] - rows[None, :, :]) ** 2).sum(axis=2)
    found, pairs = np.zeros((24, 24)), np.zeros((24, 24))
    for squares, mask, left, right in frame(rows).squared_distances():
        found[left, right] += squares
        pairs[left, right] += mask
    np.testing.assert_array_equal(pairs, np.triu(np.ones((24, 24)), k=1))
    upper = np.triu_indices(24, k=1)
    np.testing.assert_allclose(found[upper], literal[upper], rtol=1e-9)
    norms = np.linalg.norm(rows, axis=1)
    units = rows / norms[:, None]
    distances = np.linalg.norm(units[:, None, :] - units[None, :, :], axis=2)[upper]
    statistics = frame(rows).distances
    assert statistics.distance_mean == pytest.approx(distances.mean(), rel=1e-9)
    assert statistics.distance_std == pytest.approx(distances.std(), rel=1e-7)
    assert statistics.log_mean == pytest.approx(-np.log(distances).mean(), rel=1e-7)
    assert statistics.log_std == pytest.approx(np.log(distances).std(), rel=1e-7)


def test_rows_on_a_line():
    statistics = frame(np.array([[2.0], [-3.0]])).distances
    assert (statistics.distance_mean, statistics.distance_std) == (2.0, 0.0)


def test_every_row_is_scaled_and_centred():
    rows = np.arange(12.0).reshape(4, 3)
    offset, scale = np.array([1.0, 0.0, -2.0]), np.array([1.0, 2.0, -1.0, 0.5])
    made = Frame(rows, offset, "means", (0, 1, 2, 3), scale)
    np.testing.assert_array_equal(made.all(), (rows - offset) * scale[:, None])


def test_what_has_no_direction_is_named():
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    with pytest.raises(UndefinedMetricError, match="means: the one of class index 5 is zero"):
        Frame(rows, None, "means", (3, 5, 8)).require_directions()
    with pytest.raises(UndefinedMetricError, match="means are all zero"):
        frame(0 * rows).require_nonzero()
    with pytest.raises(UndefinedMetricError, match=r"at least 4 classes .* but there are 3"):
        frame(rows).require_classes(4)
    frame(rows).require_classes(3)
