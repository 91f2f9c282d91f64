"""Shifted samples waiting for a product: several batches share one rank-k update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_array

from ncollapse._arrays import (
    BLOCK_BYTES,
    compiled,
    double,
    like,
    padded,
    row_dots,
    set_rows,
    tiles,
    to_numpy,
    writeable,
    zeros,
)
from ncollapse._checks import Array, check_features, check_finite

BUFFER_BYTES = 1 << 27
BUFFER_ROWS = (1024, 8192)

COMFORT = {4: 20, 8: 200}
"""Features between 2^−this and 2^this, by bytes of their dtype, are worked on as they are: squares
of their differences, 2^−24 and 2^−53 of them at collapse, are normal numbers of that dtype, and for
float64 so are fourth powers of the features, which Gram matrices' norms take."""


CANCELLED = 1e-3
"""‖x − proj_c x‖²/‖x‖² below which ‖x‖² − ⟨x, c⟩²/‖c‖² is done in float64, as float32 leaves it
four digits; and ‖h‖²/‖c‖², or its inverse, below which a row is summed apart from the others."""


@dataclass(frozen=True)
class RowScalars:
    """Per shifted row x = h − c of the class y: the numbers that class sums need, float64.

    ``squares`` ‖x‖²; ``cosine_defects`` 1 − cos(h, c); ``inverses`` 1/‖h‖ (0 for h = 0 and
    for rows summed apart); ``inverse_changes`` 1/‖h‖ − 1/‖c‖ (0 for h = 0).
    """

    labels: Array
    squares: Array
    cosine_defects: Array
    inverses: Array
    inverse_changes: Array

    def without(self, rows: np.ndarray) -> RowScalars:
        """The same, for a matrix in which these rows are 0: they are no samples of its own."""
        nothing = zeros((len(rows),), self.inverses.dtype, self.inverses)
        return replace(self, inverses=set_rows(self.inverses, rows, nothing))


