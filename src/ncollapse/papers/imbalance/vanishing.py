"""How slowly the optimum of the convex program tends to SELI as the decay vanishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.geometry import centring_matrix
from ncollapse.theory.imbalance import seli
from ncollapse.theory.predict import predict

SMALL = 1e-6
"""Step of the derivative of unit matrices at SELI."""


@dataclass(frozen=True, eq=False)
class Approach:
    """One tuple of ``counts``: unit matrices of W, means and logits at the optimum against SELI.

    ``distances (Λ, 3)`` for each decay; ``constants (3,)`` the c of distance ~ c/log(1/λ), derived.
    """

    counts: tuple[int, ...]
    decays: np.ndarray
    distances: np.ndarray
    constants: np.ndarray

    @property
    def scaled(self) -> np.ndarray:
        """Distance times log(1/λ) over its limit c, ``(Λ, 3)``."""
        return self.distances * np.log(1.0 / self.decays)[:, None] / self.constants

    @property
    def limits(self) -> np.ndarray:
        """What `scaled` tends to: its intercept in 1/log(1/λ) over the smaller decays, ``(3,)``."""
        half = len(self.decays) // 2
        steps = 1.0 / np.log(1.0 / self.decays[half:])
        return np.polyfit(steps, self.scaled[half:], 1)[1]

    def to_dict(self) -> dict[str, Any]:
        return {
            "counts": list(self.counts),
            "decays": self.decays.tolist(),
            "distances": self.distances.tolist(),
            "constants": self.constants.tolist(),
            "limits": self.limits.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Vanishing:
    """All tuples of counts."""

    approaches: tuple[Approach, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"approaches": [one.to_dict() for one in self.approaches]}


def compute(counts: tuple[tuple[int, ...], ...], decays: tuple[float, ...]) -> Vanishing:
    """The program at λ_W = λ_H = λ for each λ of ``decays``, falling."""
    return Vanishing(tuple(_approach(sizes, np.array(decays)) for sizes in counts))


def _approach(counts: tuple[int, ...], decays: np.ndarray) -> Approach:
    limit, rows = seli(counts), []
    for decay in decays.tolist():
        found = predict(counts, weight_decay=decay, feature_decay=decay)
        parts = found.weight_gram, found.means_gram, found.logits
        rows.append(_distances(parts, limit))
    return Approach(counts, decays, np.array(rows), approach_constants(counts))


def approach_constants(counts: tuple[int, ...]) -> np.ndarray:
    """c of W, means and logits in distance ~ c/log(1/λ), ``(3,)``.

    At the optimum (p_jk − t_jk)√n_k/N = −λG_jk, G = UVᵀ a subgradient of ‖ZΔ^½‖_*, so for j ≠ k
    z_kk − z_jk = log(1/λ) + log(√n_k/(−N G_jk)) + o(1). G tends to that of SELI, the polar factor of
    CΔ^½, whose entries off the diagonal must be negative: Z = log(1/λ)C − CA + o(1),
    A_jk = log(√n_k/(−N G_jk)) off the diagonal. The constants are norms of derivatives at C along −CA.
    """
    sizes = np.array(counts, dtype=float)
    centring = centring_matrix(len(sizes))
    left, _, right = np.linalg.svd(centring * np.sqrt(sizes))
    polar = left[:, :-1] @ right[:-1]
    off = ~np.eye(len(sizes), dtype=bool)
    if polar[off].max() >= 0.0:
        raise ValueError(f"counts {counts} have a subgradient at SELI that is not negative")
    offsets = np.zeros_like(polar)
    np.log(np.sqrt(sizes) / (-sizes.sum() * polar), out=offsets, where=off)
    moved = _grams(centring - SMALL * centring @ offsets, sizes)
    return np.array(_distances(moved, _grams(centring, sizes))) / SMALL


def _grams(logits: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, ...]:
    """UΣUᵀ, Δ^−½VΣVᵀΔ^−½ and Z of ZΔ^½ = UΣVᵀ."""
    left, values, right = np.linalg.svd(logits * np.sqrt(sizes))
    means = (right.T * values) @ right / np.sqrt(np.outer(sizes, sizes))
    return (left * values) @ left.T, means, logits


def _distances(parts: tuple[np.ndarray, ...], limit: tuple[np.ndarray, ...]) -> list[float]:
    return [
        float(np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)))
        for a, b in zip(parts, limit, strict=True)
    ]
