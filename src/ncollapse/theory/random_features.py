"""Three layers with a random first one: the kernel that decides its rank (hong2025 Theorem 6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncollapse._checks import check_matrix

MEAN_FEATURE = 1.0 / np.sqrt(2.0 * np.pi)
"""E σ(⟨z, x⟩) for ‖x‖ = 1, z ~ N(0, I) and σ the ReLU."""

PRINTED_CONSTANT = np.sqrt(2.0 / np.pi)
"""What hong2025 prints in its place: E|⟨z, x⟩|, twice the mean."""

UNIT_TOLERANCE = 1e-8


def random_feature_kernel(inputs: Any, constant: float = MEAN_FEATURE) -> np.ndarray:
    """H_∞[i, j] = E(σ(⟨z, x_i⟩) − c)(σ(⟨z, x_j⟩) − c) for unit inputs, z ~ N(0, I).

    = (sin φ + (π − φ) cos φ)/(2π) − 2cm + c² with φ the angle and m = 1/√(2π) the mean. With c = m,
    the default, this is the centred kernel; with c = `PRINTED_CONSTANT` = 2m the two last terms
    cancel and it is the uncentred one.

    Parameters
    ----------
    inputs
        ``(N, d)`` rows of norm 1 (to 1e-8).

    Returns
    -------
    array
        ``(N, N)``, symmetric.
    """
    rows = check_matrix("inputs", np.asarray(inputs, dtype=np.float64), columns="dimensions")
    norms = np.linalg.norm(rows, axis=1)
    worst = int(np.argmax(np.abs(norms - 1.0)))
    if abs(norms[worst] - 1.0) > UNIT_TOLERANCE:
        raise ValueError(
            f"inputs must have rows of norm 1, but row {worst} has norm {norms[worst]:.6g}"
        )
    cosine = np.clip(rows @ rows.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    angle = np.arccos(cosine)
    product = (np.sin(angle) + (np.pi - angle) * cosine) / (2.0 * np.pi)
    return product - 2.0 * constant * MEAN_FEATURE + constant**2


def width_bound(inputs: Any, constant: float = MEAN_FEATURE) -> float:
    """‖X‖⁴ N log N / λ_min(H_∞)²: a width of this order is enough (hong2025 Theorem 6).

    The theorem leaves a universal factor open; this is the bound at factor 1. Raises ``ValueError``
    when λ_min is not above rounding: two inputs are parallel, or nearly so.
    """
    kernel = random_feature_kernel(inputs, constant)
    smallest = np.linalg.eigvalsh(kernel)[0]
    count = len(kernel)
    if np.linalg.matrix_rank(kernel) < count:
        raise ValueError(
            "inputs hold parallel rows: the smallest eigenvalue of the kernel is "
            f"{smallest:.3g}, which is zero to rounding"
        )
    return float(np.linalg.norm(inputs, 2) ** 4 * count * np.log(count) / smallest**2)
