"""The layer-peeled model (ji2022): cross-entropy on unconstrained features, no regularisation.

L(W, H) = Σ_i ce(W h_i, y_i), a sum and not a mean, over N = Kn samples with n in each class
(ji2022 (2.3); its H is the transpose of ours). Everything is computed from log L and from
derivatives divided by L, so that nothing underflows: log(1/L) = 10⁶ is as good as 10.

``labels`` may be left out when the rows of ``features`` are sorted by class.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import expit, log_expit, logsumexp, softmax

from ncollapse import cross_entropy
from ncollapse._checks import check_labels, check_matrix
from ncollapse.cross_entropy import log_softplus

_LOG_LOG_TWO = math.log(math.log(2.0))


@dataclass(frozen=True, eq=False)
class ScaledDerivatives:
    """Cross-entropy seen through its logits, with its size divided out.

    Attributes
    ----------
    log_loss
        log L.
    gradient
        (∂L/∂logits) / L, shape ``(N, K)``: finite however small L is.
    """

    log_loss: float
    gradient: np.ndarray
    _wrong: np.ndarray
    _share: np.ndarray
    _error: np.ndarray
    _labels: np.ndarray

    def hessian_product(self, logits: np.ndarray) -> np.ndarray:
        """(∇²L / L) applied to a change of the logits, ``(N, K)`` to ``(N, K)``.

        A row is p∘(u − pᵀu) with p the softmax; u is shifted so that its own-class entry is 0.
        """
        rows = np.arange(self._labels.size)
        shifted = logits - logits[rows, self._labels][:, None]
        mean = np.sum(self._wrong * shifted, axis=1)
        out = (self._share[:, None] * self._wrong) * (shifted - (self._error * mean)[:, None])
        out[rows, self._labels] = -self._share * (1.0 - self._error) * mean
        return out


@dataclass(frozen=True)
class KKTResiduals:
    """How nearly θ/√q_min is a KKT point of min ½‖θ‖² s.t. margins ≥ 1 (ji2022 Lemma B.1).

    Attributes
    ----------
    epsilon
        √(2(1−β)/γ̃), β the cosine between θ and −∇L.
    delta
        K²(K−1)n / (2e γ̃ q_min).
    smoothed_margin
        γ̃ = −log(e^L − 1)/‖θ‖², nondecreasing along gradient flow (Lemma B.2).
    """

    epsilon: float
    delta: float
    smoothed_margin: float
    margin: float
    cosine: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def scaled_derivatives(logits: np.ndarray, labels: np.ndarray) -> ScaledDerivatives:
    """log L and the derivatives of L/L with respect to the logits ``(N, K)``.

    With m_i the log-sum-exp of (wrong − own) logits, L = Σ softplus(m_i).
    """
    rows = np.arange(labels.size)
    gaps = logits - logits[rows, labels][:, None]
    gaps[rows, labels] = -np.inf
    excess = logsumexp(gaps, axis=1)
    sample_log_loss = log_softplus(excess)
    total = float(logsumexp(sample_log_loss))
    share = np.exp(log_expit(excess) - total)
    wrong = softmax(gaps, axis=1)
    gradient = share[:, None] * wrong
    gradient[rows, labels] = -share
    return ScaledDerivatives(total, gradient, wrong, share, expit(excess), labels)


def log_loss(weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None) -> float:
    """log L(W, H), L the summed cross-entropy (ji2022 (2.3))."""
    labels = check_model(weight, features, labels)
    return scaled_derivatives(features @ weight.T, labels).log_loss


def log_loss_gradient(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """∇ log L = ∇L / L with respect to W ``(K, D)`` and H ``(N, D)``."""
    labels = check_model(weight, features, labels)
    gradient = scaled_derivatives(features @ weight.T, labels).gradient
    return gradient.T @ features, gradient @ weight


def sample_margins(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> np.ndarray:
    """q_i = own logit − best other logit, shape ``(N,)`` (ji2022 §3.1)."""
    labels = check_model(weight, features, labels)
    return cross_entropy.sample_margins(features @ weight.T, np.eye(weight.shape[0])[labels])


def margin(weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None) -> float:
    """q_min, the least of the sample margins."""
    return float(sample_margins(weight, features, labels).min())


def margin_bound(norm_squared: float, *, num_classes: int, per_class: int) -> float:
    """ρ²/(2(K−1)√n) ≥ q_min, ρ² = ‖W‖² + ‖H‖² (ji2022 Theorem 3.1, squares restored).

    Equality holds exactly at neural collapse with ‖W‖ = ‖H‖.
    """
    check_counts(num_classes, per_class)
    return norm_squared / (2.0 * (num_classes - 1) * math.sqrt(per_class))


def margin_ratio(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> float:
    """q_min over its bound: at most 1, and 1 exactly at collapse with ‖W‖ = ‖H‖."""
    labels = check_model(weight, features, labels)
    num_classes, per_class = _balanced(weight, labels)
    bound = margin_bound(
        _norm_squared(weight, features), num_classes=num_classes, per_class=per_class
    )
    return margin(weight, features, labels) / bound


def sphere_optimum(norm_squared: float, *, num_classes: int, per_class: int) -> float:
    """log of the least L on ‖W‖² + ‖H‖² = ρ²: log(nK log(1 + (K−1) e^{−ρ²/(2(K−1)√n)})).

    Attained exactly at neural collapse with ‖W‖ = ‖H‖ (ji2022 Theorem 3.3).
    """
    bound = margin_bound(norm_squared, num_classes=num_classes, per_class=per_class)
    exponent = math.log(num_classes - 1) - bound
    return math.log(per_class * num_classes) + float(log_softplus(np.asarray(exponent)))


def log_loss_gap(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> float:
    """log(L/L∗) ≥ 0, L∗ the optimum on the sphere through (W, H) (ji2022 Theorem 3.3).

    A gap that is negative within the rounding of log L is 0.
    """
    labels = check_model(weight, features, labels)
    num_classes, per_class = _balanced(weight, labels)
    least = sphere_optimum(
        _norm_squared(weight, features), num_classes=num_classes, per_class=per_class
    )
    gap = log_loss(weight, features, labels) - least
    rounding = 16.0 * np.finfo(float).eps * max(1.0, abs(least))
    return 0.0 if -rounding <= gap < 0.0 else gap


def loss_gap(weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None) -> float:
    """(L − L∗)/L∗, the gap of Theorem 3.3 relative to the optimum on the same sphere.

    Raises ``OverflowError`` when L/L∗ is beyond float64; :func:`log_loss_gap` always exists.
    """
    return math.expm1(log_loss_gap(weight, features, labels))


def smoothed_margin(log_loss_value: float, norm_squared: float) -> float:
    """γ̃ = −log(e^L − 1)/ρ² from log L, for any L < log 2 (ji2022 Lemma B.1)."""
    loss = math.exp(log_loss_value)
    correction = math.log(math.expm1(loss) / loss) if loss > 0.0 else 0.0
    return -(log_loss_value + correction) / norm_squared


def kkt_residuals(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> KKTResiduals:
    """The (ε, δ) of ji2022 Lemma B.1.

    1 − β is taken as half the squared distance of the two unit vectors, which keeps its digits
    when β is near 1.

    Raises
    ------
    ValueError
        L ≥ log 2: the lemma, and γ̃ > 0, need every sample separated.
    """
    labels = check_model(weight, features, labels)
    num_classes, per_class = _balanced(weight, labels)
    log_loss_value = log_loss(weight, features, labels)
    if log_loss_value >= _LOG_LOG_TWO:
        raise ValueError(
            f"the KKT residuals need a loss below log 2 (log L < {_LOG_LOG_TWO:.4f}), "
            f"but log L = {log_loss_value:.4f}"
        )
    position = np.concatenate([weight.ravel(), features.ravel()])
    descent = -np.concatenate(
        [part.ravel() for part in log_loss_gradient(weight, features, labels)]
    )
    away = position / np.linalg.norm(position) - descent / np.linalg.norm(descent)
    defect = 0.5 * float(away @ away)
    gamma = smoothed_margin(log_loss_value, float(position @ position))
    q_min = margin(weight, features, labels)
    return KKTResiduals(
        epsilon=math.sqrt(2.0 * defect / gamma),
        delta=num_classes**2 * (num_classes - 1) * per_class / (2.0 * math.e * gamma * q_min),
        smoothed_margin=gamma,
        margin=q_min,
        cosine=1.0 - defect,
    )


def check_model(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> np.ndarray:
    """Labels of the samples, after checking that W, H and they fit together.

    Without ``labels`` the rows of ``features`` are taken as sorted by class, n of each.
    """
    check_matrix("weight", weight, rows="classes")
    check_matrix("features", features)
    num_classes, num_samples = weight.shape[0], features.shape[0]
    if num_classes < 2:
        raise ValueError(
            f"weight must have at least 2 rows (classes), but its shape is {weight.shape}"
        )
    if features.shape[1] != weight.shape[1]:
        raise ValueError(
            f"weight {weight.shape} and features {features.shape} must have equally many columns"
        )
    if labels is None:
        if num_samples % num_classes:
            raise ValueError(
                f"features has {num_samples} rows, which {num_classes} classes do not share "
                "equally: pass labels"
            )
        return np.repeat(np.arange(num_classes), num_samples // num_classes)
    given = np.asarray(check_labels("labels", np.asarray(labels), num_samples))
    low, high = int(given.min()), int(given.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels must lie in 0 … {num_classes - 1}, but they span {low} … {high}")
    return given


def _balanced(weight: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    counts = np.bincount(labels, minlength=weight.shape[0])
    if counts.min() != counts.max():
        raise ValueError(f"labels must be balanced here, but the class sizes are {counts.tolist()}")
    return weight.shape[0], int(counts[0])


def check_counts(num_classes: int, per_class: int) -> None:
    """Raise ``ValueError`` for fewer than two classes or no sample in a class."""
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, but it is {num_classes}")
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, but it is {per_class}")


def _norm_squared(weight: np.ndarray, features: np.ndarray) -> float:
    square = float(np.sum(weight**2) + np.sum(features**2))
    if square == 0.0:
        raise ValueError(
            "weight and features are all zero: the origin is a saddle without a margin"
        )
    return square
