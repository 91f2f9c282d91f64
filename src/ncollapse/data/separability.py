"""Orthogonal separability (min2025): ⟨x_i, x_j⟩ > 0 within a class and < 0 across classes.

One definition for every use: a pair i ≠ j violates it unless its inner product, taken of rows
scaled by powers of two so that nothing overflows or vanishes, has the right sign. A zero vector
therefore violates it with every other sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ncollapse.data._dataset import as_dataset
from ncollapse.geometry import row_norms

_BLOCK = 256


@dataclass(frozen=True)
class Separability:
    """How far data are from orthogonal separability (min2025).

    Inner products are reported as cosines too, because only their sign matters; the cosine with a
    zero vector counts as 0. ``violating_share`` counts pairs i < j whose inner product has the
    wrong sign (zero included).
    """

    separable: bool
    smallest_within: float
    largest_across: float
    smallest_within_cosine: float
    largest_across_cosine: float
    violating_share: float
    violating_share_per_class: tuple[float, ...]
    """For each class: the share of violating pairs among those with at least one member in it."""

    def to_dict(self) -> dict[str, Any]:
        fields = asdict(self)
        fields["violating_share_per_class"] = list(self.violating_share_per_class)
        return fields


@dataclass(frozen=True, eq=False)
class SeparableSubset:
    """Samples that are orthogonally separable, equally many of each class.

    ``indices`` ``(K · per_class,)`` ascending; ``upper_bound`` ≥ the largest ``per_class`` that any
    choice can have (proven: `largest_separable_subset` says how).
    """

    indices: np.ndarray
    per_class: int
    upper_bound: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"indices": self.indices.tolist()}


def orthogonal_separability(data: Any, labels: Any = None) -> Separability:
    """Measure ⟨x_i, x_j⟩ > 0 within every class and < 0 across classes, over all pairs i < j.

    ``data`` is a `Dataset`, or inputs ``(N, d)`` with ``labels``. A class of one sample has no pair:
    the smallest inner product within it is infinite.
    """
    data = as_dataset(data, labels)
    norms = row_norms(data.inputs)
    scaled, exponents = _scaled(data.inputs)
    lengths = np.where(norms > 0, np.ldexp(norms, -exponents), 1.0)
    one_hot = np.eye(data.num_classes)[data.labels]
    wrong = np.zeros((data.num_classes, data.num_classes))
    within, across = [np.inf, np.inf], [-np.inf, -np.inf]
    for part, products, same, violates in _pairs(scaled, data.labels):
        wrong += one_hot[part].T @ violates @ one_hot
        cosines = products / np.outer(lengths[part], lengths)
        own = same.copy()
        own[np.arange(len(own)), np.arange(len(norms))[part]] = False
        with np.errstate(over="ignore", under="ignore"):
            inner = np.ldexp(products, exponents[part, None] + exponents)
        for i, values in enumerate((inner, cosines)):
            within[i] = min(within[i], float(values[own].min(initial=np.inf)))
            across[i] = max(across[i], float(values[~same].max(initial=-np.inf)))
    counts = data.counts
    pairs = np.outer(counts, counts) - np.diag(counts)
    touching = [2.0 * table.sum(axis=1) - np.diag(table) for table in (wrong, pairs)]
    return Separability(
        separable=not wrong.any(),
        smallest_within=within[0],
        largest_across=across[0],
        smallest_within_cosine=within[1],
        largest_across_cosine=across[1],
        violating_share=float(wrong.sum() / pairs.sum()),
        violating_share_per_class=tuple((touching[0] / touching[1]).tolist()),
    )


def is_orthogonally_separable(data: Any, labels: Any = None) -> bool:
    """Whether no pair violates orthogonal separability; stops at the first rows that do."""
    data = as_dataset(data, labels)
    scaled, _ = _scaled(data.inputs)
    return not any(violates.any() for *_, violates in _pairs(scaled, data.labels))


def largest_separable_subset(
    inputs: Any, labels: Any = None, *, exchanges: int = 3000, seed: int = 0
) -> SeparableSubset:
    """Many samples that are orthogonally separable, equally many of each class.

    A largest such choice is a maximum clique, which no method finds fast. The smallest class
    takes, in turn, the sample that is compatible with all chosen ones and leaves most others
    possible; when it has none, a sample replaces the one that it contradicts (tabu search), and
    the best choice met is returned.

    The upper bound is the least, over classes, of a number of groups of mutually contradicting
    samples that the class was split into: a choice holds at most one of each group.

    Parameters
    ----------
    inputs, labels
        ``(N, d)`` and ``(N,)``, or a `Dataset`, as they are: centre them first. Takes O(N²)
        memory.
    exchanges
        Steps of the search after the first choice.
    seed
        Of the search's ties and its random steps.

    Raises
    ------
    ValueError
        What `Dataset.from_arrays` refuses, or a negative number of exchanges.
    """
    data = as_dataset(inputs, labels)
    if exchanges < 0:
        raise ValueError(f"exchanges must be at least 0, but it is {exchanges}")
    scaled, _ = _scaled(data.inputs)
    contradicts = np.concatenate([violates for *_, violates in _pairs(scaled, data.labels)])
    chosen = _search(contradicts, data.labels, exchanges, np.random.default_rng(seed))
    bound = min(
        _contradicting_groups(contradicts[np.ix_(rows, rows)])
        for rows in (np.flatnonzero(data.labels == k) for k in range(data.num_classes))
    )
    size = int(np.bincount(data.labels[chosen], minlength=data.num_classes).min())
    kept = [chosen[data.labels[chosen] == k][:size] for k in range(data.num_classes)]
    return SeparableSubset(np.sort(np.concatenate(kept)), size, bound)


def _search(
    contradicts: np.ndarray, labels: np.ndarray, exchanges: int, random: np.random.Generator
) -> np.ndarray:
    """Indices of the best choice met: additions while they are possible, else exchanges."""
    num_classes = int(labels.max()) + 1
    compatible = (~contradicts).astype(np.float32)
    chosen = np.zeros(len(labels), bool)
    conflicts = np.zeros(len(labels), int)
    forbidden_until = np.zeros(len(labels), int)
    best, best_size, step = chosen.copy(), 0, 0
    while step <= exchanges:
        sizes = np.bincount(labels[chosen], minlength=num_classes)
        if sizes.min() > best_size:
            best, best_size = chosen.copy(), int(sizes.min())
        own = (labels == int(np.argmin(sizes))) & ~chosen
        free = np.flatnonzero(own & (conflicts == 0))
        if free.size:
            possible = ~chosen & (conflicts == 0)
            left = compatible[free] @ possible
            add = free[np.argmax(left)]
        else:
            step += 1
            single = np.flatnonzero(own & (conflicts == 1) & (forbidden_until < step))
            candidates = single if single.size else np.flatnonzero(own)
            if candidates.size == 0:
                break
            add = random.choice(candidates)
        removed = np.flatnonzero(chosen & contradicts[add])
        chosen[removed], chosen[add] = False, True
        conflicts += contradicts[add].astype(int) - contradicts[removed].sum(axis=0)
        forbidden_until[removed] = step + 5 + random.integers(10)
    return np.flatnonzero(best)


def _contradicting_groups(contradicts: np.ndarray) -> int:
    """Number of groups of mutually contradicting samples, one greedily after the other."""
    left = np.ones(len(contradicts), bool)
    groups = 0
    while left.any():
        possible = left.copy()
        while possible.any():
            degrees = contradicts[possible][:, possible].sum(axis=1)
            member = np.flatnonzero(possible)[np.argmax(degrees)]
            left[member] = False
            possible &= contradicts[member]
            possible[member] = False
        groups += 1
    return groups


def _scaled(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows times 2^−e, largest entries in [½, 1), and e: signs of inner products are unchanged."""
    exponents = np.frexp(np.abs(inputs).max(axis=1))[1]
    return np.ldexp(inputs, -exponents[:, None]), exponents


def _pairs(
    rows: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks of rows: which, their inner products, pairs of one class, and violating pairs i ≠ j.

    Blocks grow from one row on, so that a first violation is met early.
    """
    start, size = 0, 1
    while start < len(rows):
        part = slice(start, min(start + size, len(rows)))
        products = rows[part] @ rows.T
        same = labels[part, None] == labels
        violates = np.where(same, products, -products) <= 0
        violates[np.arange(len(products)), np.arange(part.start, part.stop)] = False
        yield part, products, same, violates
        start, size = start + size, min(2 * size, _BLOCK)
