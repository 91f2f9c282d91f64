"""Candidates, then verification: an answer about one class is what could be proven."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ncollapse.certify._types import Candidate, Direction
from ncollapse.certify.feasibility import candidates
from ncollapse.certify.verify import Verification, verify


@dataclass(frozen=True, eq=False)
class Decision:
    """The first candidate that was proven, or None, and how it was, or why the last one was not."""

    answer: Candidate | None
    verification: Verification

    @property
    def feasible(self) -> bool | None:
        """Whether a direction exists; None if nothing is proven."""
        return None if self.answer is None else isinstance(self.answer, Direction)


def decide(own: np.ndarray, rest: np.ndarray) -> Decision:
    """Is there β with ⟨x, β⟩ = 1 on ``own`` (n, d) and ⟨x, β⟩ ≤ 0 on ``rest`` (m, d)?"""
    verification = Verification(False, "none", "no method found an answer")
    with np.errstate(all="ignore"):  # candidates that overflow are refused
        for candidate in candidates(own, rest):
            verification = verify(own, rest, candidate)
            if verification.verified:
                return Decision(candidate, verification)
    reason = f"{verification.detail}; too many numbers for the exact simplex method"
    return Decision(None, replace(verification, detail=reason))
