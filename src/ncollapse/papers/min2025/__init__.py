"""min2025: neural collapse of shallow ReLU networks on orthogonally separable data."""

from ncollapse.papers.min2025.experiments import (
    AlignmentTimes,
    LostClasses,
    alignment_time,
    centred_by_class_means,
    digits,
    lost_classes,
    separable,
    separable_choice,
    separable_digits,
)
from ncollapse.papers.min2025.network import Alignment, Run, find_alignment, rank_error, run

__all__ = [
    "Alignment",
    "AlignmentTimes",
    "LostClasses",
    "Run",
    "alignment_time",
    "centred_by_class_means",
    "digits",
    "find_alignment",
    "lost_classes",
    "rank_error",
    "run",
    "separable",
    "separable_choice",
    "separable_digits",
]
