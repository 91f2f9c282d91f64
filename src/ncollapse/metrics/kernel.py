"""NC1 from a Gram (kernel) matrix, when there are no features: NNGP, NTK, any K[i, j] = ⟨φ_i,
φ_j⟩.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ncollapse._checks import check_labels, check_matrix
from ncollapse.stats import UndefinedMetricError


def kernel_nc1(gram: Any, labels: Any) -> float:
    """Tr Σ_W / Tr Σ_B of features known by their Gram matrix only (Kothapalli and Tirer 2024).

    Tr Σ_W = (1/N)(Σ_i K_ii − Σ_k s_kk/n_k), s_kl = Σ_{i∈k, j∈l} K_ij, and with ⟨μ_k, μ_l⟩ =
    s_kl/(n_k n_l): Tr Σ_B = (1/K) Σ_k ‖μ_k‖² − ‖μ_G‖², the unweighted mean of class means.

    ``gram`` (N, N) symmetric, ``labels`` (N,). Values below about 1e-15 of the kernel's
    diagonal over Tr Σ_B are rounding: a Gram matrix holds no more. Undefined when all class
    means coincide.
    """
    matrix, indices, counts = _checked(gram, labels)
    means = _mean_gram(matrix, indices, counts)
    within = _within_trace(matrix, means, indices, counts)
    between = float(np.trace(means) / len(counts) - means.mean())
    scale = float(np.abs(np.diagonal(matrix)).max())
    if not between > 1e-14 * scale:
        raise UndefinedMetricError("all class means coincide")
    return within / between


def kernel_nc1_pinv(gram: Any, labels: Any) -> float:
    """Tr(Σ_W Σ_B†)/K from a Gram matrix: `nc1_pinv` of the unseen features.

    With B = C_K ⟨μ, μ⟩ C_K = UΛUᵀ and F_ik = ⟨φ_i − μ_{y_i}, μ_k − μ_G⟩ it is
    Σ_m (1/N) Σ_i (F u_m)_i² / λ_m².
    """
    matrix, indices, counts = _checked(gram, labels)
    means = _mean_gram(matrix, indices, counts)
    centred = means - means.mean(axis=0)
    centred = centred - centred.mean(axis=1, keepdims=True)
    columns = _class_columns(matrix, indices, counts)
    apart = columns - means[indices]
    apart = apart - apart.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(centred)
    kept = values > 1e-13 * len(counts) * max(values.max(), 0.0)
    if (
        len(counts) < 2
        or not kept.any()
        or values.max() <= 1e-14 * np.abs(np.diagonal(matrix)).max()
    ):
        raise UndefinedMetricError("all class means coincide")
    projected = apart @ vectors[:, kept]
    return float(np.sum((projected**2).mean(axis=0) / values[kept] ** 2))


def _checked(gram: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = np.asarray(gram, dtype=np.float64)
    check_matrix("gram", matrix, columns="samples")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"gram must be square, but its shape is {matrix.shape}")
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-9 * np.abs(matrix).max()):
        raise ValueError("gram must be symmetric")
    vector = check_labels("labels", np.asarray(labels), matrix.shape[0])
    _, indices, counts = np.unique(vector, return_inverse=True, return_counts=True)
    return matrix, indices, counts


def _class_columns(matrix: np.ndarray, indices: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """⟨φ_i, μ_k⟩ ``(N, K)``."""
    hot = np.zeros((len(indices), len(counts)))
    hot[np.arange(len(indices)), indices] = 1 / counts[indices]
    return matrix @ hot


def _mean_gram(matrix: np.ndarray, indices: np.ndarray, counts: np.ndarray) -> np.ndarray:
    columns = _class_columns(matrix, indices, counts)
    return _class_columns(columns.T, indices, counts)


def _within_trace(
    matrix: np.ndarray, means: np.ndarray, indices: np.ndarray, counts: np.ndarray
) -> float:
    total = np.trace(matrix) - float(np.sum(counts * np.diagonal(means)))
    return max(float(total), 0.0) / len(indices)
