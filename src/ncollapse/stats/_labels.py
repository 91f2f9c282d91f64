"""Label values to class indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import like, to_numpy
from ncollapse._checks import Array


def check_classes(classes: Sequence[Any] | Array, num_classes: int) -> tuple[int, ...]:
    """``classes`` as K distinct integers."""
    values = to_numpy(classes)
    if values.shape != (num_classes,):
        raise ValueError(
            f"classes must name {num_classes} label values, but its shape is {values.shape}"
        )
    if values.dtype.kind not in "iu":
        raise TypeError(f"classes must be integers, but its dtype is {values.dtype}")
    found = tuple(int(value) for value in values)
    if len(set(found)) != num_classes:
        raise ValueError("classes must be distinct, but a value is repeated")
    return found


def labels_to_indices(labels: Array, num_classes: int, classes: tuple[int, ...] | None) -> Array:
    """Class index of each label; ``ValueError`` names the first label that is no class."""
    xp = array_namespace(labels)
    if classes is None:
        if int(xp.min(labels)) < 0 or int(xp.max(labels)) >= num_classes:
            _refuse((labels < 0) | (labels >= num_classes), labels, f"0 … {num_classes - 1}")
        return labels
    order = np.argsort(np.asarray(classes), kind="stable")
    values = like(np.asarray(classes)[order], labels, xp.int64)
    place = xp.searchsorted(values, labels)
    place = xp.where(place < num_classes, place, num_classes - 1)
    unknown = xp.take(values, place) != labels
    if bool(xp.any(unknown)):
        _refuse(unknown, labels, "one of classes")
    return xp.take(like(order, labels, xp.int64), place)


def _refuse(bad: Array, labels: Array, accepted: str) -> None:
    row = int(np.argmax(to_numpy(bad)))
    raise ValueError(f"labels must be {accepted}, but row {row} is {int(labels[row])}")
