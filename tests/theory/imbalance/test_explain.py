"""`explain`: networks whose truth is known, and assumptions that are violated."""

import json

import numpy as np
import pytest
from literal import descend, softmax

from ncollapse.geometry import simplex_etf
from ncollapse.theory.explain import explain, explain_file
from ncollapse.theory.imbalance import optimality_gap, seli
from ncollapse.theory.predict import predict

COUNTS = (16, 8, 4, 4)
DECAYS = {"weight_decay": 4e-3, "feature_decay": 1e-3}
NAMES = ["balanced", "orthogonal", "seli", "peeled", "nonnegative", "depth", "batch_norm"]


def met(explanation, theory):
    return {check.name: check.met for check in explanation.theory(theory).assumptions}


def spread(means, counts, size, seed=0):
    """Features around ``means`` (rows) and their labels."""
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).standard_normal((len(labels), means.shape[1]))
    return means[labels] + size * noise, labels


def factors(weight_gram, logits, dim, seed):
    """W and class means as rows with WWᵀ and WM̄ᵀ given, turned at random into ``dim``."""
    values, vectors = np.linalg.eigh(weight_gram)
    kept = values > 1e-12 * values[-1]
    weight = vectors[:, kept] * np.sqrt(values[kept])
    means = np.linalg.lstsq(weight, logits)[0].T
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))[0]
    return weight @ turn[: weight.shape[1]], means @ turn[: weight.shape[1]]


@pytest.fixture(scope="module")
def descended():
    """W and class means of descent on W and every feature."""
    _, weight, means, _ = descend(COUNTS, *DECAYS.values(), starts=1)
    return weight, means


def test_decay_on_w_and_features_is_the_peeled_theory(descended):
    weight, means = descended
    features, labels = spread(means, COUNTS, 0.0)
    found = explain(features, labels, weight, weight_decay=4e-3, depth=3)
    assert [theory.name for theory in found.theories] == NAMES
    assert found.best == "peeled"
    assert found.theory("peeled").largest < 1e-4
    assert found.feature_decay == pytest.approx(1e-3, rel=1e-6)
    assert found.disproportion < 1e-5
    assert -1e-9 < found.gap < 1e-6
    applying = {theory.name for theory in found.theories if theory.applies}
    assert applying == {"peeled", "depth"}
    assert met(found, "balanced")["equal counts"] is False
    assert met(found, "nonnegative")["nonnegative features"] is False
    assert found.theory("batch_norm").weight_distance is None
    prediction = predict(COUNTS, **DECAYS)
    np.testing.assert_allclose(found.layer.margins, prediction.margins, rtol=1e-5)


def test_without_the_decay_ratios_remain(descended):
    weight, means = descended
    features, labels = spread(means, COUNTS, 0.0)
    found = explain(features, labels, weight)
    assert found.best == "peeled"
    assert (found.feature_decay, found.gap) == (None, None)
    assert found.decay_ratio == pytest.approx(0.25, rel=1e-6)
    assert found.weight_decay == pytest.approx(4e-3, rel=1e-5)  # of stationarity
    assert found.decay_given is False
    assert "weight_decay is not known" in found.notes[0]
    assert met(found, "peeled")["small proven gap"] is None


@pytest.mark.parametrize("bias", [True, 0.02])
def test_a_bias_is_recognised_as_free_or_by_its_decay(bias):
    _, weight, means, shift = descend(COUNTS, *DECAYS.values(), bias=bias, starts=1)
    features, labels = spread(means, COUNTS, 0.0)
    found = explain(features, labels, weight, shift + 7.0, weight_decay=4e-3)
    np.testing.assert_allclose(found.layer.bias, shift - shift.mean(), atol=1e-12)
    # A stationary free bias has no residual but rounding.
    assert found.layer.bias_decay == (None if bias is True else pytest.approx(bias, rel=1e-4))
    assert found.best == "peeled"
    assert found.theory("peeled").largest < 1e-4
    assert met(found, "seli")["no bias"] is False


