"""ji2022: the unconstrained layer-peeled model, its flow and its landscape."""

from ncollapse.papers.ji2022.experiments import (
    Example,
    Figure2,
    Rates,
    example31,
    figure2,
    kkt_residual,
    rates,
)

__all__ = [
    "Example",
    "Figure2",
    "Rates",
    "example31",
    "figure2",
    "kkt_residual",
    "rates",
]
