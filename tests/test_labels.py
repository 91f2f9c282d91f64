"""Labels of any values, and the class indices that they stand for."""

import numpy as np
import pytest

from ncollapse._arrays import in_double
from ncollapse._labels import check_classes, class_indices, label_vector

EXAMPLE = np.zeros(1)


def indices(labels, num_classes=3, classes=None, example=EXAMPLE):
    return class_indices(label_vector(labels, len(labels)), num_classes, classes, example).tolist()


@pytest.mark.parametrize(
    "labels",
    [[2, 0, 1], np.array([2, 0, 1], dtype=np.uint8), np.array([2, 0, 1])[::1], [True + 1, 0, 1]],
)
def test_integers_are_indices(labels):
    assert indices(labels) == [2, 0, 1]


def test_booleans_are_zero_and_one():
    assert indices([True, False]) == [1, 0]
    assert check_classes([False, True], 2) == (0, 1)


def test_values_are_mapped_in_the_order_of_classes():
    assert indices([7, -2, 7], classes=(7, -2, 5)) == [0, 1, 0]
    assert indices(["cat", "axolotl", "cat"], classes=("cat", "axolotl", "dog")) == [0, 1, 0]
    assert indices(np.array(["b", "a"], dtype=object), classes=("b", "a", "c")) == [0, 1]
    assert indices([2, 0], classes=("cat", "axolotl", "dog")) == [2, 0]


def test_strings_beside_features_of_any_library(xp):
    example = xp.asarray(np.zeros(1, dtype=np.float32))
    with in_double(example):
        found = class_indices(label_vector(["b", "a"], 2), 2, ("a", "b"), example)
    assert type(found) is type(example)
    assert np.asarray(found).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "classes", "error", "message"),
    [
        ([0.0, 1.0], None, TypeError, "integers, booleans or strings, but its dtype is float64"),
        ([0, None], None, TypeError, "but its dtype is object"),
        ([[0], [1]], None, ValueError, r"vector of 2 labels, but its shape is \(2, 1\)"),
        (np.ma.array([0, 1], mask=[0, 1]), None, TypeError, "labels must not be masked"),
        (["a", "b"], None, ValueError, "labels are strings: give classes"),
        (["a", "b"], (1, 2, 3), ValueError, "one of classes, but row 0 is 'a'"),
        (["a", "z"], ("a", "b", "c"), ValueError, "one of classes, but row 1 is 'z'"),
        ([0, 3], ("a", "b", "c"), ValueError, "0 … 2, but row 1 is 3"),
        ([0, -1], None, ValueError, "0 … 2, but row 1 is -1"),
        ([5, 4], (3, 5, 9), ValueError, "one of classes, but row 1 is 4"),
    ],
)
def test_labels_that_stand_for_nothing_are_named(labels, classes, error, message):
    with pytest.raises(error, match=message):
        indices(labels, classes=classes)


def test_no_labels_may_have_any_dtype():
    assert label_vector([], 0).dtype == np.int64
    with pytest.raises(ValueError, match="labels has 0 entries for 2 samples"):
        label_vector([], 2)