def test_wide_classes_are_not_tight(descended):
    weight, means = descended
    features, labels = spread(means, COUNTS, 0.3)
    found = explain(features, labels, weight, weight_decay=4e-3, depth=3)
    variation = found.layer.variation
    grand = features.mean(axis=0)
    centres = np.array([features[labels == k].mean(axis=0) for k in range(4)])[labels]
    assert variation == pytest.approx(
        ((features - centres) ** 2).sum() / ((centres - grand) ** 2).sum()
    )
    assert variation > 0.01
    assert found.best is None
    for name in NAMES[:6]:
        assert met(found, name)["tight classes"] is False
        assert not found.theory(name).applies


@pytest.mark.parametrize("seed", range(3))
def test_equal_tight_classes_are_a_simplex_or_an_orthogonal_frame(seed):
    means = 3.0 * simplex_etf(4, 9, seed=seed)
    features, labels = spread(means, (7, 7, 7, 7), 1e-3)
    found = explain(features, labels, means)
    assert found.best == "balanced"
    assert found.theory("orthogonal").means_distance > 0.4
    frame = 3.0 * np.eye(4, 9)
    features, labels = spread(frame, (7, 7, 7, 7), 0.0)
    found = explain(features, labels, frame)
    assert found.theory("orthogonal").largest < 1e-12
    # Less its mean, an orthogonal frame is a simplex: both theories are right, and neither knows λ.
    assert found.theory("balanced").applies
    assert found.theory("orthogonal").applies
    unequal, labels = spread(frame, COUNTS, 0.0)
    assert explain(unequal, labels, frame).best not in ("balanced", "orthogonal")


def test_nonnegative_features_follow_the_nonnegative_theory():
    _, weight, means, _ = descend(COUNTS, *DECAYS.values(), nonnegative=True, starts=4)
    features, labels = spread(means, COUNTS, 0.0)
    found = explain(features, labels, weight, weight_decay=4e-3)
    assert found.best == "nonnegative"
    assert found.theory("nonnegative").largest < 1e-3
    assert met(found, "peeled")["signed features"] is False
    assert found.disproportion < 1e-3  # of the positive part of WᵀW


def test_the_seli_limit_is_seli():
    weight_gram, _, logits = seli((40, 10, 5))
    weight, means = factors(weight_gram * 30.0, logits * 30.0, 6, seed=0)
    features, labels = spread(means, (40, 10, 5), 0.0)
    found = explain(features, labels, weight)
    assert found.theory("seli").largest < 1e-7
    assert found.best == "seli"
    # At a decay that is not small the same theory is not called right.
    _, weight, means, _ = descend((40, 10, 5), 1e-2, 1e-2, starts=1)
    features, labels = spread(means, (40, 10, 5), 0.0)
    found = explain(features, labels, weight, weight_decay=1e-2)
    assert met(found, "seli")["vanishing loss"] is False
    assert found.best == "peeled"


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_a_layer_of_the_depth_law_is_told_by_its_depth(depth):
    """Built from the law: the input norms, which it was not told, are found from its identity."""
    norms = np.full(4, 1.7)
    law = predict(COUNTS, weight_decay=1e-3, depth=depth, input_norms=norms)
    weight, means = factors(law.weight_gram, law.logits, 8, seed=depth)
    features, labels = spread(means, COUNTS, 0.0)
    found = explain(features, labels, weight, weight_decay=1e-3, depth=depth)
    assert found.best == "depth"
    assert found.theory("depth").largest < 1e-3
    assert met(found, "depth")["stationary weight"]
    assert (
        met(found, "peeled")["feature decay alone"] is (False if depth > 2 else None) or depth == 2
    )
    assert found.theory("peeled").largest > 0.1
    assert not found.theory("balanced").applies
    told = explain(features, labels, weight, weight_decay=1e-3, depth=depth, normalisation="batch")
    assert met(told, "depth")["no batch norm before the last activation"] is False
    assert told.best != "depth"


