"""Where collapse of a Gaussian mixture becomes possible: the exact boundary and the known bounds.

All ratios are δ = d/n with n the size of the target class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from ncollapse._checks import check_finite
from ncollapse.data.synthetic import class_sizes

NEWTON_STEPS = 200
NOISE_RANGE = (1e-9, 1e9)
"""σ over the largest mean coordinate: beyond these δ* equals its limit to rounding, because it
differs from it by O(σ² log 1/σ) at small and O(σ⁻²) at large noise."""


@dataclass(frozen=True, eq=False)
class PhaseBoundary:
    """δ∗ for each noise level: collapse of the target class is feasible above, infeasible below.

    ``ratio`` has the shape of ``sigma``; ``minimiser`` (..., r) is the optimal a, the direction of
    the typical β at the transition within the span of the means.
    """

    sigma: np.ndarray
    ratio: np.ndarray
    minimiser: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        return {
            "sigma": self.sigma.tolist(),
            "ratio": self.ratio.tolist(),
            "minimiser": self.minimiser.tolist(),
        }


def expected_square_excess(mean: Any, deviation: Any) -> Any:
    """E(m + s g)₊² = (m² + s²)Φ(m/s) + m s φ(m/s) for g ~ N(0, 1), s > 0, elementwise."""
    ratio = mean / deviation
    return (mean**2 + deviation**2) * ndtr(ratio) + mean * deviation * normal_density(ratio)


def phase_boundary(means: Any, sigma: Any, counts: Any = None, target: int = 0) -> PhaseBoundary:
    """δ∗(σ) = min_a 1 + ‖a‖² + σ⁻²[(−⟨μ_t, a⟩)₊² + Σ_{k≠t} (n_k/n_t) E(⟨μ_k, a⟩ + σ√(1+‖a‖²)g)₊²].

    For x = μ_k + σz, z ~ N(0, I_d), the class ``target`` can be mapped to 1 and all others below 0
    with high probability iff d/n_t > δ∗ (Gaussian min–max comparison; the derivation is in
    docs/certify.md). σ → ∞ gives (K + 1)/2 for equal sizes, hong2025's Gordon bound; σ → 0 gives 1
    when the target's mean is separated from the others. Noise beyond `NOISE_RANGE` times the means
    has the limit's δ* and its minimiser, scaled as the limit scales.

    Parameters
    ----------
    means
        ``(K, r)`` class means.
    sigma
        Noise level or array of them, each above 0.
    counts
        Class sizes ``(K,)``; equal ones by default. Only their ratios matter.
    target
        Index of the class to be mapped to 1.

    Raises
    ------
    ValueError
        Means that are not a finite matrix with at least two rows, sigma ≤ 0, an unknown target.
    """
    centres = _check_means(means)
    levels = check_levels("sigma", sigma)
    if not 0 <= target < len(centres):
        raise ValueError(f"target must be one of 0 … {len(centres) - 1}, but it is {target!r}")
    sizes = class_sizes(1 if counts is None else counts, len(centres))
    weights = np.delete(sizes / sizes[target], target)
    scale = float(np.abs(centres).max()) or 1.0
    own, others = centres[target] / scale, np.delete(centres, target, axis=0) / scale
    with np.errstate(over="ignore", divide="ignore"):
        relative = levels / scale
        noise = np.clip(relative, *NOISE_RANGE)
        beyond = np.minimum(relative / noise, noise / relative)
    ratio = np.empty(levels.shape)
    minimiser = np.empty((*levels.shape, centres.shape[1]))
    point = np.zeros(centres.shape[1])
    for flat in np.argsort(-noise, axis=None):
        place = np.unravel_index(flat, levels.shape)
        unit = min(float(noise[place]), 1.0)
        share = unit / float(noise[place])
        objective = _Objective(share * own, share * others, weights, unit)
        point, ratio[place] = _minimise(objective, point)
        minimiser[place] = unit * beyond[place] * point
    return PhaseBoundary(levels, ratio, minimiser)


@dataclass(frozen=True)
class _Objective:
    """1 + c²‖α‖² + (−⟨m_t, α⟩)₊² + Σ (n_k/n_t) E(⟨m_k, α⟩ + √(1 + c²‖α‖²) g)₊².

    That is the formula of `phase_boundary` at a = cα, with c = min(σ, 1) and m_k = cμ_k/σ.
    """

    own: np.ndarray
    others: np.ndarray
    weights: np.ndarray
    unit: float

    def value(self, point: np.ndarray) -> float:
        square = 1.0 + self.unit**2 * (point @ point)
        excess = expected_square_excess(self.others @ point, np.sqrt(square))
        return float(square + min(self.own @ point, 0.0) ** 2 + self.weights @ excess)

    def derivatives(self, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian, by the chain rule through m = ⟨m_k, α⟩ and s = √(1 + c²‖α‖²)."""
        identity = self.unit**2 * np.eye(len(point))
        deviation = np.sqrt(1.0 + self.unit**2 * (point @ point))
        mean = self.others @ point
        ratio = mean / deviation
        inside, density = ndtr(ratio), normal_density(ratio)
        towards = self.unit**2 * point / deviation
        curvature = (identity - np.outer(towards, towards)) / deviation
        by_deviation = 2.0 * deviation * float(self.weights @ inside)
        below = min(self.own @ point, 0.0)
        gradient = 2.0 * self.unit**2 * point + 2.0 * below * self.own
        gradient += self.others.T @ (self.weights * 2.0 * (mean * inside + deviation * density))
        gradient += towards * by_deviation
        mixed = np.outer(self.others.T @ (self.weights * 2.0 * density), towards)
        hessian = 2.0 * identity + mixed + mixed.T + curvature * by_deviation
        hessian += self.others.T @ (self.others * (self.weights * 2.0 * inside)[:, None])
        twice = float(self.weights @ (2.0 * inside - 2.0 * ratio * density))
        hessian += np.outer(towards, towards) * twice
        if below < 0:
            hessian += 2.0 * np.outer(self.own, self.own)
        return gradient, hessian


