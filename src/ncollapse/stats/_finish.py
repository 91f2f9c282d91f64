"""From shifted sums to the summary."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from ncollapse._arrays import double, row_dots, symmetric, tiles, zeros
from ncollapse._checks import Array
from ncollapse.stats._merge import replaced, unit_difference
from ncollapse.stats._state import State
from ncollapse.stats._summary import ClassSummary

TILE = 2048


def finish_summary(state: State, classes: tuple[Any, ...]) -> ClassSummary:
    """Move every sum from its class's reference to its mean, a tile of classes at a time.

    With e = μ' − c and μ' the mean of the n' non-zero samples: M − Σ n' e eᵀ. The z zero
    samples of a class make μ = μ' n'/n and add (n' z/n) μ'μ'ᵀ.
    """
    xp = array_namespace(state.scatter)
    scatter = symmetric(state.scatter)
    class_scatter = state.class_scatter
    total = int(xp.sum(state.counts))
    means = zeros(tuple(state.sums.shape), state.sums.dtype, state.sums)
    variances, directional, class_scatters = [], [], []
    for tile in tiles(state.counts.shape[0], TILE):
        part = _tile(state, tile)
        means = replaced(means, tile, part["means"])
        variances.append(part["variances"])
        directional.append(part["directional"])
        scatter = scatter - xp.matmul(part["removed"].T, part["removed"])
        if bool(xp.any(part["added"] != 0)):
            scatter = scatter + xp.matmul(part["added"].T, part["added"])
        if class_scatter is not None:
            inner = class_scatter[tile, ...]
            inner = inner - part["removed"][:, :, None] * part["removed"][:, None, :]
            inner = inner + part["added"][:, :, None] * part["added"][:, None, :]
            class_scatters.append(inner / part["divisor"][:, None, None])
    occupied = double(state.counts > 0)
    return ClassSummary(
        counts=xp.asarray(state.counts, copy=True),
        means=means,
        global_mean=xp.sum(means, axis=0) / float(xp.sum(occupied)),
        within_scatter=_nonnegative_diagonal(scatter / total),
        class_variances=xp.concat(variances),
        class_directional=xp.concat(directional),
        zero_counts=xp.asarray(state.zero_counts, copy=True),
        num_samples=total,
        classes=classes,
        class_scatter=xp.concat(class_scatters) if class_scatters else None,
    )


def _tile(state: State, tile: slice) -> dict[str, Array]:
    xp = array_namespace(state.scatter)
    counts = double(state.counts[tile])
    empty = double(state.zero_counts[tile])
    nonzero = counts - empty
    one = xp.ones_like(counts)
    divisor = xp.where(counts > 0, counts, one)
    members = xp.where(nonzero > 0, nonzero, one)
    share = nonzero / divisor
    reference = double(state.reference[tile, :])
    offset = state.sums[tile, :] / members[:, None]
    centre = xp.where((nonzero > 0)[:, None], reference + offset, xp.zeros_like(offset))
    removed = offset * xp.sqrt(nonzero)[:, None]
    added = centre * xp.sqrt(share * empty)[:, None]
    squares = state.squares[tile] - row_dots(removed, removed) + row_dots(added, added)
    turn = unit_difference(reference, offset)
    turns = (
        state.turns[tile]
        - row_dots(turn, state.unit_offsets(tile))
        + nonzero * row_dots(turn, turn) / 2
    )
    turns = xp.where(turns > 0, turns, xp.zeros_like(turns))
    directionless = ~xp.any(centre != 0, axis=1)
    return {
        "means": centre * share[:, None],
        "variances": xp.where(squares > 0, squares, xp.zeros_like(squares)) / divisor,
        "directional": xp.where(directionless, counts, turns + empty) / divisor,
        "removed": removed,
        "added": added,
        "divisor": divisor,
    }


def _nonnegative_diagonal(matrix: Array) -> Array:
    xp = array_namespace(matrix)
    diagonal = xp.linalg.diagonal(matrix)
    below = xp.where(diagonal < 0, diagonal, xp.zeros_like(diagonal))
    if not bool(xp.any(below != 0)):
        return matrix
    return matrix - xp.eye(matrix.shape[0], dtype=matrix.dtype) * below[:, None]
