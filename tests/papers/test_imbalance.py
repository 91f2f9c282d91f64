"""Networks trained on unequal classes: the objective, and what `explain` says of them."""

import numpy as np
import pytest

from ncollapse.papers.imbalance import nearly_orthogonal_classes, train_network
from ncollapse.papers.imbalance.figures import batch_norm, depth, minority
from ncollapse.theory.imbalance import class_directions, collapsed_network
from ncollapse.theory.predict import predict

BRIEF = {"depth": 3, "width": 7, "weight_decay": 1e-2, "seed": 1, "epochs": 3, "steps": 2}


def cross_entropy(network, labels):
    logits = network.logits
    own = logits[np.arange(len(labels)), labels]
    return np.log(np.exp(logits).sum(axis=1)) - own


def test_the_objective_is_the_mean_loss_and_the_decay_that_the_theory_counts():
    inputs, labels = nearly_orthogonal_classes((6, 4, 2), 5, 0.3, 0)
    peeled = train_network(inputs, labels, feature_decay=3e-3, relu_features=False, **BRIEF)
    loss = cross_entropy(peeled, labels).mean()
    assert peeled.loss == pytest.approx(loss)
    decay = 5e-3 * (peeled.weight**2).sum() + 1.5e-3 * (peeled.features**2).sum()
    assert peeled.value == pytest.approx(loss + decay)
    assert peeled.features.min() < 0
    weights = np.array([1.0, 2.0, 5.0])
    weighed = train_network(inputs, labels, class_weights=weights, **BRIEF)
    assert weighed.loss == pytest.approx((weights[labels] * cross_entropy(weighed, labels)).mean())
    assert weighed.features.min() == 0.0


def test_margins_are_class_means():
    inputs, labels = nearly_orthogonal_classes((6, 4, 2), 5, 0.3, 0)
    network = train_network(inputs, labels, **BRIEF)
    logits = network.logits
    for k, margin in enumerate(network.margins(labels)):
        rows = logits[labels == k]
        others = np.delete(rows, k, axis=1).mean(axis=1)
        assert margin == pytest.approx((rows[:, k] - others).mean())


def test_the_depth_law_explains_decay_on_every_layer(result_of):
    for network in result_of("imbalance.depth").networks:
        found = network.explanation
        assert found.best == "depth"
        assert network.distance("depth") < 0.06 < network.distance("balanced")
        assert network.distance("nonnegative") > 0.3
        assert not found.theory("nonnegative").applies
        violated = {c.name for c in found.theory("nonnegative").assumptions if c.met is False}
        assert violated == {"feature decay alone"}
        assert found.layer.stationary_decay == pytest.approx(1e-3, rel=0.01)


def test_the_batch_norm_theorem_explains_batch_norm(result_of):
    signs = set()
    for network in result_of("imbalance.batch_norm").networks:
        found = network.explanation
        assert found.best == "batch_norm"
        assert found.decay_ratio * 85 == pytest.approx(1.0, rel=0.02)  # λ_H = λ/N
        signs.add(found.layer.nonnegative)
        if not found.layer.nonnegative:
            # (P) is the theorem here: the last layer is at its proven optimum.
            assert -1e-12 < found.gap < 1e-2
    assert signs == {True, False}


def test_training_ends_below_the_explicit_network():
    """`collapsed_network` is a network: a minimum of training lies no higher, nor does the law."""
    inputs, labels = nearly_orthogonal_classes((12, 6, 3), 40, 0.02, 0)
    directions = class_directions(inputs, labels)
    norms = 1.0 / np.linalg.norm(directions, axis=1)
    decays = np.full(3, 3e-3)
    law = predict((12, 6, 3), weight_decay=3e-3, depth=3, features="nonnegative", input_norms=norms)
    explicit = collapsed_network(directions, law.margins, decays, inputs, labels)
    trained = train_network(
        inputs, labels, depth=3, width=32, weight_decay=3e-3, seed=0, epochs=400, steps=200
    )
    assert explicit.objective <= explicit.bound * (1 + 1e-12)
    assert trained.value <= explicit.bound


def test_the_smallest_classes_merge_below_the_threshold_alone(result_of):
    found = result_of("imbalance.minority")
    assert found.merging.tolist() == [True, False]
    assert found.distances[0] < 0.02 < 0.5 < found.distances[1]
    assert found.rescued > 0.5


def test_figures_are_drawn(result_of, tmp_path):
    for name, draw in (("depth", depth), ("batch_norm", batch_norm), ("minority", minority)):
        (path,) = draw(result_of(f"imbalance.{name}"), tmp_path)
        assert path.read_bytes()[:4] == b"\x89PNG"
