"""Ranks: how many directions the class means, or all features, take up."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace

from ncollapse._arrays import to_numpy
from ncollapse.metrics.geometry import singular_values
from ncollapse.metrics.registry import metric
from ncollapse.metrics.variability import total_factor, weighted_means
from ncollapse.stats import ClassSummary, UndefinedMetricError


@metric("effective number of directions of the centred means; K-1 for a simplex", collapsed=None)
def effective_rank_means(summary: ClassSummary) -> float:
    """exp of the entropy of σ_i/Σσ, σ the singular values of the centred means (Roy, Vetterli
    2007).
    """
    return _effective(_means(summary))


@metric(
    "squared Frobenius over spectral norm of the centred means; K-1 for a simplex",
    collapsed=None,
)
def stable_rank_means(summary: ClassSummary) -> float:
    """‖M‖_F²/‖M‖₂² of the centred means."""
    return _stable(_means(summary))


@metric(
    "squared nuclear over Frobenius norm of the centred means; K-1 for a simplex",
    collapsed=None,
)
def nuclear_rank_means(summary: ClassSummary) -> float:
    """(Σσ)²/Σσ² of the singular values of the centred means."""
    singular = _means(summary)
    return float(singular.sum() ** 2 / (singular**2).sum())


@metric("number of nonzero singular values of the centred means; at most K-1", collapsed=None)
def numerical_rank_means(summary: ClassSummary) -> float:
    """Singular values of the centred means above max(K, D)·eps of the largest, in float64."""
    frame = summary.centred
    singular = singular_values(frame)
    size = max(frame.count, frame.dim)
    # From a Gram matrix (K > D) singular values are known to √eps only.
    eps = np.finfo(np.float64).eps
    tolerance = size * eps if frame.count <= frame.dim else (size * eps) ** 0.5
    return float(np.sum(singular > tolerance * singular.max()))


@metric("effective number of directions of all features; K-1 at collapse", collapsed=None)
def effective_rank_features(summary: ClassSummary) -> float:
    """exp of the entropy of σ_i/Σσ, σ the singular values of the centred features."""
    return _effective(_features(summary))


@metric("total over largest variance of all features; K-1 at collapse", collapsed=None)
def stable_rank_features(summary: ClassSummary) -> float:
    """‖H‖_F²/‖H‖₂² of the features centred by the mean of all samples."""
    return _stable(_features(summary))


def _means(summary: ClassSummary) -> np.ndarray:
    return singular_values(summary.centred)


def _features(summary: ClassSummary) -> np.ndarray:
    """Singular values of the centred features over √N."""
    xp = array_namespace(summary.means)
    factor = total_factor(summary)
    if factor is not None:
        total = xp.matmul(factor, factor.T)
    else:
        total = summary.within_scatter + weighted_means(summary).feature_gram
    values = to_numpy(xp.linalg.eigvalsh(total))[::-1]
    if not values.max() > 0:
        raise UndefinedMetricError("all samples coincide")
    return np.sqrt(np.maximum(values, 0.0))


def _effective(singular: np.ndarray) -> float:
    share = singular[singular > 0] / singular.sum()
    return float(np.exp(-np.sum(share * np.log(share))))


def _stable(singular: np.ndarray) -> float:
    return float(np.sum((singular / singular.max()) ** 2))
