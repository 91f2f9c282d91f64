"""`predict`: which theory answers, what its result holds, and what it refuses."""

import json

import numpy as np
import pytest

from ncollapse.metrics import METRICS, measure
from ncollapse.theory.imbalance import class_margins
from ncollapse.theory.predict import predict

DECAYS = {"weight_decay": 2e-3, "feature_decay": 1e-3}
CASES = {
    "peeled": DECAYS,
    "nonnegative": DECAYS | {"features": "nonnegative"},
    "batch_norm": {"weight_decay": 1e-3, "normalisation": "batch"},
    "depth": {"weight_decay": 1e-3, "depth": 3, "features": "nonnegative"},
    "depth, signed": {"weight_decay": 1e-3, "depth": 3},
    "squared": DECAYS | {"loss": "squared"},
    "squared, free bias": DECAYS | {"loss": "squared", "bias": True},
    "squared, nonnegative": DECAYS | {"loss": "squared", "features": "nonnegative"},
    "free bias": DECAYS | {"bias": True},
}


@pytest.mark.parametrize("name", CASES)
def test_the_fields_belong_to_one_last_layer(name):
    prediction = predict((9, 9, 5, 2), **CASES[name])
    assert prediction.theory in name or prediction.theory == (
        "nonnegative" if "nonnegative" in name else "peeled"
    )
    means, weight = prediction._vectors()
    np.testing.assert_allclose(means @ means.T, prediction.means_gram, atol=1e-9)
    np.testing.assert_allclose(weight @ weight.T, prediction.weight_gram, atol=1e-9)
    logits = weight @ means.T + prediction.bias[:, None]
    np.testing.assert_allclose(logits, prediction.logits, atol=1e-9)
    own = np.diag(logits)
    np.testing.assert_allclose(prediction.margins, own - (logits.sum(axis=0) - own) / 3)
    assert (prediction.gap is None) == (prediction.theory == "depth")
    assert prediction.gap is None or abs(prediction.gap) < 1e-9


@pytest.mark.parametrize("name", CASES)
def test_the_metrics_are_those_of_a_network_that_has_the_geometry(name):
    """Turned into more dimensions at random, every sample at its class mean."""
    counts = (9, 9, 5, 2)
    prediction = predict(counts, **CASES[name])
    means, weight = prediction._vectors()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((7, 7)))[0][: means.shape[1]]
    labels = np.repeat(np.arange(4), counts)
    measured = measure(
        (means @ turn)[labels], labels, weight=weight @ turn, bias=prediction.bias
    ).metrics
    assert len(prediction.metrics) >= 40
    for metric, value in prediction.metrics.items():
        if metric != "nc2_negative_part":  # of the axes, which are turned here
            assert value == pytest.approx(measured[metric], abs=1e-6), metric
    assert set(METRICS) >= set(prediction.metrics)
    nonnegative = CASES[name].get("features") == "nonnegative"
    assert ("nc2_negative_part" in prediction.metrics) == nonnegative


def test_a_result_is_json():
    for name in CASES:
        fields = json.loads(json.dumps(predict((9, 9, 5, 2), **CASES[name]).to_dict()))
        assert {
            "logits",
            "margins",
            "weight_gram",
            "means_gram",
            "risk",
            "gap",
            "merged",
            "dead",
            "metrics",
            "theory",
            "assumptions",
            "source",
        } <= fields.keys()


def test_classes_that_merge_or_die_are_named():
    counts = (100, 100, 6, 6, 6)
    level = 1.02 * np.sqrt(6) / 218
    merged = predict(counts, weight_decay=level, feature_decay=level)
    assert merged.merged == ((2, 3, 4),)
    assert merged.dead == ()
    assert "nc4_agreement" not in merged.metrics
    assert merged.metrics["minority_collapse_angle"] == pytest.approx(0.0, abs=1e-6)
    dead = predict(counts, weight_decay=level, feature_decay=level, features="nonnegative")
    assert (dead.merged, dead.dead) == ((), (2, 3, 4))
    np.testing.assert_array_equal(dead.margins[2:], 0.0)
    apart = predict(counts, weight_decay=0.9 * level, feature_decay=level)
    assert (apart.merged, apart.dead) == ((), ())
    nothing = predict(counts, weight_decay=1.0, feature_decay=1.0)
    assert nothing.dead == (0, 1, 2, 3, 4)
    assert nothing.metrics.keys().isdisjoint({"nc4_agreement", "nc2_etf_means"})