def test_inputs_give_the_depth_law_its_margins_and_their_angles():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), COUNTS)
    inputs = np.diag([1.0, 2.0, 1.5, 1.0])[labels]
    law = predict(COUNTS, weight_decay=1e-3, depth=3, input_norms=[1.0, 2.0, 1.5, 1.0])
    weight, means = factors(law.weight_gram, law.logits, 8, seed=0)
    arguments = means[labels], labels, weight
    found = explain(*arguments, weight_decay=1e-3, depth=3, inputs=inputs)
    assert found.theory("depth").largest < 1e-3
    assert met(found, "depth")["nearly orthogonal class inputs"]
    blind = explain(*arguments, weight_decay=1e-3, depth=3)
    assert blind.theory("depth").largest > 0.01
    assert met(blind, "depth")["nearly orthogonal class inputs"] is None
    turned = explain(*arguments, weight_decay=1e-3, depth=3, inputs=inputs + 0.5)
    assert met(turned, "depth")["nearly orthogonal class inputs"] is False
    opposite = np.where(rng.permutation(32)[:, None] < 16, 1.0, -1.0) * inputs
    found = explain(*arguments, weight_decay=1e-3, depth=3, inputs=opposite)
    assert not found.theory("depth").applies


@pytest.mark.parametrize("features", ["signed", "nonnegative"])
def test_a_batch_norm_layer_has_its_feature_decay(features):
    law = predict(COUNTS, weight_decay=5e-3, normalisation="batch", features=features)
    if features == "signed":
        weight, means = factors(law.weight_gram, law.logits, 8, seed=0)
    else:
        means = np.diag(np.sqrt(np.diag(law.means_gram)))
        weight = law.logits / np.diag(means)
    hidden, labels = spread(means, COUNTS, 0.0)
    found = explain(hidden, labels, weight, weight_decay=5e-3, normalisation="batch")
    assert found.theory("batch_norm").largest < 1e-4
    assert found.theory("batch_norm").applies
    assert found.feature_decay == pytest.approx(5e-3 / 32)
    # The same matrices as those of the theory that takes the feature decay from the network.
    other = "peeled" if features == "signed" else "nonnegative"
    assert found.theory(other).largest < 1e-4
    assert found.best == "batch_norm"
    name = "feature decay times samples over decay of γ and β"
    assert met(found, "batch_norm")[name]
    loud = explain(2.0 * hidden, labels, weight / 2.0, weight_decay=5e-3, normalisation="batch")
    assert met(loud, "batch_norm")[name] is False
    plain = explain(hidden, labels, weight, weight_decay=5e-3)
    assert not plain.theory("batch_norm").applies
    assert plain.best == other


def test_features_of_too_few_dimensions_violate_a_theory(descended):
    """Three dimensions hold the simplex of four classes, but not four orthogonal means."""
    weight, means = descended
    axes = np.linalg.svd(means)[2][:3]
    features, labels = spread(means @ axes.T, COUNTS, 0.0)
    found = explain(features, labels, weight @ axes.T, weight_decay=4e-3)
    assert met(found, "orthogonal")["dimensions of its class means"] is False
    assert "dimensions of its class means" not in met(found, "peeled")
    assert found.best == "peeled"


def test_nonnegative_features_have_the_gap_of_their_kind():
    law = predict(COUNTS, features="nonnegative", **DECAYS)
    means = np.diag(np.sqrt(np.diag(law.means_gram)))
    features, labels = spread(means, COUNTS, 0.0)
    weight = law.logits / np.diag(means)
    found = explain(features, labels, weight, weight_decay=4e-3)
    assert met(found, "nonnegative")["small proven gap"]
    assert abs(found.gap) < 1e-6
    signed = optimality_gap(features @ weight.T, labels, weight, features, weight_decay=4e-3)
    assert signed.gap > 0.01
    far = explain(features, labels, 3.0 * weight, weight_decay=4e-3)
    assert met(far, "nonnegative")["small proven gap"] is False


@pytest.mark.parametrize("seed", range(5))
def test_nothing_explains_a_random_network(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), COUNTS)
    found = explain(
        rng.standard_normal((32, 6)),
        labels,
        rng.standard_normal((4, 6)),
        weight_decay=1e-3,
        depth=3,
    )
    assert found.best is None
    assert not any(theory.applies for theory in found.theories)


