"""Networks trained on classes of unequal size, against where theory says they are heading."""

from ncollapse.papers.imbalance.experiments import Comparison, Trained, batch_norm, depth
from ncollapse.papers.imbalance.networks import (
    Network,
    nearly_orthogonal_classes,
    train_network,
)

__all__ = [
    "Comparison",
    "Network",
    "Trained",
    "batch_norm",
    "depth",
    "nearly_orthogonal_classes",
    "train_network",
]
