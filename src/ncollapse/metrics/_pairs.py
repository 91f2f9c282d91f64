"""All pairs of classes in one sweep of tiles: no K×K array whatever K."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import like, row_dots, to_numpy
from ncollapse._checks import Array
from ncollapse.metrics._frame import Frame, UndefinedMetricError, scalar

CLOSE = 1e-4
"""Squared distances this small beside the squared norms are taken from the difference itself."""


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


_COSINES: weakref.WeakKeyDictionary[Frame, CosineStatistics] = weakref.WeakKeyDictionary()
_DISTANCES: weakref.WeakKeyDictionary[Frame, DistanceStatistics] = weakref.WeakKeyDictionary()


def cosine_statistics(frame: Frame) -> CosineStatistics:
    """`CosineStatistics` of the rows; computed once for each frame."""
    if frame not in _COSINES:
        _COSINES[frame] = _cosine_statistics(frame)
    return _COSINES[frame]


def distance_statistics(frame: Frame) -> DistanceStatistics:
    """`DistanceStatistics` of the rows; computed once for each frame."""
    if frame not in _DISTANCES:
        _DISTANCES[frame] = _distance_statistics(frame)
    return _DISTANCES[frame]


def cosines(frame: Frame) -> Iterator[tuple[Array, Array, Array, slice, slice]]:
    """Unit rows of two tiles and their cosines, for every pair of tiles on or above the diagonal."""
    xp = array_namespace(frame.array)
    for left, right in _tile_pairs(frame):
        a = frame.rows(left) / frame.norms[left][:, None]
        b = frame.rows(right) / frame.norms[right][:, None]
        yield a, b, xp.matmul(a, b.T), left, right


def unit_pairs(frame: Frame) -> Iterator[tuple[Array, Array]]:
    """Squared distances of unit rows and the strict-upper mask (as 0/1), tile by tile."""
    xp = array_namespace(frame.array)
    for a, b, cosine, left, right in cosines(frame):
        squares = _distances(a, b, 2 - 2 * cosine, xp.ones_like(a[:, 0]), xp.ones_like(b[:, 0]))
        yield squares, _above(squares, left, right)


def squared_distances(frame: Frame) -> Iterator[tuple[Array, Array, slice, slice]]:
    """‖x_k − x_l‖² and the strict-upper mask (as 0/1), tile by tile."""
    xp = array_namespace(frame.array)
    for left, right in _tile_pairs(frame):
        a, b = frame.rows(left), frame.rows(right)
        own, other = frame.squares[left], frame.squares[right]
        squares = own[:, None] + other[None, :] - 2 * xp.matmul(a, b.T)
        squares = _distances(a, b, squares, own, other)
        yield squares, _above(squares, left, right), left, right


def _tile_pairs(frame: Frame) -> Iterator[tuple[slice, slice]]:
    tiles = frame.tiles()
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


def _cosine_statistics(frame: Frame) -> CosineStatistics:
    frame.require_classes()
    frame.require_directions()
    xp = array_namespace(frame.array)
    count = frame.count
    total, lowest, closest, highest = 0.0, np.inf, (0, 1), -np.inf
    for _, _, cosine, left, right in cosines(frame):
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
            closest = (frame.classes[left.start + i], frame.classes[right.start + j])
        total += scalar(xp.sum(xp.abs(cosine + 1 / (count - 1))))
    return CosineStatistics(
        deviation=total / (count * (count - 1) / 2),
        coherence=min(max(highest, -lowest), 1.0),
        closest=closest,
        closest_cosine=min(highest, 1.0),
    )


def _distance_statistics(frame: Frame) -> DistanceStatistics:
    frame.require_classes()
    frame.require_directions()
    xp = array_namespace(frame.array)
    count = frame.count
    ideal = (2 * count / (count - 1)) ** 0.5
    sums = np.zeros(4)
    coincide = False
    for squares, mask in unit_pairs(frame):
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


def _spread(mean: float, square: float) -> float:
    return float(max(square - mean * mean, 0.0) ** 0.5)


def riesz_energy(frame: Frame, exponent: float) -> float:
    """(1/s) log avg_{k≠l} ‖u_k − u_l‖^{−s}, by log-sum-exp: any exponent s ≠ 0 without overflow."""
    if not np.isfinite(exponent) or exponent == 0:
        raise ValueError(f"exponent must be finite and not zero, but it is {exponent!r}")
    frame.require_classes()
    frame.require_directions()
    xp = array_namespace(frame.array)
    largest, total = -np.inf, 0.0
    for squares, mask in unit_pairs(frame):
        above = mask > 0
        if exponent > 0 and bool(xp.any(above & (squares <= 0))):
            raise UndefinedMetricError(
                f"{frame.name}: two directions coincide, the energy is infinite"
            )
        usable = above & (squares > 0)
        power = -exponent / 2 * xp.log(xp.where(usable, squares, xp.ones_like(squares)))
        power = xp.where(usable, power, xp.full_like(power, -np.inf))
        peak = max(largest, scalar(xp.max(power)))
        if peak == -np.inf:
            continue
        total = total * np.exp(largest - peak) + scalar(xp.sum(xp.exp(power - peak)))
        largest = peak
    if total == 0:
        raise UndefinedMetricError(f"{frame.name}: all directions coincide")
    pairs = frame.count * (frame.count - 1) / 2
    return float((largest + np.log(total / pairs)) / exponent)
