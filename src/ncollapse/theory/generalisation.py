"""How well a collapsed two-class network can do on new data from the mixture ±μ + σz.

A neuron β collapses class 1 if X_1β = 1 and X_2β ≤ 0; read as a classifier, its error is
Φ(−⟨μ, β⟩/(σ‖β‖)). Everything here is about the best β of that kind: its limit for large n and d,
the exact program on one sample, and hong2025's two bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize.elementwise import find_root
from scipy.special import ndtr, owens_t

from ncollapse._checks import check_finite, check_matrix, check_positive
from ncollapse.least_distance import least_distance
from ncollapse.theory.boundary import (
    NOISE_RANGE,
    check_epsilon,
    check_levels,
    expected_square_excess,
    normal_density,
)


def best_error(sigma: Any, ratio: Any, norm: float = 1.0) -> np.ndarray:
    """Least error of a collapsed neuron for n, d → ∞ with d/n = ``ratio`` and means ±μ.

    Φ(−‖μ‖a/(σ√(1 + a²))) with a the largest root of φ(a) = δ, where
    φ(a) = 1 + a² + σ⁻² E(−a‖μ‖ + σ√(1 + a²) g)₊². It lies between the two bounds of hong2025
    Theorem 7.

    Parameters
    ----------
    sigma, ratio
        Noise level and δ = d/n; arrays are broadcast against each other.
    norm
        ‖μ‖.

    Raises
    ------
    ValueError
        sigma or norm not positive; a ratio at which collapse is infeasible (below
        `ncollapse.theory.boundary.phase_boundary`), where there is no such neuron.
    """
    given, ratios = np.broadcast_arrays(_relative_noise(sigma, norm), check_levels("ratio", ratio))
    # Beyond this range a has its limit, to rounding.
    noise = np.clip(given, *NOISE_RANGE)
    # φ(a) ≥ 1 + a² and φ(0) = 3/2, so the least is at a ≤ √½.
    lowest = find_root(_steepness, (0.0, 1.0), args=(noise,)).x
    boundary = _height(lowest, noise)
    infeasible = np.flatnonzero(boundary > ratios)
    if infeasible.size:
        first = infeasible[0]
        raise ValueError(
            f"ratio must be at least the phase boundary {boundary.flat[first]:.6g} at this noise, "
            f"or no neuron collapses the data, but it is {ratios.flat[first]:.6g}"
        )
    # The root is at most √(δ − 1); the bracket is widened past rounding.
    bracket = (lowest, np.maximum(lowest, np.sqrt(ratios - 1.0)) * (1.0 + 1e-9))
    slope = find_root(
        lambda a, noise, ratio: _height(a, noise) - ratio, bracket, args=(noise, ratios)
    ).x
    with np.errstate(over="ignore"):
        return ndtr(-slope / np.sqrt(1.0 + slope**2) / given)


def _height(slope: Any, noise: Any) -> Any:
    """φ(a) at ‖μ‖ = 1."""
    length = np.sqrt(1.0 + slope**2)
    return length**2 + expected_square_excess(-slope, noise * length) / noise**2


def _steepness(slope: Any, noise: Any) -> Any:
    """φ'(a)/2 at ‖μ‖ = 1: increasing, because φ is convex."""
    length = np.sqrt(1.0 + slope**2)
    ratio = -slope / (noise * length)
    inside = ndtr(ratio)
    excess = -slope * inside + noise * length * normal_density(ratio)
    return slope + slope * inside - excess / noise**2


def theorem7a_error(
    sigma: Any, ratio: Any, samples: int, norm: float = 1.0, *, epsilon: float = 0.0
) -> np.ndarray:
    """Φ(−(1 − ε)(‖μ‖/σ)√((d − n + 1)/d)): an upper bound of the best error (hong2025 Theorem 7(a)).

    Proven where 2σ√(log n) < (1 − ε)‖μ‖√((d − n + 1)/d), that is for small noise; the curve is
    continued beyond. d = ratio·n must be at least n.
    """
    noise, dims = _relative_noise(sigma, norm), check_levels("ratio", ratio) * samples
    if (dims < samples).any():
        raise ValueError(f"ratio must be at least 1, but it is {ratio!r}")
    kept = (1.0 - check_epsilon(epsilon)) * np.sqrt((dims - samples + 1.0) / dims)
    return ndtr(-kept / noise)


