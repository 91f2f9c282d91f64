"""Matrices that stay the same when classes of one group are permuted: small and exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, eq=False)
class Groups:
    """Classes that are alike: ``index`` group of each class ``(K,)``, ``sizes`` m_g ``(G,)``."""

    index: np.ndarray
    sizes: np.ndarray

    @classmethod
    def alone(cls, count: int) -> Self:
        """Every class a group of its own."""
        return cls(np.arange(count), np.ones(count))

    @classmethod
    def equal(cls, *values: np.ndarray) -> tuple[Self, np.ndarray]:
        """Group classes whose ``values`` all agree; also the first class of each group."""
        _, first, index, sizes = np.unique(
            np.stack(values), axis=1, return_index=True, return_inverse=True, return_counts=True
        )
        return cls(index.ravel(), sizes.astype(float)), first

    @property
    def roots(self) -> np.ndarray:
        """√m_g: the coordinates of the vector of ones."""
        return np.sqrt(self.sizes)

    @property
    def count(self) -> int:
        """K."""
        return len(self.index)

    def centring(self) -> np.ndarray:
        """C_K in the coordinates of a core, ``(G, G)``."""
        return np.eye(len(self.sizes)) - np.outer(self.roots, self.roots) / self.count


@dataclass(frozen=True, eq=False)
class GroupMatrix:
    """Σ_gh core_gh e_g e_hᵀ + Σ_g inner_g (I_g − e_g e_gᵀ), e_g = 1_g/√m_g, I_g = diag(1_g).

    The e_g and what is orthogonal to them do not mix, so products, singular values and square
    roots are those of ``core`` ``(G, H)`` and of ``inner`` ``(G,)``, which counts m_g − 1 times.
    ``inner`` is empty where rows and columns are grouped differently.
    """

    core: np.ndarray
    inner: np.ndarray
    rows: Groups
    columns: Groups

    def entries(self) -> np.ndarray:
        """Entry of group g's rows in group h's columns off the diagonal, ``(G, H)``."""
        entries = self.core / np.outer(self.rows.roots, self.columns.roots)
        if self.inner.size:
            entries[np.diag_indices(len(self.inner))] -= self.inner / self.rows.sizes
        return entries

    def diagonal(self) -> np.ndarray:
        """Diagonal entry of each group, ``(G,)``."""
        return np.diag(self.entries()) + self.inner

    def dense(self) -> np.ndarray:
        """The whole matrix."""
        matrix = self.entries()[np.ix_(self.rows.index, self.columns.index)]
        if self.inner.size:
            matrix[np.diag_indices(self.rows.count)] += self.inner[self.rows.index]
        return matrix
