"""hong2025 Theorem 8 beyond its bounds: the two-neuron classifier itself, up to large noise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from ncollapse.certify import Direction, decide
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.theory.generalisation import BestPair, best_pair, bivariate_normal

FRESH_NOISE = 1.0
"""σ at which formulas are compared with fresh samples."""


@dataclass(frozen=True, eq=False)
class TwoNeurons:
    """The best collapsed neuron and the pair of best ones, means ±e_1, at each σ and trial.

    Attributes
    ----------
    neuron, pair, tied
        ``(S, T)`` errors of one neuron; of the pair, ties counted as errors; and the probability
        of a tie, which is that both neurons are off.
    lower
        ``(S, T)``: the mean of the two single errors.
    gap, shortest
        ``(T,)`` at σ = `FRESH_NOISE`: relative duality gap of the best neuron, and by how much
        ‖β‖²/⟨μ, β⟩² of the neuron that a certificate gives exceeds it, as a share.
    fresh
        shares of fresh samples that the first trial's neuron and pair get wrong, ties as errors
        and as successes, ``(3,)``; ``formula`` and ``louder`` what theory has for them at σ and
        at 1.1σ.
    """

    count: int
    ratio: float
    sigmas: np.ndarray
    neuron: np.ndarray
    pair: np.ndarray
    tied: np.ndarray
    lower: np.ndarray
    gap: np.ndarray
    shortest: np.ndarray
    fresh_count: int
    fresh: np.ndarray
    formula: np.ndarray
    louder: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """−s Φ⁻¹(error) of one neuron, ``(S, T)``: constant where the error is Φ(−c/s)."""
        return -self.sigmas[:, None] * ndtri(self.neuron)

    @property
    def limit(self) -> float:
        """√(1 − 3/(2δ)), the scores' limit for n → ∞ and then s → ∞.

        In `ncollapse.theory.best_error` φ(a) → (1 + a²)·3/2, so that a² = 2δ/3 − 1.
        """
        return float(np.sqrt(1.0 - 1.5 / self.ratio))

    @property
    def printed(self) -> np.ndarray:
        """1 − Φ(√(d/n) s^{−3/2}), the paper's form for large noise, ``(S, 1)``."""
        return ndtr(-np.sqrt(self.ratio) * self.sigmas**-1.5)[:, None]

    def to_dict(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "ratio": self.ratio,
            "sigmas": self.sigmas.tolist(),
            "trials": self.neuron.shape[1],
            "mean_error": {
                name: getattr(self, name).mean(axis=1).tolist() for name in ("neuron", "pair")
            },
            "mean_tied": self.tied.mean(axis=1).tolist(),
            "mean_score": self.scores.mean(axis=1).tolist(),
            "limit": self.limit,
            "largest_gap": float(self.gap.max()),
            "fresh": self.fresh.tolist(),
            "formula": self.formula.tolist(),
        }


def compute(
    *, count: int, ratio: float, sigmas: tuple[float, ...], trials: int, fresh: int, seed: int
) -> TwoNeurons:
    """The exact programs of ``trials`` samples at each σ; formulas against ``fresh`` samples.

    For s beyond √n about half of the samples have no best neuron: the error falls as ⟨x_i, β⟩ on
    the class goes to 0, the other case of (4.24). They are passed over.

    Raises ``ValueError`` for d < 2n.
    """
    if ratio < 2.0:
        raise ValueError(
            f"ratio must be at least 2, where every sample collapses, but it is {ratio}"
        )
    dim = round(ratio * count)
    mean = np.eye(1, dim)[0]

    def draw(sigma: float, trial: int) -> tuple[np.ndarray, np.ndarray]:
        data = gaussian_mixture([[1.0], [-1.0]], count, sigma, dim, seed + trial)
        return data.of_class(0), data.of_class(1)

    def best(sigma: float) -> list[BestPair]:
        answers = (best_pair(*draw(sigma, trial), mean, sigma) for trial in itertools.count())
        return list(itertools.islice((pair for pair in answers if pair is not None), trials))

    pairs = [best(sigma) for sigma in sigmas]
    known = best(FRESH_NOISE)
    shortest = [_shortest(*draw(FRESH_NOISE, trial)) for trial in range(trials)]
    lengths = [_squared_length(pair.first.beta) for pair in known]
    return TwoNeurons(
        count=count,
        ratio=dim / count,
        sigmas=np.array(sigmas),
        neuron=np.array([[pair.first.error for pair in row] for row in pairs]),
        pair=np.array([[pair.error for pair in row] for row in pairs]),
        tied=np.array(
            [[_both_off(p, s) for p in row] for row, s in zip(pairs, sigmas, strict=True)]
        ),
        lower=np.array([[pair.lower for pair in row] for row in pairs]),
        gap=np.array([pair.first.gap for pair in known]),
        shortest=np.array(shortest) / lengths - 1.0,
        fresh_count=fresh,
        fresh=_fresh_errors(known[0], fresh, seed),
        formula=_formulas(known[0], FRESH_NOISE),
        louder=_formulas(known[0], 1.1 * FRESH_NOISE),
    )


