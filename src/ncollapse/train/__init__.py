"""Training the networks of hong2025: by its descent, to the optimum, and built at the optimum.

The risk of a two-layer network sees its inputs through their Gram matrix alone, so an epoch costs
the same whatever their dimension. `descend` trains as the paper does, `to_optimum` follows the
minimiser from a linear network to the ReLU, and `collapsed_network` builds the global minimiser
from a certificate; each returns a `Run`, and `outcome` says how far from optimal it ended.
"""

from ncollapse.train._built import collapsed_network, perturbed
from ncollapse.train._dead import dead_share, first_step_dead_share, predicted_dead_share
from ncollapse.train._descent import descend, descend_all
from ncollapse.train._kernels import arc_cosine_gram, random_layer_features
from ncollapse.train._optimum import SLOPES, to_optimum
from ncollapse.train._outcome import Outcome, outcome
from ncollapse.train._problem import METRIC_NAMES, TwoLayer, restore, risk_and_gradient

__all__ = [
    "METRIC_NAMES",
    "SLOPES",
    "Outcome",
    "TwoLayer",
    "arc_cosine_gram",
    "collapsed_network",
    "dead_share",
    "descend",
    "descend_all",
    "first_step_dead_share",
    "outcome",
    "perturbed",
    "predicted_dead_share",
    "random_layer_features",
    "restore",
    "risk_and_gradient",
    "to_optimum",
]
