"""min2025: neural collapse of shallow ReLU networks on orthogonally separable data."""

from ncollapse.papers.min2025.experiments import (
    Alignment,
    Run,
    digits,
    find_alignment,
    rank_error,
    run,
    separable,
)

__all__ = [
    "Alignment",
    "Run",
    "digits",
    "find_alignment",
    "rank_error",
    "run",
    "separable",
]
