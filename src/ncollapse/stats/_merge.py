"""Sums about one reference restated about another, in float64."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, is_jax_array

from ncollapse._arrays import compiled, double, row_dots, set_rows, tiles, to_numpy
from ncollapse._checks import Array
from ncollapse.stats._state import ClassSums, State, rows_of

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
    moved = _restated(state.of_classes(classes), old, double(rows))
    _add_cross(state, moved, classes)
    chosen = to_numpy(classes)
    if state.class_scatter is not None:
        crosses = rows_of(state.class_scatter, classes) + _crosses(moved)
        state.class_scatter = set_rows(state.class_scatter, chosen, crosses)
    for name in SUMS:
        setattr(state, name, set_rows(getattr(state, name), chosen, moved[name]))
    state.set_reference(chosen, rows)


def _move(target: State, other: State, tile: slice, adopted: Array) -> None:
    moved = _about_another(other.of_classes(tile), rows_of(target.reference, tile), adopted)
    # The rows that ``other`` keeps move with it; the scatter of either is the target's by now.
    _add_cross(target if target.scatter is not None else other, moved, tile)
    if target.class_scatter is not None:
        target.class_scatter = _with_rows(
            target.class_scatter, _crosses(moved), tile.start, tile.stop
        )
    for name in SUMS:
        setattr(
            target,
            name,
            _with_rows(getattr(target, name), moved[name], tile.start, tile.stop),
        )
    target.reference = _replaced(target.reference, moved["reference"], tile.start, tile.stop)


@compiled
def _about_another(part: ClassSums, reference: Array, adopted: Array) -> dict[str, Array]:
    """`_restated` about ``reference``, but for the ``adopted`` classes, which keep their own."""
    xp = array_namespace(part.sums)
    old = double(part.reference)
    new = xp.where(adopted[:, None], old, double(reference))
    new = xp.astype(new, reference.dtype)
    return {**_restated(part, old, double(new)), "reference": new}


@compiled
def _restated(part: ClassSums, old: Array, new: Array) -> dict[str, Array]:
    """The sums of some classes about ``new``, g and S + n g/2."""
    xp = array_namespace(part.sums)
    count = double(part.counts - part.zero_counts)
    gap = xp.where((count > 0)[:, None], old - new, xp.zeros_like(old))
    weighted = part.sums + count[:, None] * gap / 2
    unit_shift = unit_difference(new, gap)
    cosine_defects = (
        row_dots(unit_shift, part.unit_offsets) + count * row_dots(unit_shift, unit_shift) / 2
    )
    inverses = part.inverse_changes + count * _inverse_norms(old)
    return {
        "gap": gap,
        "weighted": weighted,
        "squares": part.squares + 2 * row_dots(gap, weighted),
        "cosine_defects": part.cosine_defects + cosine_defects,
        "sums": part.sums + count[:, None] * gap,
        "unit_sums": part.unit_sums + inverses[:, None] * gap,
        "inverse_changes": part.inverse_changes + count * _inverse_norm_difference(new, gap),
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


@compiled
def _with_rows(target: Array, added: Array, start: int, stop: int) -> Array:
    if is_jax_array(target):
        return target.at[start:stop].add(added)
    target[start:stop, ...] = target[start:stop, ...] + added
    return target


@compiled
def _replaced(target: Array, rows: Array, start: int, stop: int) -> Array:
    """``target`` with ``rows`` in place of those from ``start`` to ``stop``."""
    if is_jax_array(target):
        return target.at[start:stop].set(rows)
    target[start:stop, ...] = rows
    return target
