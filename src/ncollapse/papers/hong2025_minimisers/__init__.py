"""hong2025 Theorem 2: minimisers of positive free features, found by flow and in closed form."""

from ncollapse.papers.hong2025_minimisers._experiment import (
    Theorem2,
    plot_theorem2,
    theorem2,
)

__all__ = ["Theorem2", "plot_theorem2", "theorem2"]
