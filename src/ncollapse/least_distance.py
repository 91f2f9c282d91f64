"""Least-distance programming: the point of a polyhedron that is nearest to the origin.

Margins, certificates and best errors are all such problems, and one nonnegative least-squares
solve answers each exactly, feasible or not (Lawson and Hanson, *Solving Least Squares Problems*,
chapter 23).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class LeastDistance:
    """Answer to min ‖z‖ subject to Gz ≥ h.

    ``point`` is the minimiser, or None when the constraints contradict each other. ``multipliers``
    are nonnegative: the dual solution (z = Gᵀy) of a feasible problem, a Farkas certificate
    (Gᵀy = 0, hᵀy > 0) of an infeasible one. ``residual`` is the norm of the least-squares residual
    that decides between the two: zero exactly when infeasible.
    """

    point: np.ndarray | None
    multipliers: np.ndarray
    residual: float


def least_distance(
    matrix: np.ndarray, bound: np.ndarray, *, tolerance: float = 1e-10
) -> LeastDistance:
    """Solve min ‖z‖ subject to ``matrix @ z >= bound`` by min_{y ≥ 0} ‖[Gᵀ; hᵀ] y − (0, …, 0, 1)‖.

    With r = (0, …, 0, 1) − [Gᵀ; hᵀ]y: r = 0 is a contradiction, otherwise z = −r[:-1] / r[-1].

    Parameters
    ----------
    matrix, bound
        G ``(m, n)`` and h ``(m,)``, float64.
    tolerance
        The residual below which the problem is reported infeasible.
    """
    stacked = np.vstack([matrix.T, bound])
    target = np.zeros(stacked.shape[0])
    target[-1] = 1.0
    multipliers, residual = nnls(stacked, target, maxiter=max(100, 30 * stacked.shape[1]))
    gap = target - stacked @ multipliers
    # The last entry is the squared residual; multipliers so large that it drowns decide nothing.
    if residual <= tolerance or gap[-1] <= 0.0:
        return LeastDistance(None, multipliers, float(residual))
    return LeastDistance(-gap[:-1] / gap[-1], multipliers / gap[-1], float(residual))