def test_ten_thousand_classes_need_no_large_matrix():
    prediction = predict([1000] * 3000 + [300] * 3000 + [100] * 4000, **DECAYS | CASES["peeled"])
    assert prediction.margins.shape == (10_000,)
    assert prediction.geometry.logits.core.shape == (3, 3)


def test_data_gives_the_margins_of_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), (6, 4, 2))
    inputs = np.eye(3, 8)[labels] * [[1.0 + k] for k in labels] + 0.02 * rng.random((12, 8))
    options = {"weight_decay": 1e-3, "depth": 3, "features": "nonnegative"}
    of_data = predict((6, 4, 2), inputs=inputs, labels=labels, **options)
    of_norms = predict((6, 4, 2), input_norms=class_margins(inputs, labels), **options)
    np.testing.assert_array_equal(of_data.logits, of_norms.logits)
    with pytest.raises(ValueError, match=r"counts must be those of labels, which are \[6, 4, 2\]"):
        predict((6, 3, 2), inputs=inputs, labels=labels, **options)


def test_patterns_of_single_labels_are_classes():
    classes = predict((9, 9, 5), **DECAYS)
    patterns = predict((9, 9, 5), labels=np.eye(3), **DECAYS)
    assert patterns.risk == pytest.approx(classes.risk, rel=1e-9)
    np.testing.assert_allclose(patterns.margins, classes.margins, atol=1e-4)
    assert patterns.metrics == {}


GOOD = {"counts": (9, 5, 2)} | DECAYS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": (9, 0, 2)}, "counts must be positive whole numbers, but that of class 1 is 0"),
        ({"counts": (9, 2.5)}, "counts must be positive whole numbers"),
        ({"counts": (9,)}, "at least 2 classes"),
        ({"weight_decay": -1.0}, "weight_decay must be a positive"),
        ({"weight_decay": [1e-3, 1e-3]}, "weight_decay must be one number without depth"),
        ({"feature_decay": None}, "feature_decay is needed"),
        ({"feature_decay": 0.0}, "feature_decay must be a positive"),
        ({"loss": "hinge"}, "loss must be one of cross_entropy, squared"),
        ({"features": "positive"}, "features must be one of signed, nonnegative"),
        ({"normalisation": "layer"}, "normalisation must be one of None, batch"),
        ({"bias": -0.1}, "bias must be a positive"),
        ({"bias": True, "features": "nonnegative"}, "bias must be False"),
        ({"depth": 1, "feature_decay": None}, "depth must be at least 2 layers, but it is 1"),
        ({"depth": 3}, "feature_decay must be None with depth"),
        ({"depth": 3, "normalisation": "batch"}, "depth must be None with batch norm"),
        ({"input_norms": (1, 1, 1)}, "give depth too"),
        (
            {"depth": 3, "feature_decay": None, "input_norms": (1, 1)},
            "input_norms must be 3 numbers",
        ),
        ({"class_weights": (1, 1)}, "class_weights must be 3 numbers, one a class"),
        ({"class_weights": (1, 0, 1)}, "class_weights must be a positive"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"dim": 1}, "dim must be at least 2"),
        ({"dim": 2, "features": "nonnegative"}, "dim must be at least 3"),
        ({"labels": np.eye(2)}, "labels must have 3 columns"),
        ({"labels": np.ones((2, 3))}, "sum to 1 for cross-entropy"),
        ({"labels": np.arange(3)}, "label patterns as columns"),
    ],
)
def test_bad_arguments_get_one_sentence(change, message):
    arguments = GOOD | change
    with pytest.raises(ValueError, match=message) as caught:
        predict(**arguments)
    assert "\n" not in str(caught.value)
