"""ji2022: the unconstrained layer-peeled model, its flow and its landscape."""

from ncollapse.papers.ji2022._example import Example, example31, plot_example31
from ncollapse.papers.ji2022._figure2 import Figure2, figure2, plot_figure2, rates

__all__ = [
    "Example",
    "Figure2",
    "example31",
    "figure2",
    "plot_example31",
    "plot_figure2",
    "rates",
]
