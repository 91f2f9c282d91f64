"""Certificates as a whole: what they cover, what they say, and what becomes of them in a file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ncollapse.certify import Certificate, DataIdentity, certify, verify_certificate
from ncollapse.data import Dataset, orthogonal_separability
from ncollapse.data.synthetic import gaussian_mixture


def test_the_dictionary_is_json_with_the_promised_keys():
    data = gaussian_mixture(np.eye(3), 4, 0.2, 20, seed=0)
    record, again = (json.loads(json.dumps(certify(data).to_dict())) for _ in range(2))
    assert {"verdict", "classes", "reason", "orthogonally_separable", "version"} <= set(record)
    keys = {"label", "verdict", "verified", "slack", "norm", "reason", "theorem"}
    assert all(keys <= set(entry) for entry in record["classes"])
    assert record.pop("volatile").keys() == again.pop("volatile").keys() == {"seconds"}
    assert record == again


def test_what_covers_some_classes_never_says_feasible_for_all():
    """Class 1 holds a point and its double; class 0 alone says nothing of it."""
    inputs, labels = np.array([[-1.0], [1.0], [2.0]]), [0, 1, 1]
    assert certify(inputs, labels).verdict == "infeasible"
    partial = certify(inputs, labels, classes=[0])
    assert (partial.verdict, partial.verified) == ("undecided", False)
    assert partial.reason == "class 1 not covered"
    assert partial.classes[0].verified
    record = partial.to_dict()
    assert (record["covered"], record["missing"]) == ([0], [1])
    obstacle = certify(inputs, labels, classes=[1])
    assert (obstacle.verdict, obstacle.verified) == ("infeasible", True)
    assert obstacle.reason.endswith("; class 0 not covered")


def test_a_class_cut_out_of_the_file_is_missed(tmp_path):
    inputs, labels = np.array([[-1.0], [1.0], [2.0]]), [0, 1, 1]
    path = tmp_path / "certificate.npz"
    certify(inputs, labels).save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if not name.endswith("_1")}
    arrays |= {name: arrays[name][:1] for name in ("labels", "indices")}
    np.savez(path, **arrays)
    checked = verify_certificate(Certificate.load(path), inputs, labels)
    assert (checked.verdict, checked.verified) == ("undecided", False)
    assert "class 1 not covered" in checked.reason


def test_many_missing_classes_are_counted():
    data = gaussian_mixture(np.eye(14), 1, 0.1, 20, seed=0)
    assert certify(data, classes=[0]).reason == (
        "classes 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, … (13 in all) not covered"
    )
    assert Certificate.of(data, []).verdict == "undecided"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_orthogonal_separability_is_that_of_the_definition(sign):
    rng = np.random.default_rng(1)
    inputs = np.abs(rng.standard_normal((8, 5)))
    inputs[4:] *= -sign
    data = Dataset.from_arrays(inputs, np.repeat([0, 1], 4))
    expected = orthogonal_separability(data).separable
    assert certify(data.inputs, data.labels).orthogonally_separable == expected == (sign > 0)


def test_an_answer_about_other_data_is_rejected(proven):
    data, certificate = proven
    order = np.concatenate([np.arange(1, len(data.labels)), [0]])
    noise = 0.01 * np.random.default_rng(0).standard_normal(data.inputs.shape)
    moved = Dataset(data.inputs + noise, data.labels, data.classes)
    turned = Dataset(data.inputs[order], data.labels, data.classes)
    renamed = Dataset(data.inputs, data.labels, data.classes + 1)
    exchanged = Dataset(data.inputs, data.labels[::-1].copy(), data.classes)
    for other in (moved, turned, renamed, exchanged):
        with pytest.raises(
            ValueError, match=f"other data .N = {len(order)}, K = 2, SHA-256 .* data"
        ):
            verify_certificate(certificate, other)
    for other in (moved, turned):
        forged = replace(certificate, data=DataIdentity.of(other))
        checked = verify_certificate(forged, other)
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
    for changes in ({"index": 5}, {"index": -1}, {"label": 7}):
        stray = replace(certificate.classes[0], **changes)
        with pytest.raises(ValueError, match=r"speaks of class \d at index"):
            verify_certificate(replace(certificate, classes=(stray,)), data)


def test_fractions_survive_the_file(tmp_path):
    """The last sample is a rounded mixture of two others: only exact arithmetic decides."""
    inputs = np.array(
        [[0.1, 0.2], [0.4, 0.9], 0.3 * np.array([0.1, 0.2]) + 0.7 * np.array([0.4, 0.9])]
    )
    inputs = np.vstack([inputs, -inputs[:2]])
    labels = [0, 0, 0, 1, 1]
    certificate = certify(inputs, labels)
    entry = certificate.classes[0]
    path = tmp_path / "certificate.npz"
    certificate.save(path)
    loaded = Certificate.load(path)
    for one, other in zip(certificate.classes, loaded.classes, strict=True):
        for name, values in vars(one.answer).items():
            np.testing.assert_array_equal(getattr(other.answer, name), values)
    checked = verify_certificate(loaded, inputs, labels)
    assert checked.to_dict() | {"volatile": 0} == certificate.to_dict() | {"volatile": 0}
    parts = vars(entry.answer).values()
    assert any(part.dtype == object for part in parts)


def saved(tmp_path, **changes):
    """A good file of two classes with some arrays replaced, or dropped where None."""
    path = tmp_path / "bad.npz"
    certify(np.array([[1.0, 0.0], [0.0, 1.0]]), [0, 1]).save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


NONE = np.array([], dtype=int)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(indices=np.array([0.5, 1.0])), "indices must be a vector of integers"),
        (dict(indices=None), "lacks indices"),
        (dict(digest=None), "lacks digest"),
        (dict(digest=np.array(["a", "b"])), "one digest and one num_samples"),
        (dict(format=np.array([7])), r"format \[7\] by ncollapse \[.*reads format 1"),
        (dict(labels=NONE, indices=NONE), "at least one class"),
        (dict(labels=np.array([0]), indices=np.array([0, 1])), "one label for each index"),
        (dict(indices=np.array([0, 0])), "no index twice"),
        (dict(free_0=np.ones(2)), "either beta_0, or free_0 and nonneg_0"),
        (dict(beta_0=np.ones((2, 2))), r"beta_0 must be a vector .* \(2, 2\)"),
        (dict(beta_0=np.array(["1/0", "1/1"])), r"beta_0\[0\] is no fraction .* '1/0'"),
        (dict(beta_0=np.array(["1/1", "1e9/1 "])), r"beta_0\[1\] is no fraction"),
    ],
)
def test_files_that_are_no_certificates(tmp_path, changes, words):
    path = saved(tmp_path, **changes)
    with pytest.raises(ValueError, match=words):
        Certificate.load(path)


def test_a_class_without_an_answer_is_undecided(tmp_path):
    loaded = Certificate.load(saved(tmp_path, beta_0=None))
    assert [entry.verdict for entry in loaded.classes] == ["undecided", "feasible"]
    assert loaded.verdict == "undecided"
    data = np.array([[1.0, 0.0], [0.0, 1.0]]), [0, 1]
    assert verify_certificate(loaded, *data).reason == "class 0: no answer"