def _squared_length(beta: np.ndarray) -> float:
    """‖β‖²/⟨μ, β⟩² with μ = e_1."""
    return float(beta @ beta / beta[0] ** 2)


def _shortest(own: np.ndarray, rest: np.ndarray) -> float:
    answer = decide(own, rest).answer
    if not isinstance(answer, Direction):
        raise ValueError("the class has no direction")
    return _squared_length(np.asarray(answer.beta, dtype=float))


def _formulas(pair: BestPair, sigma: float) -> np.ndarray:
    """Error of the first neuron, and of the pair with ties as errors and as successes, at σ."""
    single = [ndtr(-abs(beta[0]) / (sigma * np.linalg.norm(beta))) for beta in _betas(pair)]
    on = 0.5 * sum(_overtaken(pair, side, sigma) for side in (0, 1))
    errors = float(np.mean(single)) + on
    return np.array([single[0], errors, errors - _both_off(pair, sigma)])


def _betas(pair: BestPair) -> tuple[np.ndarray, np.ndarray]:
    return pair.first.beta, pair.second.beta


def _overtaken(pair: BestPair, side: int, sigma: float) -> float:
    """P(0 < ⟨own, x⟩ ≤ ⟨other, x⟩) for x of the class of ``side``."""
    own, other = _betas(pair)[side], _betas(pair)[1 - side]
    mean = (1.0 - 2.0 * side) / sigma
    ahead = other - own
    lengths = np.linalg.norm(own), np.linalg.norm(ahead)
    correlation = float(own @ ahead / (lengths[0] * lengths[1]))
    return bivariate_normal(
        float(own[0] * mean / lengths[0]), float(ahead[0] * mean / lengths[1]), correlation
    )


def _both_off(pair: BestPair, sigma: float) -> float:
    """P(⟨β₁, x⟩ ≤ 0 and ⟨β₂, x⟩ ≤ 0), the same for both classes up to their sides, averaged."""
    first, second = _betas(pair)
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    correlation = float(first @ second / (lengths[0] * lengths[1]))
    places = first[0] / (sigma * lengths[0]), second[0] / (sigma * lengths[1])
    return 0.5 * sum(
        bivariate_normal(float(-sign * places[0]), float(-sign * places[1]), correlation)
        for sign in (1.0, -1.0)
    )


def _fresh_errors(pair: BestPair, fresh: int, seed: int) -> np.ndarray:
    """Shares of ``fresh`` samples of each class that neuron and pair get wrong."""
    generator = np.random.default_rng([seed, fresh])
    wrong = np.zeros(3)
    for sign in (1.0, -1.0):
        inputs = FRESH_NOISE * generator.standard_normal((fresh, len(pair.first.beta)))
        inputs[:, 0] += sign
        first, second = (np.maximum(inputs @ beta, 0.0) for beta in _betas(pair))
        wrong[0] += np.mean(first <= 0 if sign > 0 else first > 0)
        wrong[1] += np.mean(sign * (first - second) <= 0)
        wrong[2] += np.mean(sign * (first - second) < 0)
    return wrong / 2.0
