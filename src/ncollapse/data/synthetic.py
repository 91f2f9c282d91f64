"""Synthetic data whose geometry is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncollapse._checks import check_finite
from ncollapse.data._dataset import Dataset
from ncollapse.data.separability import is_orthogonally_separable
from ncollapse.geometry import simplex_etf


def gaussian_mixture(
    means: Any, counts: Any, sigma: float, dim: int, seed: int | np.random.Generator
) -> Dataset:
    """Draw x = μ_k + σz with z ~ N(0, I_d), n_k samples of each class (hong2025 (2.15)).

    Parameters
    ----------
    means
        ``(K, r)`` class means; they occupy the first r coordinates and are zero in the others.
    counts
        One class size for all, or ``(K,)`` class sizes.
    sigma
        Standard deviation of the noise, at least 0.
    dim
        Input dimension d, at least r.
    seed
        A seed or a generator. Draws are nested in ``dim``: with the same seed and counts, the first
        d columns of a wider draw are the draw of dimension d.

    Returns
    -------
    Dataset
        The samples of class 0 first, then class 1, and so on.
    """
    centres = np.asarray(means, dtype=np.float64)
    if centres.ndim != 2 or 0 in centres.shape:
        raise ValueError(f"means must be a matrix (K, r), but its shape is {centres.shape}")
    check_finite("means", centres)
    sizes = class_sizes(counts, len(centres))
    if not 0.0 <= float(sigma) < np.inf:
        raise ValueError(f"sigma must be finite and at least 0, but it is {sigma!r}")
    if dim < centres.shape[1]:
        raise ValueError(
            f"dim must be at least {centres.shape[1]}, the columns of means, but it is {dim}"
        )
    labels = np.repeat(np.arange(len(sizes)), sizes)
    noise = np.random.default_rng(seed).standard_normal((dim, len(labels)))
    inputs = np.multiply(noise.T, float(sigma), order="C")
    inputs[:, : centres.shape[1]] += centres[labels]
    return Dataset.from_arrays(inputs, labels, name="gaussian mixture")


def class_sizes(counts: Any, num_classes: int) -> np.ndarray:
    """``counts`` as ``(K,)`` positive integers: one number is repeated for every class."""
    sizes = np.asarray(counts)
    if sizes.dtype.kind not in "iu":
        raise TypeError(f"counts must be integers, but its dtype is {sizes.dtype}")
    if sizes.ndim == 0:
        sizes = np.full(num_classes, sizes)
    if sizes.shape != (num_classes,):
        raise ValueError(
            f"counts must be one integer or one for each of {num_classes} classes, "
            f"but its shape is {sizes.shape}"
        )
    if sizes.min() < 1:
        raise ValueError(f"counts must be at least 1, but they are {sizes.tolist()}")
    return sizes


def orthogonally_separable(
    num_classes: int,
    per_class: int,
    dim: int,
    seed: int | np.random.Generator,
    *,
    scales: Any = 1.0,
    noise: float = 0.5,
) -> Dataset:
    """Draw data with ⟨x_i, x_j⟩ > 0 within a class and < 0 across classes (min2025).

    x = c_k (m_k + τ z), with m_k the vectors of a randomly turned simplex ETF, whose inner products
    are −1/(K−1), and z ~ N(0, I_d/d). τ is ``noise`` times the largest value that keeps every inner
    product on the right side, found by bisection.

    Parameters
    ----------
    num_classes, per_class, dim
        K ≥ 2, n ≥ 1 and d ≥ K − 1.
    seed
        A seed or a generator.
    scales
        c_k, one number or ``(K,)`` positive numbers.
    noise
        Share of the admissible noise, 0 ≤ noise < 1.
    """
    factors = np.broadcast_to(np.asarray(scales, dtype=np.float64), (num_classes,))
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        raise ValueError(f"scales must be positive and finite, but they are {factors.tolist()}")
    if not 0.0 <= noise < 1.0:
        raise ValueError(f"noise must lie in [0, 1), but it is {noise!r}")
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, but it is {per_class}")
    generator = np.random.default_rng(seed)
    rotation = int(generator.integers(2**31))
    labels = np.repeat(np.arange(num_classes), per_class)
    centres = simplex_etf(num_classes, dim, seed=rotation)[labels]
    deviations = generator.standard_normal((len(labels), dim)) / np.sqrt(dim)
    level = noise * _largest_noise(centres, deviations, labels)
    inputs = factors[labels, None] * (centres + level * deviations)
    return Dataset.from_arrays(inputs, labels, name="orthogonally separable")


def _largest_noise(centres: np.ndarray, deviations: np.ndarray, labels: np.ndarray) -> float:
    """A noise level up to which, in steps of a bisection, all inner products keep their sign."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        data = Dataset.from_arrays(centres + middle * deviations, labels)
        low, high = (middle, high) if is_orthogonally_separable(data) else (low, middle)
    return low
