"""Models whose training is followed: losses as pure functions of a parameter tree.

A model is a frozen dataclass registered as a JAX tree: its data are leaves, so one compiled flow
serves every data set of the same shape. All arrays are float64; the flow switches that on.
"""

from ncollapse.models import _available as _available
from ncollapse.models._model import (
    Model,
    Parameters,
    log_cross_entropy,
    log_softplus,
    sample_margins,
)
from ncollapse.models.free_features import LayerPeeled, PositiveFeatures, UnconstrainedFeatures
from ncollapse.models.relu import DEAD, MIXED, ReLUNetwork, neuron_groups

__all__ = [
    "DEAD",
    "MIXED",
    "LayerPeeled",
    "Model",
    "Parameters",
    "PositiveFeatures",
    "ReLUNetwork",
    "UnconstrainedFeatures",
    "log_cross_entropy",
    "log_softplus",
    "neuron_groups",
    "sample_margins",
]
