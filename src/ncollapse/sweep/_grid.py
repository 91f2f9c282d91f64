"""The plan of a sweep: named dimensions, the cells they span, and a seed for each cell."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Coordinate = bool | int | float | str
Cell = dict[str, Coordinate]
RESERVED = ("done", "failed", "seed")
MAX_NAMED = 5


@dataclass(frozen=True)
class Grid:
    """The product of named dimensions; a cell is one choice of a value in each.

    Cells are numbered in row-major order: the last dimension varies fastest.
    """

    dims: Mapping[str, tuple[Coordinate, ...]]

    @classmethod
    def from_values(cls, dims: Mapping[str, Iterable[Any]]) -> Grid:
        """Check and normalise ``{name: values}``.

        Raises
        ------
        ValueError
            No dimension, a dimension without values, a value that occurs twice (named), a number
            that is not finite, a name that is no Python identifier or is ``done``, ``failed`` or
            ``seed``.
        TypeError
            Values that are not all numbers, all strings or all booleans.
        """
        if not dims:
            raise ValueError("dims must name at least one dimension, but it is empty")
        checked = {}
        for name, values in dims.items():
            if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
                raise ValueError(
                    f"dims has a dimension named {name!r}: a name must be a Python identifier "
                    f"other than {' and '.join(RESERVED)}"
                )
            checked[name] = _coordinates(name, values)
        return cls(checked)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.dims.values())

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def cell(self, number: int) -> Cell:
        """Coordinates of the cell with this number."""
        index = np.unravel_index(number, self.shape)
        return {name: self.dims[name][int(i)] for name, i in zip(self.dims, index, strict=True)}

    def __iter__(self) -> Iterator[Cell]:
        return (self.cell(number) for number in range(self.size))


def cell_seed(seed: int, cell: Cell, seed_dims: Sequence[str]) -> int:
    """A seed in [0, 2⁶³) from ``seed`` and the cell's coordinate values along ``seed_dims``.

    It depends on nothing else: not on the other cells, the order of the dimensions or the schedule,
    so a cell gets the same seed in any grid that contains it. An integer and the equal float give
    the same seed.
    """
    key = [[name, _canonical(cell[name])] for name in sorted(seed_dims)]
    digest = hashlib.sha256(json.dumps([seed, key]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def name_cells(cells: Sequence[Cell]) -> str:
    """How many cells, and the first of them by name, as the start of a sentence."""
    named = ", ".join(map(str, cells[:MAX_NAMED]))
    more = f" and {len(cells) - MAX_NAMED} more" if len(cells) > MAX_NAMED else ""
    noun, verb = ("cell", "is") if len(cells) == 1 else ("cells", "are")
    return f"{len(cells)} {noun} ({named}{more}) {verb}"


def _coordinates(name: str, values: Iterable[Any]) -> tuple[Coordinate, ...]:
    if isinstance(values, str):
        raise TypeError(f"dims[{name!r}] must be a list of values, but it is the string {values!r}")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    if not plain:
        raise ValueError(f"dims[{name!r}] must hold at least one value, but it is empty")
    kinds = {type(value) for value in plain}
    if kinds == {int, float}:
        plain = [float(value) for value in plain]
    elif len(kinds) != 1 or not kinds <= {bool, int, float, str}:
        found = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"dims[{name!r}] must hold only numbers, only strings or only booleans, "
            f"but its values are of type {found}"
        )
    positions: dict[Coordinate, int] = {}
    for position, value in enumerate(plain):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"dims[{name!r}] must be finite, but value {position} is {value}")
        if value in positions:
            raise ValueError(
                f"dims[{name!r}] holds {value!r} twice, at positions {positions[value]} and {position}"
            )
        positions[value] = position
    return tuple(plain)


def _canonical(value: Coordinate) -> Coordinate:
    return int(value) if isinstance(value, float) and value.is_integer() else value
