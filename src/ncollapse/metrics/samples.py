"""What needs a second look at the samples: decisions (NC4) and unsquared distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import (
    add_at,
    double,
    host_view,
    in_double,
    like,
    row_dots,
    tiles,
    to_numpy,
    working,
    zeros,
)
from ncollapse._checks import Array, check_features, check_finite
from ncollapse._labels import class_indices, label_vector
from ncollapse.metrics._frame import check_bias, matching_weight
from ncollapse.metrics.registry import metric
from ncollapse.stats import ClassSummary, UndefinedMetricError

TILE_NUMBERS = 1 << 25
"""Logits and distances are computed for so many samples × classes at a time."""


@dataclass(frozen=True)
class SampleSummary:
    """Counts and averages over samples, per class where an array (K,) and on the host.

    Without a weight ``agreements`` and ``correct`` are None.

    ``counts`` samples; ``agreements`` where argmax(Wh + b) over the classes with samples is the
    nearest class mean; ``correct`` where argmax(Wh + b) is the label; ``nearest_correct`` where the
    nearest class mean is the label's; ``within`` Σ‖h − μ_y‖; ``spread`` Σ‖h − μ_G‖.
    """

    counts: np.ndarray
    agreements: np.ndarray | None
    correct: np.ndarray | None
    nearest_correct: np.ndarray
    within: np.ndarray
    spread: np.ndarray

    @property
    def num_samples(self) -> int:
        return int(self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: None if value is None else value.tolist() for name, value in values.items()}


class SampleStats:
    """Second pass against a finished `ClassSummary`: any split, its nearest means are the
    summary's.

    ``weight`` (K, D) and ``bias`` (K,) are the classifier; without a weight only what needs none is
    counted. Empty classes are candidates neither for the nearest mean nor for the decision that is
    compared with it; the classifier's own accuracy counts all its rows. Ties go to the lower index.
    Distances are compared by ⟨h − μ_G, μ_k − μ_G⟩ − ½‖μ_k − μ_G‖² in the features' own precision, in
    units of a power of two near the largest ‖μ_k − μ_G‖, so that features may be of any size.
    """

    def __init__(
        self, summary: ClassSummary, weight: Array | None = None, bias: Array | None = None
    ) -> None:
        self.summary = summary
        self._weight = self._bias = None
        with in_double(summary.means):
            if weight is not None:
                matching_weight(summary, weight)
                self._weight = like(weight, summary.means)
                self._bias = check_bias(summary, bias)
            elif bias is not None:
                raise ValueError("bias was given without weight")
            xp = array_namespace(summary.means)
            centred = summary.means - summary.global_mean[None, :]
            largest = float(to_numpy(xp.max(xp.abs(summary.occupied_rows(centred)))))
            self._scale = 2.0 ** -int(np.frexp(largest)[1])
            vector = (summary.num_classes,)
            self._counts = {
                name: zeros(vector, xp.float64, summary.means)
                for name in (
                    "counts",
                    "agreements",
                    "correct",
                    "nearest_correct",
                    "within",
                    "spread",
                )
            }
        self._tables: dict[Any, tuple[Array, Array, Array | None]] = {}

    def update(self, features: Array, labels: Array) -> Self:
        """Take in a batch; the same arguments and errors as `ClassStats.update`."""
        check_features(features)
        if features.shape[1] != self.summary.num_features:
            raise ValueError(
                f"features must have {self.summary.num_features} columns, "
                f"but their shape is {tuple(features.shape)}"
            )
        with in_double(self.summary.means):
            features = like(host_view(working(features)), self.summary.means)
            labels = label_vector(labels, features.shape[0])
            if features.shape[0] == 0:
                return self
            check_finite("features", features)
            classes = self.summary.classes
            mapping = None if classes == tuple(range(len(classes))) else classes
            indices = class_indices(labels, self.summary.num_classes, mapping, features)
            self._check_occupied(indices)
            step = max(16, TILE_NUMBERS // self.summary.num_classes)
            for tile in tiles(features.shape[0], step):
                self._take_in(features[tile, :], indices[tile])
        return self

    def merge(self, other: SampleStats) -> Self:
        """Take in the samples of ``other``, which must look at the same summary and classifier."""
        if not isinstance(other, SampleStats):
            raise TypeError(f"other must be SampleStats, but it is {type(other).__name__}")
        if self.summary.classes != other.summary.classes or (self._weight is None) != (
            other._weight is None
        ):
            raise ValueError("cannot merge second passes over different summaries or classifiers")
        with in_double(self.summary.means):
            for name, value in self._counts.items():
                self._counts[name] = value + like(other._counts[name], value)
        return self

    def state_dict(self) -> dict[str, Array]:
        """Arrays (K,) that hold everything; those of several processes simply add up."""
        xp = array_namespace(self.summary.means)
        with in_double(self.summary.means):
            return {name: xp.asarray(value, copy=True) for name, value in self._counts.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> Self:
        """Put back what `state_dict` gave."""
        if set(state) != set(self._counts):
            raise ValueError(f"state must hold {', '.join(sorted(self._counts))}")
        with in_double(self.summary.means):
            xp = array_namespace(self.summary.means)
            for name, value in state.items():
                if tuple(value.shape) != (self.summary.num_classes,):
                    raise ValueError(
                        f"state entry {name} must have shape ({self.summary.num_classes},), "
                        f"but its shape is {tuple(value.shape)}"
                    )
                held = like(value, self.summary.means, xp.float64)
                self._counts[name] = xp.asarray(held, copy=True)
        return self

    def finish(self) -> SampleSummary:
        """The counts so far. Raises ``ValueError`` when there are no samples."""
        host = {name: to_numpy(value) for name, value in self._counts.items()}
        whole = {
            name: np.rint(host[name]).astype(np.int64)
            for name in ("counts", "agreements", "correct", "nearest_correct")
        }
        if not whole["counts"].any():
            raise ValueError("there are no samples: update the statistics before finishing them")
        classified = self._weight is not None
        return SampleSummary(
            counts=whole["counts"],
            agreements=whole["agreements"] if classified else None,
            correct=whole["correct"] if classified else None,
            nearest_correct=whole["nearest_correct"],
            within=host["within"].copy(),
            spread=host["spread"].copy(),
        )

    def _check_occupied(self, indices: Array) -> None:
        if len(self.summary.occupied) == self.summary.num_classes:
            return
        empty = to_numpy(self.summary.counts)[to_numpy(indices)] == 0
        if empty.any():
            row = int(np.argmax(empty))
            raise ValueError(f"labels row {row} is a class of which the summary has no samples")

    def _table(self, features: Array) -> tuple[Array, Array, Array | None]:
        """Centred means, ½ of their squared norms (infinite for empty classes) and W, in one
        dtype.
        """
        if features.dtype not in self._tables:
            summary = self.summary
            xp = array_namespace(summary.means)
            centred = (summary.means - summary.global_mean[None, :]) * self._scale
            half = xp.where(
                summary.counts > 0,
                row_dots(centred, centred) / 2,
                xp.full_like(summary.class_variances, np.inf),
            )
            weight = None
            if self._weight is not None:
                weight = xp.astype(self._weight, features.dtype, copy=False)
            self._tables = {
                features.dtype: (
                    xp.astype(centred, features.dtype, copy=False),
                    xp.astype(half, features.dtype, copy=False),
                    weight,
                )
            }
        return self._tables[features.dtype]

    def _take_in(self, features: Array, indices: Array) -> None:
        xp = array_namespace(features)
        centred, half, weight = self._table(features)
        shifted = double(features) - self.summary.global_mean[None, :]
        own = xp.take(self.summary.means, indices, axis=0) - self.summary.global_mean[None, :]
        apart = shifted - own
        scaled = xp.astype(shifted * self._scale, features.dtype, copy=False)
        scores = xp.matmul(scaled, centred.T)
        nearest = xp.argmax(scores - half[None, :], axis=1)
        counted = {
            "counts": xp.ones_like(shifted[:, 0]),
            "nearest_correct": double(nearest == indices),
            "within": xp.sqrt(row_dots(apart, apart)),
            "spread": xp.sqrt(row_dots(shifted, shifted)),
        }
        if weight is not None and self._bias is not None:
            logits = xp.matmul(features, weight.T) + xp.astype(self._bias, features.dtype)[None, :]
            decided = xp.argmax(logits, axis=1)
            counted["correct"] = double(decided == indices)
            if len(self.summary.occupied) < self.summary.num_classes:
                empty = self.summary.counts[None, :] == 0
                decided = xp.argmax(xp.where(empty, xp.full_like(logits, -np.inf), logits), axis=1)
            counted["agreements"] = double(decided == nearest)
        for name, values in counted.items():
            self._counts[name] = add_at(self._counts[name], indices, values)


@metric(
    "share of samples where classifier and nearest mean agree; 1: always",
    needs="decisions",
    collapsed=1.0,
    presets=("papyan2020", "wu2024"),
)
def nc4_agreement(samples: SampleSummary) -> float:
    """Share of samples where argmax(Wh + b) = argmin_k ‖h − μ_k‖; the bias counts (papyan2020)."""
    return _share(_needs_weight(samples.agreements), samples)


def nc4_agreement_per_class(samples: SampleSummary) -> dict[int, float]:
    """`nc4_agreement` among the samples of each class index that has any."""
    hits = _needs_weight(samples.agreements)
    return {int(k): float(hits[k] / samples.counts[k]) for k in np.flatnonzero(samples.counts)}


@metric("accuracy of the classifier; 1: always right", needs="decisions", collapsed=1.0)
def classifier_accuracy(samples: SampleSummary) -> float:
    """Share of samples where argmax(Wh + b) is the label."""
    return _share(_needs_weight(samples.correct), samples)


@metric("accuracy of the nearest class mean; 1: always right", needs="samples", collapsed=1.0)
def ncc_accuracy(samples: SampleSummary) -> float:
    """Share of samples whose nearest class mean is that of their label (papyan2020)."""
    return _share(samples.nearest_correct, samples)


@metric(
    "distance to the own mean over distance to the centre; 0 is collapse",
    needs="samples",
    presets=("ji2022",),
)
def within_variation(samples: SampleSummary) -> float:
    """avg_i ‖h_i − μ_{y_i}‖ / avg_i ‖h_i − μ_G‖, norms not squared (ji2022 §4).

    Undefined when every sample is at μ_G.
    """
    spread = float(samples.spread.sum())
    if not spread > 0:
        raise UndefinedMetricError("all samples are at the mean of the class means")
    return float(samples.within.sum()) / spread


def _share(hits: np.ndarray, samples: SampleSummary) -> float:
    return float(hits.sum()) / samples.num_samples


def _needs_weight(value: np.ndarray | None) -> np.ndarray:
    if value is None:
        raise ValueError("this needs the classifier: give the second pass a weight")
    return value
