"""Networks trained on classes of unequal size, against where theory says they are heading."""

from ncollapse.papers.imbalance.experiments import (
    Comparison,
    Minority,
    Trained,
    batch_norm,
    depth,
    minority,
)
from ncollapse.papers.imbalance.networks import (
    Network,
    nearly_orthogonal_classes,
    train_network,
)

__all__ = [
    "Comparison",
    "Minority",
    "Network",
    "Trained",
    "batch_norm",
    "depth",
    "minority",
    "nearly_orthogonal_classes",
    "train_network",
]
