"""Sums about one reference restated about another, in float64."""

from __future__ import annotations

from array_api_compat import array_namespace, is_jax_array

from ncollapse._arrays import double, row_dots, tiles
from ncollapse._checks import Array
from ncollapse.stats._state import State

TILE = 2048


def moved_to_reference(target: State, other: State) -> State:
    """``target`` with the samples of ``other`` added. With g = c − c' the old reference minus
    the new:

    Σ(h − c') = S + n g, Σ‖h − c'‖² = Q + 2⟨g, S⟩ + n‖g‖²,
    Σ(h − c')(h − c')ᵀ = M + g Sᵀ + S gᵀ + n g gᵀ, and alike for unit vectors about c/‖c‖.
    """
    target.scatter = target.scatter + other.scatter
    if target.class_scatter is not None:
        target.class_scatter = target.class_scatter + other.class_scatter
    for tile in tiles(target.counts.shape[0], TILE):
        _merge_tile(target, other, tile)
    target.counts = target.counts + other.counts
    target.zero_counts = target.zero_counts + other.zero_counts
    target.forget_norms()
    return target


def _merge_tile(target: State, other: State, tile: slice) -> None:
    xp = array_namespace(target.scatter)
    theirs = double(other.counts[tile] - other.zero_counts[tile])
    mine = double(target.counts[tile] - target.zero_counts[tile])
    old, new = double(other.reference[tile, :]), double(target.reference[tile, :])
    # A class that only one side has met has that side's reference.
    adopted = (mine == 0) & (theirs > 0)
    new = double(xp.astype(xp.where(adopted[:, None], old, new), target.reference.dtype))
    gap = xp.where((theirs > 0)[:, None], old - new, xp.zeros_like(old))
    weighted = other.sums[tile, :] + theirs[:, None] * gap / 2
    cross = xp.matmul(gap.T, weighted)
    target.scatter = target.scatter + cross + cross.T
    if target.class_scatter is not None:
        crosses = gap[:, :, None] * weighted[:, None, :]
        crosses = crosses + xp.permute_dims(crosses, (0, 2, 1))
        target.class_scatter = _with_rows(target.class_scatter, tile, crosses)
    turn = unit_difference(new, gap)
    squares = other.squares[tile] + 2 * row_dots(gap, weighted)
    turns = (
        other.turns[tile]
        + row_dots(turn, other.unit_offsets(tile))
        + theirs * row_dots(turn, turn) / 2
    )
    target.squares = _with_rows(target.squares, tile, squares)
    target.turns = _with_rows(target.turns, tile, turns)
    target.sums = _with_rows(target.sums, tile, other.sums[tile, :] + theirs[:, None] * gap)
    nearer = _inverse_norm_difference(new, gap)
    inverses = other.stretches[tile] + theirs * _inverse_norms(old)
    units = other.unit_sums[tile, :] + inverses[:, None] * gap
    target.unit_sums = _with_rows(target.unit_sums, tile, units)
    target.stretches = _with_rows(target.stretches, tile, other.stretches[tile] + theirs * nearer)
    target.reference = replaced(target.reference, tile, xp.astype(new, target.reference.dtype))


def unit_difference(base: Array, gap: Array) -> Array:
    """unit(base + gap) − unit(base) row by row, exact to the rounding of ``gap``.

    It is gap/‖base + gap‖ + base (1/‖base + gap‖ − 1/‖base‖), and 0 where either vector is zero.
    """
    xp = array_namespace(base)
    usable = xp.any(base != 0, axis=1) & xp.any(base + gap != 0, axis=1)
    found = gap * _inverse_norms(base + gap)[:, None]
    found = found + base * _inverse_norm_difference(base, gap)[:, None]
    return xp.where(usable[:, None], found, xp.zeros_like(found))


def _inverse_norms(rows: Array) -> Array:
    """1/‖row‖, and 0 for a zero row."""
    xp = array_namespace(rows)
    squares = row_dots(rows, rows)
    zero = squares == 0
    return xp.where(zero, squares, 1 / xp.sqrt(xp.where(zero, xp.ones_like(squares), squares)))


def _inverse_norm_difference(base: Array, gap: Array) -> Array:
    """1/‖base + gap‖ − 1/‖base‖ without cancellation, and 0 where either vector is zero."""
    first, second = _inverse_norms(base), _inverse_norms(base + gap)
    xp = array_namespace(base)
    growth = 2 * row_dots(base, gap) + row_dots(gap, gap)
    both = first + second
    safe = xp.where(both > 0, both, xp.ones_like(both))
    return -growth * (first * second) ** 2 / safe


def _with_rows(target: Array, tile: slice, added: Array) -> Array:
    if is_jax_array(target):
        return target.at[tile].add(added)
    target[tile, ...] = target[tile, ...] + added
    return target


def replaced(target: Array, tile: slice, rows: Array) -> Array:
    """``target`` with ``rows`` in place of its tile of rows."""
    if is_jax_array(target):
        return target.at[tile].set(rows)
    target[tile, ...] = rows
    return target
