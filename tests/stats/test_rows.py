"""The buffer of shifted rows in one array library of each kind, against h − c."""

import numpy as np
import pytest

from ncollapse.stats import _rows
from ncollapse.stats._rows import Rows, RowScalars, default_capacity, row_scalars, scale_exponent

LIBRARIES = pytest.mark.parametrize("xp", ["numpy", "torch", "strict"], indirect=True)


@LIBRARIES
@pytest.mark.parametrize("exponent", [None, 1, -3])
def test_a_buffer_gives_back_the_scaled_differences_of_its_batches(xp, exponent):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((5, 3)).astype(np.float32)
    reference = rng.standard_normal((2, 3)).astype(np.float32)
    labels = np.array([0, 1, 1, 0, 1])
    scale = np.float32(2.0 ** (exponent or 0))
    shifted = features * scale - reference[labels] * scale
    rows = Rows(6, 3, xp.asarray(features))
    rows.exponent = exponent
    for _ in range(2):
        for cut in (slice(0, 2), slice(2, 5)):
            taken, squares, along = rows.shift(
                xp.asarray(features[cut]), xp.asarray(labels[cut]), xp.asarray(reference)
            )
            assert taken.dtype == xp.float32
            plain = (features - reference[labels])[cut].astype(float)
            origin = reference[labels[cut]].astype(float)
            np.testing.assert_allclose(np.asarray(squares), (plain**2).sum(axis=1), rtol=1e-6)
            expected = (plain * origin).sum(axis=1)
            np.testing.assert_allclose(np.asarray(along), expected, rtol=1e-5, atol=1e-6)
            numbers = [xp.asarray(10.0 * i + np.arange(5.0)[cut]) for i in range(4)]
            rows.keep(taken, RowScalars(xp.asarray(labels[cut]), *numbers))
        assert rows.fill == 5
        matrix, scalars = rows.drain()
        np.testing.assert_array_equal(np.asarray(matrix), shifted)
        np.testing.assert_array_equal(np.asarray(scalars.labels), labels)
        np.testing.assert_array_equal(np.asarray(scalars.inverses), 20.0 + np.arange(5.0))
        assert rows.fill == 0


def test_long_batches_are_shifted_a_block_at_a_time(monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK_BYTES", 1)
    rng = np.random.default_rng(1)
    features, reference = rng.standard_normal((40, 3)), rng.standard_normal((2, 3))
    labels = rng.integers(0, 2, 40)
    shifted, squares, along = Rows(40, 3, features).shift(features, labels, reference)
    expected = features - reference[labels]
    np.testing.assert_array_equal(shifted, expected)
    np.testing.assert_allclose(squares, (expected**2).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(along, (expected * reference[labels]).sum(axis=1), rtol=1e-12)


@LIBRARIES
def test_squares_that_overflow_are_left_to_the_caller(xp):
    features = xp.asarray(np.full((1, 2), 3e19, np.float32))
    reference, labels = xp.asarray(np.zeros((1, 2), np.float32)), xp.asarray(np.array([0]))
    _, squares, _ = Rows(1, 2, features).shift(features, labels, reference)
    assert np.isinf(np.asarray(squares)).all()


def test_a_buffer_holds_128_mebibytes_between_1024_and_8192_rows():
    single, double = np.zeros(1, np.float32), np.zeros(1)
    assert [default_capacity(20_000, example) for example in (single, double)] == [1677, 1024]
    assert default_capacity(10_000, double) == 1677
    assert isinstance(default_capacity(10_000, double), int)
    assert (default_capacity(8, single), default_capacity(10**6, single)) == (8192, 1024)


def test_features_are_scaled_where_their_squares_are_no_numbers_of_their_dtype():
    single = [(2.0**19, 0), (2.0**20, -21), (1.0, 0), (0.0, None), (3e38, -126), (1e-45, 126)]
    for size, exponent in [*single, (2.0**-21, 0), (2.0**-22, 21)]:
        features = np.array([[size, 0.0], [0.0, -size / 2]], dtype=np.float32)
        assert scale_exponent(features) == exponent, size
    assert scale_exponent(np.array([[1e60]])) == 0
    with pytest.raises(ValueError, match=r"^reference are of size 1\.0e\+61, whose"):
        scale_exponent(np.array([[1e61]]), "reference")
    with pytest.raises(ValueError, match=r"^features must be finite, but row 0"):
        scale_exponent(np.array([[np.inf]]))
    with pytest.raises(ValueError, match=r"^reference must be finite, but row 1"):
        scale_exponent(np.array([[1.0], [np.nan]]), "reference")


def test_the_numbers_of_a_row_are_their_formulas():
    """h at every angle to c, beside it, and zero, which counts nothing."""
    origin = np.array([2.0, 0.0])
    angles = np.array([0.0, 1e-3, 0.5, 1.5, 2.0, 2.5, np.pi])
    rows = 0.7 * np.column_stack([np.cos(angles), np.sin(angles)])
    rows = np.vstack([rows, [[0.0, 0.0]]])
    shifted, squares = rows - origin, np.full(8, 4.0)
    along = shifted @ origin
    across = ((shifted - np.outer(along / 4.0, origin)) ** 2).sum(axis=1)
    lengths = (rows**2).sum(axis=1)
    numbers = row_scalars((shifted**2).sum(axis=1), along, across, lengths, squares)
    made = RowScalars(np.zeros(8, int), *numbers)
    apart = (shifted[:7] ** 2).sum(axis=1)
    for found, expected in [
        (made.squares, apart),
        (made.cosine_defects, 2.0 * np.sin(angles / 2) ** 2),
        (made.inverses, np.full(7, 1 / 0.7)),
        (made.inverse_changes, np.full(7, 1 / 0.7 - 0.5)),
    ]:
        np.testing.assert_allclose(found[:7], expected, rtol=1e-12, atol=1e-16)
        assert found[7] == 0.0
