"""hong2025: where shallow networks can collapse on general data, and what it costs."""

from ncollapse.papers.hong2025.experiments import (
    certificates,
    choices,
    figure1,
    figure2,
    figure3,
    figure4,
    figure5,
    figure6,
    images,
    lemmas,
    optimality,
    theorem2,
    theorem7,
    theorem8,
)

__all__ = [
    "certificates",
    "choices",
    "figure1",
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "images",
    "lemmas",
    "optimality",
    "theorem2",
    "theorem7",
    "theorem8",
]
