"""Rows of vectors (class means, classifier rows), centred and read in float64 a tile at a time.

All pairs of rows come in one sweep of tiles: no K×K array whatever K.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import double, like, row_dots, tiles, to_numpy
from ncollapse._checks import Array

TILE = 512
"""Classes done together: a tile of pairs, 2 MiB, stays in a core's cache (K = 10,000, D = 32: three
times as fast as with 1024)."""

CLOSE = 1e-4
"""Squared distances this small beside the squared norms are taken from the difference itself."""


class UndefinedMetricError(ValueError):
    """The data leave a metric without a value; the message says why."""


@dataclass(frozen=True)
class CosineStatistics:
    """Of the cosines of all pairs k ≠ l of rows of a frame.

    ``deviation`` avg |cos + 1/(K−1)|; ``coherence`` max |cos|; ``closest`` the class indices of the
    pair with the largest cosine, ``closest_cosine``.
    """

    deviation: float
    coherence: float
    closest: tuple[int, int]
    closest_cosine: float


@dataclass(frozen=True)
class DistanceStatistics:
    """Means and standard deviations over the pairs k ≠ l of unit rows u_k of a frame: of ‖u_k − u_l‖
    and of log 1/‖u_k − u_l‖ (None when two directions coincide, where it is infinite).
    """

    distance_mean: float
    distance_std: float
    log_mean: float | None
    log_std: float | None


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
        return self.rows(slice(None))

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

    @cached_property
    def cosines(self) -> CosineStatistics:
        """`CosineStatistics` of the rows."""
        self.require_classes()
        self.require_directions()
        xp = array_namespace(self.array)
        count = self.count
        total, lowest, closest, highest = 0.0, np.inf, (0, 1), -np.inf
        for _, _, cosine, left, right in self.unit_products():
            if left == right:
                if cosine.shape[0] == 1:
                    continue
                # What stands on or below the diagonal is none of the pairs: it is −1/(K−1), which adds
                # nothing to the deviation, and the extremes are taken among the others.
                above = _above(cosine, left, right) > 0
                cosine = xp.where(above, cosine, xp.full_like(cosine, -1 / (count - 1)))
                shown = xp.where(above, cosine, xp.full_like(cosine, -np.inf))
                least = xp.min(xp.where(above, cosine, xp.full_like(cosine, np.inf)))
            else:
                shown, least = cosine, xp.min(cosine)
            lowest = min(lowest, scalar(least))
            if scalar(xp.max(shown)) > highest:
                i, j = divmod(int(xp.argmax(xp.reshape(shown, (-1,)))), shown.shape[1])
                highest = scalar(shown[i, j])
                closest = (self.classes[left.start + i], self.classes[right.start + j])
            total += scalar(xp.sum(xp.abs(cosine + 1 / (count - 1))))
        return CosineStatistics(
            deviation=total / (count * (count - 1) / 2),
            coherence=min(max(highest, -lowest), 1.0),
            closest=closest,
            closest_cosine=min(highest, 1.0),
        )

    @cached_property
    def distances(self) -> DistanceStatistics:
        """`DistanceStatistics` of the rows."""
        self.require_classes()
        self.require_directions()
        xp = array_namespace(self.array)
        count = self.count
        ideal = (2 * count / (count - 1)) ** 0.5
        sums = np.zeros(4)
        coincide = False
        for squares, mask in self.unit_pairs():
            distance = xp.sqrt(xp.where(mask > 0, squares, xp.ones_like(squares)))
            coincide = coincide or bool(xp.any(distance == 0))
            log = -xp.log(xp.where(distance > 0, distance, xp.ones_like(distance)) / ideal)
            off = distance - ideal
            sums += [scalar(xp.sum(part * mask)) for part in (off, off * off, log, log * log)]
        means = sums / (count * (count - 1) / 2)
        return DistanceStatistics(
            distance_mean=float(ideal + means[0]),
            distance_std=_spread(means[0], means[1]),
            log_mean=None if coincide else float(means[2] - np.log(ideal)),
            log_std=None if coincide else _spread(means[2], means[3]),
        )

    def unit_products(self) -> Iterator[tuple[Array, Array, Array, slice, slice]]:
        """Unit rows of two tiles and their cosines, for every pair of tiles on or above the diagonal."""
        xp = array_namespace(self.array)
        for left, right in self._tile_pairs():
            a = self.rows(left) / self.norms[left][:, None]
            b = self.rows(right) / self.norms[right][:, None]
            yield a, b, xp.matmul(a, b.T), left, right

    def unit_pairs(self) -> Iterator[tuple[Array, Array]]:
        """Squared distances of unit rows and the strict-upper mask (as 0/1), tile by tile."""
        xp = array_namespace(self.array)
        for a, b, cosine, left, right in self.unit_products():
            squares = _distances(a, b, 2 - 2 * cosine, xp.ones_like(a[:, 0]), xp.ones_like(b[:, 0]))
            yield squares, _above(squares, left, right)

    def squared_distances(self) -> Iterator[tuple[Array, Array, slice, slice]]:
        """‖x_k − x_l‖² and the strict-upper mask (as 0/1), tile by tile."""
        xp = array_namespace(self.array)
        for left, right in self._tile_pairs():
            a, b = self.rows(left), self.rows(right)
            own, other = self.squares[left], self.squares[right]
            squares = own[:, None] + other[None, :] - 2 * xp.matmul(a, b.T)
            squares = _distances(a, b, squares, own, other)
            yield squares, _above(squares, left, right), left, right

    def _tile_pairs(self) -> Iterator[tuple[slice, slice]]:
        tiles = self.tiles()
        for i, left in enumerate(tiles):
            for right in tiles[i:]:
                yield left, right


def _above(example: Array, left: slice, right: slice) -> Array:
    xp = array_namespace(example)
    ones = xp.ones_like(example)
    return xp.triu(ones, k=1) if left == right else ones


def _distances(a: Array, b: Array, squares: Array, own: Array, other: Array) -> Array:
    """``squares`` with the small ones, which lost digits, computed again from the difference."""
    xp = array_namespace(squares)
    small = squares < CLOSE * (own[:, None] + other[None, :])
    if not bool(xp.any(small)):
        return squares
    rows, columns = np.nonzero(to_numpy(small))
    if len(rows) > 4 * (a.shape[0] + b.shape[0]):
        distances = [_row_distances(a[i : i + 1, :], b) for i in range(a.shape[0])]
        return xp.where(small, xp.stack(distances), squares)
    difference = xp.take(a, like(rows, a), axis=0) - xp.take(b, like(columns, a), axis=0)
    host = np.zeros(tuple(squares.shape))
    host[rows, columns] = to_numpy(row_dots(difference, difference))
    return xp.where(small, like(host, squares, squares.dtype), squares)


def _row_distances(row: Array, others: Array) -> Array:
    difference = others - row
    return row_dots(difference, difference)


def _spread(mean: float, square: float) -> float:
    return float(max(square - mean * mean, 0.0) ** 0.5)


def scalar(value: Array) -> float:
    """One number of an array, on the host."""
    return float(to_numpy(value))
