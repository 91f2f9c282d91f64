"""Both passes in one call, for arrays in memory or batches that can be gone through twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, cast

import numpy as np

from ncollapse._arrays import host_view, is_array, to_numpy
from ncollapse._checks import Array
from ncollapse.metrics.registry import METRICS, compute_or_explain, preset_names
from ncollapse.metrics.samples import SampleStats, SampleSummary
from ncollapse.stats import ClassStats, ClassSummary
from ncollapse.stats._class_stats import check_features

Batches = Iterable[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What `measure` found.

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
    features: Array | Batches | Callable[[], Batches],
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
        ``(N, D)`` and ``(N,)`` arrays in memory; or, without ``labels``, an iterable of
        ``(features, labels)`` batches that can be gone through twice (a list, a data loader), or a
        function that returns a fresh iterator of them.
    weight, bias
        The classifier, ``(K, D)`` and ``(K,)``; without them metrics that need them are left out.
    preset
        A name in `PRESETS` or names in `METRICS`.
    classes
        Label values in the order of the rows of ``weight``. By default the labels are the row
        numbers 0 … K−1 when there is a weight, and any values, taken in ascending order, when not.

    Raises
    ------
    ValueError, TypeError
        As `ClassStats.update`; no samples; an iterator that is exhausted after one pass.
    """
    names = preset_names(preset)
    if labels is None and is_array(features):
        raise TypeError("labels are needed beside an array of features")
    batches = _batches(features, labels)
    classes = None if classes is None else tuple(classes)
    if classes is None and weight is None:
        classes = _distinct(batches)
    stats: ClassStats | None = None
    for batch_features, batch_labels in batches():
        if stats is None:
            check_features(batch_features)
            count = len(classes) if classes is not None else _rows(weight)
            stats = ClassStats(count, batch_features.shape[1], classes=classes)
        stats.update(batch_features, batch_labels)
    if stats is None:
        raise ValueError("features and labels hold no samples")
    summary = stats.finish()
    del stats
    seen = summary.converted(host_view)
    samples = None
    if any(METRICS[name].needs_samples for name in names):
        second = SampleStats(seen, weight, bias if weight is not None else None)
        for batch_features, batch_labels in batches():
            second.update(batch_features, batch_labels)
        samples = second.finish()
        if samples.num_samples != summary.num_samples:
            raise ValueError(
                f"the second pass over features gave {samples.num_samples} samples, the first "
                f"{summary.num_samples}: they must be an iterable that can be gone through again"
            )
    values, reasons = compute_or_explain(
        seen, preset=names, weight=weight, bias=bias, samples=samples
    )
    return Measurement(
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


def _batches(
    features: Array | Batches | Callable[[], Batches], labels: Array | None
) -> Callable[[], Batches]:
    if labels is not None:
        return lambda: iter([(features, labels)])
    if callable(features):
        return cast(Callable[[], Batches], features)
    if iter(features) is features:
        raise TypeError(
            "features is an iterator, which can be gone through once only: "
            "pass a list, a loader or a function that returns a fresh iterator"
        )
    return lambda: iter(features)


def _distinct(batches: Callable[[], Batches]) -> tuple[Any, ...]:
    """Distinct label values, ascending: a pass over the labels alone."""
    found: set[Any] = set()
    for _, labels in batches():
        found.update(np.unique(to_numpy(labels)).tolist())
    return tuple(sorted(found))


def _rows(weight: Array | None) -> int:
    return 0 if weight is None else int(weight.shape[0])
