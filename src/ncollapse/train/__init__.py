"""Training: the networks of hong2025 to the optimum, and any network by a recipe.

The risk of a two-layer network sees its inputs through their Gram matrix alone, so an epoch costs
the same whatever their dimension. `descend` trains as the paper does, `to_optimum` follows the
minimiser from a linear network to the ReLU, and `collapsed_network` builds the global minimiser
from a certificate; each returns a `Run`, and `outcome` says how far from optimal it ended.

`fit` trains any PyTorch network by a `Recipe`, `to_stationary` to where its gradient vanishes; `mlp`,
`convolutional`, `resnet18` and `vgg13` are networks of the papers. They need PyTorch, which is
imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ncollapse._extras import need
from ncollapse.train._built import collapsed_network, perturbed
from ncollapse.train._dead import dead_share, first_step_dead_share, predicted_dead_share
from ncollapse.train._descent import descend, descend_all
from ncollapse.train._kernels import arc_cosine_gram, random_layer_features
from ncollapse.train._last_layer import LastLayer, Network
from ncollapse.train._optimum import SLOPES, to_optimum
from ncollapse.train._outcome import Outcome, outcome
from ncollapse.train._problem import METRIC_NAMES, TwoLayer, restore, risk_and_gradient
from ncollapse.train._recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from ncollapse.train._fit import epoch_grid, fit
    from ncollapse.train._networks import convolutional, mlp, resnet18, vgg13
    from ncollapse.train._stationary import to_stationary

__all__ = [
    "METRIC_NAMES",
    "RECIPES",
    "SLOPES",
    "LastLayer",
    "Network",
    "Outcome",
    "Recipe",
    "TwoLayer",
    "arc_cosine_gram",
    "collapsed_network",
    "convolutional",
    "dead_share",
    "descend",
    "descend_all",
    "epoch_grid",
    "first_step_dead_share",
    "fit",
    "mlp",
    "outcome",
    "perturbed",
    "predicted_dead_share",
    "random_layer_features",
    "resnet18",
    "restore",
    "risk_and_gradient",
    "to_optimum",
    "to_stationary",
    "vgg13",
]

_LATE = {
    "convolutional": "_networks",
    "epoch_grid": "_fit",
    "fit": "_fit",
    "mlp": "_networks",
    "resnet18": "_networks",
    "to_stationary": "_stationary",
    "vgg13": "_networks",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'ncollapse.train' has no attribute {name!r}")
    need("torch", "torchmetrics")
    return getattr(import_module(f"ncollapse.train.{_LATE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
