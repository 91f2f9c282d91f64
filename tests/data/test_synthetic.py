"""Gaussian mixtures: shapes, moments, nesting and refused arguments."""

import numpy as np
import pytest

from ncollapse.data.synthetic import gaussian_mixture

MEANS = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]])


def test_rows_are_grouped_by_class_and_sizes_may_differ():
    data = gaussian_mixture(MEANS, [3, 1, 2], 0.5, 7, seed=0)
    assert data.inputs.shape == (6, 7)
    assert data.labels.tolist() == [0, 0, 0, 1, 2, 2]
    assert data.inputs.flags.c_contiguous


def test_without_noise_every_sample_is_its_embedded_mean():
    data = gaussian_mixture(MEANS, 2, 0.0, 4, seed=0)
    assert np.array_equal(data.inputs[:, :2], np.repeat(MEANS, 2, axis=0))
    assert not data.inputs[:, 2:].any()


@pytest.mark.parametrize("seed", [1, 2], ids=lambda seed: f"seed={seed}")
def test_moments(seed):
    data = gaussian_mixture(MEANS, 4000, 0.3, 5, seed=seed)
    embedded = np.pad(MEANS, ((0, 0), (0, 3)))
    noise = data.inputs - embedded[data.labels]
    # Five standard errors of a mean and of a variance over 4000 and 60,000 draws.
    for k in range(3):
        assert np.abs(noise[data.labels == k].mean(axis=0)).max() < 5 * 0.3 / np.sqrt(4000)
    assert abs(noise.var() / 0.09 - 1) < 5 * np.sqrt(2 / noise.size)


def test_a_wider_draw_begins_with_the_narrow_one():
    wide = gaussian_mixture(MEANS, 5, 1.0, 40, seed=3)
    narrow = gaussian_mixture(MEANS, 5, 1.0, 11, seed=3)
    assert np.array_equal(wide.inputs[:, :11], narrow.inputs)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (dict(means=[1.0, 2.0]), ValueError, r"means .* \(2,\)"),
        (dict(means=[[np.nan, 0.0], [0.0, 1.0]]), ValueError, "means must be finite"),
        (dict(counts=[1, 2]), ValueError, r"counts .* \(2,\)"),
        (dict(counts=0), ValueError, "counts must be at least 1"),
        (dict(counts=2.5), TypeError, "counts must be integers"),
        (dict(sigma=-1.0), ValueError, "sigma"),
        (dict(sigma=np.nan), ValueError, "sigma"),
        (dict(dim=1), ValueError, "dim must be at least 2"),
    ],
)
def test_refused_arguments(arguments, error, words):
    usual = dict(means=MEANS, counts=2, sigma=1.0, dim=3, seed=0)
    with pytest.raises(error, match=words):
        gaussian_mixture(**(usual | arguments))
