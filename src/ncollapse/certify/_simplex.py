"""The last resort for small data: a simplex method that pivots in integers, without rounding.

The products y = Xβ are kept as y_B = D y_N: some of them (B) as combinations of others (N), which
stand at their bounds, 1 on the class and 0 off it. A product of B on the wrong side of its bound
changes places with one of N that can help; where none can, its row of D is a contradiction. The
least index is always taken, so nothing repeats (Bland; for feasibility alone this is the
criss-cross method of Terlaky). D is a table of integers over one denominator (Edmonds): its entries
are minors of X.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ncollapse.certify._exact import integer_rows
from ncollapse.certify._types import Candidate, Direction, Multipliers

AFFORDABLE_PRODUCTS = 200_000
"""N d min(N, d) up to which an answer takes seconds: integers grow with the rank."""


def is_affordable(own: np.ndarray, rest: np.ndarray) -> bool:
    rows, dim = len(own) + len(rest), own.shape[1]
    return rows * dim * min(rows, dim) <= AFFORDABLE_PRODUCTS


def exact_answer(own: np.ndarray, rest: np.ndarray) -> Candidate:
    """Decide Aβ = 1, Bβ ≤ 0; the answer holds fractions (dtype object)."""
    count, first = len(own) + len(rest), len(own)
    rows, units = integer_rows(np.vstack([own, rest]))
    table = _Dictionary.of(rows)
    fixed = table.nonbasic < first
    ones = units[table.nonbasic[fixed]]
    for row in np.flatnonzero(table.basic < first).tolist():
        missed = table.denominator * units[table.basic[row]] - table.entries[row, fixed] @ ones
        if missed != 0:
            return _contradiction(table, row, units, first)
    while True:
        values = table.entries[:, fixed] @ ones
        outside = (table.basic >= first) & (table.basic < count)
        row = _least(table.basic, outside & (values > 0))
        if row is None:
            break
        column = _least(table.nonbasic, ~fixed & (table.entries[row] > 0))
        if column is None:
            return _contradiction(table, row, units, first)
        table.exchange(row, column)
    beta = np.full(own.shape[1], Fraction(0))
    for row in np.flatnonzero(table.basic >= count):
        beta[table.basic[row] - count] = Fraction(values[row], table.denominator)
    return Direction(beta)


@dataclass
class _Dictionary:
    """basic = (entries / denominator) nonbasic: indices below N are products, then come the β_j."""

    entries: np.ndarray
    denominator: int
    basic: np.ndarray
    nonbasic: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> _Dictionary:
        """As many products as the rank, the first independent ones, are nonbasic."""
        count, dim = rows.shape
        table = cls(rows, 1, np.arange(count), count + np.arange(dim))
        for row in range(count):
            columns = np.flatnonzero((table.nonbasic >= count) & (table.entries[row] != 0))
            if columns.size:
                table.exchange(row, columns[0])
        # No product depends on the β_j that are left: zero will do.
        used = table.nonbasic < count
        table.entries, table.nonbasic = table.entries[:, used], table.nonbasic[used]
        return table

    def exchange(self, row: int, column: int) -> None:
        old, pivot = self.entries, self.entries[row, column]
        new = (old * pivot - np.outer(old[:, column], old[row])) // self.denominator
        new[row], new[:, column] = -old[row], old[:, column]
        new[row, column] = self.denominator
        sign = 1 if pivot > 0 else -1
        self.entries, self.denominator = sign * new, sign * pivot
        entering = self.nonbasic[column]
        self.nonbasic[column], self.basic[row] = self.basic[row], entering


def _least(indices: np.ndarray, chosen: np.ndarray) -> int | None:
    """Where the least of the chosen indices stands."""
    places = np.flatnonzero(chosen)
    return int(places[np.argmin(indices[places])]) if places.size else None


def _contradiction(table: _Dictionary, row: int, units: np.ndarray, first: int) -> Multipliers:
    """The multipliers that say that a basic product is the combination that its row names."""
    weights = np.full(len(units), Fraction(0))
    weights[table.basic[row]] = Fraction(table.denominator)
    weights[table.nonbasic] = -table.entries[row] + Fraction(0)
    weights = weights * units
    total = sum(weights[:first])
    return Multipliers(weights[:first] / -total, weights[first:] / -total)
