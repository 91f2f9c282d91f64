"""Why Theorem 2(a) of hong2025 is optimal, what it says of two classes, and of unequal ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax

from ncollapse.theory.minimisers import (
    Minimiser,
    collapse_threshold,
    dual_matrix,
    minimiser,
    primal_matrix,
)
from ncollapse.theory.predict import predict

COUNTS = (7, 3, 2)
SHARE, RATIO = 0.2, 4.0
"""√(λ_W λ_H) as a share of the threshold, and λ_W/λ_H."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The lowest end of a projected quasi-Newton method on (2.6): W ``(K, D)``, H ``(N, D)``."""

    weight: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    risk: float

    @property
    def means(self) -> np.ndarray:
        count = len(self.weight)
        return np.array([self.features[self.labels == k].mean(axis=0) for k in range(count)])

    @property
    def margins(self) -> np.ndarray:
        """Own logit of each class mean less the mean of the others."""
        logits = self.means @ self.weight.T
        own = np.diag(logits)
        return own - (logits.sum(axis=1) - own) / (len(logits) - 1)


@dataclass(frozen=True, eq=False)
class Optimality:
    """Multipliers of a balanced minimiser, and minima found by a general method.

    ``point`` has K = 3, n = 4. ``pair`` is the minimum for two equal classes of 4, ``theory`` its
    Theorem 2(a); ``unequal`` that for `COUNTS`, and the last four what theory has for it: risk
    and margins of the closed form, and those of equal classes of N/K.
    """

    point: Minimiser
    pair: Optimum
    theory: Minimiser
    unequal: Optimum
    unequal_risk: float
    unequal_margins: np.ndarray
    balanced_risk: float
    balanced_margins: np.ndarray

    def slackness(self, strength: float = 1.0) -> tuple[float, float]:
        """Least eigenvalue of S and norm of SQ, both relative, with ``strength`` times t of (4.4).

        ⟨B, V⟩ = 0 holds for every t: B and V have disjoint supports.
        """
        count, per_class = self.point.num_classes, self.point.per_class
        across = np.kron(1.0 - np.eye(count), np.ones((per_class, per_class)))
        dual, primal = dual_matrix(self.point), primal_matrix(self.point)
        added = (strength - 1.0) * self.point.lambda_h / (per_class * (count - 1))
        dual[count:, count:] -= 0.5 * added * across
        product = np.linalg.norm(dual @ primal)
        sizes = np.linalg.norm(dual), np.linalg.norm(primal)
        eigenvalues = np.linalg.eigvalsh(dual)
        return float(eigenvalues[0] / eigenvalues[-1]), float(product / (sizes[0] * sizes[1]))

    @property
    def quotient(self) -> float:
        """a/b at the minimum of two classes: logits and class means measured."""
        logits = self.pair.means @ self.pair.weight.T
        size = logits[0, 0] - logits[0, 1]
        return float(size / np.mean(np.sum(self.pair.means**2, axis=1)))

    def predicted_quotient(self, printed: bool = False) -> float:
        """√(nKλ_H/((K−1)λ_W)); or √(nK/(K−1))·λ_H/λ_W as (4.5) prints it."""
        shape = self.theory.per_class * self.theory.num_classes / (self.theory.num_classes - 1)
        decay = self.theory.lambda_h / self.theory.lambda_w
        return math.sqrt(shape) * (decay if printed else math.sqrt(decay))

    @property
    def two_class_form(self) -> np.ndarray:
        """How far (2.22) is from holding, relative: α¹ + α², α along h̄₁ − h̄₂, shared support."""
        first, second = self.pair.weight
        means = self.pair.means
        return np.array(
            [
                np.linalg.norm(first + second) / np.linalg.norm(first),
                1.0 - _cosine(first, means[0] - means[1]),
                _cosine(means[0], means[1]),
            ]
        )

    @property
    def one_sided_form(self) -> np.ndarray:
        """The same with α along h̄₁ alone."""
        form = self.two_class_form
        form[1] = 1.0 - _cosine(self.pair.weight[0], self.pair.means[0])
        return form

    def to_dict(self) -> dict[str, Any]:
        eigenvalue, product = self.slackness()
        return {
            "smallest_eigenvalue": eigenvalue,
            "complementarity": product,
            "quotient": self.quotient,
            "two_class_form": self.two_class_form.tolist(),
            "pair_risk": [self.pair.risk, self.theory.risk],
            "counts": list(COUNTS),
            "unequal_risk": [self.unequal.risk, self.unequal_risk],
            "margins": self.unequal.margins.tolist(),
            "predicted_margins": self.unequal_margins.tolist(),
            "balanced_margins": self.balanced_margins.tolist(),
        }


def compute(*, starts: int, seed: int) -> Optimality:
    """Minimise from ``starts`` random starts in twice as many dimensions as classes."""
    level = SHARE * collapse_threshold("upfm-ce", num_classes=3, per_class=4)
    decays = {"lambda_w": level * math.sqrt(RATIO), "lambda_h": level / math.sqrt(RATIO)}
    of_decays: dict[str, Any] = {
        "weight_decay": decays["lambda_w"],
        "feature_decay": decays["lambda_h"],
    }
    unequal, balanced = (
        predict(counts, features="nonnegative", **of_decays)
        for counts in (COUNTS, (sum(COUNTS) // len(COUNTS),) * len(COUNTS))
    )
    return Optimality(
        point=minimiser("upfm-ce", num_classes=3, per_class=4, **decays),
        pair=best_minimum((4, 4), starts=starts, seed=seed, **decays),
        theory=minimiser("upfm-ce", num_classes=2, per_class=4, **decays),
        unequal=best_minimum(COUNTS, starts=starts, seed=seed, **decays),
        unequal_risk=unequal.risk,
        unequal_margins=unequal.margins,
        balanced_risk=balanced.risk,
        balanced_margins=balanced.margins,
    )


def best_minimum(
    counts: tuple[int, ...], *, lambda_w: float, lambda_h: float, starts: int, seed: int
) -> Optimum:
    """Lowest of several minima of (2.6) over W and H ≥ 0, for classes of any sizes (L-BFGS-B)."""
    classes, dim = len(counts), 2 * len(counts)
    labels = np.repeat(np.arange(classes), counts)
    shapes = (classes, dim), (len(labels), dim)
    cut = classes * dim
    hot = np.eye(classes)[labels]

    def risk(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, features = flat[:cut].reshape(shapes[0]), flat[cut:].reshape(shapes[1])
        logits = features @ weight.T
        losses = np.logaddexp.reduce(logits, axis=1) - logits[hot > 0]
        slope = (softmax(logits, axis=1) - hot) / len(labels)
        gradients = slope.T @ features + lambda_w * weight, slope @ weight + lambda_h * features
        decay = 0.5 * (lambda_w * np.sum(weight**2) + lambda_h * np.sum(features**2))
        return losses.mean() + decay, np.concatenate([part.ravel() for part in gradients])

    bounds = [(None, None)] * cut + [(0.0, None)] * (len(labels) * dim)
    generator = np.random.default_rng(seed)
    ends = []
    for _ in range(starts):
        start = generator.standard_normal(len(bounds))
        start[cut:] = np.abs(start[cut:])
        options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-10, "maxcor": 30}
        ends.append(
            minimize(risk, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        )
    best = min(ends, key=lambda end: end.fun)
    weight, features = best.x[:cut].reshape(shapes[0]), best.x[cut:].reshape(shapes[1])
    return Optimum(weight, features, labels, float(best.fun))


def _cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
