"""The metrics of a preset from finished statistics."""

from __future__ import annotations

from collections.abc import Iterable

from ncollapse._arrays import host_view, in_double, is_array, like
from ncollapse._checks import Array
from ncollapse.metrics._frame import check_bias, matching_weight, weight_rows
from ncollapse.metrics.registry import METRICS, preset_names
from ncollapse.metrics.samples import SampleSummary
from ncollapse.stats import ClassSummary, UndefinedMetricError


def compute(
    summary: ClassSummary,
    *,
    preset: str | Iterable[str] = "all",
    weight: Array | None = None,
    bias: Array | None = None,
    samples: SampleSummary | None = None,
) -> dict[str, float]:
    """The metrics of a preset (or named ones) that the given arguments determine.

    Left out are metrics that need a weight or a second pass (`SampleStats`) that was not given, and
    those the data leave undefined; `compute_or_explain` says which and why.
    """
    return compute_or_explain(summary, preset=preset, weight=weight, bias=bias, samples=samples)[0]


def compute_or_explain(
    summary: ClassSummary,
    *,
    preset: str | Iterable[str] = "all",
    weight: Array | None = None,
    bias: Array | None = None,
    samples: SampleSummary | None = None,
) -> tuple[dict[str, float], dict[str, str]]:
    """Values by metric name, and for the metrics without a value the reason."""
    summary = summary.converted(host_view)
    with in_double(summary.means):
        return _compute(summary, preset_names(preset), weight, bias, samples)


def _compute(
    summary: ClassSummary,
    names: tuple[str, ...],
    weight: Array | None,
    bias: Array | None,
    samples: SampleSummary | None,
) -> tuple[dict[str, float], dict[str, str]]:
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    rows = None
    if weight is not None:
        rows = weight_rows(like(weight, summary.means) if is_array(weight) else weight)
        matching_weight(summary, rows)
    if bias is not None:
        check_bias(summary, bias)
    for name in names:
        metric = METRICS[name]
        arguments = {
            "summary": (summary,),
            "weight": (rows,),
            "both": (summary, rows),
            "bias": (summary, rows, bias),
            "samples": (samples,),
            "decisions": (samples,),
        }[metric.needs]
        if metric.needs_weight and rows is None:
            reasons[name] = "needs the classifier's weight"
        elif metric.needs_samples and (
            samples is None or (metric.needs_weight and samples.agreements is None)
        ):
            reasons[name] = "needs a second pass over the samples"
        else:
            try:
                values[name] = metric.function(*arguments)
            except UndefinedMetricError as error:
                reasons[name] = str(error)
    return values, reasons
