"""Not linearly separable: the hulls of a class and of the rest meet (hong2025 Theorem 3a)."""

from __future__ import annotations

import numpy as np

from ncollapse.certify._scaling import scale_rows
from ncollapse.certify._types import Multipliers
from ncollapse.certify.verify import verify
from ncollapse.least_distance import least_distance

CHEAP_ENTRIES = 60_000
"""Above this many numbers in the data, looking for the reason costs more than the answer."""


def meeting_hulls(own: np.ndarray, rest: np.ndarray) -> Multipliers | None:
    """Weights p, q ≥ 0 of sum 1 with Σp_i x_i = Σq_j x_j, as multipliers (−p, q), if proven.

    Such weights contradict any hyperplane between the class and the rest, and are also Farkas
    multipliers for collapse. None where the hulls are apart, where this could not be proven, and
    for data of more than ``CHEAP_ENTRIES`` numbers.
    """
    if (len(own) + len(rest)) * own.shape[1] > CHEAP_ENTRIES:
        return None
    scaled, exponents = scale_rows(np.vstack([own, rest]))
    if np.ptp(exponents) > 0:
        return None
    lifted = np.column_stack([scaled, np.ones(len(scaled))])
    signs = np.concatenate([np.ones(len(own)), -np.ones(len(rest))])
    # Separation asks for w with ⟨(x, 1), w⟩ ≥ 1 on the class and ≤ −1 on the rest.
    answer = least_distance(lifted * signs[:, None], np.ones(len(scaled)))
    if answer.point is not None:
        return None
    weights = answer.multipliers
    total = weights[: len(own)].sum()
    if not total > 0:
        return None
    hulls = Multipliers(-weights[: len(own)] / total, weights[len(own) :] / total)
    return hulls if _is_proven(lifted, hulls) and verify(own, rest, hulls).verified else None


def _is_proven(lifted: np.ndarray, hulls: Multipliers) -> bool:
    """Prove exact weights of the right signs: all but one sample of the class count as the rest."""
    first = len(hulls.free)
    pivot = int(np.argmin(hulls.free))
    others = np.delete(np.arange(first), pivot)
    rest = np.vstack([-lifted[others], lifted[first:]])
    nonneg = np.concatenate([-hulls.free[others], hulls.nonneg])
    claim = Multipliers(hulls.free[[pivot]], nonneg)
    return verify(lifted[[pivot]], rest, claim).verified
