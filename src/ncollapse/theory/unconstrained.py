"""Unconstrained features with squared loss and bias: what mixon2022 proves of its gradient flow.

Risk ½ Σ_i ‖W h_i + b − e_{y_i}‖², no regularisation. Rows of ``features (K n, D)`` are sorted by
class; ``weight (K, D)`` and ``bias (K,)`` as in a linear layer. mixon2022's H is the transpose of
our features, its C is our K and its N our n.

Everything here follows from one change of coordinates: the class sums over √n,
S_k = Σ_i h_ki / √n, carry the class means isometrically, so that collapse onto the invariant
subspace reads S = W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ncollapse._checks import check_matrix
from ncollapse.metrics import snc1, snc2, snc3
from ncollapse.stats import ClassStats

EIGENSPACES = ("grow", "decay", "mean_grow", "mean_decay", "still")
"""Names of mixon2022's E₁⁺ = T, E₁⁻, E₂⁺, E₂⁻ and E₃."""


@dataclass(frozen=True, eq=False)
class Point:
    """Parameters of the model: ``weight (K, D)``, ``features (K n, D)``, ``bias (K,)``."""

    weight: np.ndarray
    features: np.ndarray
    bias: np.ndarray


def eigenspace_projections(
    weight: np.ndarray, features: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Projections (W, H) onto the five eigenspaces of the linearised flow (mixon2022 Theorem 2).

    With S as in the module's head and C, m the centred and the mean part over classes,

        grow, decay             W = ½(W ± S)_C,  S = ±W          eigenvalue ±√n
        mean_grow, mean_decay   W = ½(W ± S)_m,  S = ±W          eigenvalue ±√n e^{−Knt}
        still                   H minus its class means, W = 0   eigenvalue 0

    They are orthogonal and add up to (W, H).
    """
    per_class = _check_pair(weight, features)
    sums = _class_sums(features, weight.shape[0])
    parts = {}
    for names, take in ((("grow", "decay"), _centred), (("mean_grow", "mean_decay"), _mean)):
        for name, sign in zip(names, (1.0, -1.0), strict=True):
            part = 0.5 * (take(weight) + sign * take(sums))
            parts[name] = (part, sign * _spread(part, per_class))
    parts["still"] = (np.zeros_like(weight), features - _spread(sums, per_class))
    return parts


def linearised_solution(weight: np.ndarray, features: np.ndarray, time: float) -> Point:
    """Solution at ``time`` of the flow linearised at 0 in (W, H), from b = 0 (mixon2022 Theorem 2).

    b = (1 − e^{−Knt})/K · 1; the eigenspaces grow by e^{±√n t}, by
    exp(±(1 − e^{−Knt})/(K√n)) and not at all.
    """
    per_class = _check_pair(weight, features)
    num_classes = weight.shape[0]
    settled = -math.expm1(-num_classes * per_class * time)
    slow = settled / (num_classes * math.sqrt(per_class))
    fast = math.sqrt(per_class) * time
    exponents = {"grow": fast, "decay": -fast, "mean_grow": slow, "mean_decay": -slow, "still": 0.0}
    parts = eigenspace_projections(weight, features)
    grown = [
        np.sum([math.exp(exponents[name]) * parts[name][side] for name in EIGENSPACES], axis=0)
        for side in (0, 1)
    ]
    return Point(*grown, bias=np.full(num_classes, settled / num_classes))


def linearised_bound(weight: np.ndarray, features: np.ndarray) -> float:
    """e^{1/(K√n)} ‖Π_{T⊥}(W, H)‖: never exceeded by ‖(W, H)(t) − e^{√n t} Π_T(W, H)‖.

    It holds for the linearised flow at every t ≥ 0 (mixon2022 Theorem 2).
    """
    per_class = _check_pair(weight, features)
    parts = eigenspace_projections(weight, features)
    off = sum(
        float(np.sum(w**2) + np.sum(h**2)) for name, (w, h) in parts.items() if name != "grow"
    )
    return math.exp(1.0 / (weight.shape[0] * math.sqrt(per_class))) * math.sqrt(off)


def on_invariant_subspace(weight: np.ndarray, per_class: int, bias_level: float = 0.0) -> Point:
    """The point of S with this classifier's centred part: h_ki = w_k/√n, b = ``bias_level``·1.

    S = {H = (W ⊗ 1)ᵀ/√n, 1ᵀW = 0, b ∈ span 1} in mixon2022's orientation.
    """
    weight = _centred(weight)
    return Point(weight, _spread(weight, per_class), np.full(weight.shape[0], float(bias_level)))


def exact_solution(point: Point, time: float) -> Point:
    """Gradient flow from a point of the invariant subspace S, exactly (mixon2022 Theorem 3).

    Singular vectors of W stay; each squared singular value obeys λ' = 2λ(√n − λ), hence
    λ(t) = √n / (1 + (√n/λ₀ − 1) e^{−2√n t}); the bias is (1 − (1 − K b₀) e^{−Knt})/K. A singular
    value that is zero to rounding stays zero: a start of lower rank ends at WWᵀ = √n(I − Π), Π the
    projection onto the kernel of W₀ᵀ.

    Raises ``ValueError`` when ``point`` is off S by more than rounding.
    """
    num_classes = point.weight.shape[0]
    per_class = _check_pair(point.weight, point.features)
    if distance_to_invariant_subspace(point) > 1e-12:
        raise ValueError("point must lie on the invariant subspace S, see on_invariant_subspace")
    left, singular, right = np.linalg.svd(point.weight, full_matrices=False)
    rounding = max(point.weight.shape) * np.finfo(float).eps * singular[0]
    singular = np.where(singular > rounding, singular, 0.0)
    singular = logistic_singular_values(singular, per_class, time)
    level = float(point.bias.mean())
    settled = (
        1.0 - (1.0 - num_classes * level) * math.exp(-num_classes * per_class * time)
    ) / num_classes
    return on_invariant_subspace((left * singular) @ right, per_class, settled)


def logistic_singular_values(singular: np.ndarray, per_class: int, time: float) -> np.ndarray:
    """Singular values of W at ``time`` on S, from those at 0; zeros stay zero."""
    root = math.sqrt(per_class)
    squares = np.square(singular)
    decay = math.exp(-2.0 * root * time)
    below = squares + (root - squares) * decay
    return np.sqrt(root * squares / np.where(squares > 0, below, 1.0))  # e^{−2√n t} underflows


def small_start_limit(weight: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Where W ends when (W, H) starts as ε times this pair, ε → 0: n^{1/4} U Vᵀ.

    UΣVᵀ is the singular value decomposition of the classifier in Π_T(W, H), cut to the K − 1
    directions that grow (mixon2022 Theorems 2 and 3(c)). The limit satisfies (SNC1).

    Raises ``ValueError`` when Π_T(W, H) has rank below K − 1, where mixon2022 gives no limit.
    """
    per_class = _check_pair(weight, features)
    growing, _ = eigenspace_projections(weight, features)["grow"]
    rank = weight.shape[0] - 1
    left, singular, right = np.linalg.svd(growing)
    if singular.size < rank or singular[rank - 1] <= 1e-12 * singular[0]:
        raise ValueError(
            f"the growing part of the start must have rank K - 1 = {rank}, "
            f"but its singular values are {singular.tolist()}"
        )
    return per_class**0.25 * left[:, :rank] @ right[:rank]


def risk(point: Point) -> float:
    """½ ‖H Wᵀ + 1bᵀ − Y‖_F², Y the one-hot labels (mixon2022 §2)."""
    per_class = _check_pair(point.weight, point.features)
    targets = np.repeat(np.eye(point.weight.shape[0]), per_class, axis=0)
    return 0.5 * float(np.sum((point.features @ point.weight.T + point.bias - targets) ** 2))


def risk_split(point: Point) -> tuple[float, float]:
    """½‖WWᵀ − √n C_K‖_F² and (Kn/2)‖b − 1/K‖²: on S they add up to the risk (mixon2022 Lemma 4)."""
    num_classes = point.weight.shape[0]
    per_class = _check_pair(point.weight, point.features)
    residuals = strong_collapse_residuals(point)
    return 0.5 * residuals["snc1"] ** 2, 0.5 * num_classes * per_class * residuals["snc3"] ** 2


def strong_collapse_residuals(point: Point) -> dict[str, float]:
    """The three errors of mixon2022 Figure 1.

    snc1 = ‖WWᵀ − √n C_K‖_F, snc2 = ‖H − (W ⊗ 1)ᵀ/√n‖_F / ‖H‖_F, snc3 = ‖b − 1/K‖₂.
    Raises ``ValueError`` at H = 0, where snc2 is undefined.
    """
    per_class = _check_pair(point.weight, point.features)
    labels = np.repeat(np.arange(point.weight.shape[0]), per_class)
    summary = ClassStats.from_arrays(point.features, labels).finish()
    return {
        "snc1": snc1(summary, point.weight),
        "snc2": snc2(summary, point.weight),
        "snc3": snc3(summary, point.weight, point.bias),
    }


def project_to_invariant_subspace(point: Point) -> Point:
    """Orthogonal projection Π_S onto the invariant subspace S of mixon2022 Theorem 3."""
    weight, features = eigenspace_projections(point.weight, point.features)["grow"]
    return Point(weight, features, np.full_like(point.bias, point.bias.mean()))


def distance_to_invariant_subspace(point: Point) -> float:
    """‖Z − Π_S Z‖/‖Z‖, the relative distance of mixon2022 Figure 2.

    Raises ``ValueError`` at the origin, which has no relative distance.
    """
    near = project_to_invariant_subspace(point)
    pairs = [(point.weight, near.weight), (point.features, near.features), (point.bias, near.bias)]
    size = math.sqrt(sum(float(np.sum(own**2)) for own, _ in pairs))
    if size == 0.0:
        raise ValueError("the point is the origin, so its relative distance to S is undefined")
    return math.sqrt(sum(float(np.sum((own - other) ** 2)) for own, other in pairs)) / size


def _check_pair(weight: np.ndarray, features: np.ndarray) -> int:
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
    if num_samples % num_classes:
        raise ValueError(
            f"features must hold the same number of samples of each of {num_classes} classes, "
            f"but there are {num_samples}"
        )
    return num_samples // num_classes


def _class_sums(features: np.ndarray, num_classes: int) -> np.ndarray:
    grouped = features.reshape(num_classes, -1, features.shape[1])
    return grouped.sum(axis=1) / math.sqrt(grouped.shape[1])


def _spread(sums: np.ndarray, per_class: int) -> np.ndarray:
    return np.repeat(sums, per_class, axis=0) / math.sqrt(per_class)


def _centred(rows: np.ndarray) -> np.ndarray:
    return rows - rows.mean(axis=0)


def _mean(rows: np.ndarray) -> np.ndarray:
    return np.broadcast_to(rows.mean(axis=0), rows.shape)
