"""What the theorems predict, one module a subject."""

from ncollapse.theory.boundary import (
    PhaseBoundary,
    gordon_bound,
    phase_boundary,
    theorem5a_bound,
    union_bound,
)
from ncollapse.theory.generalisation import best_error
from ncollapse.theory.margins import ReLULimit, max_margin, relu_limit

__all__ = [
    "PhaseBoundary",
    "ReLULimit",
    "best_error",
    "gordon_bound",
    "max_margin",
    "phase_boundary",
    "relu_limit",
    "theorem5a_bound",
    "union_bound",
]
