"""Cholesky and pivoted QR factorisations, with less around them than the general routines."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs, qr

_POTRF, _POTRS = get_lapack_funcs(("potrf", "potrs"), dtype=np.float64)

RANK_TOLERANCE = 1e-11


def cholesky(matrix: np.ndarray) -> np.ndarray | None:
    """Lower factor from the lower triangle of a matrix that may be overwritten, or None.

    The upper triangle of the result is arbitrary.
    """
    factor, info = _POTRF(matrix, lower=1, clean=0, overwrite_a=1)
    return factor if info == 0 and (np.diag(factor) > 0).all() else None


def cholesky_solve(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(LLᵀ)⁻¹ right."""
    return _POTRS(factor, right, lower=1)[0]


def pivoted_qr(
    matrix: np.ndarray, *, full: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Q, R, the order of the columns and the numerical rank, with QR = matrix[:, order]."""
    mode = "full" if full else "economic"
    factors: Any = qr(matrix, mode=mode, pivoting=True, check_finite=False)
    basis, triangle, order = factors
    pivots = np.abs(np.diag(triangle))
    rank = int(np.count_nonzero(pivots > RANK_TOLERANCE * pivots[0]))
    return basis, triangle, order, rank


def pivot_order(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """The order in which columns enter a pivoted QR, and the numerical rank."""
    factors: Any = qr(matrix, mode="r", pivoting=True, check_finite=False)
    pivots = np.abs(np.diag(factors[0]))
    return factors[1], int(np.count_nonzero(pivots > RANK_TOLERANCE * pivots[0]))
