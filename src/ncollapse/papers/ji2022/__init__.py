"""ji2022: the unconstrained layer-peeled model, its flow and its landscape.

The flow needs JAX and is imported when it is asked for; Example 3.1 needs NumPy and SciPy alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ncollapse.papers.ji2022._example import Example, example31, plot_example31

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("ncollapse.papers.ji2022._figure2"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
