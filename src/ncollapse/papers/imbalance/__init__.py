"""Networks trained on classes of unequal size, against where theory says they are heading."""

from ncollapse.papers.imbalance.experiments import (
    batch_norm,
    batch_norm_kinds,
    batch_norm_training,
    depth,
    depth_digits,
    depth_limits,
    losses,
    minority,
    peeled,
    seli,
)
from ncollapse.papers.imbalance.networks import (
    Network,
    nearly_orthogonal_classes,
    train_network,
)

__all__ = [
    "Network",
    "batch_norm",
    "batch_norm_kinds",
    "batch_norm_training",
    "depth",
    "depth_digits",
    "depth_limits",
    "losses",
    "minority",
    "nearly_orthogonal_classes",
    "peeled",
    "seli",
    "train_network",
]
