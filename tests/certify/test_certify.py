"""Certificates: right on degenerate data, equal to linear programming, and impossible to forge."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from ncollapse.certify import (
    Certificate,
    Direction,
    Multipliers,
    certify,
    verify,
    verify_certificate,
)
from ncollapse.certify.separation import meeting_hulls
from ncollapse.certify.verify import smallest_singular_value_at_least
from ncollapse.data import Dataset, orthogonal_separability
from ncollapse.data.synthetic import gaussian_mixture

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "certify_oracle.py"
_SPEC = importlib.util.spec_from_file_location("certify_oracle", _SCRIPT)
assert _SPEC is not None
assert _SPEC.loader is not None
oracle = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(oracle)


def split(inputs, labels, index):
    classes = np.unique(labels)
    inside = labels == classes[index]
    return np.asarray(inputs, float)[inside], np.asarray(inputs, float)[~inside]


def check_literally(own, rest, answer):
    """The definition, with the tolerance of float64 sums: a second opinion on the verifier."""
    if isinstance(answer, Direction):
        beta = answer.beta
        size = np.linalg.norm(own, axis=1) * np.linalg.norm(beta)
        assert (np.abs(own @ beta - 1.0) <= 1e-8 * (1.0 + size)).all()
        assert (rest @ beta <= 1e-8 * np.linalg.norm(rest, axis=1) * np.linalg.norm(beta)).all()
    else:
        total = answer.free @ own + answer.nonneg @ rest
        parts = np.abs(answer.free) @ np.abs(own) + answer.nonneg @ np.abs(rest)
        assert (np.abs(total) <= 1e-7 * parts.max()).all()
        assert (answer.nonneg >= 0).all()
        assert answer.free.sum() < 0


@pytest.mark.parametrize("seed", range(8), ids=lambda seed: f"seed={seed}")
def test_small_degenerate_integers_agree_with_exact_rational_arithmetic(seed):
    rng = np.random.default_rng(seed)
    for _ in range(40):
        inputs, labels = oracle.degenerate_instance(rng)
        counts = oracle.compare(inputs, labels)
        message = f"inputs={inputs.tolist()} labels={labels.tolist()}"
        assert counts["wrong"] == counts["undecided"] == 0, message
        assert counts["verified"] == counts["classes"], message


def highs_says_feasible(own, rest):
    answer = linprog(
        np.zeros(own.shape[1]),
        A_ub=rest,
        b_ub=np.zeros(len(rest)),
        A_eq=own,
        b_eq=np.ones(len(own)),
        bounds=(None, None),
        method="highs-ds",
    )
    assert answer.status in (0, 2)
    return answer.status == 0


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
    certificate = certify(data.inputs * sizes[:, None], data.labels, classes=[0])
    assert certificate.verdict == "feasible"
    assert certificate.verified


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
    assert "Theorem 3b" in certificate.reason
    tall = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 30, 1.0, 8, seed=0)
    certificate = certify(tall.inputs, tall.labels)
    assert (certificate.verdict, certificate.verified) == ("infeasible", True)
    assert "Theorem 3c" in certificate.reason


@pytest.mark.parametrize("seed", range(6), ids=lambda seed: f"seed={seed}")
def test_meeting_hulls_are_found_exactly_when_no_hyperplane_separates(seed):
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-3, 4, (14, 3)).astype(float)
    labels = np.repeat([0, 1], 7)
    inputs[labels == 0] += [2.0 * (seed % 3), 0.0, 0.0]
    own, rest = split(inputs, labels, 0)
    signs = np.where(labels == 0, -1.0, 1.0)
    separation = linprog(
        np.zeros(4),
        A_ub=np.column_stack([inputs, np.ones(14)]) * signs[:, None],
        b_ub=-np.ones(14),
        bounds=(None, None),
    )
    found = meeting_hulls(own, rest)
    assert (found is not None) == (separation.status == 2)
    if found is not None:
        assert np.allclose(-found.free @ own, found.nonneg @ rest, atol=1e-10)
        assert (found.free <= 0).all()
        assert found.nonneg.sum() == pytest.approx(1.0)


def test_mixed_clouds_are_not_linearly_separable():
    data = gaussian_mixture([[0.1, 0.0], [0.0, 0.1]], [9, 60], 1.0, 12, seed=0)
    entry = certify(data.inputs, data.labels, classes=[0]).classes[0]
    assert (entry.verdict, entry.verified) == ("infeasible", True)
    assert "Theorem 3a" in entry.reason
    own, rest = split(data.inputs, data.labels, 0)
    assert verify(own, rest, entry.answer).verified


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
    with pytest.raises(ValueError, match="classes must be"):
        certify(data.inputs, data.labels, classes=[])


def test_the_dictionary_is_json_with_the_promised_keys():
    data = gaussian_mixture(np.eye(3), 4, 0.2, 20, seed=0)
    record = json.loads(json.dumps(certify(data.inputs, data.labels).to_dict()))
    assert {"verdict", "classes", "reason", "orthogonally_separable", "version"} <= set(record)
    keys = {"label", "verdict", "verified", "slack", "norm", "seconds"}
    assert all(keys <= set(entry) for entry in record["classes"])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_orthogonal_separability_is_that_of_the_definition(sign):
    rng = np.random.default_rng(1)
    inputs = np.abs(rng.standard_normal((8, 5)))
    inputs[4:] *= -sign
    data = Dataset.from_arrays(inputs, np.repeat([0, 1], 4))
    expected = orthogonal_separability(data).separable
    assert certify(data.inputs, data.labels).orthogonally_separable == expected == (sign > 0)


@pytest.fixture(params=["feasible", "infeasible", "integers"])
def proven(request):
    """A data set, a class and a proven answer."""
    if request.param == "integers":
        inputs = np.array([[1, 2], [2, 1], [1, 1], [3, 4], [4, 3]])
        data = Dataset.from_arrays(inputs, [0, 0, 1, 1, 1])
    else:
        dim = 30 if request.param == "feasible" else 22
        data = gaussian_mixture([[1.0, 0.0], [0.0, 1.0]], 20, 0.5, dim, seed=2)
    certificate = certify(data.inputs, data.labels)
    assert certificate.verified
    assert certificate.verdict == ("feasible" if request.param == "feasible" else "infeasible")
    return data, certificate


def forgeries(answer):
    """Each entry moved, each sign flipped, neighbours exchanged, the whole turned or scaled."""
    parts = [answer.beta] if isinstance(answer, Direction) else [answer.free, answer.nonneg]

    def rebuilt(position, values):
        replaced = [values if i == position else part for i, part in enumerate(parts)]
        return Direction(*replaced) if isinstance(answer, Direction) else Multipliers(*replaced)

    for position, part in enumerate(parts):
        size = np.abs(part).max(initial=0.0)
        for i in range(len(part)):
            for share in (1e-3, -1e-3, 1.0):
                moved = part.copy()
                moved[i] += share * max(size, 1e-3)
                yield f"moved {position}[{i}] by {share}", rebuilt(position, moved)
            if abs(part[i]) > 1e-3 * size:
                flipped = part.copy()
                flipped[i] = -flipped[i]
                yield f"flipped {position}[{i}]", rebuilt(position, flipped)
            if abs(part[i] - part[i - 1]) > 1e-3 * size:
                swapped = part.copy()
                swapped[[i - 1, i]] = swapped[[i, i - 1]]
                yield f"swapped {position}[{i}]", rebuilt(position, swapped)
        if part.any():
            yield f"turned {position}", rebuilt(position, -part)
            yield f"emptied {position}", rebuilt(position, np.zeros_like(part))
            yield f"scaled {position}", rebuilt(position, 1.01 * part)
        yield f"cut {position}", rebuilt(position, part[:-1])
        yield f"unfinished {position}", rebuilt(position, np.full_like(part, np.nan))
        yield f"infinite {position}", rebuilt(position, np.full_like(part, np.inf))


def test_forged_answers_are_rejected(proven):
    data, certificate = proven
    tried = 0
    for index, entry in enumerate(certificate.classes):
        own, rest = split(data.inputs, data.labels, index)
        assert verify(own, rest, entry.answer).verified
        check_literally(own, rest, entry.answer)
        for what, forged in forgeries(entry.answer):
            if isinstance(forged, Multipliers) and what.startswith("scaled"):
                continue
            assert not verify(own, rest, forged).verified, f"class {index}: {what}"
            tried += 1
    assert tried > 30


def test_an_answer_about_other_data_is_rejected(proven):
    data, certificate = proven
    order = np.concatenate([np.arange(1, len(data.labels)), [0]])
    noise = 0.01 * np.random.default_rng(0).standard_normal(data.inputs.shape)
    moved = Dataset(data.inputs + noise, data.labels, data.classes)
    turned = Dataset(data.inputs[order], data.labels, data.classes)
    for other in (moved, turned):
        checked = verify_certificate(certificate, other)
        assert not any(entry.verified for entry in checked.classes)
        assert checked.verdict == "undecided"


def test_a_certificate_survives_the_file_and_is_checked_anew(proven, tmp_path):
    data, certificate = proven
    path = tmp_path / "certificate.npz"
    certificate.save(path)
    loaded = Certificate.load(path)
    assert loaded.verdict == certificate.verdict
    assert not loaded.verified
    checked = verify_certificate(loaded, data)
    assert checked.verified
    assert checked.verdict == certificate.verdict
    with np.load(path) as arrays:
        for index, entry in enumerate(certificate.classes):
            names = [f"beta_{index}"]
            if entry.verdict == "infeasible":
                names = [f"free_{index}", f"nonneg_{index}"]
            assert all(name in arrays.files for name in names)


def test_a_certificate_of_other_classes_is_refused(proven):
    data, certificate = proven
    renamed = Dataset(data.inputs, data.labels, data.classes + 1)
    with pytest.raises(ValueError, match="speaks of class 0 at index 0"):
        verify_certificate(certificate, renamed)
    stray = replace(certificate, indices=(0, 5))
    with pytest.raises(ValueError, match="at index 5"):
        verify_certificate(stray, data)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (dict(labels=np.array([0]), indices=np.array([0.5])), "indices of integers"),
        (dict(labels=np.array([0])), "lacks indices"),
        (
            dict(labels=np.array([0]), indices=np.array([0]), beta_0=np.ones(2), free_0=np.ones(2)),
            "either beta_0, or free_0 and nonneg_0",
        ),
        (
            dict(labels=np.array([0]), indices=np.array([0]), beta_0=np.ones((2, 2))),
            r"beta_0 must be a vector .* \(2, 2\)",
        ),
    ],
)
def test_files_that_are_no_certificates(tmp_path, arrays, words):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=words):
        Certificate.load(path)


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_the_bound_on_the_smallest_singular_value_never_exceeds_it(seed, rows, extra):
    matrix = np.random.default_rng(seed).standard_normal((rows, rows + extra))
    smallest = np.linalg.svd(matrix, compute_uv=False)[-1]
    assert not smallest_singular_value_at_least(matrix, smallest * (1 + 1e-6))
    if smallest > 1e-4:
        assert smallest_singular_value_at_least(matrix, smallest * (1 - 1e-4))


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_dropping_coordinates_never_turns_no_into_yes(seed, dim):
    data = gaussian_mixture([[1.0, 0.0], [-1.0, 0.0]], 5, 0.5, dim, seed)
    wide = certify(data.inputs, data.labels, classes=[0])
    narrow = certify(data.inputs[:, :-1], data.labels, classes=[0])
    assert wide.verified
    assert narrow.verified
    assert (narrow.verdict, wide.verdict) != ("feasible", "infeasible")
