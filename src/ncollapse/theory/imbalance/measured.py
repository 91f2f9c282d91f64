"""What one pass over the last features tells of a last layer: all that theories are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ncollapse._checks import check_labels, check_matrix
from ncollapse.theory.imbalance.last_layer import LastLayerStats

NO_BIAS = 1e-2
"""A bias whose entries differ by less than this share of the mean margin counts as none."""
NONNEGATIVE = 1e-6
"""Features are nonnegative up to this share of Σh² in negative entries."""
FREE_BIAS = 1e-8
"""A decay of the bias below this, measured at stationarity, counts as none."""


@dataclass(frozen=True, eq=False)
class MeasuredLayer:
    """A last layer Wh + b with its features, reduced to K × K numbers.

    Attributes
    ----------
    counts
        n_k ``(K,)``.
    dim
        D, the dimensions of the features.
    weight_gram, means_gram, logits
        CWWᵀC, M̄ᵀM̄ of the uncentred class means, and C(WM̄ + b1ᵀ), ``(K, K)``. C = I − 11ᵀ/K takes
        off what cross-entropy does not see.
    margins
        Own logit less the mean of the others, mean over each class, ``(K,)``.
    weight_square, feature_square
        ‖W‖² and Σ_i‖h_i‖².
    variation
        Σ_i‖h_i − μ_{y_i}‖² / Σ_k n_k‖μ_k − μ̄‖²: spread within classes over that between them.
    negative_share
        Σ(h)₋² / Σh², 0 for nonnegative features.
    disproportion
        ‖A/‖A‖ − B/‖B‖‖ of A = WᵀW and B = Σ_i h_i h_iᵀ, which are proportional where decay acts on
        W and h alone. For nonnegative features of (WᵀW)₊: λ_W WᵀW = λ_H Σhhᵀ − Σνhᵀ, the
        multipliers ν ≥ 0 off the support of h.
    stationary_decay
        λ_W = −Σ_i⟨∂ℓ_i, Wh_i⟩/(N‖W‖²), which a stationary W of that decay has.
    bias, bias_decay
        b less its mean ``(K,)``, None where its entries hardly differ; and the decay λ_b that a
        stationary b has, None where it is free.
    state
        What the optimality gap is computed from.
    """

    counts: np.ndarray
    dim: int
    weight_gram: np.ndarray
    means_gram: np.ndarray
    logits: np.ndarray
    margins: np.ndarray
    weight_square: float
    feature_square: float
    variation: float
    negative_share: float
    disproportion: float
    stationary_decay: float
    bias: np.ndarray | None
    bias_decay: float | None
    state: LastLayerStats = field(repr=False)

    @property
    def nonnegative(self) -> bool:
        """Whether the features are."""
        return self.negative_share <= NONNEGATIVE

    @property
    def decay_ratio(self) -> float:
        """λ_H/λ_W = ‖W‖²/Σ_i‖h_i‖² of a stationary layer."""
        return self.weight_square / self.feature_square


def measure_layer(
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    weight: np.ndarray,
    bias: np.ndarray | None,
    state: LastLayerStats | None = None,
) -> MeasuredLayer:
    """Go once through ``(features (B, D), labels (B,))``, labels the row numbers of ``weight``.

    ``state``, empty, has the smoothing and the class weights of the loss.
    """
    weight = np.asarray(check_matrix("weight", np.asarray(weight), rows="classes"), dtype=float)
    count, dim = weight.shape
    shift = _bias(bias, count)
    state = LastLayerStats(count) if state is None else state
    sums, moment = np.zeros((count, dim)), np.zeros((dim, dim))
    negative = 0.0
    for features, labels in batches:
        features = np.asarray(check_matrix("features", np.asarray(features)), dtype=float)
        labels = np.asarray(check_labels("labels", np.asarray(labels), len(features)))
        if features.shape[1] != dim:
            raise ValueError(
                f"weight must have {features.shape[1]} columns, one a feature, "
                f"but its shape is {weight.shape}"
            )
        state.update(features @ weight.T + shift, labels, features)
        np.add.at(sums, labels, features)
        moment += features.T @ features
        negative += float(np.sum(np.minimum(features, 0.0) ** 2))
    return layer_of_sums(state, sums, moment, negative, weight, bias)


def layer_of_sums(
    state: LastLayerStats,
    sums: np.ndarray,
    moment: np.ndarray,
    negative: float,
    weight: np.ndarray,
    bias: np.ndarray | None,
) -> MeasuredLayer:
    """The layer from sums over its samples: of h in each class ``(K, D)``, Σhhᵀ, and Σ(h)₋²."""
    count = len(weight)
    shift = _bias(bias, count)
    if not np.all(state.counts):
        raise ValueError(f"labels have no sample of class {int(np.argmin(state.counts))}")
    square = float(np.sum(weight**2))
    if square == 0.0 or state.feature_squares == 0.0:
        raise ValueError("weight and features must not be all zero")
    means = sums / state.counts[:, None]
    logits = weight @ means.T + shift[:, None]
    own = np.diag(logits)
    margins = own - (logits.sum(axis=0) - own) / (count - 1)
    centred = weight - weight.mean(axis=0)
    explained = float(state.counts @ np.sum(means**2, axis=1))
    total = float(state.counts.sum())
    between = explained - total * float(np.sum((sums.sum(axis=0) / total) ** 2))
    within = max(state.feature_squares - explained, 0.0)
    gram = weight.T @ weight
    nonnegative = negative <= NONNEGATIVE * state.feature_squares
    centred_bias, bias_decay = _stationary_bias(shift - shift.mean(), state, margins)
    # −Σω⟨r, Wh⟩: ⟨r, z⟩ is the loss less the entropy.
    pull = float(state.class_weights @ (state.entropies - state.losses))
    pull += float(shift @ state.residual_sums @ state.class_weights)
    return MeasuredLayer(
        counts=state.counts,
        dim=weight.shape[1],
        weight_gram=centred @ centred.T,
        means_gram=means @ means.T,
        logits=logits - logits.mean(axis=0),
        margins=margins,
        weight_square=square,
        feature_square=state.feature_squares,
        variation=within / between if between > 0 else np.inf,
        negative_share=negative / state.feature_squares,
        disproportion=distance(np.maximum(gram, 0.0) if nonnegative else gram, moment),
        stationary_decay=pull / (total * square),
        bias=centred_bias,
        bias_decay=bias_decay,
        state=state,
    )


def _bias(bias: np.ndarray | None, count: int) -> np.ndarray:
    shift = np.zeros(count) if bias is None else np.asarray(bias, dtype=float)
    if shift.shape != (count,) or not np.all(np.isfinite(shift)):
        raise ValueError(f"bias must be {count} finite numbers, but its shape is {shift.shape}")
    return shift


def _stationary_bias(
    bias: np.ndarray, state: LastLayerStats, margins: np.ndarray
) -> tuple[np.ndarray | None, float | None]:
    """The bias, if there is one to speak of, and λ_b = −⟨b, Σr_i⟩/(N‖b‖²)."""
    if np.ptp(bias) <= NO_BIAS * float(np.mean(np.abs(margins))):
        return None, None
    pull = -float(bias @ state.residual_sums @ state.class_weights)
    decay = pull / (state.counts.sum() * (bias @ bias))
    return bias, decay if decay > FREE_BIAS else None


def distance(measured: np.ndarray, predicted: np.ndarray) -> float:
    """‖A/‖A‖ − B/‖B‖‖_F; a zero matrix stays zero."""

    def unit(matrix: np.ndarray) -> np.ndarray:
        norm = float(np.linalg.norm(matrix))
        return matrix / norm if norm > 0 else matrix

    return float(np.linalg.norm(unit(measured) - unit(predicted)))
