"""ji2022: the unconstrained layer-peeled model, its flow and its landscape."""

from ncollapse.papers.ji2022.experiments import (
    Example,
    Figure2,
    Rates,
    Solutions,
    example31,
    figure2,
    rates,
    separation,
)
from ncollapse.papers.ji2022.minimum_norm import (
    MarginDeficit,
    kkt_fit,
    kkt_residual,
    least_norm,
    margin_deficit,
)

__all__ = [
    "Example",
    "Figure2",
    "MarginDeficit",
    "Rates",
    "Solutions",
    "example31",
    "figure2",
    "kkt_fit",
    "kkt_residual",
    "least_norm",
    "margin_deficit",
    "rates",
    "separation",
]