def _minimise(objective: _Objective, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Newton's method with halved steps, on a convex objective of at least 1.

    Its curvature vanishes to rounding in directions that no longer matter at small noise, so steps
    are the shortest solutions.
    """
    point, value = start, objective.value(start)
    for _ in range(NEWTON_STEPS):
        gradient, hessian = objective.derivatives(point)
        step = -np.linalg.lstsq(hessian, gradient)[0]
        decrease = float(gradient @ step)
        if -decrease <= 1e-15 * value:
            break
        share = 1.0
        while (reached := objective.value(point + share * step)) > value + 1e-4 * share * decrease:
            share *= 0.5
            if share < 1e-12:
                return point, value
        point, value = point + share * step, reached
    return point, value


def gordon_bound(num_classes: int, samples: int | None = None) -> float:
    """(K + 1)/2 + 2√((K − 1) log n / n) + (K + 2 log n)/n: enough for collapse (hong2025 (2.17)).

    Without ``samples`` n the limit (K + 1)/2.
    """
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, but it is {num_classes}")
    half = (num_classes + 1) / 2
    if samples is None:
        return half
    log = _log_samples(samples)
    spread = 2.0 * np.sqrt((num_classes - 1) * log / samples)
    return float(half + spread + (num_classes + 2.0 * log) / samples)


def union_bound(means: Any, sigma: Any, samples: int, *, epsilon: float = 0.0) -> np.ndarray:
    """Least d/n at which hong2025 Theorem 4 guarantees collapse of two classes; inf if at none."""
    return _ratio_from_noise(sigma, _union_factor(means, samples, epsilon))


def union_bound_noise(means: Any, ratio: Any, samples: int, *, epsilon: float = 0.0) -> np.ndarray:
    """Largest σ with 2σ√(log n) ≤ −f* (hong2025 Theorem 4, (4.8)); 0 where d ≤ n.

    −f* = (1 − ε)√((d − n)/d) min‖μ‖ if cos θ < −4ε/(1 − ε)², else that times
    √(1 − (|cos θ| + 4ε/(1 − ε)²)²).
    """
    return _noise_from_ratio(ratio, _union_factor(means, samples, epsilon))


def theorem5a_bound(means: Any, sigma: Any, samples: int, *, epsilon: float = 0.0) -> np.ndarray:
    """Least d/n at which hong2025 Theorem 5(a) guarantees collapse; inf if at none."""
    return _ratio_from_noise(sigma, _theorem5a_factor(means, samples, epsilon))


def theorem5a_noise(means: Any, ratio: Any, samples: int, *, epsilon: float = 0.0) -> np.ndarray:
    """σ < ½√(((1−ε)² − 4Kε)(d − n)σ_min²(Π)/((K − 1) d log(Kn))) (hong2025 Theorem 5(a))."""
    return _noise_from_ratio(ratio, _theorem5a_factor(means, samples, epsilon))


def _union_factor(means: Any, samples: int, epsilon: float) -> float:
    centres = _check_means(means)
    if len(centres) != 2:
        raise ValueError(f"means must hold two classes for Theorem 4, but it holds {len(centres)}")
    norms = np.linalg.norm(centres, axis=1)
    if norms.min() == 0:
        return 0.0
    loss = 4.0 * check_epsilon(epsilon) / (1.0 - epsilon) ** 2
    cosine = float(centres[0] @ centres[1] / norms.prod())
    shape = 1.0
    if cosine >= -loss:
        shape = np.sqrt(max(0.0, 1.0 - (abs(cosine) + loss) ** 2))
    return float((1.0 - epsilon) * norms.min() * shape / (2.0 * np.sqrt(_log_samples(samples))))


def _theorem5a_factor(means: Any, samples: int, epsilon: float) -> float:
    centres = _check_means(means)
    num_classes = len(centres)
    if centres.shape[1] < num_classes:
        return 0.0
    smallest = float(np.linalg.svd(centres, compute_uv=False)[-1])
    kept = max(0.0, (1.0 - check_epsilon(epsilon)) ** 2 - 4.0 * num_classes * epsilon)
    log = np.log(num_classes) + _log_samples(samples)
    return float(0.5 * smallest * np.sqrt(kept / ((num_classes - 1) * log)))


def _noise_from_ratio(ratio: Any, factor: float) -> np.ndarray:
    ratios = check_levels("ratio", ratio)
    return factor * np.sqrt(np.maximum(ratios - 1.0, 0.0) / ratios)


def _ratio_from_noise(sigma: Any, factor: float) -> np.ndarray:
    levels = check_levels("sigma", sigma)
    ratio = np.full(levels.shape, np.inf)
    below = levels < factor
    ratio[below] = 1.0 / (1.0 - (levels[below] / factor) ** 2)
    return ratio


def normal_density(value: Any) -> Any:
    """φ(x), the density of N(0, 1)."""
    return np.exp(-0.5 * np.square(value)) / np.sqrt(2.0 * np.pi)


def _check_means(means: Any) -> np.ndarray:
    centres = np.asarray(means, dtype=np.float64)
    if centres.ndim != 2 or centres.shape[0] < 2 or centres.shape[1] < 1:
        raise ValueError(
            "means must be a matrix (K, r) with at least two rows, "
            f"but its shape is {centres.shape}"
        )
    check_finite("means", centres)
    return centres


def check_levels(name: str, value: Any) -> np.ndarray:
    """``value`` as float64, or ``ValueError`` unless every entry is positive and finite."""
    levels = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(levels).all() and (levels > 0).all()):
        raise ValueError(f"{name} must be positive and finite, but it is {value!r}")
    return levels


def check_epsilon(epsilon: float) -> float:
    """``epsilon`` if it lies in [0, 1)."""
    if not 0.0 <= epsilon < 1.0:
        raise ValueError(f"epsilon must be at least 0 and below 1, but it is {epsilon!r}")
    return epsilon


def _log_samples(samples: int) -> float:
    if samples < 2:
        raise ValueError(f"samples must be at least 2, but it is {samples!r}")
    return float(np.log(samples))
