"""The lemmas of hong2025's appendix, on draws: projections of Gaussian means, and Gordon's minimum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import comb, gammaln

ANGLES = (np.pi / 3, np.pi / 2, 5 * np.pi / 6)
FRAME = 3
"""Rows of V in Lemma 12; the first two span the pairs of Lemma 11."""
EXPONENTS = (0.1, 0.5, 2.5)
"""ε²m at which the shares of Lemmas 11 and 12 are counted."""
DEVIATIONS = (0.5, 1.0, 1.5, 2.0)
"""t at which the share of Lemma 15 is counted."""

BATCH = 1_000
"""Frames that are drawn at once."""


@dataclass(frozen=True, eq=False)
class Lemmas:
    """Draws behind each lemma.

    Attributes
    ----------
    pairs
        ``(P, 2, 5)`` vectors v₁, v₂ of Lemma 10; ``least`` ``(P,)`` is the minimum that a general
        method finds.
    turned
        cos θ̃ − cos θ of Lemma 11 for each angle and draw, ``(A, T)``; ``distortion`` the least ε
        with (5.1) for v₁, v₂ and v₁ ± v₂.
    extremes
        least and largest eigenvalue of (d/m) VΦΦᵀVᵀ for orthonormal rows V, ``(T, 2)``, to which
        the proof of Lemma 12 reduces it; ``frame_distortion`` ``(T,)`` the least ε with (5.3) for
        v_i and v_i ± v_j.
    minima
        f(Z) of Proposition 13 and Lemma 15 for n × d matrices Z of ``shape``.
    """

    dim: int
    kept: int
    shape: tuple[int, int]
    pairs: np.ndarray
    least: np.ndarray
    turned: np.ndarray
    distortion: np.ndarray
    extremes: np.ndarray
    frame_distortion: np.ndarray
    minima: np.ndarray

    @property
    def epsilons(self) -> np.ndarray:
        """ε at each of `EXPONENTS`."""
        return np.sqrt(np.array(EXPONENTS) / self.kept)

    @property
    def turned_share(self) -> np.ndarray:
        """Share of draws beyond 4ε/(1 − ε)² at each angle and ε, ``(A, E)``."""
        allowed = angle_allowance(self.epsilons)
        return np.mean(np.abs(self.turned)[..., None] > allowed, axis=1)

    @property
    def stretched_share(self) -> np.ndarray:
        """Share of draws on which (5.2) fails, at each ε, ``(E,)``."""
        return np.mean(spectrum_excess(self.extremes, self.epsilons[:, None]) > 0, axis=1)

    @property
    def deviating_share(self) -> np.ndarray:
        """Share of |f(Z) − E f(Z)| ≥ t at each of `DEVIATIONS`; the mean stands for E."""
        off = np.abs(self.minima - self.minima.mean())
        return np.mean(off >= np.array(DEVIATIONS)[:, None], axis=1)

    def to_dict(self) -> dict[str, Any]:
        return {
            "dim": self.dim,
            "kept": self.kept,
            "shape": list(self.shape),
            "trials": len(self.minima),
            "epsilons": self.epsilons.tolist(),
            "turned_share": self.turned_share.tolist(),
            "stretched_share": self.stretched_share.tolist(),
            "deviations": list(DEVIATIONS),
            "deviating_share": self.deviating_share.tolist(),
            "mean_minimum": float(self.minima.mean()),
            "gordon": gordon_expectation(*self.shape),
        }


def compute(*, trials: int, dim: int, kept: int, shape: tuple[int, int], seed: int) -> Lemmas:
    """``trials`` draws of everything; Lemma 10 is minimised for a fiftieth as many pairs.

    A random m-dimensional subspace and fixed vectors are, by rotation, the first m = ``kept``
    coordinates and a random frame in R^d, d = ``dim``.
    """
    generator = np.random.default_rng(seed)
    pairs = generator.standard_normal((max(20, trials // 50), 2, 5))
    sizes = [min(BATCH, trials - start) for start in range(0, trials, BATCH)]
    frames = [_projected_frames(generator, size, dim, kept) for size in sizes]
    projected = np.concatenate(frames)
    turned, distortion = zip(*(_turned(projected[:, :2], angle) for angle in ANGLES), strict=True)
    spectrum = np.linalg.eigvalsh(projected @ np.swapaxes(projected, 1, 2))
    return Lemmas(
        dim=dim,
        kept=kept,
        shape=shape,
        pairs=pairs,
        least=np.array([least_quotient(first, second) for first, second in pairs]),
        turned=np.array(turned),
        distortion=np.array(distortion),
        extremes=spectrum[:, [0, -1]],
        frame_distortion=_frame_distortion(projected),
        minima=least_on_nonnegative_sphere(generator.standard_normal((trials, *shape))),
    )


def least_quotient(first: np.ndarray, second: np.ndarray) -> float:
    """inf over v ⊥ v₁ of ⟨v₁ + v, v₂⟩/√(‖v₁‖² + ‖v‖²) by sequential quadratic programming.

    Over the unit vectors u = (v₁ + v)/‖v₁ + v‖, which are all those with ⟨u, v₁⟩ > 0.
    """
    unit = first / np.linalg.norm(first)
    sphere = {"type": "eq", "fun": lambda u: u @ u - 1.0, "jac": lambda u: 2.0 * u}
    half = {"type": "ineq", "fun": lambda u: u @ unit, "jac": lambda _: unit}
    solution = minimize(
        lambda u: u @ second,
        unit - 0.1 * second / np.linalg.norm(second),
        jac=lambda _: second,
        method="SLSQP",
        constraints=[sphere, half],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return float(solution.fun / np.linalg.norm(solution.x))


def lemma10_minimum(first: np.ndarray, second: np.ndarray) -> float:
    """−√(‖v₂‖² − ⟨v₁, v₂⟩²/‖v₁‖²) where ⟨v₁, v₂⟩ ≥ 0, else −‖v₂‖ (hong2025 Lemma 10)."""
    inner = first @ second
    lost = inner**2 / (first @ first) if inner >= 0 else 0.0
    return -float(np.sqrt(second @ second - lost))


def angle_allowance(epsilon: Any) -> Any:
    """4ε/(1 − ε)², how far Lemma 11 lets a cosine move."""
    return 4.0 * epsilon / (1.0 - epsilon) ** 2


def spectrum_excess(extremes: np.ndarray, epsilon: Any, factor: float = FRAME) -> Any:
    """How far squared singular values lie beyond 1 ± (ε² + 2Kε), K = ``factor``; (5.2)."""
    allowed = np.square(epsilon) + 2.0 * factor * epsilon
    return np.maximum(extremes[:, 1] - 1.0, 1.0 - extremes[:, 0]) - allowed


def displayed_excess(epsilon: float) -> float:
    """By how much (5.2) fails on a frame of two that has (5.3) as displayed, for v_i and v_i + v_j.

    (1 − ε)² on the diagonal and 4ε off it make ‖Φᵀ(v₁ + v₂)‖² = 2(1 + ε)², in units of m/d.
    """
    gram = np.full((2, 2), 4.0 * epsilon)
    np.fill_diagonal(gram, (1.0 - epsilon) ** 2)
    return float(spectrum_excess(np.linalg.eigvalsh(gram)[None], epsilon, 2.0)[0])


def least_on_nonnegative_sphere(matrices: np.ndarray) -> np.ndarray:
    """min ‖Zᵀs‖ over s ≥ 0, ‖s‖ = 1, for each ``(n, d)`` of a stack, exactly.

    A minimiser with support S minimises sᵀZZᵀs on the whole sphere of S, locally and hence
    globally: it is the lowest eigenvector of that block. All 2ⁿ − 1 supports are tried.
    """
    grams = matrices @ np.swapaxes(matrices, 1, 2)
    least = np.full(len(grams), np.inf)
    for size in range(1, grams.shape[1] + 1):
        for support in combinations(range(grams.shape[1]), size):
            values, vectors = np.linalg.eigh(grams[:, support][:, :, support])
            lowest = vectors[:, :, 0] * np.sign(vectors[:, :, 0].sum(axis=1))[:, None]
            allowed = lowest.min(axis=1) >= 0
            least = np.where(allowed, np.minimum(least, values[:, 0]), least)
    return np.sqrt(np.maximum(least, 0.0))


def gordon_expectation(rows: int, dim: int) -> float:
    """E‖h‖ − E‖g₊‖ for h ~ N(0, I_d), g ~ N(0, I_n), exactly (hong2025 Proposition 13).

    The number of positive entries of g is binomial, and ‖g₊‖ has the norm of that many normals;
    n = 0 leaves E‖h‖.
    """
    counts = np.arange(1, rows + 1)
    weights = comb(rows, counts) / 2.0**rows
    return float(_mean_norm(dim) - weights @ _mean_norm(counts))


def _mean_norm(dim: Any) -> Any:
    return np.sqrt(2.0) * np.exp(gammaln((dim + 1) / 2.0) - gammaln(dim / 2.0))


def _projected_frames(
    generator: np.random.Generator, count: int, dim: int, kept: int
) -> np.ndarray:
    """√(d/m) times the first m coordinates of random frames, ``(count, FRAME, kept)``."""
    frames = np.linalg.qr(generator.standard_normal((count, dim, FRAME)))[0]
    return np.swapaxes(frames, 1, 2)[..., :kept] * np.sqrt(dim / kept)


def _turned(projected: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """cos θ̃ − cos θ, and the distortion of v₁, v₂, v₁ ± v₂, in each draw."""
    first = projected[:, 0]
    second = np.cos(angle) * first + np.sin(angle) * projected[:, 1]
    norms = [np.linalg.norm(part, axis=1) for part in (first, second)]
    cosine = np.sum(first * second, axis=1) / (norms[0] * norms[1])
    together, apart = 2.0 * np.cos(angle / 2), 2.0 * np.sin(angle / 2)
    norms += [np.linalg.norm(first + second, axis=1) / together]
    norms += [np.linalg.norm(first - second, axis=1) / apart]
    return cosine - np.cos(angle), np.abs(np.array(norms) - 1.0).max(axis=0)


def _frame_distortion(projected: np.ndarray) -> np.ndarray:
    places = list(combinations(range(projected.shape[1]), 2))
    first, second = (projected[:, list(side)] for side in zip(*places, strict=True))
    alone, plus, minus = (
        np.abs(np.linalg.norm(rows, axis=2) - 1.0).max(axis=1)
        for rows in (projected, (first + second) / np.sqrt(2), (first - second) / np.sqrt(2))
    )
    return np.max([alone, plus, minus], axis=0)
