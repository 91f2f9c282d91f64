"""Where training with class sizes n_k is heading: any counts, with proof where there is one."""

from ncollapse.theory.imbalance.balanced import balanced_scale
from ncollapse.theory.imbalance.depth import decoupled_depth, layer_decays, signed_depth
from ncollapse.theory.imbalance.explanation import AssumptionCheck, Explanation, TheoryFit
from ncollapse.theory.imbalance.geometry import Geometry, of_optimum
from ncollapse.theory.imbalance.last_layer import (
    LastLayerGap,
    LastLayerObjective,
    LastLayerStats,
    optimality_gap,
)
from ncollapse.theory.imbalance.linear_layers import jump, linear_layers, shrink
from ncollapse.theory.imbalance.measured import MeasuredLayer, layer_of_sums, measure_layer
from ncollapse.theory.imbalance.network import (
    CollapsedNetwork,
    class_directions,
    class_margins,
    collapsed_network,
)
from ncollapse.theory.imbalance.nonnegative import nonnegative
from ncollapse.theory.imbalance.optimum import Optimum
from ncollapse.theory.imbalance.peeled import solve
from ncollapse.theory.imbalance.prediction import Prediction
from ncollapse.theory.imbalance.problem import Problem
from ncollapse.theory.imbalance.regression import Regression, regression
from ncollapse.theory.imbalance.seli import seli
from ncollapse.theory.imbalance.squared import squared
from ncollapse.theory.imbalance.thresholds import collapse_threshold, rescue_weights

__all__ = [
    "AssumptionCheck",
    "CollapsedNetwork",
    "Explanation",
    "Geometry",
    "LastLayerGap",
    "LastLayerObjective",
    "LastLayerStats",
    "MeasuredLayer",
    "Optimum",
    "Prediction",
    "Problem",
    "Regression",
    "TheoryFit",
    "balanced_scale",
    "class_directions",
    "class_margins",
    "collapse_threshold",
    "collapsed_network",
    "decoupled_depth",
    "jump",
    "layer_decays",
    "layer_of_sums",
    "linear_layers",
    "measure_layer",
    "nonnegative",
    "of_optimum",
    "optimality_gap",
    "regression",
    "rescue_weights",
    "seli",
    "shrink",
    "signed_depth",
    "solve",
    "squared",
]
