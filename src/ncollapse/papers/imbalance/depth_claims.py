"""What networks with decay on every layer must show of the depth law, and where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong

if TYPE_CHECKING:
    from ncollapse.papers.imbalance.comparisons import Comparison
    from ncollapse.papers.imbalance.departures import Departure

_WITHIN = 0.02
_NEAR = 0.06
_RELU = {"features": "nonnegative"}


def _distances(result: Comparison, theory: str) -> np.ndarray:
    """Of all but linear networks: two layers with linear features."""
    return np.array(
        [
            one.distance(theory)
            for one in result.networks
            if one.depth > 2 or one.features == "nonnegative"
        ]
    )


def _values(networks: list[Departure]) -> np.ndarray:
    return np.array([one.value for one in networks])


def _shared(networks: list[Departure]) -> float | Missing | None:
    """1 − value of the best network whose classes share hidden directions, if that is above 5 %."""
    if not networks:
        return Missing("no network is that deep")
    below = [1.0 - one.value for one in networks if one.rank < len(one.margins)]
    return max((share for share in below if share > 0.05), default=None)


CLAIMS = (
    Claim(
        id="imbalance.depth.margins",
        experiment="imbalance.depth",
        statement="ours, conjecture",
        says="margin of every class of ReLU networks over the one predicted before training",
        source="depth law; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_WITHIN,
        measure=lambda result: result.of(**_RELU).ratios(),
        wrong=Wrong("the law at one layer less", measure=lambda r: r.of(**_RELU).ratios("wrong")),
    ),
    Claim(
        id="imbalance.depth.value",
        experiment="imbalance.depth",
        statement="ours, conjecture",
        says="objective at the end of training of ReLU networks over the value of the law",
        source="depth law; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_WITHIN,
        measure=lambda result: result.of(**_RELU).values(),
        wrong=Wrong(
            "the law at one layer less", measure=lambda r: r.of(**_RELU).values("wrong_value")
        ),
    ),
    Claim(
        id="imbalance.depth.geometry",
        experiment="imbalance.depth",
        statement="ours, conjecture",
        says="largest distance of the unit matrices of W, means and logits to those of the law, of "
        "networks with a hidden ReLU",
        source="depth law; 0.06 is ours",
        relation=Relation.AT_MOST,
        expected=_NEAR,
        measure=lambda result: _distances(result, "depth"),
        wrong=Wrong("the balanced simplex", measure=lambda r: _distances(r, "balanced")),
    ),
    Claim(
        id="imbalance.depth_digits.loss",
        experiment="imbalance.depth_digits",
        statement="ours, conjecture",
        says="cross-entropy at the end of training over the one that the law with γ_k predicts",
        source="depth law with the margins of the classes; 10 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=0.1,
        measure=lambda result: result.quotients("loss", "predicted_loss"),
        wrong=Wrong(
            "norms of class means for the margins",
            measure=lambda r: r.quotients("loss", "norms_loss"),
        ),
    ),
    Claim(
        id="imbalance.depth_digits.margins",
        experiment="imbalance.depth_digits",
        statement="ours, conjecture",
        says="mean margin of every class over the predicted one",
        source="γ_k stands for the smallest margin of a class; 1 % is ours",
        relation=Relation.AT_LEAST,
        expected=1.0,
        tolerance=0.01,
        measure=lambda result: result.margin_ratios(),
        wrong=Wrong("γ_k stands for the largest one", measure=lambda r: 1.0 / r.margin_ratios()),
    ),
    Claim(
        id="imbalance.depth_digits.explicit",
        experiment="imbalance.depth_digits",
        statement="collapsed network",
        says="objective of the network built from β_k over its closed form",
        source="one path a class; rounding",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=1e-9,
        measure=lambda result: result.quotients("explicit", "explicit_value"),
        wrong=Wrong(
            "every sample at its class's margin", measure=lambda r: r.quotients("explicit", "bound")
        ),
    ),
    Claim(
        id="imbalance.depth_digits.bound",
        experiment="imbalance.depth_digits",
        statement="collapsed network",
        says="the same over the value of the law at 1/‖β_k‖",
        source="one path a class; rounding",
        relation=Relation.AT_MOST,
        expected=1.0,
        tolerance=1e-9,
        measure=lambda result: result.quotients("explicit", "bound"),
        wrong=Wrong(
            "the built network is as good as a trained one",
            measure=lambda r: r.quotients("explicit", "value"),
        ),
    ),
    Claim(
        id="imbalance.depth_digits.onwards",
        experiment="imbalance.depth_digits",
        statement="collapsed network",
        says="objective after training that starts at the built network, over the one before",
        source="descent; rounding",
        relation=Relation.AT_MOST,
        expected=1.0,
        tolerance=1e-9,
        measure=lambda result: result.quotients("from_explicit", "explicit"),
        wrong=Wrong(
            "training raises it", measure=lambda r: r.quotients("explicit", "from_explicit")
        ),
    ),
    Claim(
        id="imbalance.depth_limits.decays",
        experiment="imbalance.depth_limits",
        statement="ours, conjecture",
        says="margin of every class over the predicted one, where layers have decays of their own",
        source="depth law at the geometric mean of the decays; 2 % is ours",
        relation=Relation.EQUAL,
        expected=1.0,
        tolerance=_WITHIN,
        measure=lambda result: result.ratios("one decay"),
        wrong=Wrong("their arithmetic mean", measure=lambda r: r.ratios("one decay, mean")),
    ),
    Claim(
        id="imbalance.depth_limits.below",
        experiment="imbalance.depth_limits",
        statement="ours, conjecture",
        says="objective over the value of the law, of tight classes without biases, up to six layers",
        source="depth law as a lower bound, which nobody has proven; 1 % is ours",
        relation=Relation.AT_LEAST,
        expected=0.99,
        measure=lambda result: _values(result.alone(2, 6)),
        wrong=Wrong("networks with biases too", measure=lambda r: r.values("no biases")),
    ),
    Claim(
        id="imbalance.depth_limits.sharing",
        experiment="imbalance.depth_limits",
        statement="ours, measured",
        says="share by which a network of more than six layers ends below the value of the law",
        source="hidden layers of a rank below the number of classes; 5 % is ours",
        relation=Relation.EXISTS,
        measure=lambda result: _shared(result.alone(7, 99)),
        wrong=Wrong("up to six layers too", measure=lambda r: _shared(r.alone(2, 6))),
    ),
    Claim(
        id="imbalance.depth_limits.biases",
        experiment="imbalance.depth_limits",
        statement="ours, measured",
        says="margin of every class over the predicted one, with hidden biases",
        source="depth law, which has none; 0.2 % is ours",
        relation=Relation.AT_LEAST,
        expected=1.002,
        measure=lambda result: result.ratios("no biases"),
        wrong=Wrong("biases change nothing", measure=lambda r: r.ratios("nothing")),
    ),
    Claim(
        id="imbalance.depth_limits.correlated",
        experiment="imbalance.depth_limits",
        statement="ours, measured",
        says="objective over the value of the law at the largest cosine of class means",
        source="depth law, which takes them as orthogonal; 20 % is ours",
        relation=Relation.AT_LEAST,
        expected=1.2,
        measure=lambda result: result.values("orthogonal means", last=True),
        wrong=Wrong("cosines do not matter", measure=lambda r: r.values("nothing")),
    ),
    Claim(
        id="imbalance.depth_limits.normalisation",
        experiment="imbalance.depth_limits",
        statement="ours, measured",
        says="largest relative departure of a margin with batch norm",
        source="depth law, which has none; 5 % is ours",
        relation=Relation.AT_LEAST,
        expected=0.05,
        measure=lambda result: result.farthest("no batch norm"),
        wrong=Wrong("batch norm changes nothing", measure=lambda r: r.farthest("nothing")),
    ),
    Claim(
        id="imbalance.depth_limits.convolutions",
        experiment="imbalance.depth_limits",
        statement="ours, measured",
        says="objective of convolutional networks over the value of the law with γ_k of the pixels",
        source="depth law of connected layers; 20 % is ours",
        relation=Relation.AT_LEAST,
        expected=1.2,
        measure=lambda result: result.values("no convolutions"),
        wrong=Wrong("kernels are matrices", measure=lambda r: r.values("nothing")),
    ),
)
