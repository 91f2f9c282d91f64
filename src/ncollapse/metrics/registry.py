"""Every metric by name: what it needs, how to read it, and the set that each paper reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ncollapse._arrays import exact, host_view, is_array, like
from ncollapse._checks import Array
from ncollapse.metrics import duality, geometry, samples, spectrum, strong, variability
from ncollapse.metrics._frame import UndefinedMetricError, check_bias, matching_weight, weight_rows
from ncollapse.metrics.samples import SampleSummary
from ncollapse.stats import ClassSummary

Needs = Literal["summary", "weight", "both", "bias", "samples", "decisions"]


@dataclass(frozen=True)
class Metric:
    """A named convention.

    ``needs``: "summary", "weight" (W alone), "both" (summary and W), "bias" (summary, W and b),
    "samples" (a second pass), "decisions" (a second pass with W). ``reading``: how to read
    the number, one line. ``collapsed``: its value at collapse, None where there is no fixed one.
    """

    name: str
    function: Callable[..., float]
    needs: Needs
    reading: str
    collapsed: float | None = 0.0

    @property
    def needs_weight(self) -> bool:
        return self.needs in ("weight", "both", "bias", "decisions")

    @property
    def needs_samples(self) -> bool:
        return self.needs in ("samples", "decisions")


def _table(*rows: tuple[Any, ...]) -> dict[str, Metric]:
    metrics = [Metric(row[0].__name__, *row) for row in rows]
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, Metric] = _table(
    (
        variability.nc1_pinv,
        "summary",
        "within-class scatter in units of between-class scatter; 0 is collapse",
    ),
    (variability.nc1_weighted, "summary", "nc1_pinv with classes weighted by size; 0 is collapse"),
    (variability.nc1_quotient, "summary", "ratio of the traces of the scatters; 0 is collapse"),
    (
        variability.nc1_total,
        "summary",
        "share of all variance that is within classes; 0 is collapse, 1 none between",
    ),
    (
        variability.cdnv,
        "summary",
        "class variance over squared distance of means, averaged over pairs; 0 is collapse",
    ),
    (
        variability.vci,
        "summary",
        "share of between-class directions blurred by samples; 0 is collapse, 1 no structure",
    ),
    (
        variability.separation,
        "summary",
        "He-Su separation; its logarithm falls evenly from layer to layer",
    ),
    (
        samples.within_variation,
        "samples",
        "distance to the own mean over distance to the centre; 0 is collapse",
    ),
    (
        variability.directional_collapse,
        "summary",
        "1 - cosine to the own class mean; 0: each class lies on one ray",
    ),
    (
        geometry.nc2_equinorm_means,
        "summary",
        "relative spread of the lengths of centred means; 0: equally long",
    ),
    (
        geometry.nc2_equinorm_weight,
        "weight",
        "relative spread of the lengths of classifier rows; 0: equally long",
    ),
    (
        geometry.nc2_equiangular_means,
        "summary",
        "deviation of cosines of centred means from -1/(K-1); 0: equal angles",
    ),
    (
        geometry.nc2_equiangular_weight,
        "weight",
        "deviation of cosines of classifier rows from -1/(K-1); 0: equal angles",
    ),
    (
        geometry.nc2_coherence_means,
        "summary",
        "largest |cosine| between centred means; 1/(K-1) is the least",
        None,
    ),
    (
        geometry.nc2_coherence_weight,
        "weight",
        "largest |cosine| between classifier rows; 1/(K-1): simplex, 0: orthogonal",
        None,
    ),
    (geometry.nc2_etf_means, "summary", "distance of centred means from a simplex ETF; 0: simplex"),
    (
        geometry.nc2_etf_uncentred_means,
        "summary",
        "distance of uncentred means from a simplex ETF; 0: simplex",
    ),
    (
        geometry.nc2_etf_weight,
        "weight",
        "distance of classifier rows from a simplex ETF; 0: simplex",
    ),
    (
        geometry.nc2_nearest_etf_means,
        "summary",
        "distance of centred means to the nearest simplex ETF; 0: simplex",
    ),
    (
        geometry.nc2_orthogonal_means,
        "summary",
        "distance of uncentred means from an orthogonal frame; 0: orthogonal, equally long",
        None,
    ),
    (
        geometry.nc2_orthogonal_directions,
        "summary",
        "the same for their directions only; 0: orthogonal",
        None,
    ),
    (
        geometry.nc2_negative_part,
        "summary",
        "share of the directions of means that is negative; 0: nonnegative",
        None,
    ),
    (
        geometry.gnc2_log,
        "summary",
        "log-kernel energy of directions; least when spread evenly over the sphere",
        None,
    ),
    (
        geometry.gnc2_log_spread,
        "summary",
        "spread of the log kernel over pairs; 0: all pairs equally far",
    ),
    (
        geometry.gnc2_distance,
        "summary",
        "mean distance between directions of means; largest when spread evenly",
        None,
    ),
    (
        geometry.gnc2_distance_spread,
        "summary",
        "relative spread of those distances; 0: all pairs equally far",
    ),
    (
        geometry.gnc2_riesz,
        "summary",
        "Riesz-kernel energy on the scale of gnc2_log; least when spread evenly",
        None,
    ),
    (
        geometry.minority_collapse_angle,
        "summary",
        "smallest angle between centred means, radians; 0: two classes merged",
        None,
    ),
    (
        duality.nc3_alignment,
        "both",
        "distance of W times means from a simplex; 0: logits of means form a simplex",
    ),
    (
        duality.nc3_duality,
        "both",
        "distance of W from the centred means, both scaled; 0: self-dual",
    ),
    (
        duality.nc3_projected,
        "both",
        "distance of W from the projected means, both scaled; 0: self-dual",
    ),
    (
        duality.nc3_projected_directions,
        "both",
        "the same with the lengths of means fitted; 0: self-dual",
        None,
    ),
    (
        duality.nc3_average,
        "both",
        "distance between directions of w_k and mean, averaged; 0: self-dual",
    ),
    (duality.nc3_cosine, "both", "cosine between w_k and its centred mean; 1: self-dual", 1.0),
    (duality.nc3_uniform, "both", "spread of that cosine over classes; 0: equally aligned"),
    (
        duality.nc3_principal_angle,
        "both",
        "largest angle between the spaces of W and means, radians; 0: same space",
    ),
    (
        duality.nc3_centre_logits,
        "bias",
        "size of the logits at the centre of the means; 0: the bias undoes it",
        None,
    ),
    (
        samples.nc4_agreement,
        "decisions",
        "share of samples where classifier and nearest mean agree; 1: always",
        1.0,
    ),
    (samples.ncc_accuracy, "samples", "accuracy of the nearest class mean; 1: always right", 1.0),
    (samples.classifier_accuracy, "decisions", "accuracy of the classifier; 1: always right", 1.0),
    (
        strong.snc1,
        "both",
        "distance of W from its strong limit under squared loss; 0: reached",
        None,
    ),
    (
        strong.snc2,
        "both",
        "relative distance of features from the rows of W; 0: strong limit reached",
        None,
    ),
    (strong.snc3, "bias", "distance of the bias from 1/K; 0: strong limit reached", None),
    (
        spectrum.effective_rank_means,
        "summary",
        "effective number of directions of the centred means; K-1 for a simplex",
        None,
    ),
    (
        spectrum.stable_rank_means,
        "summary",
        "squared Frobenius over spectral norm of the centred means; K-1 for a simplex",
        None,
    ),
    (
        spectrum.nuclear_rank_means,
        "summary",
        "squared nuclear over Frobenius norm of the centred means; K-1 for a simplex",
        None,
    ),
    (
        spectrum.numerical_rank_means,
        "summary",
        "number of nonzero singular values of the centred means; at most K-1",
        None,
    ),
    (
        spectrum.effective_rank_features,
        "summary",
        "effective number of directions of all features; K-1 at collapse",
        None,
    ),
    (
        spectrum.stable_rank_features,
        "summary",
        "total over largest variance of all features; K-1 at collapse",
        None,
    ),
)

PRESETS: dict[str, tuple[str, ...]] = {
    "papyan2020": (
        "nc1_pinv",
        "nc2_equinorm_means",
        "nc2_equinorm_weight",
        "nc2_equiangular_means",
        "nc2_equiangular_weight",
        "nc3_duality",
        "nc4_agreement",
    ),
    "mixon2022": (
        "nc1_quotient",
        "snc1",
        "snc2",
        "snc3",
        "nc3_duality",
    ),
    "ji2022": (
        "nc2_equinorm_means",
        "nc2_equinorm_weight",
        "within_variation",
        "nc2_equiangular_means",
        "nc2_equiangular_weight",
        "nc3_average",
    ),
    "hong2025": ("nc1_pinv", "nc2_orthogonal_means", "nc2_etf_weight", "nc3_alignment"),
    "min2025": (
        "directional_collapse",
        "nc1_quotient",
        "nc2_orthogonal_means",
        "nc2_orthogonal_directions",
        "nc2_negative_part",
        "nc3_projected",
        "nc3_projected_directions",
    ),
    "wu2024": (
        "cdnv",
        "nc2_equinorm_means",
        "gnc2_log",
        "gnc2_log_spread",
        "gnc2_distance",
        "gnc2_distance_spread",
        "nc3_cosine",
        "nc3_uniform",
        "nc4_agreement",
    ),
    "all": tuple(METRICS),
}


def preset_names(preset: str | Iterable[str]) -> tuple[str, ...]:
    """Metric names of a preset, or of an iterable of metric names."""
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, but it is {preset!r}")
        return PRESETS[preset]
    names = tuple(preset)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"there is no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return names


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
    with exact(summary.means):
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
