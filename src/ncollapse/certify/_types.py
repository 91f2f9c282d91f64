"""The two things that settle one class: a direction, or multipliers that rule it out.

Both hold float64 numbers, or fractions (`fractions.Fraction`, dtype object) where only exact
arithmetic decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Direction:
    """β ``(d,)`` with ⟨x_i, β⟩ = 1 on the class and ⟨x_j, β⟩ ≤ 0 off it."""

    beta: np.ndarray


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Farkas multipliers: Σ_i free_i x_i + Σ_j nonneg_j x_j = 0, nonneg ≥ 0, Σ free < 0.

    Any β as above would give Σ free = Σ_i free_i ⟨x_i, β⟩ = −Σ_j nonneg_j ⟨x_j, β⟩ ≥ 0.
    ``free`` (n,) follows the rows of the class, ``nonneg`` (m,) the rows of the rest.
    """

    free: np.ndarray
    nonneg: np.ndarray


Candidate = Direction | Multipliers
