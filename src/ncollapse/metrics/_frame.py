"""The classifier beside the class means: its rows as a `Frame`, its bias, and what is refused."""

from __future__ import annotations

from array_api_compat import array_namespace

from ncollapse._arrays import double, is_array, like
from ncollapse._checks import Array, check_finite
from ncollapse.stats import ClassSummary, Frame


def weight_rows(weight: Array | Frame) -> Frame:
    """Rows of the classifier W ``(K, D)``."""
    if isinstance(weight, Frame):
        return weight
    if not is_array(weight):
        raise TypeError(f"weight must be an array, but it is a {type(weight).__name__}")
    if weight.ndim != 2:
        raise ValueError(
            f"weight must be (classes, features), but its shape is {tuple(weight.shape)}"
        )
    xp = array_namespace(weight)
    if not xp.isdtype(weight.dtype, "real floating"):
        raise TypeError(
            f"weight must hold real floating-point numbers, but its dtype is {weight.dtype}"
        )
    check_finite("weight", weight)
    return Frame(weight, None, "rows of weight", tuple(range(weight.shape[0])))


def matching_weight(summary: ClassSummary, weight: Array | Frame) -> Frame:
    """Rows of W of the classes with samples, beside the means."""
    frame = weight_rows(weight)
    check_weight_shape(frame, summary.num_classes, summary.num_features)
    array = like(frame.array, summary.means)
    if len(summary.occupied) == summary.num_classes:
        return Frame(array, frame.offset, frame.name, frame.classes)
    kept = tuple(int(k) for k in summary.occupied)
    return Frame(summary.occupied_rows(array), frame.offset, frame.name, kept)


def check_weight_shape(rows: Frame, num_classes: int, num_features: int) -> None:
    """Raise unless W is (K, D); a transposed W is told so."""
    expected, shape = (num_classes, num_features), (rows.count, rows.dim)
    if shape == expected:
        return
    transposed = ": it is transposed" if shape[1] != num_features == shape[0] else ""
    raise ValueError(
        f"weight must be (classes, features) = {expected} like the class means, "
        f"but its shape is {shape}{transposed}"
    )


def check_bias(summary: ClassSummary, bias: Array | None) -> Array:
    """b ``(K,)`` float64 beside the means; None is zero."""
    xp = array_namespace(summary.means)
    if bias is None:
        return xp.zeros_like(summary.class_variances)
    values = like(bias, summary.means)
    if tuple(values.shape) != (summary.num_classes,):
        raise ValueError(
            f"bias must have shape ({summary.num_classes},), but its shape is {tuple(values.shape)}"
        )
    if not xp.isdtype(values.dtype, "real floating"):
        raise TypeError(
            f"bias must hold real floating-point numbers, but its dtype is {values.dtype}"
        )
    check_finite("bias", values)
    return double(values)
