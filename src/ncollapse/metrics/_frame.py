"""Rows of vectors (class means, classifier rows), centred and read in float64 a tile at a time."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from functools import cached_property

from array_api_compat import array_namespace

from ncollapse._arrays import double, is_array, like, row_dots, tiles, to_numpy
from ncollapse._checks import Array, check_finite
from ncollapse.stats import ClassSummary

TILE = 512
"""Classes done together: a tile of pairs, 2 MiB, stays in a core's cache (K = 10,000, D = 32: three
times as fast as with 1024)."""


class UndefinedMetricError(ValueError):
    """The data leave a metric without a value; the message says why."""


@dataclass(frozen=True, eq=False)
class Frame:
    """K vectors of R^D: the rows of ``array``, minus ``offset``, times ``scale`` (K,).

    They are formed in float64 by tiles only, so that many classes need no second array.
    """

    array: Array
    offset: Array | None
    name: str
    classes: tuple[int, ...]
    scale: Array | None = None

    @property
    def count(self) -> int:
        return self.array.shape[0]

    @property
    def dim(self) -> int:
        return self.array.shape[1]

    def tiles(self) -> list[slice]:
        return tiles(self.count, TILE)

    def rows(self, tile: slice) -> Array:
        rows = double(self.array[tile, :])
        rows = rows if self.offset is None else rows - self.offset[None, :]
        return rows if self.scale is None else rows * self.scale[tile][:, None]

    def all(self) -> Array:
        """Every row: for few classes only."""
        return self.rows(slice(0, self.count))

    @cached_property
    def squares(self) -> Array:
        """Squared norms ``(K,)``."""
        xp = array_namespace(self.array)
        squares = []
        for tile in self.tiles():
            rows = self.rows(tile)
            squares.append(row_dots(rows, rows))
        return xp.concat(squares)

    @cached_property
    def norms(self) -> Array:
        xp = array_namespace(self.array)
        return xp.sqrt(self.squares)

    @cached_property
    def frobenius(self) -> float:
        """√Σ‖row‖²; all rows zero leaves nothing to compare."""
        xp = array_namespace(self.array)
        return float(xp.sum(self.squares)) ** 0.5

    @cached_property
    def sum(self) -> Array:
        """Σ of the rows ``(D,)``."""
        xp = array_namespace(self.array)
        total = xp.sum(self.rows(self.tiles()[0]), axis=0)
        for tile in self.tiles()[1:]:
            total = total + xp.sum(self.rows(tile), axis=0)
        return total

    @cached_property
    def feature_gram(self) -> Array:
        """Σ_k row_kᵀ row_k ``(D, D)``."""
        xp = array_namespace(self.array)
        total = None
        for tile in self.tiles():
            rows = self.rows(tile)
            product = xp.matmul(rows.T, rows)
            total = product if total is None else total + product
        return total

    def require_nonzero(self) -> None:
        """Raise unless some row is not zero."""
        if not self.frobenius > 0:
            raise UndefinedMetricError(f"{self.name} are all zero")

    def require_directions(self) -> None:
        """Raise unless every row has a direction."""
        xp = array_namespace(self.array)
        if bool(xp.any(self.squares == 0)):
            row = int(xp.argmin(self.squares))
            raise UndefinedMetricError(
                f"{self.name}: the one of class index {self.classes[row]} is zero "
                "and has no direction"
            )

    def require_classes(self, least: int = 2) -> None:
        if self.count < least:
            raise UndefinedMetricError(
                f"at least {least} classes with samples are needed, but there are {self.count}"
            )


_CENTRED: weakref.WeakKeyDictionary[ClassSummary, Frame] = weakref.WeakKeyDictionary()
_UNCENTRED: weakref.WeakKeyDictionary[ClassSummary, Frame] = weakref.WeakKeyDictionary()


def centred_means(summary: ClassSummary) -> Frame:
    """μ_k − μ_G of the classes with samples."""
    if summary not in _CENTRED:
        _CENTRED[summary] = Frame(
            summary.occupied_means,
            summary.global_mean,
            "centred class means",
            tuple(int(k) for k in summary.occupied),
        )
    return _CENTRED[summary]


def uncentred_means(summary: ClassSummary) -> Frame:
    """μ_k of the classes with samples."""
    if summary not in _UNCENTRED:
        _UNCENTRED[summary] = Frame(
            summary.occupied_means,
            None,
            "class means",
            tuple(int(k) for k in summary.occupied),
        )
    return _UNCENTRED[summary]


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


def scalar(value: Array) -> float:
    return float(to_numpy(value))
