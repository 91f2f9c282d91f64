"""Models whose training is followed: losses as pure functions of a parameter tree.

A model is an Equinox module: its data are leaves of a JAX tree, so one compiled flow serves every
data set of the same shape. All arrays are float64; the flow switches that on. `Model` says what a
model of one's own defines, `make_model` makes one from functions.
"""

from ncollapse._extras import need

need("jax", "equinox")

import numpy as np

from ncollapse.cross_entropy import log_softplus, sample_margins
from ncollapse.models.base import (
    Classification,
    Clock,
    FunctionModel,
    Model,
    Parameters,
    log_cross_entropy,
    make_model,
)
from ncollapse.models.layer_peeled import LayerPeeled
from ncollapse.models.positive import PositiveFeatures
from ncollapse.models.relu import DEAD, MIXED, ReLUNetwork, neuron_groups
from ncollapse.models.unconstrained import UnconstrainedFeatures
from ncollapse.setup import Setup

__all__ = [
    "DEAD",
    "MIXED",
    "Classification",
    "Clock",
    "FunctionModel",
    "LayerPeeled",
    "Model",
    "Parameters",
    "PositiveFeatures",
    "ReLUNetwork",
    "UnconstrainedFeatures",
    "log_cross_entropy",
    "log_softplus",
    "make_model",
    "neuron_groups",
    "restore",
    "sample_margins",
]


def restore(setup: Setup, arrays: dict[str, np.ndarray]) -> Model:
    """The model of this package that a saved run is of: what `Run.load` asks for.

    Raises
    ------
    ValueError
        The set-up names no model of this package, or the arrays are not that model's.
    """
    positive = dict.fromkeys(("upfm-ce", "upfm-l2"), PositiveFeatures)
    makers = {"relu2": ReLUNetwork, "ulpm": LayerPeeled, "ufm": UnconstrainedFeatures, **positive}
    if setup.model not in makers:
        raise ValueError(
            f"{setup.model!r} is no model of ncollapse.models ({', '.join(makers)}): load its "
            "run with restore=lambda setup, arrays: model"
        )
    static = {"name": setup.model} if setup.model in positive else {}
    try:
        return makers[setup.model](**arrays, **static)
    except TypeError as error:
        raise ValueError(f"arrays are not those of {setup.model!r}: {sorted(arrays)}") from error