def theorem7b_error(
    sigma: Any, ratio: Any, samples: int, norm: float = 1.0, *, c1: float = 0.0, c2: float = 0.0
) -> np.ndarray:
    """Lower bound of the error, one or two neurons alike (hong2025 (2.28), Theorems 7(b) and 8(b)).

    1 − Φ(((n/2d)(s³e^{−1/(2s²)}/√(2π) + s² + 1 − (c₁s² + c₂s)√(log n/n)) + s²)^{−1/2}), s = σ/‖μ‖.
    The paper leaves c₁, c₂ > 0 open: at 0, the default, the curve is the limit of the bound for
    large n. Stated for d ≥ 2n log n.

    This is *not* a lower bound: at c₁ = c₂ = 0 it exceeds the exact error for s below about 1 and,
    through its s³ tail, at large noise (above s ≈ 5.2, 4.8 and 4.4 at d/n = 12, 20 and 50). Its
    proof bounds G(c, γ) from above, and by its rarer first case (the "1 + s²"), where a bound from
    below is needed. `corrected_lower_error` repairs that.
    """
    s = _relative_noise(sigma, norm)
    tail = s**3 * np.exp(-0.5 / s**2) / np.sqrt(2.0 * np.pi)
    spread = (c1 * s**2 + c2 * s) * np.sqrt(np.log(samples) / samples)
    inner = (tail + s**2 + 1.0 - spread) / (2.0 * check_levels("ratio", ratio)) + s**2
    return ndtr(-(inner**-0.5))


def corrected_lower_error(sigma: Any, ratio: Any, norm: float = 1.0) -> np.ndarray:
    """1 − Φ(((s² + E(sg − 1)₊²)/(2δ) + s²)^{−1/2}): hong2025's lower bound with its proof repaired.

    min G(c, γ) concentrates at n(s² + E(sg − 1)₊²)/σ², the second case of (4.24), and ZZᵀ ⪯ 2d I
    for d ≥ 12n. The limit for large n, with s = σ/‖μ‖. In the limit it is a lower bound at every
    d/n: with a the root in `best_error`, s²/a² ≥ (s² + E(sg − 1)₊²)/(δ − 1).
    """
    s = _relative_noise(sigma, norm)
    inner = (s**2 + expected_square_excess(-1.0, s)) / (2.0 * check_levels("ratio", ratio))
    return ndtr(-((inner + s**2) ** -0.5))


def _relative_noise(sigma: Any, norm: float) -> np.ndarray:
    return check_levels("sigma", sigma) / check_positive("norm", norm)


@dataclass(frozen=True, eq=False)
class BestNeuron:
    """The collapsed neuron with the least error on one sample.

    ``beta`` has ⟨x_i, β⟩ = 1 on its class and ≤ 0 off it. ``gap`` is the relative duality gap of
    the quadratic program: ‖β‖² is at most that share above the least possible.
    """

    error: float
    beta: np.ndarray
    gap: float

    def to_dict(self) -> dict[str, Any]:
        return {"error": self.error, "beta": self.beta.tolist(), "gap": self.gap}


@dataclass(frozen=True, eq=False)
class BestPair:
    """Two collapsed neurons as a classifier, f(x) = σ(⟨β₁, x⟩) − σ(⟨β₂, x⟩).

    No pair has an error below ``lower``, the mean of the two single errors (hong2025, proof of
    Theorem 8); ``error`` is that of the pair of best neurons, ties counted as errors.
    """

    error: float
    lower: float
    first: BestNeuron
    second: BestNeuron

    def to_dict(self) -> dict[str, Any]:
        return {
            "error": self.error,
            "lower": self.lower,
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
        }


