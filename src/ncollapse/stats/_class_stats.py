"""ClassStats: streaming, mergeable class statistics of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace, device

from ncollapse._arrays import (
    add_at,
    host_view,
    in_double,
    like,
    padded,
    set_rows,
    to_numpy,
    working,
    zeros,
)
from ncollapse._checks import Array, check_features, check_finite
from ncollapse._labels import check_classes, class_indices, distinct, label_vector
from ncollapse.stats._accumulate import add_apart, add_shifted
from ncollapse.stats._finish import finish_summary
from ncollapse.stats._merge import change_reference, moved_to_reference
from ncollapse.stats._rows import (
    Rows,
    RowScalars,
    check_reference,
    default_capacity,
    float64_scalars,
    row_lengths,
    row_scalars,
    scale_exponent,
)
from ncollapse.stats._state import State
from ncollapse.stats._summary import ClassSummary


class ClassStats:
    """Counts, means and within-class scatter of labelled features, in one pass and mergeable.

    Each sample is shifted by a reference c_k of its class (its first non-zero sample, unless given)
    and Σ(h − c), Σ(h − c)(h − c)ᵀ are accumulated; the summary subtracts
    Σ_k n_k (μ_k − c_k)(μ_k − c_k)ᵀ. So the digits that count survive float32 features at collapse,
    where E[hhᵀ] − μμᵀ loses them all. Unit vectors are accumulated in the same way, so that
    avg 1 − cos(h, μ_y) is right down to 1e-14. Memory is O(K·D + D²) whatever N.

    Parameters
    ----------
    num_classes, num_features
        K and D.
    classes
        The K label values, integers or strings, in the order of the class indices; without it labels
        are the indices 0 … K−1 themselves. Beside strings, integer labels are indices.
    reference
        ``(K, D)`` points near the class means, no row zero. Stats on different processes that are
        given the same reference have states that simply add up.
    per_class_scatter
        Also keep the scatter of every class, K·D² numbers.
    buffer_rows
        Samples that share one product (by default 8192, within 128 MiB).

    Notes
    -----
    Features in float16 or bfloat16 are computed in float32; sums are float64. The statistics
    live in the array library and on the device of the first batch.
    """

    def __init__(
        self,
        num_classes: int,
        num_features: int,
        *,
        classes: Sequence[Any] | Array | None = None,
        reference: Array | None = None,
        per_class_scatter: bool = False,
        buffer_rows: int | None = None,
    ) -> None:
        for name, value in (("num_classes", num_classes), ("num_features", num_features)):
            if int(value) != value or value < 1:
                raise ValueError(f"{name} must be a positive integer, but it is {value!r}")
        if buffer_rows is not None and buffer_rows < 1:
            raise ValueError(f"buffer_rows must be at least 1, but it is {buffer_rows}")
        self.num_classes = int(num_classes)
        self.num_features = int(num_features)
        self.per_class_scatter = bool(per_class_scatter)
        self._classes = None if classes is None else check_classes(classes, self.num_classes)
        if reference is not None:
            check_reference(reference, (self.num_classes, self.num_features))
        self._reference = reference
        self._buffer_rows = buffer_rows
        self._state: State | None = None
        self._rows: Rows | None = None
        self._known: np.ndarray | None = None
        self._home: Array | None = None

    @classmethod
    def from_arrays(cls, features: Array, labels: Array, **options: Any) -> ClassStats:
        """Statistics of arrays in memory; the classes are the distinct label values, ascending."""
        check_features(features)
        classes = sorted(distinct(label_vector(labels, features.shape[0])))
        if not classes:
            raise ValueError("features and labels hold no samples")
        stats = cls(len(classes), features.shape[1], classes=classes, **options)
        stats.update(features, labels)
        return stats

    @property
    def classes(self) -> tuple[Any, ...]:
        """The original label value of each class index."""
        return tuple(range(self.num_classes)) if self._classes is None else self._classes

    @property
    def num_samples(self) -> int:
        """N so far."""
        if self._state is None:
            return 0
        self._flush()
        return int(to_numpy(self._state.counts).sum())

    def update(self, features: Array, labels: Array) -> Self:
        """Take in a batch: ``features`` (B, D) floating, ``labels`` (B,) integers. B = 0 is
        allowed.

        A batch that is refused leaves the statistics as they were.

        Raises
        ------
        ValueError
            Shapes that disagree with each other or with D, labels that are no class, NaN or
            infinite features (the first row is named), features too large to square in their dtype.
        TypeError
            Features that are not real floating arrays, labels that are neither integers,
            booleans nor strings, masked arrays, another array
            library or dtype than before.
        """
        check_features(features)
        if features.shape[1] != self.num_features:
            raise ValueError(
                f"features must have {self.num_features} columns, "
                f"but their shape is {tuple(features.shape)}"
            )
        with in_double(features):
            given = working(features)
            features = host_view(given)
            labels = label_vector(labels, features.shape[0])
            self._start(features)
            self._home = None if features is given else given[:0, :0]
            if features.shape[0] == 0:
                return self
            indices = class_indices(labels, self.num_classes, self._classes, features)
            self._take_in(features, indices)
        return self

    def merge(self, other: ClassStats) -> Self:
        """Take in the samples of ``other``, which is left as it was.

        The result does not depend on the order or grouping of merges, up to rounding.

        Raises
        ------
        TypeError
            ``other`` is not a `ClassStats`.
        ValueError
            Different K, D, classes, given references or per-class scatter.
        """
        self._check_mergeable(other)
        if other._state is None:
            return self
        other._flush()
        if self._state is None:
            with in_double(other._state.sums):
                self._state = other._state.copy()
            self._known, self._home = None, other._home
            return self
        self._flush()
        with in_double(self._state.sums):
            moved = other._state.like(self._state)
            self._state = moved_to_reference(self._state, moved)
        self._known = None
        return self

    def finish(self) -> ClassSummary:
        """The statistics so far, as a `ClassSummary`; more updates may follow.

        Raises ``ValueError`` when there are no samples.
        """
        if self._state is None or self.num_samples == 0:
            raise ValueError("there are no samples: update the statistics before finishing them")
        with in_double(self._state.sums):
            summary = finish_summary(self._state, self.classes)
        return summary.converted(self._brought_home)

    def state_dict(self) -> dict[str, Array]:
        """Arrays of fixed shape that hold everything, in the caller's array type."""
        if self._state is None:
            example = np.zeros(0) if self._reference is None else self._reference
            return self._empty_state(example).to_dict()
        self._flush()
        with in_double(self._state.sums):
            arrays = self._state.copy().to_dict()
        return {name: self._brought_home(array) for name, array in arrays.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> Self:
        """Put back what `state_dict` gave, replacing what was accumulated.

        Raises ``ValueError`` for missing entries or shapes that do not fit K and D.
        """
        loaded = State.from_dict(state, self.num_classes, self.num_features, self.per_class_scatter)
        given = loaded.sums
        with in_double(given):
            loaded = State(**{name: host_view(array) for name, array in loaded.to_dict().items()})
            self._state = loaded.copy() if to_numpy(loaded.counts).any() else None
        self._home = None if host_view(given) is given else given[:0, :0]
        self._rows = self._known = None
        return self

    def _brought_home(self, array: Array) -> Array:
        """The array in the library it came from."""
        if self._home is None:
            return array
        with in_double(self._home):
            return like(array, self._home)

    def _check_mergeable(self, other: ClassStats) -> None:
        if not isinstance(other, ClassStats):
            raise TypeError(f"other must be ClassStats, but it is {type(other).__name__}")
        for name in ("num_classes", "num_features", "per_class_scatter", "classes"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(f"cannot merge statistics of {name} {theirs!r} into {mine!r}")
        mine, theirs = self._reference, other._reference
        if mine is None and theirs is None:
            return
        if mine is None or theirs is None or not np.array_equal(to_numpy(mine), to_numpy(theirs)):
            raise ValueError("cannot merge statistics that were given different references")

    def _empty_state(self, example: Array) -> State:
        return State.empty(
            self.num_classes, self.num_features, example, per_class_scatter=self.per_class_scatter
        )

    def _start(self, features: Array) -> None:
        if self._state is None:
            self._state = self._empty_state(features)
            if self._reference is not None:
                self._state.reference = like(self._reference, features, features.dtype)
            self._known = None
        held = self._state.reference
        same = array_namespace(held) is array_namespace(features)
        if not same or held.dtype != features.dtype or device(held) != device(features):
            raise TypeError(
                f"features are {_describe(features)}, but earlier ones were {_describe(held)}"
            )

    def _take_in(self, features: Array, indices: Array) -> None:
        rows = self._buffer()
        if rows.exponent is None:
            rows.exponent = scale_exponent(features)
        if features.shape[0] > rows.capacity - rows.fill and not _finite(features):
            check_finite("features", features)
        self._meet_classes(features, indices)
        start = 0
        while start < features.shape[0]:
            if rows.fill == rows.capacity:
                self._flush()
            stop = min(features.shape[0], start + rows.capacity - rows.fill)
            self._append(rows, features[start:stop, :], indices[start:stop])
            start = stop

    def _buffer(self) -> Rows:
        if self._rows is None:
            reference = self._started().reference
            capacity = self._buffer_rows or default_capacity(self.num_features, reference[:1, :1])
            self._rows = Rows(capacity, self.num_features, reference)
        return self._rows

    def _started(self) -> State:
        if self._state is None:
            raise ValueError("there are no samples yet")
        return self._state

    def _meet_classes(self, features: Array, indices: Array) -> None:
        """Give every class that appears for the first time a reference."""
        state = self._started()
        known = self._known
        if known is None:
            known = self._known = np.any(to_numpy(state.reference), axis=1, keepdims=False)
        if known.all():
            return
        host = to_numpy(indices)
        fresh = np.flatnonzero(~known[host])
        while fresh.size:
            fresh_classes, first = np.unique(host[fresh], return_index=True)
            first = fresh[first]
            candidates = to_numpy(_rows_at(features, indices, first))[: len(first), :]
            if not np.isfinite(candidates).all():
                check_finite("features", features)
            nonzero = candidates.any(axis=1)
            if nonzero.any():
                classes = padded(fresh_classes[nonzero], features)
                state.set_reference(classes, _rows_at(features, indices, first[nonzero]))
                known[classes] = True
            fresh = np.setdiff1d(fresh, first)
            fresh = fresh[~known[host[fresh]]]

    def _append(self, rows: Rows, features: Array, indices: Array) -> None:
        state = self._started()
        xp = array_namespace(features)
        shifted, squares, along, origin, lengths, across, off, imprecise = self._shift(
            rows, features, indices
        )
        number = xp.finfo(features.dtype)
        apart = zero = np.zeros(0, dtype=np.int64)
        if bool(xp.any(imprecise)):
            chosen = np.flatnonzero(to_numpy(imprecise))
            lengths, across, along, squares = float64_scalars(
                features, state.reference, indices, chosen, (lengths, across, along, squares)
            )
            host = to_numpy(lengths)
            scaled = host * rows.scale**2
            # Below it a coordinate that is flushed to zero would cost more than a rounding error.
            smallest = (float(number.smallest_normal) / float(number.eps)) ** 2
            if np.any((scaled > 0) & (scaled < smallest)):
                raise ValueError(
                    f"features differ more in size than {features.dtype} can hold: "
                    "pass them as float64"
                )
            zero = np.flatnonzero(host == 0)
            apart = np.flatnonzero(to_numpy(off) & (host > 0))
            if self._change_references(features, indices, host, apart):
                return self._append(rows, features, indices)
        row = RowScalars(indices, *row_scalars(squares, along, across, lengths, origin))
        left_out = np.concatenate([zero, apart])
        if left_out.size:
            add_apart(state, features, row, like(apart, indices))
            nothing = zeros((len(left_out), shifted.shape[1]), shifted.dtype, shifted)
            shifted = set_rows(shifted, left_out, nothing)
            row = row.without(left_out)
            none = xp.astype(lengths == 0, state.zero_counts.dtype)
            state.zero_counts = add_at(state.zero_counts, indices, none)
        state.counts = add_at(state.counts, indices, xp.ones_like(indices))
        rows.keep(shifted, row)

    def _shift(self, rows: Rows, features: Array, indices: Array) -> tuple[Array, ...]:
        """`Rows.shift` and `row_lengths`, with another scale where that of the first batch makes
        squares overflow.
        """
        state = self._started()
        number = array_namespace(features).finfo(features.dtype)
        for attempt in range(2):
            shifted, squares, along = rows.shift(features, indices, state.reference)
            # Squares of differences from so small a reference may be no normal numbers.
            faint = float(number.smallest_normal) / float(number.eps) ** 2 / rows.scale**2
            with np.errstate(over="ignore", invalid="ignore"):
                *lengths, finite = row_lengths(
                    squares, along, state.reference_squares, indices, faint
                )
            if finite:
                return shifted, squares, along, *lengths
            check_finite("features", features)
            if attempt == 0:
                self._flush()
                rows.exponent = scale_exponent(features)
        raise ValueError("reference is too far from features: their distance overflows")

    def _change_references(
        self, features: Array, indices: Array, lengths: np.ndarray, apart: np.ndarray
    ) -> bool:
        """Give classes most of whose rows are ``apart`` from their reference that of median length.

        A row h − c is rounded to the digits of c, so a first sample that is an outlier in length
        would cost all others their directions.
        """
        host = to_numpy(indices)
        many = np.bincount(host[apart], minlength=self.num_classes)
        classes = np.flatnonzero(2 * many > np.bincount(host, minlength=self.num_classes))
        if self._reference is not None or not classes.size:
            return False
        self._flush()
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        members = [order[host[order] == k] for k in classes]
        median = np.array([rows[len(rows) // 2] for rows in members])
        xp = array_namespace(features)
        chosen = xp.take(features, like(median, indices), axis=0)
        change_reference(self._started(), like(classes, indices), chosen)
        return True

    def _flush(self) -> None:
        if self._rows is None or self._rows.fill == 0:
            return
        state = self._started()
        with in_double(state.sums):
            add_shifted(state, *self._rows.drain(), 1 / self._rows.scale)


def _rows_at(features: Array, indices: Array, chosen: np.ndarray) -> Array:
    """The `padded` chosen rows of features."""
    index = like(padded(chosen, features), indices)
    return array_namespace(features).take(features, index, axis=0)


def _finite(array: Array) -> bool:
    xp = array_namespace(array)
    return bool(xp.isfinite(xp.sum(array)))


def _describe(array: Array) -> str:
    return f"{type(array).__module__}.{type(array).__name__} of {array.dtype} on {device(array)}"
