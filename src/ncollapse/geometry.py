"""The shapes that collapse ends in: centring, the simplex ETF, orthogonal frames, angles.

Rows are the vectors throughout: a frame of K vectors in R^D is a ``(K, D)`` array.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ncollapse._checks import Array


def centring_matrix(num_classes: int) -> np.ndarray:
    """C_K = I − 11ᵀ/K, ``(K, K)``: the projection off the constant vector (hong2025 (1.2))."""
    _check_count("num_classes", num_classes)
    return np.eye(num_classes) - 1.0 / num_classes


def simplex_etf(num_classes: int, dim: int | None = None, *, seed: int | None = None) -> np.ndarray:
    """Simplex equiangular tight frame: K unit vectors with pairwise cosines −1/(K−1).

    M = √(K/(K−1)) C_K Qᵀ with Q a partial orthogonal ``(D, K)`` matrix: the first K coordinates
    without a ``seed``, uniformly random with one (ji2022 (2.2), corrected). Only K − 1 dimensions
    are needed, so D ≥ K − 1 is accepted.

    Returns
    -------
    array
        ``(K, D)``, unit rows; D is K unless ``dim`` says otherwise.

    Raises
    ------
    ValueError
        K < 2, or D < K − 1 (K vectors with equal angles span K − 1 dimensions).

    Examples
    --------
    >>> simplex_etf(3) @ simplex_etf(3)[0]
    array([ 1. , -0.5, -0.5])
    """
    _check_count("num_classes", num_classes, least=2)
    dim = num_classes if dim is None else dim
    if dim < num_classes - 1:
        raise ValueError(
            f"dim must be at least num_classes - 1 = {num_classes - 1} "
            f"(a simplex of {num_classes} points spans that many dimensions), but it is {dim}"
        )
    centred = np.sqrt(num_classes / (num_classes - 1)) * centring_matrix(num_classes)
    if dim >= num_classes:
        return centred @ orthogonal_frame(num_classes, dim, seed=seed)
    left, singular, _ = np.linalg.svd(centred)
    coordinates = left[:, :dim] * singular[:dim]
    return coordinates @ orthogonal_frame(dim, dim, seed=seed)


def orthogonal_frame(count: int, dim: int, *, seed: int | None = None) -> np.ndarray:
    """``count`` orthonormal rows in R^dim: coordinate axes, or uniformly random with a ``seed``.

    Raises ``ValueError`` when ``count`` exceeds ``dim``.
    """
    _check_count("count", count)
    if count > dim:
        raise ValueError(f"{count} orthonormal vectors need dim >= {count}, but dim is {dim}")
    if seed is None:
        return np.eye(count, dim)
    gaussian = np.random.default_rng(seed).standard_normal((dim, count))
    basis, triangle = np.linalg.qr(gaussian)
    return (basis * np.sign(np.diag(triangle))).T


def unit_pair(angle: float) -> np.ndarray:
    """Two unit vectors of the plane, ``(2, 2)``: e_1, and the one at ``angle`` from it (radians)."""
    return np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])


def row_norms(vectors: Array) -> Array:
    """Euclidean norm of each row, safe from overflow and underflow of the squares."""
    xp = array_namespace(vectors)
    largest = xp.max(xp.abs(vectors), axis=-1)
    scale = xp.where(largest > 0, largest, xp.ones_like(largest))
    return scale * xp.sqrt(xp.sum((vectors / scale[..., None]) ** 2, axis=-1))


def unit_rows(vectors: Array) -> Array:
    """Each row divided by its norm. A zero row has no direction and raises ``ValueError``."""
    xp = array_namespace(vectors)
    norms = row_norms(vectors)
    if bool(xp.any(norms == 0)):
        row = int(xp.argmin(norms))
        raise ValueError(f"row {row} is the zero vector, which has no direction")
    return vectors / norms[..., None]


def cosines(left: Array, right: Array) -> Array:
    """Cosine of the angle between matching rows of ``left`` and ``right``."""
    xp = array_namespace(left, right)
    return xp.sum(unit_rows(left) * unit_rows(right), axis=-1)


def _check_count(name: str, value: int, *, least: int = 1) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, but it is {value}")
