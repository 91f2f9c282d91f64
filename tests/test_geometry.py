"""Simplex frames, orthogonal frames, norms and angles."""

import numpy as np
import pytest

from ncollapse.geometry import (
    centring_matrix,
    cosines,
    orthogonal_frame,
    row_norms,
    simplex_etf,
    unit_pair,
    unit_rows,
)


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize(("classes", "dim"), [(2, 1), (2, 5), (3, 2), (4, 4), (6, 20)])
def test_simplex_etf_has_equal_norms_and_angles_and_no_mean(classes, dim, seed):
    frame = simplex_etf(classes, dim, seed=seed)
    expected = np.full((classes, classes), -1 / (classes - 1))
    np.fill_diagonal(expected, 1.0)
    assert frame.shape == (classes, dim)
    np.testing.assert_allclose(frame @ frame.T, expected, atol=1e-14)
    np.testing.assert_allclose(frame.sum(axis=0), 0.0, atol=1e-14)


def test_simplex_etf_needs_one_dimension_less_than_classes():
    with pytest.raises(ValueError, match=r"dim must be at least num_classes - 1 = 3"):
        simplex_etf(4, 2)
    with pytest.raises(ValueError, match="at least 2"):
        simplex_etf(1)


def test_orthogonal_frame_is_orthonormal_and_seeded():
    frame = orthogonal_frame(3, 5, seed=1)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-14)
    np.testing.assert_array_equal(frame, orthogonal_frame(3, 5, seed=1))
    with pytest.raises(ValueError, match="dim >= 6"):
        orthogonal_frame(6, 5)


def test_a_pair_has_its_angle():
    for angle in (0.0, 0.5, np.pi / 2, 3.0):
        first, second = unit_pair(angle)
        assert first.tolist() == [1.0, 0.0]
        assert np.linalg.norm(second) == pytest.approx(1.0)
        assert first @ second == pytest.approx(np.cos(angle))
        assert np.cross(np.append(first, 0), np.append(second, 0))[2] >= 0


def test_centring_matrix_projects_off_the_constant():
    matrix = centring_matrix(5)
    np.testing.assert_allclose(matrix @ np.ones(5), 0.0, atol=1e-15)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-15)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_norms_survive_squares_that_overflow_or_vanish(scale):
    vectors = scale * np.array([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(row_norms(vectors), [5 * scale, 0.0])


def test_directions_of_zero_are_refused():
    with pytest.raises(ValueError, match="row 1 is the zero vector"):
        unit_rows(np.array([[1.0, 0.0], [0.0, 0.0]]))


def test_cosines_of_known_angles():
    left = np.array([[1.0, 0.0], [1.0, 0.0]])
    right = np.array([[1.0, 1.0], [-2.0, 0.0]])
    np.testing.assert_allclose(cosines(left, right), [np.sqrt(0.5), -1.0])
