"""mixon2022: strong neural collapse of unconstrained features from small starts."""

from ncollapse.papers.mixon2022.experiments import (
    OPTIMISERS,
    FinalErrors,
    Start,
    Starts,
    figure1,
    figure2,
    final_errors,
)

__all__ = [
    "OPTIMISERS",
    "FinalErrors",
    "Start",
    "Starts",
    "figure1",
    "figure2",
    "final_errors",
]
