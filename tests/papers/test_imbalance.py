"""Networks trained on unequal classes: the objective, and what `explain` says of them."""

import numpy as np
import pytest

from ncollapse.papers import experiments
from ncollapse.papers.imbalance import figures, nearly_orthogonal_classes, train_network
from ncollapse.papers.imbalance.batches import partition, train_in_batches
from ncollapse.papers.imbalance.bounds import lower_bound, random_counts, values_of
from ncollapse.papers.imbalance.criteria import descend
from ncollapse.papers.imbalance.images import unequal_images
from ncollapse.papers.imbalance.networks import affine_parameters, build_network, layer_weights
from ncollapse.papers.imbalance.vanishing import approach_constants
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


def test_every_option_enters_the_objective():
    inputs, labels = nearly_orthogonal_classes((6, 4, 2), 5, 0.3, 0)
    decays = (1e-2, 2e-2, 3e-2)
    layered = train_network(inputs, labels, **BRIEF | {"weight_decay": decays})
    weights = [weight.detach().numpy() for weight in layer_weights(layered.module)]
    squares = [np.sum(weight**2) for weight in weights]
    assert layered.value == pytest.approx(layered.loss + np.dot(decays, squares) / 2)
    again = train_network(inputs, labels, start=weights, **BRIEF | {"weight_decay": decays})
    assert again.start == pytest.approx(layered.value)
    assert again.value <= again.start
    biased = train_network(inputs, labels, hidden_biases=5e-2, **BRIEF)
    parts = biased.module.named_parameters()
    sizes = {name: float((part.detach() ** 2).sum()) for name, part in parts}
    level = {name: 5e-2 if name.endswith("bias") else 1e-2 for name in sizes}
    assert len(sizes) == 5
    decay = sum(level[name] / 2 * size for name, size in sizes.items())
    assert biased.value == pytest.approx(biased.loss + decay)
    squared = train_network(inputs, labels, loss="squared", bias=True, feature_decay=0.0, **BRIEF)
    errors = squared.logits - np.eye(3)[labels]
    assert squared.bias.any()
    assert squared.loss == pytest.approx(0.5 * (errors**2).sum() / 12)
    normal = train_network(inputs, labels, batch_norm=True, affine_decay=0.2, **BRIEF)
    affine = sum(float((p.detach() ** 2).sum()) for p in affine_parameters(normal.module))
    decay = 5e-3 * (normal.weight**2).sum() + 0.1 * affine
    assert normal.value == pytest.approx(normal.loss + decay)


def test_images_become_features_that_are_averaged_over_positions():
    network = build_network((1, 6, 6), 3, depth=3, width=4, seed=0, batch_norm=True)
    pictures = np.random.default_rng(0).standard_normal((5, 1, 6, 6))
    trained = train_network(pictures, np.array([0, 1, 2, 0, 1]), **BRIEF)
    assert trained.features.shape == (5, 7)
    assert trained.features.min() >= 0.0
    assert [tuple(weight.shape) for weight in layer_weights(network)] == [
        (4, 1, 3, 3),
        (4, 4, 3, 3),
        (3, 4),
    ]


def test_batches_share_out_all_samples():
    for count, size in ((10, 3), (7, 32), (64, 16)):
        parts = partition(count, size, np.random.default_rng(0))
        assert sorted(np.concatenate(parts).tolist()) == list(range(count))
        assert len(parts) == max(1, round(count / size))


def test_values_with_each_statistics_are_the_mean_loss_and_the_decay():
    inputs, labels = nearly_orthogonal_classes((6, 4, 2), 5, 0.3, 0)
    options = {"depth": 2, "width": 7, "batch_norm": True, "weight_decay": 1e-2, "seed": 1}
    run = train_in_batches(inputs, labels, at=(2,), batch_size=4, rate=0.1, **options)
    ((epoch, network),) = run
    module, before = network.module, next(iter(network.module.buffers())).clone()
    full, batched, running, affine, feature_decay = values_of(
        network, inputs, labels, weight_decay=1e-2, batch_size=6
    )
    assert epoch == 2
    assert full == pytest.approx(network.value)
    assert (next(iter(module.buffers())) == before).all()
    norm, head = module.body[1], network.weight
    hidden = inputs @ module.body[0].weight.detach().numpy().T
    gamma, beta = norm.weight.detach().numpy(), norm.bias.detach().numpy()
    decay = 5e-3 * ((head**2).sum() + (gamma**2).sum() + (beta**2).sum())
    assert affine == pytest.approx(5e-3 * ((gamma**2).sum() + (beta**2).sum()))

    def loss(rows, mean, variance):
        scaled = (hidden[rows] - mean) / np.sqrt(variance + norm.eps)
        features = np.maximum(gamma * scaled + beta, 0.0)
        logits = features @ head.T
        own = logits[np.arange(len(rows)), labels[rows]]
        return (np.log(np.exp(logits).sum(axis=1)) - own).sum(), (features**2).sum()

    parts = partition(12, 6, np.random.default_rng(0))
    sums = [loss(rows, hidden[rows].mean(axis=0), hidden[rows].var(axis=0))[0] for rows in parts]
    assert batched == pytest.approx(sum(sums) / 12 + decay)
    kept = [buffer.numpy() for buffer in (norm.running_mean, norm.running_var)]
    total, squares = loss(np.arange(12), *kept)
    assert running == pytest.approx(total / 12 + decay)
    assert feature_decay * squares / 2 == pytest.approx(affine)


