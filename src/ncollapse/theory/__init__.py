"""What the theorems predict, one module a subject."""

from ncollapse.theory import (
    boundary,
    generalisation,
    imbalance,
    landscape,
    layer_peeled,
    margins,
    minimisers,
    random_features,
    unconstrained,
)
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
    "boundary",
    "generalisation",
    "gordon_bound",
    "imbalance",
    "landscape",
    "layer_peeled",
    "margins",
    "max_margin",
    "minimisers",
    "phase_boundary",
    "random_features",
    "relu_limit",
    "theorem5a_bound",
    "unconstrained",
    "union_bound",
]
