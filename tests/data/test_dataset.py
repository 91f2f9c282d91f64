"""The checked data set, and files that come from outside."""

import io
import zipfile

import numpy as np
import pytest

from ncollapse.data import Dataset, load_dataset


def test_labels_are_mapped_and_kept():
    data = Dataset.from_arrays(np.eye(4), np.array([7, -2, 7, -2]))
    np.testing.assert_array_equal(data.classes, [-2, 7])
    np.testing.assert_array_equal(data.labels, [1, 0, 1, 0])
    np.testing.assert_array_equal(data.counts, [2, 2])
    np.testing.assert_allclose(data.centred().inputs.mean(axis=0), 0.0, atol=1e-16)


BAD = {
    "nan": (np.array([[1.0], [np.nan], [2.0]]), np.array([0, 1, 1]), ValueError, "row 1"),
    "inf": (np.array([[1.0], [2.0], [np.inf]]), np.array([0, 1, 1]), ValueError, "row 2"),
    "one class": (np.eye(3), np.zeros(3, int), ValueError, "two classes"),
    "short labels": (np.eye(3), np.array([0, 1]), ValueError, "2 entries for 3 samples"),
    "float labels": (np.eye(3), np.array([0.0, 1.0, 1.0]), TypeError, "labels must hold integers"),
    "matrix labels": (np.eye(3), np.eye(3, dtype=int), ValueError, "labels must be a vector"),
    "vector inputs": (np.ones(3), np.array([0, 1, 1]), ValueError, "inputs must be a matrix"),
    "text": (np.array([["a"], ["b"]]), np.array([0, 1]), TypeError, "floating"),
    "empty": (np.empty((0, 2)), np.empty(0, int), ValueError, "at least one"),
    "lonely sample": (np.eye(3), np.array([0, 1, 1]), ValueError, "class 0 has 1 sample"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_refused_by_name(case):
    inputs, labels, error, message = BAD[case]
    with pytest.raises(error, match=message):
        Dataset.from_arrays(inputs, labels, least_per_class=2)


def test_files_are_read_as_data_only(tmp_path):
    good = tmp_path / "good.npz"
    np.savez(good, inputs=np.eye(3), labels=np.array([0, 1, 1]))
    assert load_dataset(good).num_classes == 2

    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, inputs=np.array([object()]), labels=np.array([0]))
    with pytest.raises(ValueError, match="pickled objects, which are refused"):
        load_dataset(pickled)

    truncated = tmp_path / "truncated.npz"
    truncated.write_bytes(good.read_bytes()[:200])
    with pytest.raises(ValueError, match="truncated or not an"):
        load_dataset(truncated)

    lacking = tmp_path / "lacking.npz"
    np.savez(lacking, features=np.eye(3))
    with pytest.raises(ValueError, match=r"lacks labels .label, y.* it holds features"):
        load_dataset(lacking)

    single = tmp_path / "single.npz"
    np.save(single.with_suffix(".npy"), np.eye(3))
    single.with_suffix(".npy").rename(single)
    with pytest.raises(ValueError, match="truncated or not an"):
        load_dataset(single)


def test_damage_inside_a_member_is_said(tmp_path):
    path = tmp_path / "damaged.npz"
    member = io.BytesIO()
    np.save(member, np.eye(3))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inputs.npy", member.getvalue()[:-20])
        archive.writestr("labels.npy", b"not an array")
    with pytest.raises(ValueError, match=r"damaged|not an array"):
        load_dataset(path)


def test_the_first_of_each_class_keep_their_order():
    data = Dataset.from_arrays(np.arange(7.0)[:, None], [1, 0, 1, 0, 1, 0, 1])
    some = data.first(4)
    assert some.inputs.ravel().tolist() == [0, 1, 2, 3]
    assert some.counts.tolist() == [2, 2]
    for wrong in (3, 0, 8):
        with pytest.raises(ValueError, match="num_samples must be a multiple of 2 and at most 6"):
            data.first(wrong)