def test_random_counts_are_unequal_and_few():
    every = [random_counts(seed) for seed in range(30)]
    assert len(set(every)) == 30
    assert all(sum(counts) <= 160 and min(counts) >= 4 for counts in every)
    assert {len(counts) for counts in every} == {2, 3, 4, 5}


def test_digits_are_centred_by_the_mean_of_the_class_means():
    inputs, labels = unequal_images((3, 5), (9, 4), 0, centred=True)
    means = [inputs[labels == k].mean(axis=0) for k in range(2)]
    assert np.abs(means[0] + means[1]).max() < 1e-12
    assert np.linalg.norm(inputs, axis=1).mean() == pytest.approx(1.0)
    assert unequal_images((3, 5), (9, 4), 0, square=True)[0].shape == (13, 1, 14, 14)


def test_descent_on_free_features_ends_at_the_convex_program():
    labels = np.repeat(np.arange(3), (9, 4, 2))
    weight, _features, bias, value = descend(labels, decay=3e-3, seed=0, label_smoothing=0.1)
    theory = predict((9, 4, 2), weight_decay=3e-3, feature_decay=3e-3, label_smoothing=0.1)
    assert bias is None
    assert value == pytest.approx(theory.risk, rel=1e-9)
    np.testing.assert_allclose(weight @ weight.T, theory.weight_gram, atol=1e-5)


def test_the_law_of_seli_has_the_constants_of_its_expansion():
    """Equal counts have no first term; the margins at a small λ are those of Z = log(1/λ)C − CA."""
    np.testing.assert_allclose(approach_constants((7, 7, 7)), 0.0, atol=1e-6)
    counts, decay = (40, 10, 10), 1e-10
    centring = np.eye(3) - 1 / 3
    left, _, right = np.linalg.svd(centring * np.sqrt(counts))
    polar = left[:, :2] @ right[:2]
    logits = predict(counts, weight_decay=decay, feature_decay=decay).logits
    for j, k in ((1, 0), (0, 1), (2, 1)):
        ahead = logits[k, k] - logits[j, k] - np.log(1 / decay)
        assert ahead == pytest.approx(np.log(np.sqrt(counts[k]) / (-60 * polar[j, k])), abs=0.05)


def test_the_depth_law_explains_decay_on_every_layer(result_of):
    for network in result_of("imbalance.depth").of(features="nonnegative").networks:
        told = network.explanation
        assert told.best == "depth"
        assert network.distance("depth") < 0.06 < network.distance("balanced")
        assert network.distance("nonnegative") > 0.3
        assert not told.theory("nonnegative").applies
        violated = {c.name for c in told.theory("nonnegative").assumptions if c.met is False}
        assert "feature decay alone" in violated
        assert told.layer.stationary_decay == pytest.approx(1e-3, rel=0.01)


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
    measured = result_of("imbalance.minority")
    assert measured.merging.tolist() == [True, False]
    assert measured.distances[0] < 0.02 < 0.5 < measured.distances[1]
    assert measured.rescued.shape == (1,)
    assert measured.rescued[0] > 0.5


def test_bounds_are_below_the_value_that_is_proven():
    theory = predict((12, 6, 3), weight_decay=1e-2, normalisation="batch")
    assert lower_bound(theory) <= theory.risk


@pytest.mark.parametrize("name", [name for name in experiments() if name.startswith("imbalance.")])
def test_figures_are_drawn(name, result_of, tmp_path):
    (path,) = getattr(figures, name.partition(".")[2])(result_of(name), tmp_path)
    assert path.read_bytes()[:4] == b"\x89PNG"
