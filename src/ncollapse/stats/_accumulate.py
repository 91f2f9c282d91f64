"""Shifted rows added to the sums of a state."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import (
    add_at,
    add_gram,
    add_rows,
    class_sums,
    compiled,
    double,
    like,
    set_rows,
    to_numpy,
)
from ncollapse._checks import Array
from ncollapse.stats._rows import RowScalars
from ncollapse.stats._state import State


def add_shifted(state: State, matrix: Array, row: RowScalars, scale: float) -> None:
    """The rows ``scale``·matrix; those whose inverse norm is 0 are summed apart."""
    names = ("squares", "cosine_defects", "inverse_changes", "sums", "unit_sums")
    sums = tuple(getattr(state, name) for name in names)
    scalars = row.squares, row.cosine_defects, row.inverse_changes, row.inverses
    for name, value in zip(names, _summed(matrix, row.labels, sums, scalars, scale), strict=True):
        setattr(state, name, value)
    labels, left_out = row.labels, to_numpy(row.inverses) == 0
    if left_out.any():
        index = like(np.flatnonzero(~left_out), labels)
        xp = array_namespace(matrix)
        matrix, labels = xp.take(matrix, index, axis=0), xp.take(labels, index)
    _add_scatter(state, matrix, labels, scale)


def add_apart(state: State, features: Array, row: RowScalars, apart: Array) -> None:
    """Rows much longer or shorter than their reference, one by one in float64: beside them float32
    sums would lose the others' digits, or theirs.
    """
    xp = array_namespace(features)
    labels = xp.take(row.labels, apart)
    matrix = double(xp.take(features, apart, axis=0))
    matrix = matrix - double(xp.take(state.reference, labels, axis=0))
    units = matrix * xp.take(row.inverses, apart)[:, None]
    state.sums = add_at(state.sums, labels, matrix)
    state.unit_sums = add_at(state.unit_sums, labels, units)
    _add_scatter(state, matrix, labels, 1.0)


@compiled
def _summed(
    matrix: Array,
    labels: Array,
    sums: tuple[Array, ...],
    scalars: tuple[Array, ...],
    scale: float,
) -> tuple[Array, ...]:
    *of_scalars, plain_sums, unit_sums = sums
    *added, inverses = scalars
    weights = array_namespace(matrix).astype(inverses * scale, matrix.dtype)
    present, plain, weighted = class_sums(labels, matrix, weights, plain_sums.shape[0])
    return (
        *(add_at(one, labels, values) for one, values in zip(of_scalars, added, strict=True)),
        add_rows(plain_sums, present, plain if scale == 1 else double(plain) * scale),
        add_rows(unit_sums, present, weighted),
    )


def _add_scatter(state: State, matrix: Array, labels: Array, scale: float) -> None:
    if state.class_scatter is not None:
        _add_class_scatter(state, matrix, to_numpy(labels), scale)
    state.take_rows(matrix, labels, scale)


def _add_class_scatter(state: State, matrix: Array, labels: np.ndarray, scale: float) -> None:
    xp = array_namespace(matrix)
    scatter: Any = state.class_scatter
    for k in np.unique(labels).tolist():
        members = xp.take(matrix, like(np.flatnonzero(labels == k), state.counts), axis=0)
        product = add_gram(xp.zeros_like(scatter[k, ...]), members, scale)
        scatter = set_rows(scatter, np.asarray([k]), (scatter[k, ...] + product)[None, ...])
    state.class_scatter = scatter
