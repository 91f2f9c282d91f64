"""mixon2022: strong neural collapse of unconstrained features from small starts."""

from ncollapse.papers.mixon2022._experiment import (
    OPTIMISERS,
    FinalErrors,
    Start,
    Starts,
    figures,
    final_errors,
)
from ncollapse.papers.mixon2022._plot import plot_figure1, plot_figure2, plot_final_errors

__all__ = [
    "OPTIMISERS",
    "FinalErrors",
    "Start",
    "Starts",
    "figures",
    "final_errors",
    "plot_figure1",
    "plot_figure2",
    "plot_final_errors",
]
