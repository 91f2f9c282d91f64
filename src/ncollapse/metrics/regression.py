"""Regression collapse: features on few directions, those of W (Andriopoulos et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ncollapse._checks import check_matrix
from ncollapse.stats import UndefinedMetricError


@dataclass(frozen=True)
class RegressionCollapse:
    """``nrc1``, ``nrc2`` and ``nrc3``: 0 at collapse; ``gamma`` the constant fitted in NRC3."""

    nrc1: float
    nrc2: float
    nrc3: float
    gamma: float

    def to_dict(self) -> dict[str, float]:
        return {"nrc1": self.nrc1, "nrc2": self.nrc2, "nrc3": self.nrc3, "gamma": self.gamma}


def regression_collapse(features: Any, weight: Any, targets: Any) -> RegressionCollapse:
    """NRC1–3 of features H (N, D), weight W (T, D) and targets (N, T), all centred by their means.

    NRC1 = avg_i ‖u_i − proj(u_i | first T principal directions of H)‖², u_i = h_i/‖h_i‖;
    NRC2 = avg_i ‖u_i − proj(u_i | rows of W)‖²;
    NRC3 = min over 0 ≤ γ ≤ λ_min(Σ) of ‖WWᵀ/‖WWᵀ‖_F − A/‖A‖_F‖_F², A = Σ^{1/2} − γ^{1/2} I,
    Σ the covariance of the targets.

    Raises ``ValueError`` for shapes that disagree or T > D, and when H, W or the targets'
    covariance is zero. Features at the mean have no direction and are left out.
    """
    matrix, rows, outputs = (
        np.asarray(value, dtype=np.float64) for value in (features, weight, targets)
    )
    check_matrix("features", matrix)
    check_matrix("weight", rows, rows="targets")
    check_matrix("targets", outputs, columns="targets")
    if rows.shape[1] != matrix.shape[1]:
        raise ValueError(
            f"weight must have {matrix.shape[1]} columns like features, "
            f"but its shape is {rows.shape}"
        )
    if outputs.shape != (matrix.shape[0], rows.shape[0]):
        raise ValueError(
            f"targets must have shape {(matrix.shape[0], rows.shape[0])}, "
            f"but their shape is {outputs.shape}"
        )
    if rows.shape[0] > matrix.shape[1]:
        raise ValueError(
            f"weight must not have more rows than columns, but its shape is {rows.shape}"
        )
    centred = matrix - matrix.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1)
    if not norms.any():
        raise UndefinedMetricError("all features coincide")
    units = centred[norms > 0] / norms[norms > 0, None]
    _, _, principal = np.linalg.svd(centred, full_matrices=False)
    gamma, nrc3 = _nrc3(rows, outputs)
    return RegressionCollapse(
        nrc1=_outside(units, principal[: rows.shape[0]]),
        nrc2=_outside(units, _row_basis(rows)),
        nrc3=nrc3,
        gamma=gamma,
    )


def _outside(units: np.ndarray, basis: np.ndarray) -> float:
    apart = units - (units @ basis.T) @ basis
    return float(np.mean(np.sum(apart**2, axis=1)))


def _row_basis(rows: np.ndarray) -> np.ndarray:
    _, singular, basis = np.linalg.svd(rows, full_matrices=False)
    kept = singular > singular.max() * max(rows.shape) * np.finfo(np.float64).eps
    if not kept.any():
        raise UndefinedMetricError("weight is zero")
    return basis[kept]


def _nrc3(rows: np.ndarray, outputs: np.ndarray) -> tuple[float, float]:
    centred = outputs - outputs.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    values = np.maximum(values, 0.0)
    if not values.max() > 0:
        raise UndefinedMetricError("targets are all equal")
    gram = rows @ rows.T
    gram /= np.linalg.norm(gram)
    roots = np.sqrt(values)

    def distance(root_gamma: float) -> float:
        diagonal = roots - root_gamma
        norm = np.linalg.norm(diagonal)
        if norm == 0:
            return float(np.linalg.norm(gram) ** 2)
        return float(np.linalg.norm(gram - (vectors * (diagonal / norm)) @ vectors.T) ** 2)

    # A coarse grid first: the function of γ need not have one minimum only.
    grid = np.linspace(0.0, roots.min(), 65)
    best = int(np.argmin([distance(root) for root in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    candidates = [grid[best]]
    if high > low:
        minimum = minimize_scalar(
            distance, bounds=(low, high), method="bounded", options={"xatol": 1e-14}
        )
        candidates.append(float(minimum.x))  # pyright: ignore[reportAttributeAccessIssue]
    root = min(candidates, key=distance)
    return float(root**2), distance(root)
