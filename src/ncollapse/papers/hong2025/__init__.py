"""hong2025: where shallow networks can collapse on general data, and what it costs."""

from ncollapse.papers.hong2025.experiments import (
    figure1,
    figure2,
    figure3,
    figure4,
    figure5,
    images,
    theorem2,
    theorem7,
)

__all__ = ["figure1", "figure2", "figure3", "figure4", "figure5", "images", "theorem2", "theorem7"]
