"""The accumulated numbers themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np
from array_api_compat import array_namespace, is_torch_array

from ncollapse._arrays import (
    add_gram,
    compiled,
    double,
    in_double,
    like,
    row_dots,
    set_rows,
    tiles,
    zeros,
)
from ncollapse._checks import Array

NORMS = "_reference_squares"


class ClassSums(NamedTuple):
    """What a `State` holds of some classes, row by row."""

    counts: Array
    zero_counts: Array
    reference: Array
    sums: Array
    squares: Array
    unit_sums: Array
    inverse_changes: Array
    cosine_defects: Array

    @property
    def unit_offsets(self) -> Array:
        """Σ(h/‖h‖ − r_k), float64."""
        return self.unit_sums + double(self.reference) * self.inverse_changes[:, None]


@dataclass
class State:
    """Sums of the non-zero samples, shifted by the reference c_k of their class (r_k = c_k/‖c_k‖).

    ``counts`` n_k and ``zero_counts`` (features that are zero, left out of all sums) int64;
    ``reference`` c_k; ``sums`` Σ(h − c); ``squares`` Σ‖h − c‖²; ``unit_sums`` Σ(h − c)/‖h‖ and
    ``inverse_changes`` Σ(1/‖h‖ − 1/‖c‖), so that Σ(h/‖h‖ − r) is their sum, the latter times c;
    ``cosine_defects`` Σ(1 − cos(h, c)); ``scatter`` Σ(h − c)(h − c)ᵀ over all classes (its upper triangle);
    ``class_scatter`` the same for each class, or None.

    As long as there are at most D/2 rows, ``scatter`` is None and the rows h − c themselves are kept
    in float64 beside their classes, which is less than D² numbers.
    """

    counts: Array
    zero_counts: Array
    reference: Array
    sums: Array
    squares: Array
    unit_sums: Array
    inverse_changes: Array
    cosine_defects: Array
    scatter: Array | None
    class_scatter: Array | None = None
    kept: list[tuple[Array, Array]] = field(default_factory=list)
    _reference_squares: Array | None = field(default=None, repr=False)

    @classmethod
    def empty(
        cls, num_classes: int, num_features: int, example: Array, *, per_class_scatter: bool
    ) -> Self:
        xp = array_namespace(example)
        shape = (num_classes, num_features)
        with in_double(example):
            return cls(
                counts=zeros((num_classes,), xp.int64, example),
                zero_counts=zeros((num_classes,), xp.int64, example),
                reference=zeros(shape, example.dtype, example),
                sums=zeros(shape, xp.float64, example),
                squares=zeros((num_classes,), xp.float64, example),
                unit_sums=zeros(shape, xp.float64, example),
                inverse_changes=zeros((num_classes,), xp.float64, example),
                cosine_defects=zeros((num_classes,), xp.float64, example),
                scatter=None,
                class_scatter=zeros((num_classes, num_features, num_features), xp.float64, example)
                if per_class_scatter
                else None,
            )

    @classmethod
    def from_dict(
        cls,
        state: Mapping[str, Array],
        num_classes: int,
        num_features: int,
        per_class_scatter: bool,
    ) -> Self:
        vector, matrix = (num_classes,), (num_classes, num_features)
        shapes = {
            "counts": vector,
            "zero_counts": vector,
            "reference": matrix,
            "sums": matrix,
            "squares": vector,
            "unit_sums": matrix,
            "inverse_changes": vector,
            "cosine_defects": vector,
            "scatter": (num_features, num_features),
        }
        if per_class_scatter:
            shapes["class_scatter"] = (num_classes, num_features, num_features)
        if set(state) != set(shapes):
            raise ValueError(
                f"state must hold {', '.join(sorted(shapes))}, "
                f"but it holds {', '.join(sorted(state)) or 'nothing'}"
            )
        for name, shape in shapes.items():
            if tuple(state[name].shape) != shape:
                raise ValueError(
                    f"state entry {name} must have shape {shape}, "
                    f"but its shape is {tuple(state[name].shape)}"
                )
        return cls(**dict(state))

    @property
    def reference_squares(self) -> Array:
        """‖c_k‖² ``(K,)`` float64."""
        if self._reference_squares is None:
            self._reference_squares = row_squares(self.reference)
        return self._reference_squares

    def of_classes(self, part: slice | Array) -> ClassSums:
        """The sums of a slice of the classes, or of an index vector."""
        names = ClassSums._fields
        return ClassSums(*(rows_of(getattr(self, name), part) for name in names))

    def take_rows(self, matrix: Array, labels: Array, scale: float) -> None:
        """Add the rows ``scale``·matrix to the scatter, or keep them while they are few."""
        count = sum(rows.shape[0] for rows, _ in self.kept)
        if self.scatter is None and count + matrix.shape[0] <= matrix.shape[1] // 2:
            xp = array_namespace(matrix)
            self.kept.append((xp.astype(matrix, xp.float64) * scale, xp.asarray(labels, copy=True)))
            return
        self.scatter = add_gram(self.full_scatter(), matrix, scale)
        self.kept = []

    def full_scatter(self) -> Array:
        """The upper triangle of the scatter, formed from the kept rows where it was not yet."""
        if self.scatter is not None:
            return self.scatter
        dim = self.sums.shape[1]
        total = zeros((dim, dim), self.sums.dtype, self.sums)
        for rows, _ in self.kept:
            total = add_gram(total, rows)
        return total

    def set_reference(self, classes: np.ndarray, rows: Array) -> None:
        """Give classes their reference; those that repeat the same one."""
        self.reference, self._reference_squares = _with_reference(
            self.reference, self.reference_squares, classes, rows
        )

    def forget_norms(self) -> None:
        """To be called when ``reference`` changes."""
        self._reference_squares = None

    def to_dict(self) -> dict[str, Array]:
        arrays = {**dict(self._arrays()), "scatter": self.full_scatter()}
        return {name: value for name, value in arrays.items() if value is not None}

    def copy(self) -> State:
        """The same numbers in arrays of its own."""
        return self._changed(_copied)

    def like(self, example: State) -> State:
        """The same numbers in the library and on the device of ``example``."""
        return self._changed(lambda value: like(value, example.sums))

    def _changed(self, change: Callable[[Array], Array]) -> State:
        arrays = {name: None if value is None else change(value) for name, value in self._arrays()}
        return State(**arrays, kept=[(change(rows), change(labels)) for rows, labels in self.kept])

    def _arrays(self) -> list[tuple[str, Any]]:
        names = [entry.name for entry in fields(self) if entry.name not in ("kept", NORMS)]
        return [(name, getattr(self, name)) for name in names]


def rows_of(array: Array, part: slice | Array) -> Array:
    """The rows of a slice, or of an index vector."""
    if not isinstance(part, slice):
        return array_namespace(array).take(array, part, axis=0)
    return array if part == slice(0, array.shape[0]) else array[part, ...]


@compiled
def _with_reference(
    reference: Array, squares: Array, classes: Array, rows: Array
) -> tuple[Array, Array]:
    return set_rows(reference, classes, rows), set_rows(squares, classes, row_squares(rows))


@compiled
def row_squares(matrix: Array, tile: int = 4096) -> Array:
    """Squared norm of each row in float64, a tile of rows at a time."""
    xp = array_namespace(matrix)
    squares = []
    for part in tiles(matrix.shape[0], tile):
        rows = double(matrix[part, :])
        squares.append(row_dots(rows, rows))
    return xp.concat(squares)


def _copied(value: Array) -> Array:
    return (
        value.clone() if is_torch_array(value) else array_namespace(value).asarray(value, copy=True)
    )
