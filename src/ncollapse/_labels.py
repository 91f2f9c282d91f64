"""Labels of any values: integers, booleans or strings, and the class indices that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

from ncollapse._arrays import is_array, like, to_numpy
from ncollapse._checks import Array, refuse_masked

ACCEPTED = "integers, booleans or strings"


def label_vector(labels: Any, num_samples: int, name: str = "labels") -> Array:
    """``labels`` (an array of any library, or a list) as a vector of integers or of strings.

    Booleans become 0 and 1, strings are on the host, no labels at all may have any dtype.
    """
    refuse_masked(name, labels)
    vector = labels if is_array(labels) else np.asarray(labels)
    if vector.ndim != 1:
        raise ValueError(
            f"{name} must be a vector of {num_samples} labels, "
            f"but its shape is {tuple(vector.shape)}"
        )
    if vector.shape[0] != num_samples:
        raise ValueError(f"{name} has {vector.shape[0]} entries for {num_samples} samples")
    if num_samples == 0:
        return np.zeros(0, dtype=np.int64)
    if is_numpy_array(vector) and vector.dtype.kind in "OTU":
        if all(isinstance(value, str) for value in vector.tolist()):
            return vector.astype(str)
    else:
        xp = array_namespace(vector)
        if xp.isdtype(vector.dtype, "bool"):
            return xp.astype(vector, xp.int8)
        if xp.isdtype(vector.dtype, "integral"):
            return vector
    raise TypeError(f"{name} must hold {ACCEPTED}, but its dtype is {vector.dtype}")


def distinct(labels: Array) -> set[Any]:
    """The values in a `label_vector`, as Python's own."""
    return set(np.unique(to_numpy(labels)).tolist())


def check_classes(classes: Sequence[Any] | Array, num_classes: int) -> tuple[Any, ...]:
    """``classes`` as K distinct label values."""
    shape = np.shape(classes if not is_array(classes) else to_numpy(classes))
    if shape != (num_classes,):
        raise ValueError(f"classes must name {num_classes} label values, but its shape is {shape}")
    values = tuple(to_numpy(label_vector(classes, num_classes, "classes")).tolist())
    if len(set(values)) != num_classes:
        raise ValueError("classes must be distinct, but a value is repeated")
    return values


def class_indices(
    labels: Array, num_classes: int, classes: tuple[Any, ...] | None, example: Array
) -> Array:
    """Class index of each label beside ``example``; the first label that is no class is named.

    Integer labels beside classes that are strings are the indices themselves.
    """
    int64 = array_namespace(example).int64
    strings = is_numpy_array(labels) and labels.dtype.kind == "U"
    named = classes is not None and isinstance(classes[0], str)
    if strings and not named:
        if classes is None:
            raise ValueError(
                "labels are strings: give classes, the strings in the order of their indices"
            )
        _refuse(np.ones(len(labels)), labels, "one of classes")
    if strings:
        return like(_places(labels, np.asarray(classes)), example, int64)
    labels = like(labels, example, int64)
    xp = array_namespace(labels)
    if classes is None or named:
        if int(xp.min(labels)) < 0 or int(xp.max(labels)) >= num_classes:
            _refuse((labels < 0) | (labels >= num_classes), labels, f"0 … {num_classes - 1}")
        return labels
    return _places(labels, like(np.asarray(classes), labels, int64))


def _places(labels: Array, classes: Array) -> Array:
    """Where in ``classes`` each label stands."""
    xp = array_namespace(labels)
    order = xp.argsort(classes, stable=True)
    values = xp.take(classes, order)
    place = xp.searchsorted(values, labels)
    place = xp.where(place < classes.shape[0], place, classes.shape[0] - 1)
    unknown = xp.take(values, place) != labels
    if bool(xp.any(unknown)):
        _refuse(unknown, labels, "one of classes")
    return xp.take(order, place)


def _refuse(bad: Array, labels: Array, accepted: str) -> None:
    row = int(np.argmax(to_numpy(bad)))
    value = to_numpy(labels)[row].item()
    raise ValueError(f"labels must be {accepted}, but row {row} is {value!r}")
