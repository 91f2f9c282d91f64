"""mixon2022: strong neural collapse of unconstrained features from small starts."""

from ncollapse.papers.mixon2022.experiments import (
    OPTIMISERS,
    FinalErrors,
    Start,
    Starts,
    Subspace,
    figure1,
    figure2,
    final_errors,
    subspace,
)

__all__ = [
    "OPTIMISERS",
    "FinalErrors",
    "Start",
    "Starts",
    "Subspace",
    "figure1",
    "figure2",
    "final_errors",
    "subspace",
]
