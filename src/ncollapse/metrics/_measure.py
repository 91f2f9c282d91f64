"""Both passes in one call, for arrays in memory or batches that can be gone through twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, cast

from ncollapse._arrays import host_view, is_array
from ncollapse._checks import Array, check_features
from ncollapse._labels import distinct, label_vector
from ncollapse.data import Dataset
from ncollapse.metrics._compute import compute_or_explain
from ncollapse.metrics._frame import check_weight_shape, weight_rows
from ncollapse.metrics.registry import METRICS, preset_names
from ncollapse.metrics.samples import SampleStats, SampleSummary
from ncollapse.stats import ClassStats, ClassSummary

Batches = Iterable[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What one pass over the samples, or two, tell.

    ``metrics`` values by name; ``undefined`` the metrics of the preset without a value, and why;
    ``num_samples``, ``num_classes``, ``classes`` (original label values), ``preset``, ``version``;
    ``summary`` and ``samples`` the statistics behind them.
    """

    metrics: dict[str, float]
    undefined: dict[str, str]
    num_samples: int
    num_classes: int
    classes: tuple[Any, ...]
    preset: str
    version: str
    summary: ClassSummary = field(repr=False)
    samples: SampleSummary | None = field(repr=False)

    @classmethod
    def of(
        cls,
        summary: ClassSummary,
        samples: SampleSummary | None = None,
        *,
        preset: str | Iterable[str] = "all",
        weight: Array | None = None,
        bias: Array | None = None,
    ) -> Measurement:
        """The metrics of a preset from finished statistics, as `compute_or_explain` takes them."""
        names = preset_names(preset)
        values, reasons = compute_or_explain(
            summary, preset=names, weight=weight, bias=bias, samples=samples
        )
        return cls(
            metrics=values,
            undefined=reasons,
            num_samples=summary.num_samples,
            num_classes=summary.num_classes,
            classes=summary.classes,
            preset=preset if isinstance(preset, str) else ",".join(names),
            version=version("ncollapse"),
            summary=summary,
            samples=samples,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the statistics."""
        return {
            "metrics": dict(sorted(self.metrics.items())),
            "undefined": dict(sorted(self.undefined.items())),
            "num_samples": self.num_samples,
            "num_classes": self.num_classes,
            "classes": list(self.classes),
            "preset": self.preset,
            "version": self.version,
        }

    def rows(self) -> list[tuple[str, float, str]]:
        """(name, value, how to read it) in the order of the preset: a table for people."""
        return [(name, value, METRICS[name].reading) for name, value in self.metrics.items()]


def measure(
    features: Array | Dataset | Batches | Callable[[], Batches],
    labels: Array | None = None,
    *,
    weight: Array | None = None,
    bias: Array | None = None,
    preset: str | Iterable[str] = "all",
    classes: Iterable[Any] | None = None,
) -> Measurement:
    """Measure collapse: statistics in one pass, and a second pass only if the preset needs one.

    Parameters
    ----------
    features, labels
        ``(N, D)`` and ``(N,)`` arrays in memory; a `Dataset`, without ``labels``; or, without
        ``labels``, an iterable of ``(features, labels)`` batches that can be gone through twice (a
        list, a data loader), or a function that returns a fresh iterator of them. Labels are
        integers, booleans or strings.
    weight, bias
        The classifier, ``(K, D)`` and ``(K,)``; without them metrics that need them are left out.
    preset
        A name in `PRESETS` or names in `METRICS`.
    classes
        Label values, or names of the labels 0 … K−1, in the order of the rows of ``weight``. By
        default those of the `Dataset`; without one integer labels are the row numbers 0 … K−1 when
        there is a weight, and labels of any value, taken in ascending order, when not.

    Raises
    ------
    ValueError, TypeError
        As `ClassStats.update`; no samples; a weight that is not (K, D); an iterator that is
        exhausted after one pass.
    """
    names = preset_names(preset)
    if isinstance(features, Dataset):
        if labels is not None:
            raise TypeError("labels are part of the data set: leave them out")
        classes = features.classes.tolist() if classes is None else classes
        features, labels = features.inputs, features.classes[features.labels]
    if labels is None and is_array(features):
        raise TypeError("labels are needed beside an array of features")
    batches = _batches(features, labels)
    rows = None if weight is None else weight_rows(weight)
    classes = None if classes is None else tuple(classes)
    if classes is None and rows is None:
        classes = _distinct(batches)
    stats: ClassStats | None = None
    for batch_features, batch_labels in batches():
        if stats is None:
            check_features(batch_features)
            dim = batch_features.shape[1]
            count = len(classes or ()) if rows is None else rows.count
            if rows is not None:
                check_weight_shape(rows, len(classes or ()) or count, dim)
            stats = ClassStats(count, dim, classes=classes)
        stats.update(batch_features, batch_labels)
    if stats is None:
        raise ValueError("features and labels hold no samples")
    summary = stats.finish()
    del stats
    on_host = summary.converted(host_view)
    samples = None
    if any(METRICS[name].needs_samples for name in names):
        second = SampleStats(on_host, weight, bias if weight is not None else None)
        for batch_features, batch_labels in batches():
            second.update(batch_features, batch_labels)
        samples = second.finish()
        if samples.num_samples != summary.num_samples:
            raise ValueError(
                f"the second pass over features gave {samples.num_samples} samples, the first "
                f"{summary.num_samples}: they must be an iterable that can be gone through again"
            )
    return Measurement.of(summary, samples, preset=preset, weight=weight, bias=bias)


def _batches(
    features: Array | Batches | Callable[[], Batches], labels: Array | None
) -> Callable[[], Batches]:
    if labels is not None:
        return lambda: iter([(features, labels)])
    if callable(features):
        return lambda: _pairs(cast(Callable[[], Batches], features)())
    if iter(features) is features:
        raise TypeError(
            "features is an iterator, which can be gone through once only: "
            "pass a list, a loader or a function that returns a fresh iterator"
        )
    return lambda: _pairs(features)


def _pairs(batches: Iterable[Any]) -> Iterator[tuple[Array, Array]]:
    for number, batch in enumerate(batches):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise TypeError(
                "features must be an array beside labels, or batches of (features, labels), "
                f"but batch {number} is a {type(batch).__name__}"
            )
        yield batch[0], batch[1]


def _distinct(batches: Callable[[], Batches]) -> tuple[Any, ...]:
    """Distinct label values, ascending: a pass over the labels alone."""
    values: set[Any] = set()
    for features, labels in batches():
        check_features(features)
        values |= distinct(label_vector(labels, features.shape[0]))
    if not values:
        raise ValueError("features and labels hold no samples")
    return tuple(sorted(values))
