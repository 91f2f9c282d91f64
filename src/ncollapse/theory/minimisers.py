"""Global minimisers of regularised models with free nonnegative features, in closed form.

For N = Kn samples, n a class, features H ≥ 0 of shape ``(N, D)`` and a classifier W ``(K, D)``,

    upfm-ce:  (1/N) Σ_i ce(W h_i, y_i)       + λ_W/2 ‖W‖_F² + λ_H/2 ‖H‖_F²     (hong2025 (2.6))
    upfm-l2:  (1/2N) Σ_i ‖W h_i − e_{y_i}‖²  + λ_W/2 ‖W‖_F² + λ_H/2 ‖H‖_F²     (hong2025 (2.7))

have the minimisers of hong2025 Theorem 2. Its W and H are the transposes of ours, its display of
part (b) has √(nKλ) where the proof has √n·K·λ, and the proof's is what is computed here.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ncollapse._checks import check_positive
from ncollapse.geometry import centring_matrix
from ncollapse.theory.layer_peeled import check_counts

MODELS = ("upfm-ce", "upfm-l2")


@dataclass(frozen=True)
class Optimality:
    """Evidence that a collapsed point minimises the model over every W and every H ≥ 0.

    With Z, U, V standing for WHᵀ, WWᵀ, HHᵀ (in our orientation) the model relaxes to a convex
    problem over Q = [[U, Z], [Zᵀ, V]] ⪰ 0, V ≥ 0. The point is optimal if a multiplier S ⪰ 0 of
    the cone has SQ = 0, and a multiplier B ≥ 0 of V ≥ 0 has ⟨B, V⟩ = 0 (hong2025 (4.2)).

    Attributes
    ----------
    smallest_eigenvalue
        of S, zero to rounding (Q has rank K, so S is singular there).
    complementarity
        ‖SQ‖_F / (‖S‖_F ‖Q‖_F), zero to rounding; 0 where Q = 0.
    """

    smallest_eigenvalue: float
    complementarity: float
    largest_eigenvalue: float

    def holds(self, tolerance: float = 1e-12) -> bool:
        """Whether S ⪰ 0 and SQ = 0 to ``tolerance``, relative to the norms of S and Q."""
        return (
            self.smallest_eigenvalue >= -tolerance * self.largest_eigenvalue
            and self.complementarity <= tolerance
        )


@dataclass(frozen=True)
class Minimiser:
    """A global minimiser, up to the choice of the orthogonal frame that the means lie on.

    Attributes
    ----------
    a, b
        class means M̄ satisfy M̄M̄ᵀ = b I and WM̄ᵀ = a C_K (upfm-ce) or a I (upfm-l2).
        Both are 0 when regularisation wins: then W = 0, H = 0 is the minimiser.
    threshold
        the minimiser is not zero, hence collapsed, exactly when √(λ_W λ_H) is below this.
    metrics
        predicted value of every collapse metric; empty at the zero minimiser, where none of
        them is defined.
    """

    model: str
    num_classes: int
    per_class: int
    lambda_w: float
    lambda_h: float
    a: float
    b: float
    risk: float
    threshold: float
    metrics: dict[str, float]
    optimality: Optimality

    @property
    def collapsed(self) -> bool:
        return self.a > 0.0

    def weight_gram(self) -> np.ndarray:
        """WWᵀ, shape ``(K, K)``: (a²/b) C_K for upfm-ce, (a²/b) I for upfm-l2."""
        shape = _logit_shape(self.model, self.num_classes)
        return (self.a**2 / self.b if self.collapsed else 0.0) * shape

    def mean_gram(self) -> np.ndarray:
        """M̄M̄ᵀ = b I, shape ``(K, K)``."""
        return self.b * np.eye(self.num_classes)

    def logits(self) -> np.ndarray:
        """Logits of each class's samples, shape ``(K, K)``: a C_K or a I."""
        return self.a * _logit_shape(self.model, self.num_classes)

    def construct(self, dim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """An actual minimiser (W, H): means on the first K axes, samples sorted by class.

        Returns ``weight (K, D)`` and ``features (K n, D)``; D is K unless ``dim`` says otherwise.

        Raises
        ------
        ValueError
            D < K: K nonzero nonnegative vectors at right angles have disjoint supports, so they
            need K dimensions.
        """
        dim = self.num_classes if dim is None else dim
        if dim < self.num_classes:
            raise ValueError(
                f"dim must be at least num_classes = {self.num_classes} (orthogonal nonnegative "
                f"means have disjoint supports), but it is {dim}"
            )
        means = math.sqrt(self.b) * np.eye(self.num_classes, dim)
        scale = self.a / self.b if self.collapsed else 0.0
        weight = scale * _logit_shape(self.model, self.num_classes) @ means
        return weight, np.repeat(means, self.per_class, axis=0)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, with the smallest eigenvalue of its `Optimality` beside that."""
        fields = asdict(self)
        fields["collapsed"] = self.collapsed
        fields["smallest_eigenvalue"] = self.optimality.smallest_eigenvalue
        return fields


def minimiser(
    model: str, *, num_classes: int, per_class: int, lambda_w: float, lambda_h: float
) -> Minimiser:
    """Global minimiser of ``"upfm-ce"`` or ``"upfm-l2"`` (hong2025 Theorem 2, slips corrected).

    With λ = √(λ_W λ_H):

        upfm-ce:  a = max(0, log((K−1)[1/(λ√(nK(K−1))) − 1])),  b = a √((K−1) λ_W / (nK λ_H))
        upfm-l2:  a = max(0, 1 − √n K λ),                       b = a √(λ_W / (n λ_H))

    Raises
    ------
    ValueError
        an unknown model, fewer than two classes, no sample in a class, or a regularisation that
        is not positive (without it the infimum is not attained by upfm-ce).
    """
    threshold = collapse_threshold(model, num_classes=num_classes, per_class=per_class)
    lambda_w = check_positive("lambda_w", lambda_w)
    lambda_h = check_positive("lambda_h", lambda_h)
    strength = _strength(model, num_classes, per_class, lambda_w, lambda_h)
    balance = math.sqrt(lambda_w) / math.sqrt(lambda_h) / math.sqrt(per_class)
    if model == "upfm-ce":
        pairs = per_class * num_classes * (num_classes - 1)
        log_strength = 0.5 * (math.log(pairs) + math.log(lambda_w) + math.log(lambda_h))
        a, risk = _cross_entropy(strength, log_strength, num_classes)
        balance *= math.sqrt((num_classes - 1) / num_classes)
    else:
        a, risk = _squared(strength)
    b = a * balance
    return Minimiser(
        model=model,
        num_classes=num_classes,
        per_class=per_class,
        lambda_w=lambda_w,
        lambda_h=lambda_h,
        a=a,
        b=b,
        risk=risk,
        threshold=threshold,
        metrics=_predicted_metrics(model, num_classes) if a > 0.0 else {},
        optimality=_optimality(model, num_classes, per_class, lambda_w, lambda_h, a, b),
    )


def collapse_threshold(model: str, *, num_classes: int, per_class: int) -> float:
    """The value of √(λ_W λ_H) at which the minimiser reaches zero.

    √((K−1)/(nK³)) for upfm-ce, 1/(√n K) for upfm-l2 (hong2025 Theorem 2). Raises ``ValueError``
    for an unknown model, fewer than two classes or no sample in a class.
    """
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}, but it is {model!r}")
    check_counts(num_classes, per_class)
    if model == "upfm-ce":
        return math.sqrt((num_classes - 1) / (per_class * num_classes**3))
    return 1.0 / (math.sqrt(per_class) * num_classes)


def dual_matrix(point: Minimiser) -> np.ndarray:
    """The multiplier S of :class:`Optimality` as a dense ``(K + N, K + N)`` matrix.

    S = ½ [[λ_W I, G], [Gᵀ, λ_H I − B]], G the derivative of the data term with respect to the
    logits and B = t (J_K − I_K) ⊗ J_n, with t = λ_H/(n(K−1)) for upfm-ce (hong2025 (4.4)) and
    t = 0 for upfm-l2, which needs no help from positivity.
    """
    num_classes, per_class = point.num_classes, point.per_class
    coupling, positivity = _multipliers(
        point.model, num_classes, per_class, point.lambda_w, point.lambda_h
    )
    logit_gradient = -coupling * np.repeat(
        _logit_shape(point.model, num_classes), per_class, axis=1
    )
    across = np.kron(1.0 - np.eye(num_classes), np.ones((per_class, per_class)))
    lower = point.lambda_h * np.eye(num_classes * per_class) - positivity * across
    upper = point.lambda_w * np.eye(num_classes)
    return 0.5 * np.block([[upper, logit_gradient], [logit_gradient.T, lower]])


def primal_matrix(point: Minimiser) -> np.ndarray:
    """Q = [[WWᵀ, WHᵀ], [HWᵀ, HHᵀ]] of the minimiser, dense ``(K + N, K + N)``."""
    weight, features = point.construct()
    stacked = np.concatenate([weight, features])
    return stacked @ stacked.T


def _logit_shape(model: str, num_classes: int) -> np.ndarray:
    return centring_matrix(num_classes) if model == "upfm-ce" else np.eye(num_classes)


def _strength(
    model: str, num_classes: int, per_class: int, lambda_w: float, lambda_h: float
) -> float:
    """q = √(nK(K−1)) λ for upfm-ce and √n K λ for upfm-l2, λ = √(λ_W λ_H)."""
    other = num_classes - 1 if model == "upfm-ce" else num_classes
    return math.sqrt(per_class * num_classes * other) * math.sqrt(lambda_w) * math.sqrt(lambda_h)


def _cross_entropy(strength: float, log_strength: float, num_classes: int) -> tuple[float, float]:
    """a and the risk: a = log((K−1)(1/q − 1)), risk = −log(1 − q) + qa while q < (K−1)/K."""
    if strength >= (num_classes - 1) / num_classes:
        return 0.0, math.log(num_classes)
    kept = math.log1p(-strength)
    a = max(0.0, math.log(num_classes - 1) - log_strength + kept)
    return a, strength * a - kept


def _squared(strength: float) -> tuple[float, float]:
    """a and the risk: a = 1 − q, risk = q²/2 + qa while q < 1."""
    lost = min(strength, 1.0)
    return 1.0 - lost, 0.5 * lost**2 + lost * (1.0 - lost)


def _multipliers(
    model: str,
    num_classes: int,
    per_class: int,
    lambda_w: float,
    lambda_h: float,
    unit: float = 1.0,
) -> tuple[float, float]:
    """(c, t) in a ``unit``: −c times the logits' shape is the data term's gradient; t scales B.

    c follows from q itself, not from a: 1 − a and K − 1 + e^a lose every digit at small λ.
    """
    strength = _strength(model, num_classes, per_class, lambda_w / unit, lambda_h / unit)
    most = 1.0 / unit
    if model == "upfm-l2":
        return min(strength, most) / (num_classes * per_class), 0.0
    pairs = per_class * (num_classes - 1)
    coupling = min(strength, most * (num_classes - 1) / num_classes) / pairs
    return coupling, lambda_h / unit / pairs


def _optimality(
    model: str,
    num_classes: int,
    per_class: int,
    lambda_w: float,
    lambda_h: float,
    a: float,
    b: float,
) -> Optimality:
    """S splits into 2×2 blocks over (W, class means): centred classes, the constant, the rest.

    The rest are deviations inside a class, where S is λ_H/2, between its extremes, and Q is 0. S is
    taken relative to the larger λ and Q to its larger diagonal, so that no square underflows.
    """
    scale = max(lambda_w, lambda_h)
    coupling, positivity = _multipliers(model, num_classes, per_class, lambda_w, lambda_h, scale)
    weight, feature = lambda_w / scale, lambda_h / scale
    reach = math.sqrt(per_class)
    of_constant = 0.0 if model == "upfm-ce" else 1.0
    centred = _block(weight, coupling * reach, feature + positivity * per_class)
    constant = _block(
        weight,
        coupling * reach * of_constant,
        feature - positivity * per_class * (num_classes - 1),
    )
    blocks = [(centred, 1.0, num_classes - 1), (constant, of_constant, 1)]
    eigenvalues = np.concatenate([np.linalg.eigvalsh(block) for block, _, _ in blocks])
    complementarity = 0.0
    if a > 0.0:
        sizes = np.array([a / math.sqrt(b), math.sqrt(b * per_class)])
        sizes /= sizes.max()
        product = primal = 0.0
        dual = num_classes * (per_class - 1) * (0.5 * feature) ** 2
        for block, share, count in blocks:
            factor = sizes * [share, 1.0]
            square = np.outer(factor, factor)
            product += count * float(np.sum((block @ square) ** 2))
            dual += count * float(np.sum(block**2))
            primal += count * float(np.sum(square**2))
        complementarity = math.sqrt(product / (dual * primal))
    return Optimality(
        smallest_eigenvalue=scale * float(eigenvalues.min()),
        complementarity=complementarity,
        largest_eigenvalue=scale * float(eigenvalues.max()),
    )


def _block(weight: float, coupling: float, feature: float) -> np.ndarray:
    return 0.5 * np.array([[weight, -coupling], [-coupling, feature]])


def _predicted_metrics(model: str, num_classes: int) -> dict[str, float]:
    """Means on an orthogonal frame; W a simplex ETF (upfm-ce) or the frame itself (upfm-l2).

    An orthogonal frame differs from its own centring by √(2 − 2√((K−1)/K)), whether normalised
    row by row or as a whole, and so do its normalised Gram matrices.
    """
    offset = 0.0
    cosine = 0.0
    if model == "upfm-l2":
        offset = math.sqrt(2.0 - 2.0 * math.sqrt((num_classes - 1) / num_classes))
        cosine = 1.0 / (num_classes - 1)
    return {
        "cdnv": 0.0,
        "directional_collapse": 0.0,
        "nc1_pinv": 0.0,
        "nc1_quotient": 0.0,
        "nc2_equiangular_means": 0.0,
        "nc2_equiangular_weight": cosine,
        "nc2_equinorm_means": 0.0,
        "nc2_equinorm_weight": 0.0,
        "nc2_etf_means": 0.0,
        "nc2_etf_weight": offset,
        "nc2_orthogonal_means": 0.0,
        "nc3_alignment": offset,
        "nc3_average": offset,
        "nc3_duality": offset,
        "nc4_agreement": 1.0,
        "within_variation": 0.0,
    }