def test_the_numbers_are_those_of_the_formulas(descended):
    weight, means = descended
    features, labels = spread(means, COUNTS, 0.1)
    bias = np.array([0.3, -0.1, 0.0, 0.2])
    found = explain(features, labels, weight, bias, weight_decay=4e-3)
    logits = features @ weight.T + bias
    shift = {"bias": bias - bias.mean(), "bias_decay": found.layer.bias_decay}
    whole = optimality_gap(logits, labels, weight, features, weight_decay=4e-3, **shift)
    assert found.gap == pytest.approx(whole.gap)
    residuals = softmax(logits.T).T - np.eye(4)[labels]
    decay = -np.sum(residuals * (features @ weight.T)) / 32 / np.sum(weight**2)
    assert found.layer.stationary_decay == pytest.approx(decay)
    unit = [m / np.linalg.norm(m) for m in (weight.T @ weight, features.T @ features)]
    assert found.disproportion == pytest.approx(np.linalg.norm(unit[0] - unit[1]))
    centred = weight - weight.mean(axis=0)
    peeled = found.theory("peeled")
    gram = centred @ centred.T
    expected = gram / np.linalg.norm(gram) - peeled.matrices[0] / np.linalg.norm(peeled.matrices[0])
    assert peeled.weight_distance == pytest.approx(np.linalg.norm(expected))


def test_a_file_is_explained_like_arrays_and_is_json(tmp_path, descended):
    weight, means = descended
    features, labels = spread(means, COUNTS, 0.01)
    path = tmp_path / "layer.npz"
    np.savez(path, features=features, labels=labels + 10, weight=weight)
    of_file = explain_file(path, weight_decay=4e-3, depth=3)
    of_arrays = explain(features, labels, weight, weight_decay=4e-3, depth=3)
    assert of_file.to_dict() == of_arrays.to_dict()
    fields = json.loads(json.dumps(of_file.to_dict(), allow_nan=False))
    assert {"theories", "best", "gap", "feature_decay"} <= fields.keys()
    assert {
        "name",
        "weight_distance",
        "means_distance",
        "logits_distance",
        "assumptions",
        "applies",
    } == fields["theories"][0].keys()
    np.savez(path, features=features, labels=labels)
    with pytest.raises(ValueError, match=r"layer\.npz lacks weight"):
        explain_file(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weight_decay": -1.0}, "weight_decay must be a positive"),
        ({"weight_decay": [1e-3, 1e-3]}, "weight_decay must be one number without depth"),
        ({"weight_decay": [1e-3] * 3, "depth": 2}, "one for each of 2 layers"),
        ({"feature_decay": 1e-3}, "feature_decay must be None without batch norm"),
        ({"feature_decay": -1.0, "normalisation": "batch"}, "feature_decay must be a positive"),
        ({"class_weights": (1.0, 2.0)}, "class_weights must be 4 numbers, one a class"),
        ({"depth": 1}, "depth must be at least 2 layers, but it is 1"),
        ({"normalisation": "layer"}, "normalisation must be one of None, batch"),
        ({"labels": np.zeros(32, int)}, "labels have no sample of class 1"),
        ({"labels": np.full(32, 4)}, "labels must lie in 0 … 3"),
        ({"weight": np.zeros((4, 5))}, "weight and features must not be all zero"),
        ({"weight": np.ones((4, 3))}, "weight must have 5 columns"),
        ({"inputs": np.ones((3, 2)), "depth": 2}, "inputs has 3 rows for 32 labels"),
        ({"bias": np.zeros(3)}, "bias must be 4 finite numbers"),
        ({"features": np.full((32, 5), np.nan)}, "features must be finite"),
    ],
)
def test_bad_input_is_named(changed, message):
    labels = np.repeat(np.arange(4), COUNTS)
    arguments = {"features": np.ones((32, 5)), "labels": labels, "weight": np.ones((4, 5))}
    with pytest.raises(ValueError, match=message):
        explain(**arguments | changed)
