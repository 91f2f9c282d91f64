"""Verdicts: right on degenerate data, equal to linear programming, with reasons that are named."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import check_literally, highs_says_feasible, oracle, split

from ncollapse.certify import Certificate, certify, decide_classes, verify_classes
from ncollapse.data.synthetic import gaussian_mixture


@pytest.mark.parametrize("seed", range(8), ids=lambda seed: f"seed={seed}")
def test_small_degenerate_integers_agree_with_exact_rational_arithmetic(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        inputs, labels = oracle.degenerate_instance(rng)
        counts = oracle.compare(inputs, labels)
        message = f"inputs={inputs.tolist()} labels={labels.tolist()}"
        assert counts["wrong"] == counts["undecided"] == 0, message
        assert counts["verified"] == counts["classes"], message


@pytest.mark.parametrize("sigma", [0.2, 1.0])
@pytest.mark.parametrize("dim", [33, 40, 43, 46, 60, 70])
@pytest.mark.parametrize(
    ("means", "counts"),
    [(np.array([[1.0, 0.0], [-1.0, 0.0]]), [30, 30]), (np.eye(4), [15, 10, 20, 12])],
    ids=["K=2", "K=4 unequal"],
)
def test_moderate_mixtures_agree_with_linear_programming(sigma, dim, means, counts):
    seeds = (dim, dim + 1)
    for seed in seeds:
        data = gaussian_mixture(means, counts, sigma, dim, seed)
        certificate = certify(data.inputs, data.labels)
        for index, entry in enumerate(certificate.classes):
            own, rest = split(data.inputs, data.labels, index)
            expected = "feasible" if highs_says_feasible(own, rest) else "infeasible"
            assert (entry.verdict, entry.verified) == (expected, True), f"seed={seed} k={index}"
            check_literally(own, rest, entry.answer)


@pytest.mark.parametrize("exponent", [-150, -30, 0, 30, 150])
@pytest.mark.parametrize("dim", [25, 60])
def test_verdicts_and_directions_follow_the_scale_of_the_data(exponent, dim):
    data = gaussian_mixture([[1.0, 0.0], [0.0, 1.0]], 20, 0.6, dim, seed=dim)
    plain = certify(data.inputs, data.labels)
    scaled = certify(data.inputs * 10.0**exponent, data.labels)
    assert [c.verdict for c in scaled.classes] == [c.verdict for c in plain.classes]
    assert scaled.verified
    for one, other in zip(plain.classes, scaled.classes, strict=True):
        if one.norm is not None:
            assert other.norm == pytest.approx(one.norm * 10.0**-exponent, rel=1e-6)


def test_samples_of_wildly_different_sizes():
    data = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 10, 0.5, 30, seed=4)
    sizes = 10.0 ** np.random.default_rng(4).integers(-120, 120, 20)
    sizes[data.labels == 0] = 1.0
    entry = certify(data.inputs * sizes[:, None], data.labels, classes=[0]).classes[0]
    assert (entry.verdict, entry.verified) == ("feasible", True)


@pytest.mark.parametrize("seed", range(3), ids=lambda seed: f"seed={seed}")
def test_coordinates_of_any_size_never_give_a_wrong_verdict(seed):
    rng = np.random.default_rng(seed)
    proven = 0
    for _ in range(10):
        plain, labels = oracle.degenerate_instance(rng)
        inputs = np.ldexp(plain.astype(float), rng.integers(-400, 400, plain.shape[1]))
        for index, entry in enumerate(certify(inputs, labels).classes):
            truth = oracle.exactly_feasible(plain, labels, index)
            if entry.verified:
                assert entry.verdict == ("feasible" if truth else "infeasible")
                proven += 1
    assert proven > 20


def least_norm(own, rest):
    """Dykstra-free oracle: the dual quadratic programme by projected gradient, literally."""
    rows = np.vstack([own, rest])
    gram, n = rows @ rows.T, len(own)
    linear = np.concatenate([np.ones(n), np.zeros(len(rest))])
    dual, step = np.zeros(len(rows)), 1.0 / np.linalg.eigvalsh(gram)[-1]
    momentum, previous = 1.0, dual
    for _ in range(40_000):
        after = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        point = dual + (momentum - 1) / after * (dual - previous)
        previous, momentum = dual, after
        dual = point + step * (linear - gram @ point)
        dual[n:] = np.minimum(dual[n:], 0.0)
    return float(np.sqrt(dual @ gram @ dual))


@pytest.mark.parametrize("dim", [18, 24, 40])
def test_the_norm_is_the_least(dim):
    data = gaussian_mixture([[1.0, 0.0], [0.0, 1.0]], [10, 14], 0.5, dim, seed=3)
    entry = certify(data.inputs, data.labels, classes=[0]).classes[0]
    own, rest = split(data.inputs, data.labels, 0)
    assert entry.norm == pytest.approx(least_norm(own, rest), rel=1e-4)
    assert entry.slack > 0


def test_the_same_point_in_two_classes_names_the_pair():
    data = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 15, 0.5, 60, seed=0)
    inputs = data.inputs.copy()
    inputs[20] = inputs[3]
    certificate = certify(inputs, data.labels + 7)
    assert certificate.verdict == "infeasible"
    assert certificate.verified
    assert "samples 3 and 20" in certificate.reason
    assert "classes 7 and 8" in certificate.reason


def test_a_zero_vector_in_a_class_is_an_obstacle_and_outside_it_is_none():
    data = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 5, 0.3, 20, seed=0)
    inputs = data.inputs.copy()
    inputs[2] = 0.0
    first, second = certify(inputs, data.labels).classes
    assert (first.verdict, first.verified) == ("infeasible", True)
    assert "sample 2 is the zero vector" in first.reason
    assert (second.verdict, second.verified) == ("feasible", True)


def test_copies_within_a_class_change_nothing():
    data = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 12, 0.4, 40, seed=1)
    inputs = np.vstack([data.inputs, data.inputs[:6], data.inputs[12:18]])
    labels = np.concatenate([data.labels, data.labels[:6], data.labels[12:18]])
    plain, copied = certify(data.inputs, data.labels), certify(inputs, labels)
    assert copied.verdict == plain.verdict == "feasible"
    assert copied.verified
    assert copied.classes[0].norm == pytest.approx(plain.classes[0].norm, rel=1e-5)


def test_short_cuts_are_named():
    wide = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 10, 1.0, 25, seed=0)
    certificate = certify(wide.inputs, wide.labels)
    assert (certificate.verdict, certificate.verified) == ("feasible", True)
    assert [entry.theorem for entry in certificate.classes] == ["3b", "3b"]
    assert "linearly independent" in certificate.reason
    tall = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 30, 1.0, 8, seed=0)
    certificate = certify(tall.inputs, tall.labels)
    assert (certificate.verdict, certificate.verified) == ("infeasible", True)
    assert certificate.classes[0].theorem == "3c"
    assert "not in the range" in certificate.reason


def test_many_classes_of_unequal_size():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 4, 100)
    data = gaussian_mixture(np.eye(100), counts, 0.05, 150, seed=0)
    certificate = certify(data.inputs, data.labels)
    assert len(certificate.classes) == 100
    assert certificate.verdict == "feasible"
    assert certificate.verified


def test_images_with_pixels_that_are_mostly_zero():
    rng = np.random.default_rng(2)
    inputs = rng.integers(0, 256, (60, 40)) * (rng.random((60, 40)) < 0.2)
    labels = np.repeat([0, 1], 30)
    inputs[5, 38], inputs[5, 39] = 7, 9
    inputs[np.arange(60) != 5, 38:] = 0
    certificate = certify(inputs.astype(np.uint8), labels)
    for index, entry in enumerate(certificate.classes):
        own, rest = split(inputs, labels, index)
        expected = "feasible" if highs_says_feasible(own, rest) else "infeasible"
        assert (entry.verdict, entry.verified) == (expected, True)


def test_labels_of_any_value_and_a_choice_of_classes():
    data = gaussian_mixture(np.eye(3), 4, 0.2, 20, seed=0)
    certificate = certify(data.inputs, np.array([-5, 10, 99])[data.labels], classes=[99, -5])
    assert [c.label for c in certificate.classes] == [99, -5]
    with pytest.raises(ValueError, match=r"classes must be some of \[-5, 10, 99\]"):
        certify(data.inputs, np.array([-5, 10, 99])[data.labels], classes=[1])
    for classes in ([], [1, 1]):
        with pytest.raises(ValueError, match="classes must be"):
            certify(data.inputs, data.labels, classes=classes)


def test_a_dataset_or_arrays():
    data = gaussian_mixture(np.eye(3), 4, 0.2, 20, seed=0)
    whole, parts = certify(data).to_dict(), certify(data.inputs, data.labels).to_dict()
    assert whole | {"volatile": 0} == parts | {"volatile": 0}
    with pytest.raises(TypeError, match="labels must be left out beside a Dataset"):
        certify(data, data.labels)
    with pytest.raises(TypeError, match="inputs must be a Dataset, or come with labels"):
        certify(data.inputs)


def test_the_module_is_a_module_and_can_be_called():
    import ncollapse
    import ncollapse.certify as module

    data = gaussian_mixture(np.eye(3), 4, 0.2, 20, seed=0)
    assert module is ncollapse.certify
    assert module.certify(data).verdict == module(data).verdict == "feasible"


def test_classes_come_as_they_are_decided():
    data = gaussian_mixture(np.eye(3), 4, 0.2, 20, seed=0)
    entries = decide_classes(data, [2, 0])
    assert next(entries).label == 2
    partial = Certificate.of(data, [next(entries)])
    assert partial.covered == (0,)
    assert partial.missing == (1, 2)
    checked = verify_classes(partial, data)
    assert next(checked).verified
    assert list(checked) == []


SIZES = {
    "subnormal rows beside ordinary ones": lambda rng, x: (
        x * rng.choice([1.0, 1e-310], (len(x), 1))
    ),
    "all subnormal": lambda rng, x: np.rint(3 * x) * 5e-324,
    "rows of all sizes": lambda rng, x: x * 10.0 ** rng.integers(-320, 308, (len(x), 1)),
    "columns of all sizes": lambda rng, x: x * 10.0 ** rng.integers(-320, 308, (1, x.shape[1])),
    "the largest numbers": lambda rng, x: np.clip(x, -1.7, 1.7) * 1e308,
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
def test_numbers_of_any_size_are_decided_without_a_warning(sizes):
    rng = np.random.default_rng(0)
    for _ in range(15):
        labels = np.arange(rng.integers(4, 10)) % 2
        inputs = sizes(rng, rng.standard_normal((len(labels), rng.integers(1, 6))))
        certificate = certify(inputs, labels)
        json.dumps(certificate.to_dict(), allow_nan=False)
        for index, entry in enumerate(certificate.classes):
            truth = "feasible" if oracle.exactly_feasible(inputs, labels, index) else "infeasible"
            message = f"inputs={inputs.tolist()} labels={labels.tolist()}"
            assert (entry.verdict, entry.verified) == (truth, True), message


@pytest.mark.parametrize("family", oracle.FAMILIES)
def test_small_data_are_decided_rightly_whatever_rounding_did_to_them(family):
    rng = np.random.default_rng(7)
    for _ in range(12):
        inputs, labels = oracle.FAMILIES[family](rng)
        counts = oracle.compare(inputs, labels)
        message = f"inputs={inputs.tolist()} labels={labels.tolist()}"
        assert counts["wrong"] == counts["undecided"] == 0, message
        assert counts["verified"] == counts["classes"], message


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_dropping_coordinates_never_turns_no_into_yes(seed, dim):
    data = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 5, 0.5, dim, seed)
    wide = certify(data, classes=[0]).classes[0]
    narrow = certify(data.inputs[:, :-1], data.labels, classes=[0]).classes[0]
    assert wide.verified
    assert narrow.verified
    assert (narrow.verdict, wide.verdict) != ("feasible", "infeasible")