def default_capacity(num_features: int, example: Array) -> int:
    """Rows to buffer, so that one product covers several batches, within 128 MiB."""
    least, most = BUFFER_ROWS
    return max(least, min(most, BUFFER_BYTES // (num_features * to_numpy(example).itemsize)))


def scale_exponent(features: Array, name: str = "features") -> int | None:
    """e such that 2^e·features is of ordinary size: 0 where they are; None where all are zero.

    Raises ``ValueError`` for NaN, infinities, and float64 features so large or small that their
    fourth powers are no float64 numbers.
    """
    xp = array_namespace(features)
    largest = float(to_numpy(xp.max(xp.abs(features))))
    if not np.isfinite(largest):
        check_finite(name, features)
    if largest == 0:
        return None
    exponent = int(np.frexp(largest)[1])
    itemsize = to_numpy(features[:0, :0]).itemsize
    if abs(exponent) <= COMFORT[itemsize]:
        return 0
    if itemsize == 8:
        raise ValueError(
            f"{name} are of size {largest:.1e}, whose fourth power is beyond float64: "
            "multiply them by a power of two"
        )
    return max(-126, min(126, -exponent))  # 2^±126 are normal numbers of float32


def check_reference(reference: Array, shape: tuple[int, int]) -> None:
    """Raise unless ``reference`` is a matrix of this shape without a row that is zero."""
    check_features(reference, name="reference")
    if tuple(reference.shape) != shape:
        raise ValueError(
            f"reference must have shape {shape}, but its shape is {tuple(reference.shape)}"
        )
    scale_exponent(reference, "reference")
    zero = ~np.any(to_numpy(reference) != 0, axis=1)
    if zero.any():
        raise ValueError(f"reference row {int(np.argmax(zero))} is zero, which has no direction")


class Rows:
    """A buffer of shifted rows, preallocated where the array library can write in place."""

    def __init__(self, capacity: int, num_features: int, example: Array) -> None:
        xp = array_namespace(example)
        self.capacity = capacity
        self.fill = 0
        self.exponent: int | None = None
        self._scalars: list[RowScalars] = []
        self._pieces: list[Array] = []
        self._matrix: Array | None = None
        if writeable(example):
            self._matrix = xp.empty(
                (capacity, num_features), dtype=example.dtype, device=device(example)
            )

    @property
    def scale(self) -> float:
        """2^e: the rows in the buffer are this times those that came in."""
        return 2.0 ** (self.exponent or 0)

    def shift(self, features: Array, labels: Array, reference: Array) -> tuple[Array, Array, Array]:
        """2^e x_i, ‖x_i‖² and ⟨x_i, c_{y_i}⟩, x_i = h_i − c_{y_i}; not kept until `keep` is called."""
        if self._matrix is None:
            return _shifted(features, labels, reference, self.scale)
        shifted = self._matrix[self.fill : self.fill + features.shape[0]]
        squares, along = _shift_in_place(features, labels, reference, shifted, self.scale)
        return shifted, _unscaled(squares, self.scale), _unscaled(along, self.scale)

    def keep(self, shifted: Array, scalars: RowScalars) -> None:
        if self._matrix is None:
            self._pieces.append(shifted)
        self._scalars.append(scalars)
        self.fill += shifted.shape[0]

    def drain(self) -> tuple[Array, RowScalars]:
        """All rows kept since the last call, and their scalars."""
        if self._matrix is None:
            matrix = array_namespace(*self._pieces).concat(self._pieces, axis=0)
        else:
            matrix = self._matrix[: self.fill]
        names = RowScalars.__dataclass_fields__
        joined: dict[str, Any] = {}
        for name in names:
            parts = [getattr(scalars, name) for scalars in self._scalars]
            joined[name] = parts[0] if len(parts) == 1 else array_namespace(*parts).concat(parts)
        self._scalars, self._pieces, self.fill = [], [], 0
        return matrix, RowScalars(**joined)


@compiled
def _shifted(
    features: Array, labels: Array, reference: Array, scale: float
) -> tuple[Array, Array, Array]:
    origin = array_namespace(features).take(reference, labels, axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # as in `_shift_block`
        if scale != 1:
            features, origin = features * scale, origin * scale
        shifted = features - origin
        squares, along = row_dots(shifted, shifted), row_dots(shifted, origin)
    return shifted, _unscaled(squares, scale), _unscaled(along, scale)


def _unscaled(products: Array, scale: float) -> Array:
    return double(products) if scale == 1 else double(products) / scale / scale


def _shift_in_place(
    features: Array, labels: Array, reference: Array, shifted: Array, scale: float
) -> tuple[Array, Array]:
    count, dim = features.shape
    if not is_numpy_array(features):
        origin = reference.index_select(0, labels)
        if scale != 1:
            features, origin = features * scale, origin * scale
        shifted.copy_(features - origin)
        return row_dots(shifted, shifted), row_dots(shifted, origin)
    squares, along = np.empty(count), np.empty(count)
    block = max(16, BLOCK_BYTES // (dim * shifted.itemsize))
    scratch = np.empty((min(block, count), dim), dtype=reference.dtype)
    for tile in tiles(count, block):
        origin = scratch[: tile.stop - tile.start]
        squares[tile], along[tile] = _shift_block(
            features[tile], labels[tile], reference, origin, shifted[tile], scale
        )
    return squares, along


def _shift_block(
    features: Array, labels: Array, reference: Array, origin: Array, shifted: Array, scale: float
) -> tuple[Array, Array]:
    np.take(reference, labels, axis=0, out=origin, mode="clip")
    with np.errstate(over="ignore", invalid="ignore"):  # the caller sees what overflows
        if scale != 1:
            features = features * scale
            origin *= scale
        np.subtract(features, origin, out=shifted)
        return np.vecdot(shifted, shifted), np.vecdot(shifted, origin)


@compiled
def row_lengths(
    squares: Array, along: Array, reference_squares: Array, labels: Array, faint: float
) -> tuple[Array, ...]:
    """‖c‖² (1 for c = 0), ‖h‖² and ‖x − proj_c x‖²; which rows are much longer or shorter than c;
    which numbers need float64, all those with ‖c‖² < ``faint`` among them; whether ‖h‖² are finite.
    """
    xp = array_namespace(squares)
    origin = xp.take(reference_squares, labels)
    safe = xp.where(origin > 0, origin, xp.ones_like(origin))
    lengths = origin + 2 * along + squares
    across = squares - along * along / safe
    off = (lengths < CANCELLED * origin) | (CANCELLED * lengths > origin)
    imprecise = off | (across < CANCELLED * squares) | (origin < faint)
    return safe, lengths, across, off, imprecise, xp.isfinite(xp.sum(lengths))


@compiled
def row_scalars(
    squares: Array, along: Array, across: Array, lengths: Array, origin: Array
) -> tuple[Array, Array, Array, Array]:
    """The numbers of `RowScalars`, from ‖x‖², ⟨x, c⟩, ‖x − proj_c x‖², ‖h‖² and ‖c‖²."""
    xp = array_namespace(squares)
    zero = lengths == 0
    norm = xp.sqrt(xp.where(zero, xp.ones_like(lengths), lengths))
    own = xp.sqrt(origin)
    cosine = (origin + along) / (own * norm)
    sine = xp.where(across > 0, across, xp.zeros_like(across)) / (norm * norm)
    defect = xp.where(cosine > -0.5, sine / (1 + xp.where(cosine > -0.5, cosine, 0.0)), 1 - cosine)
    inverse_change = -(2 * along + squares) / ((own + norm) * own * norm)
    nothing = xp.zeros_like(norm)
    return (
        xp.where(zero, nothing, squares),
        xp.where(zero, nothing, defect),
        xp.where(zero, nothing, 1 / norm),
        xp.where(zero, nothing, inverse_change),
    )


def float64_scalars(
    features: Array,
    reference: Array,
    labels: Array,
    chosen: np.ndarray,
    scalars: tuple[Array, Array, Array, Array],
) -> tuple[Array, Array, Array, Array]:
    """‖h‖², ‖x − proj_c x‖², ⟨x, c⟩ and ‖x‖² of the chosen rows again, from their entries in float64.

    ‖x‖² − ⟨x, c⟩²/‖c‖² loses its digits when a feature differs from its reference in length only,
    ‖c‖² + 2⟨x, c⟩ + ‖x‖² when it is much shorter.
    """
    return _from_entries(
        features, reference, labels, like(padded(chosen, features), labels), scalars
    )


@compiled
def _from_entries(
    features: Array,
    reference: Array,
    labels: Array,
    index: Array,
    scalars: tuple[Array, Array, Array, Array],
) -> tuple[Array, ...]:
    xp = array_namespace(features)
    rows = double(xp.take(features, index, axis=0))
    origin = double(xp.take(reference, xp.take(labels, index), axis=0))
    shifted = rows - origin
    squares = row_dots(origin, origin)
    safe = xp.where(squares > 0, squares, xp.ones_like(squares))
    along = row_dots(shifted, origin)
    across = shifted - origin * (along / safe)[:, None]
    again = row_dots(rows, rows), row_dots(across, across), along, row_dots(shifted, shifted)
    return tuple(set_rows(old, index, new) for old, new in zip(scalars, again, strict=True))
