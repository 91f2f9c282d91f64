"""Three layers with a fixed random first one: features and Gram matrices in place of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncollapse._checks import check_matrix, check_positive
from ncollapse.data import Dataset


def random_layer_features(data: Dataset, width: int, *, variance: float, seed: int) -> Dataset:
    """Φ = σ(XV), V ``(d, d₁)`` with entries N(0, variance), as inputs of the two trained layers.

    hong2025 (2.5) is `TwoLayer.on` of this. The paper draws from "N(0, 1/√d₁)" in §3.3 and from
    N(0, 1/d₁) in Theorem 6: ΦΦᵀ is √d₁ times larger where the first is read as a variance.

    Raises
    ------
    ValueError
        ``width`` below 1, a variance that is not positive.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1, but it is {width}")
    deviation = np.sqrt(check_positive("variance", variance))
    shape = data.inputs.shape[1], width
    weights = deviation * np.random.default_rng(seed).standard_normal(shape)
    features = np.maximum(data.inputs @ weights, 0.0)
    return Dataset(features, data.labels, data.classes, f"{data.name}, random layer")


def arc_cosine_gram(inputs: Any) -> np.ndarray:
    """E σ(⟨z, x_i⟩) σ(⟨z, x_j⟩) = ‖x_i‖‖x_j‖ (sin φ + (π − φ) cos φ)/(2π), z ~ N(0, I), φ the angle.

    The limit of ΦΦᵀ of `random_layer_features` at variance 1/d₁ as d₁ → ∞.

    Parameters
    ----------
    inputs
        ``(N, d)``; a zero row has zero features.

    Returns
    -------
    array
        ``(N, N)``, symmetric.
    """
    rows = check_matrix("inputs", np.asarray(inputs, dtype=np.float64), columns="dimensions")
    norms = np.linalg.norm(rows, axis=1)
    units = rows / np.where(norms > 0, norms, 1.0)[:, None]
    cosine = np.clip(units @ units.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    angle = np.arccos(cosine)
    shape = (np.sin(angle) + (np.pi - angle) * cosine) / (2.0 * np.pi)
    return np.outer(norms, norms) * shape