def best_neuron(own: Any, rest: Any, mean: Any, sigma: float) -> BestNeuron | None:
    """min ‖β‖² subject to ⟨μ, β⟩ = 1, X_1β = t·1 with t > 0 free, X_2β ≤ 0 (hong2025 (2.26)).

    Its solution, scaled to t = 1, maximises ⟨μ, β⟩/‖β‖ over the neurons that collapse the sample.

    Parameters
    ----------
    own, rest
        ``(n, d)`` samples of the class that is mapped to 1, ``(m, d)`` all others.
    mean
        ``(d,)`` mean μ of the class; −μ is that of the others.

    Returns
    -------
    BestNeuron or None
        None when no neuron with ⟨μ, β⟩ > 0 collapses the sample.
    """
    rows, others, centre = _check_sample(own, rest, mean)
    check_positive("sigma", sigma)
    equal = np.vstack([np.diff(rows, axis=0), centre])
    values = np.zeros(len(equal))
    values[-1] = 1.0
    left, singular, right = np.linalg.svd(equal)
    rank = int(np.count_nonzero(singular > 1e-11 * singular[0]))
    coordinates = (left.T @ values)[:rank] / singular[:rank]
    shortest = right[:rank].T @ coordinates
    if np.abs(equal @ shortest - values).max() > 1e-8:
        return None
    kernel = right[rank:].T
    inequalities = np.vstack([rows[:1], -others])
    answer = least_distance(inequalities @ kernel, -(inequalities @ shortest))
    if answer.point is None:
        return None
    beta = shortest + kernel @ answer.point
    level = float(rows[0] @ beta)
    if level <= 1e-9 * float(np.linalg.norm(rows[0]) * np.linalg.norm(beta)):
        return None
    # Weak duality for min ½‖z‖² subject to Gz ≥ h: every y ≥ 0 bounds it by hᵀy − ½‖Gᵀy‖².
    pulled = kernel.T @ (inequalities.T @ answer.multipliers)
    dual = 2.0 * float(-(inequalities @ shortest) @ answer.multipliers) - float(pulled @ pulled)
    norm = float(beta @ beta)
    gap = (norm - float(shortest @ shortest) - dual) / norm
    return BestNeuron(float(ndtr(-1.0 / (sigma * np.sqrt(norm)))), beta / level, abs(gap))


def best_pair(first: Any, second: Any, mean: Any, sigma: float) -> BestPair | None:
    """The two-neuron classifier from the best collapsed neuron of each class (hong2025 (2.24)).

    ``first`` and ``second`` are the samples of the classes with means μ and −μ. None when one class
    has no collapsed neuron.
    """
    _, _, centre = _check_sample(first, second, mean)
    one = best_neuron(first, second, centre, sigma)
    two = best_neuron(second, first, -centre, sigma)
    if one is None or two is None:
        return None
    lower = 0.5 * (one.error + two.error)
    outvoted = _outvoted(one.beta, two.beta, centre / sigma)
    outvoted += _outvoted(two.beta, one.beta, -centre / sigma)
    return BestPair(lower + 0.5 * outvoted, lower, one, two)


def _outvoted(winner: np.ndarray, other: np.ndarray, mean: np.ndarray) -> float:
    """P(0 < u ≤ v) for u = ⟨winner, x⟩, v = ⟨other, x⟩, x ~ N(mean, I): on, and overtaken."""
    ahead = other - winner
    lengths = np.linalg.norm(winner), np.linalg.norm(ahead)
    return bivariate_normal(
        float(winner @ mean / lengths[0]),
        float(ahead @ mean / lengths[1]),
        float(winner @ ahead / (lengths[0] * lengths[1])),
    )


def bivariate_normal(h: float, k: float, correlation: float) -> float:
    """P(X ≤ h, Y ≤ k) for standard normal X, Y by Owen's T function (Owen 1956).

    ½(Φ(h) + Φ(k) − [one is negative, the other not]) − T(h, (k − ρh)/(h√(1−ρ²))) − T(k, …), h and k
    exchanged. A correlation of ±1, to rounding, has its own limit.
    """
    if abs(correlation) >= 1.0:
        both = ndtr(min(h, k)) if correlation > 0 else max(0.0, ndtr(h) - ndtr(-k))
        return float(both)
    if h == k == 0.0:
        return 0.25 + float(np.arcsin(correlation)) / (2.0 * np.pi)
    root = np.sqrt((1.0 - correlation) * (1.0 + correlation))
    low, high = min(h, k), max(h, k)
    # Φ(high) − 1 is −Φ(−high), which keeps the digits of a small probability.
    half = 0.5 * (ndtr(low) + (-ndtr(-high) if low < 0.0 <= high else ndtr(high)))
    with np.errstate(divide="ignore"):
        slopes = np.divide([k - correlation * h, h - correlation * k], np.multiply([h, k], root))
    return max(0.0, float(half - owens_t([h, k], slopes).sum()))


def _check_sample(own: Any, rest: Any, mean: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = check_matrix("own", np.asarray(own, dtype=np.float64), columns="dimensions")
    others = check_matrix("rest", np.asarray(rest, dtype=np.float64), columns="dimensions")
    centre = np.asarray(mean, dtype=np.float64)
    if centre.shape != (rows.shape[1],) or others.shape[1] != rows.shape[1]:
        raise ValueError(
            f"own, rest and mean must share one dimension, but their shapes are "
            f"{rows.shape}, {others.shape} and {centre.shape}"
        )
    check_finite("mean", centre)
    return rows, others, centre
