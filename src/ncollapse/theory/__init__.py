"""What the theorems predict, one module a subject."""

from ncollapse.theory import (
    alignment,
    boundary,
    ends,
    generalisation,
    imbalance,
    landscape,
    layer_peeled,
    margins,
    minimisers,
    random_features,
    unconstrained,
)
from ncollapse.theory.alignment import AlignmentForecast, forecast_alignment, lost_classes
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
    "AlignmentForecast",
    "PhaseBoundary",
    "ReLULimit",
    "alignment",
    "best_error",
    "boundary",
    "ends",
    "forecast_alignment",
    "generalisation",
    "gordon_bound",
    "imbalance",
    "landscape",
    "layer_peeled",
    "lost_classes",
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
