"""ClassSummary: what one pass over labelled features leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import in_double, is_array, like, to_numpy
from ncollapse._checks import Array
from ncollapse.stats._frame import Frame


@dataclass(frozen=True, eq=False)
class Scatter:
    """S ``(D, D)``, positive semidefinite: ``matrix`` itself, or ``rows`` F (R, D) with S = FᵀF.

    There are rows when the samples were at most D/2, so that whatever needs no D×D matrix forms none.
    """

    matrix: Array | None = None
    rows: Array | None = None

    @cached_property
    def full(self) -> Array:
        """S itself."""
        if self.rows is None:
            return self.matrix
        with in_double(self.rows):
            return array_namespace(self.rows).matmul(self.rows.T, self.rows)

    def quadratic(self, vectors: Array) -> Array:
        """v_jᵀ S v_j of the columns of ``vectors`` (D, m)."""
        xp = array_namespace(vectors)
        if self.rows is None:
            return xp.sum(vectors * xp.matmul(self.full, vectors), axis=0)
        return xp.sum(xp.matmul(self.rows, vectors) ** 2, axis=0)


@dataclass(frozen=True, eq=False)
class ClassSummary:
    """Class statistics of N features in R^D with K labels, in the caller's array type, float64.

    Attributes
    ----------
    counts
        n_k ``(K,)`` int64; 0 for a class without samples, which no metric then uses.
    means
        μ_k ``(K, D)``, uncentred; the row of an empty class is zero.
    global_mean
        μ_G ``(D,)``: the unweighted mean of the means of the classes that have samples.
    within
        Σ_W = (1/N) Σ_i (h_i − μ_{y_i})(h_i − μ_{y_i})ᵀ as a `Scatter`; ``within_scatter`` is its
        matrix ``(D, D)``.
    class_variances
        v_k ``(K,)`` = (1/n_k) Σ_{i∈k} ‖h_i − μ_k‖².
    class_directional
        ``(K,)``: (1/n_k) Σ_{i∈k} (1 − cos(h_i, μ_k)), where a zero feature counts with cosine 0.
    zero_counts
        ``(K,)`` int64: features that are exactly zero, which have no direction.
    num_samples
        N = Σ n_k.
    classes
        The original label value of each class index.
    class_scatter
        ``(K, D, D)``, Σ_k = (1/n_k) Σ_{i∈k} (h_i − μ_k)(h_i − μ_k)ᵀ, or None unless asked for.
    """

    counts: Array
    means: Array
    global_mean: Array
    within: Scatter
    class_variances: Array
    class_directional: Array
    zero_counts: Array
    num_samples: int
    classes: tuple[Any, ...]
    class_scatter: Array | None = field(default=None, repr=False)

    @property
    def num_classes(self) -> int:
        """K, classes without samples included."""
        return self.means.shape[0]

    @property
    def num_features(self) -> int:
        """D."""
        return self.means.shape[1]

    @property
    def within_scatter(self) -> Array:
        """Σ_W ``(D, D)``, formed when first asked for where there are fewer samples."""
        return self.within.full

    @cached_property
    def occupied(self) -> np.ndarray:
        """Indices of the classes that have samples, on the host."""
        return np.flatnonzero(to_numpy(self.counts))

    def occupied_rows(self, array: Array) -> Array:
        """The rows of ``array`` (K, …) that belong to classes with samples."""
        if len(self.occupied) == self.num_classes:
            return array
        xp = array_namespace(array)
        return xp.take(array, like(self.occupied, array), axis=0)

    @cached_property
    def occupied_means(self) -> Array:
        """Uncentred means of the classes that have samples, ``(K', D)``."""
        with in_double(self.means):
            return self.occupied_rows(self.means)

    @cached_property
    def centred(self) -> Frame:
        """μ_k − μ_G of the classes with samples."""
        return self._frame(self.global_mean, "centred class means")

    @cached_property
    def uncentred(self) -> Frame:
        """μ_k of the classes with samples."""
        return self._frame(None, "class means")

    def _frame(self, offset: Array | None, name: str) -> Frame:
        return Frame(self.occupied_means, offset, name, tuple(int(k) for k in self.occupied))

    def converted(self, change: Callable[[Array], Array]) -> ClassSummary:
        """The same summary with ``change`` applied to every array; itself where that changes
        none.
        """
        changed = _changed_arrays(self, change)
        within = _changed_arrays(self.within, change)
        if within:
            changed["within"] = replace(self.within, **within)
        return replace(self, **changed) if changed else self

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists and numbers."""
        names = ("counts", "means", "global_mean", "within_scatter", "class_variances")
        arrays = {
            name: to_numpy(getattr(self, name)).tolist()
            for name in (*names, "class_directional", "zero_counts")
        }
        scatter = None if self.class_scatter is None else to_numpy(self.class_scatter).tolist()
        return {
            **arrays,
            "class_scatter": scatter,
            "num_samples": self.num_samples,
            "num_classes": self.num_classes,
            "num_features": self.num_features,
            "classes": list(self.classes),
        }


def _changed_arrays(holder: Any, change: Callable[[Array], Array]) -> dict[str, Any]:
    """The arrays among the fields that ``change`` makes others."""
    arrays = {entry.name: getattr(holder, entry.name) for entry in fields(holder)}
    changed = {name: change(array) for name, array in arrays.items() if is_array(array)}
    return {name: array for name, array in changed.items() if array is not arrays[name]}
