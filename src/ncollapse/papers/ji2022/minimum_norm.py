"""ji2022's minimum-norm separation problem (3.1): its multipliers, and how far a point is from it.

(3.1) minimises ½(‖W‖² + ‖H‖²) where every s_kij = ⟨w_k − w_j, h_ki⟩ ≥ 1. Rows of ``features`` are
samples, sorted by class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, nnls

from ncollapse.theory.layer_peeled import check_model, margin_ratio

_BINDS = 1e-9
"""A constraint binds when it exceeds the least by this share: rounding."""


@dataclass(frozen=True, eq=False)
class MarginDeficit:
    """Why q_min lies below its bound ρ²/(2(K−1)√n): three squares that add up to 1 − ratio.

    With w̄ the mean of the rows and w̃_k = w_k − w̄, and each divided by ½√n ρ²,

        duality   ½ Σ_ki ‖n^{-1/4} w̃_k − n^{1/4} h_ki‖²
        mean      ½√n K ‖w̄‖²
        margins   (1/K) Σ_kij (s_kij − q_min).

    Theorem 3.1's proof drops these three terms. Equality therefore needs all three to vanish:
    h_ki = w_k/√n for every i, a classifier without mean, and equal margins, which is neural
    collapse with ‖W‖ = ‖H‖.
    """

    duality: float
    mean: float
    margins: float

    @property
    def total(self) -> float:
        return self.duality + self.mean + self.margins


def separations(weight: np.ndarray, features: np.ndarray) -> np.ndarray:
    """s_kij = ⟨w_k − w_j, h_ki⟩, ``(N, K)``; NaN where j is the sample's own class k."""
    labels = check_model(weight, features)
    logits = features @ weight.T
    own = np.eye(len(weight), dtype=bool)[labels]
    return np.where(own, np.nan, logits[own][:, None] - logits)


def margin_deficit(weight: np.ndarray, features: np.ndarray) -> MarginDeficit:
    """See `MarginDeficit`; needs as many samples in each class."""
    labels = check_model(weight, features)
    count, root = len(weight), math.sqrt(len(features) / len(weight))
    gaps = separations(weight, features)
    mean = weight.mean(axis=0)
    apart = (weight - mean)[labels] / math.sqrt(root) - features * math.sqrt(root)
    size = 0.5 * root * float(np.sum(weight**2) + np.sum(features**2))
    return MarginDeficit(
        duality=0.5 * float(np.sum(apart**2)) / size,
        mean=0.5 * root * count * float(mean @ mean) / size,
        margins=float(np.nansum(gaps - np.nanmin(gaps))) / count / size,
    )


def deficit_residual(weight: np.ndarray, features: np.ndarray, *, mean: bool = True) -> float:
    """1 − q_min/bound less the three terms of `MarginDeficit`: zero, but for rounding.

    Without ``mean`` that term is left out.
    """
    deficit = margin_deficit(weight, features)
    total = deficit.total if mean else deficit.total - deficit.mean
    return 1.0 - margin_ratio(weight, features) - total


def kkt_fit(
    weight: np.ndarray, features: np.ndarray, *, binds: float = _BINDS
) -> tuple[float, np.ndarray]:
    """How far (W, H) is from a KKT point of (3.1), and its multipliers.

    The point is scaled to the smallest s_kij being 1. Multipliers Λ ≥ 0 on the constraints that
    exceed it by at most the share ``binds`` fit (W, H) = Σ λ_kij ∇s_kij by nonnegative least
    squares. The residual, relative to ‖(W, H)‖, is 0 exactly at a KKT point (Definition A.1).

    Returns the residual and the multipliers ``(N, K)``, 0 where nothing binds.

    Raises ``ValueError`` where no scaling is feasible.
    """
    labels = check_model(weight, features)
    gaps = separations(weight, features)
    least = float(np.nanmin(gaps))
    if least <= 0:
        raise ValueError(f"the smallest margin must be positive, but it is {least:g}")
    places = np.argwhere(gaps <= least * (1.0 + binds))
    columns = []
    for i, j in places:
        d_weight, d_features = np.zeros_like(weight), np.zeros_like(features)
        d_weight[labels[i]], d_weight[j] = features[i], -features[i]
        d_features[i] = weight[labels[i]] - weight[j]
        columns.append(np.concatenate([d_weight.ravel(), d_features.ravel()]))
    point = np.concatenate([weight.ravel(), features.ravel()])
    values, residual = nnls(np.array(columns).T, point)
    multipliers = np.zeros_like(gaps)
    multipliers[tuple(places.T)] = values
    return float(residual / np.linalg.norm(point)), multipliers


def kkt_residual(weight: np.ndarray, features: np.ndarray, *, binds: float = _BINDS) -> float:
    """The residual of `kkt_fit`."""
    return kkt_fit(weight, features, binds=binds)[0]


def least_norm(
    num_classes: int, per_class: int, dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A local minimiser of (3.1) from a Gaussian start, by sequential quadratic programming.

    Raises ``ArithmeticError`` where the method does not converge.
    """
    labels = np.repeat(np.arange(num_classes), per_class)
    other = ~np.eye(num_classes, dtype=bool)[labels]
    rows, classes = np.nonzero(other)
    start = np.random.default_rng(seed).standard_normal((num_classes + len(labels), dim))

    def split(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        both = point.reshape(start.shape)
        return both[:num_classes], both[num_classes:]

    def slack(point: np.ndarray) -> np.ndarray:
        return separations(*split(point))[other] - 1.0

    def slopes(point: np.ndarray) -> np.ndarray:
        weight, features = split(point)
        table = np.zeros((len(rows), *start.shape))
        index = np.arange(len(rows))
        table[index, labels[rows]] = features[rows]
        table[index, classes] = -features[rows]
        table[index, num_classes + rows] = weight[labels[rows]] - weight[classes]
        return table.reshape(len(rows), -1)

    solution = minimize(
        lambda point: 0.5 * float(point @ point),
        start.ravel(),
        jac=lambda point: point,
        method="SLSQP",
        constraints={"type": "ineq", "fun": slack, "jac": slopes},
        options={"maxiter": 2000, "ftol": 1e-12},
    )
    if not solution.success:
        raise ArithmeticError(f"(3.1) was not solved from seed {seed}: {solution.message}")
    return split(solution.x)
