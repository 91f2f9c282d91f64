"""Simplex-encoded-labels interpolation: the geometry that cross-entropy tends to as λ → 0."""

from __future__ import annotations

import numpy as np

from ncollapse.geometry import centring_matrix
from ncollapse.theory.imbalance.arguments import Counts, check_counts


def seli(counts: Counts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limits of WWᵀ, M̄ᵀM̄ and Z, each of unit Frobenius norm, ``(K, K)``.

    WWᵀ ∝ (CΔC)^½, M̄ᵀM̄ ∝ Δ^−½(Δ^½CΔ^½)^½Δ^−½, Z ∝ C, with Δ = diag(n_k), C = I − 11ᵀ/K
    (Thrampoulidis 2022). No bias, signed features. The optimum at λ approaches it only like
    1/log(1/λ).
    """
    numbers = check_counts(counts)
    centring, root = centring_matrix(len(numbers)), np.sqrt(numbers)
    weight = _square_root((centring * numbers) @ centring)
    means = _square_root(centring * np.outer(root, root)) / np.outer(root, root)
    return _unit(weight), _unit(means), _unit(centring)


def _unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix)


def _square_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
