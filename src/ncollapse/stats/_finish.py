"""From shifted sums to the summary."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import compiled, double, like, row_dots, symmetric, tiles, to_numpy
from ncollapse._checks import Array
from ncollapse.stats._merge import unit_difference
from ncollapse.stats._state import ClassSums, State, rows_of
from ncollapse.stats._summary import ClassSummary, Scatter

TILE = 2048


def finish_summary(state: State, classes: tuple[Any, ...]) -> ClassSummary:
    """Move every sum from its class's reference to its mean, a tile of classes at a time.

    With e = μ' − c and μ' the mean of the n' non-zero samples: M − Σ n' e eᵀ. The z zero
    samples of a class make μ = μ' n'/n and add (n' z/n) μ'μ'ᵀ.
    """
    xp = array_namespace(state.sums)
    scatter = None if state.scatter is None else symmetric(state.scatter)
    class_scatter = state.class_scatter
    total = int(to_numpy(state.counts).sum())
    means, variances, directional, class_scatters, rows = [], [], [], [], []
    for tile in tiles(state.counts.shape[0], TILE):
        part = _about_means(state.of_classes(tile))
        means.append(part["means"])
        variances.append(part["variances"])
        directional.append(part["directional"])
        if scatter is None:
            rows += _rows_about_means(state, tile, part)
        else:
            scatter = scatter - xp.matmul(part["removed"].T, part["removed"])
            if to_numpy(part["added"]).any():
                scatter = scatter + xp.matmul(part["added"].T, part["added"])
        if class_scatter is not None:
            inner = rows_of(class_scatter, tile)
            inner = inner - part["removed"][:, :, None] * part["removed"][:, None, :]
            inner = inner + part["added"][:, :, None] * part["added"][:, None, :]
            class_scatters.append(inner / part["divisor"][:, None, None])
    means = _joined(means)
    return ClassSummary(
        counts=xp.asarray(state.counts, copy=True),
        means=means,
        global_mean=xp.sum(means, axis=0) / float((to_numpy(state.counts) > 0).sum()),
        within=Scatter(matrix=_nonnegative_diagonal(scatter / total))
        if scatter is not None
        else Scatter(rows=_joined(rows) / total**0.5),
        class_variances=_joined(variances),
        class_directional=_joined(directional),
        zero_counts=xp.asarray(state.zero_counts, copy=True),
        num_samples=total,
        classes=classes,
        class_scatter=_joined(class_scatters) if class_scatters else None,
    )


def _rows_about_means(state: State, tile: slice, part: dict[str, Array]) -> list[Array]:
    """The kept rows of a tile's classes about their means, and √(n' z/n) μ' of those with zeros."""
    xp = array_namespace(state.sums)
    rows = []
    for kept, labels in state.kept:
        members = (labels >= tile.start) & (labels < tile.stop)
        index = like(np.flatnonzero(to_numpy(members)), labels)
        own = xp.take(labels, index) - tile.start
        rows.append(xp.take(kept, index, axis=0) - xp.take(part["offset"], own, axis=0))
    zeros_met = like(np.flatnonzero(to_numpy(state.zero_counts[tile])), state.zero_counts)
    return [*rows, xp.take(part["added"], zeros_met, axis=0)]


@compiled
def _about_means(part: ClassSums) -> dict[str, Array]:
    """The sums of some classes about their means."""
    xp = array_namespace(part.sums)
    counts, empty = double(part.counts), double(part.zero_counts)
    nonzero = counts - empty
    one = xp.ones_like(counts)
    divisor = xp.where(counts > 0, counts, one)
    members = xp.where(nonzero > 0, nonzero, one)
    share = nonzero / divisor
    reference = double(part.reference)
    offset = part.sums / members[:, None]
    centre = reference + offset  # of a class of zero features only, share is 0 below
    removed = offset * xp.sqrt(nonzero)[:, None]
    added = centre * xp.sqrt(share * empty)[:, None]
    squares = part.squares - row_dots(removed, removed) + row_dots(added, added)
    unit_shift = unit_difference(reference, offset)
    cosine_defects = (
        part.cosine_defects
        - row_dots(unit_shift, part.unit_offsets)
        + nonzero * row_dots(unit_shift, unit_shift) / 2
    )
    cosine_defects = xp.where(cosine_defects > 0, cosine_defects, xp.zeros_like(cosine_defects))
    directionless = ~xp.any(centre != 0, axis=1)
    return {
        "means": centre * share[:, None],
        "variances": xp.where(squares > 0, squares, xp.zeros_like(squares)) / divisor,
        "directional": xp.where(directionless, counts, cosine_defects + empty) / divisor,
        "offset": offset,
        "removed": removed,
        "added": added,
        "divisor": divisor,
    }


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else array_namespace(*parts).concat(parts)


def _nonnegative_diagonal(matrix: Array) -> Array:
    xp = array_namespace(matrix)
    diagonal = xp.linalg.diagonal(matrix)
    below = xp.where(diagonal < 0, diagonal, xp.zeros_like(diagonal))
    if not bool(xp.any(below != 0)):
        return matrix
    return matrix - xp.eye(matrix.shape[0], dtype=matrix.dtype) * below[:, None]
