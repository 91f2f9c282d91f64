"""NC5 and scores that tell outliers (out-of-distribution samples) by the collapsed geometry."""

from __future__ import annotations

from array_api_compat import array_namespace

from ncollapse._arrays import double, like, working
from ncollapse._checks import Array, check_features, check_finite
from ncollapse.metrics._frame import check_bias, matching_weight
from ncollapse.metrics.registry import float64_inside
from ncollapse.metrics.variability import total_factor, weighted_means
from ncollapse.stats import ClassSummary, UndefinedMetricError, scalar


@float64_inside
def nc5(summary: ClassSummary, outlier_mean: Array) -> float:
    """avg_k |cos(μ_k, μ_OOD)|, uncentred: 0 when outliers are orthogonal to all classes (NECO,
    2024).

    ``outlier_mean`` (D,) is the mean feature of the outliers. Undefined when it or a class mean
    is zero.
    """
    xp = array_namespace(summary.means)
    other = double(like(outlier_mean, summary.means))
    if tuple(other.shape) != (summary.num_features,):
        raise ValueError(
            f"outlier_mean must have shape ({summary.num_features},), "
            f"but its shape is {tuple(other.shape)}"
        )
    check_finite("outlier_mean", other[None, :])
    norm = scalar(xp.linalg.vector_norm(other))
    if norm == 0:
        raise UndefinedMetricError("outlier_mean is zero and has no direction")
    means = summary.uncentred
    means.require_directions()
    total = 0.0
    for tile in means.tiles():
        products = xp.matmul(means.rows(tile), other) / (means.norms[tile] * norm)
        total += scalar(xp.sum(xp.abs(products)))
    return total / means.count


@float64_inside
def neco_scores(
    summary: ClassSummary, features: Array, *, dim: int | None = None, logits: Array | None = None
) -> Array:
    """‖P h‖/‖h‖, P the first ``dim`` principal directions of the training features (Ammar 2024).

    The principal directions are those of the features about their mean; the samples are projected
    as they are, centred by that mean. ``dim`` is K − 1 unless given. With ``logits`` (N, K) the
    score is multiplied by their maximum, as in the paper. A sample at the mean scores 0.
    """
    check_features(features)
    xp = array_namespace(summary.means)
    count = len(summary.occupied) - 1 if dim is None else dim
    if not 1 <= count <= summary.num_features:
        raise ValueError(f"dim must be between 1 and {summary.num_features}, but it is {count}")
    factor = total_factor(summary)
    if factor is not None and count <= factor.shape[0]:
        basis = xp.linalg.svd(factor, full_matrices=False)[2][:count, :].T
    else:
        total = summary.within_scatter + weighted_means(summary).feature_gram
        basis = xp.linalg.eigh(total)[1][:, summary.num_features - count :]
    shifted = _shifted(summary, features, _sample_mean(summary))
    norms = xp.linalg.vector_norm(shifted, axis=1)
    inside = xp.linalg.vector_norm(xp.matmul(shifted, basis), axis=1)
    scores = inside / xp.where(norms > 0, norms, xp.ones_like(norms))
    if logits is None:
        return scores
    return scores * xp.max(double(like(logits, summary.means)), axis=1)


@float64_inside
def nci_scores(
    summary: ClassSummary,
    features: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    alpha: float = 0.0,
) -> Array:
    """⟨w_c, h − μ_G⟩/‖h − μ_G‖ + α‖h‖₁, c = argmax(Wh + b) (Liu and Qin 2025): high inside.

    μ_G is the mean of the class means. A sample at μ_G scores α‖h‖₁.
    """
    check_features(features)
    xp = array_namespace(summary.means)
    rows = matching_weight(summary, weight)
    if rows.count < summary.num_classes:
        raise UndefinedMetricError("every class must have samples")
    own = double(rows.array)
    plain = double(working(like(features, summary.means)))
    decided = xp.argmax(xp.matmul(plain, own.T) + check_bias(summary, bias)[None, :], axis=1)
    shifted = _shifted(summary, features, summary.global_mean)
    norms = xp.linalg.vector_norm(shifted, axis=1)
    products = xp.sum(xp.take(own, decided, axis=0) * shifted, axis=1)
    scores = products / xp.where(norms > 0, norms, xp.ones_like(norms))
    return scores + alpha * xp.sum(xp.abs(plain), axis=1)


def _sample_mean(summary: ClassSummary) -> Array:
    xp = array_namespace(summary.means)
    share = double(summary.counts) / summary.num_samples
    return xp.matmul(share, summary.means)


def _shifted(summary: ClassSummary, features: Array, centre: Array) -> Array:
    rows = double(working(like(features, summary.means)))
    if rows.shape[1] != summary.num_features:
        raise ValueError(
            f"features must have {summary.num_features} columns, "
            f"but their shape is {tuple(rows.shape)}"
        )
    check_finite("features", rows)
    return rows - centre[None, :]
