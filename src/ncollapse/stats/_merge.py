"""Sums about one reference restated about another, in float64."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, is_jax_array

from ncollapse._arrays import double, row_dots, set_rows, tiles, to_numpy
from ncollapse._checks import Array
from ncollapse.stats._state import State, rows_of

TILE = 2048
SUMS = ("squares", "cosine_defects", "sums", "unit_sums", "inverse_changes")


def moved_to_reference(target: State, other: State) -> State:
    """``target`` with the samples of ``other`` added. With g = c − c' the old reference minus
    the new:

    Σ(h − c') = S + n g, Σ‖h − c'‖² = Q + 2⟨g, S⟩ + n‖g‖²,
    Σ(h − c')(h − c')ᵀ = M + g Sᵀ + S gᵀ + n g gᵀ, and alike for unit vectors about c/‖c‖.
    """
    if target.scatter is not None or other.scatter is not None:
        target.scatter, other.scatter = target.full_scatter() + other.full_scatter(), None
        target.kept, other.kept = [], []
    if target.class_scatter is not None:
        target.class_scatter = target.class_scatter + other.class_scatter
    for tile in tiles(target.counts.shape[0], TILE):
        theirs = other.counts[tile] - other.zero_counts[tile]
        mine = target.counts[tile] - target.zero_counts[tile]
        # A class that only one side has met has that side's reference.
        adopted = (mine == 0) & (theirs > 0)
        _move(target, other, tile, adopted)
    for rows, labels in other.kept:
        target.take_rows(rows, labels, 1.0)
    target.counts = target.counts + other.counts
    target.zero_counts = target.zero_counts + other.zero_counts
    target.forget_norms()
    return target


def change_reference(state: State, classes: Array, rows: Array) -> None:
    """Restate the sums of some classes about the ``rows``, exact to float64."""
    old = double(rows_of(state.reference, classes))
    moved = _restated(state, classes, old, double(rows))
    _add_cross(state, moved, classes)
    chosen = to_numpy(classes)
    if state.class_scatter is not None:
        crosses = rows_of(state.class_scatter, classes) + _crosses(moved)
        state.class_scatter = set_rows(state.class_scatter, chosen, crosses)
    for name in SUMS:
        setattr(state, name, set_rows(getattr(state, name), chosen, moved[name]))
    state.set_reference(chosen, rows)


def _move(target: State, other: State, tile: slice, adopted: Array) -> None:
    xp = array_namespace(target.sums)
    old = double(other.reference[tile, :])
    new = xp.where(adopted[:, None], old, double(target.reference[tile, :]))
    new = xp.astype(new, target.reference.dtype)
    moved = _restated(other, tile, old, double(new))
    # The rows that ``other`` keeps move with it; the scatter of either is the target's by now.
    _add_cross(target if target.scatter is not None else other, moved, tile)
    if target.class_scatter is not None:
        target.class_scatter = _with_rows(target.class_scatter, tile, _crosses(moved))
    for name in SUMS:
        setattr(target, name, _with_rows(getattr(target, name), tile, moved[name]))
    target.reference = replaced(target.reference, tile, new)


def _restated(state: State, part: slice | Array, old: Array, new: Array) -> dict[str, Array]:
    """The sums of some classes about ``new``, g and S + n g/2."""
    xp = array_namespace(state.sums)
    count = double(rows_of(state.counts, part) - rows_of(state.zero_counts, part))
    gap = xp.where((count > 0)[:, None], old - new, xp.zeros_like(old))
    sums, units = rows_of(state.sums, part), rows_of(state.unit_sums, part)
    inverse_changes = rows_of(state.inverse_changes, part)
    weighted = sums + count[:, None] * gap / 2
    unit_shift = unit_difference(new, gap)
    cosine_defects = (
        row_dots(unit_shift, state.unit_offsets(part))
        + count * row_dots(unit_shift, unit_shift) / 2
    )
    inverses = inverse_changes + count * _inverse_norms(old)
    return {
        "gap": gap,
        "weighted": weighted,
        "squares": rows_of(state.squares, part) + 2 * row_dots(gap, weighted),
        "cosine_defects": rows_of(state.cosine_defects, part) + cosine_defects,
        "sums": sums + count[:, None] * gap,
        "unit_sums": units + inverses[:, None] * gap,
        "inverse_changes": inverse_changes + count * _inverse_norm_difference(new, gap),
    }


def _crosses(moved: dict[str, Array]) -> Array:
    """What each class's own scatter changes by."""
    half = moved["gap"][:, :, None] * moved["weighted"][:, None, :]
    return half + array_namespace(half).permute_dims(half, (0, 2, 1))


def _add_cross(state: State, moved: dict[str, Array], part: slice | Array) -> None:
    """Move the scatter, or the rows that are kept instead of it."""
    gap = moved["gap"]
    xp = array_namespace(gap)
    if state.scatter is not None:
        cross = xp.matmul(gap.T, moved["weighted"])
        state.scatter = state.scatter + cross + cross.T
        return
    whole = xp.zeros_like(state.sums)
    classes = np.arange(part.start, part.stop) if isinstance(part, slice) else to_numpy(part)
    whole = set_rows(whole, classes, gap)
    state.kept = [(rows + xp.take(whole, labels, axis=0), labels) for rows, labels in state.kept]


def unit_difference(base: Array, gap: Array) -> Array:
    """unit(base + gap) − unit(base) row by row, exact to the rounding of ``gap``.

    It is gap/‖base + gap‖ + base (1/‖base + gap‖ − 1/‖base‖). Base + gap zero has no direction.
    """
    grown = gap * _inverse_norms(base + gap)[:, None]
    return grown + base * _inverse_norm_difference(base, gap)[:, None]


def _inverse_norms(rows: Array) -> Array:
    """1/‖row‖, and 1 for a zero row, about which all sums are zero."""
    xp = array_namespace(rows)
    squares = row_dots(rows, rows)
    return 1 / xp.sqrt(xp.where(squares == 0, xp.ones_like(squares), squares))


def _inverse_norm_difference(base: Array, gap: Array) -> Array:
    """1/‖base + gap‖ − 1/‖base‖ without cancellation."""
    first, second = _inverse_norms(base), _inverse_norms(base + gap)
    growth = 2 * row_dots(base, gap) + row_dots(gap, gap)
    return -growth * (first * second) ** 2 / (first + second)


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
