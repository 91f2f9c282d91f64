"""The claims on hong2025's lemmas, and on the two-neuron classifier of Theorem 8."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncollapse.claims import Relation, Wrong, rows_of

if TYPE_CHECKING:
    from ncollapse.papers.hong2025.appendix import Lemmas
    from ncollapse.papers.hong2025.two_neurons import TwoNeurons

_OPEN = "; c = 1, which the paper leaves open; tolerance: four standard errors"
_ROUNDING = 1e-12


def _share_error(shares: np.ndarray, trials: int) -> np.ndarray:
    """Four standard errors of a share that is expected to be ``shares``."""
    return 4.0 * np.sqrt(shares * (1.0 - shares) / trials)


def _angle_bound(result: Lemmas, exponent: int) -> np.ndarray:
    """4 exp(−ε²m), at most 1, with ``exponent`` in place of m."""
    return np.minimum(1.0, 4.0 * np.exp(-(result.epsilons**2) * exponent))


def _spectrum_bound(result: Lemmas, exponent: int) -> np.ndarray:
    """K² exp(−ε²m), at most 1, with ``exponent`` in place of m."""
    from ncollapse.papers.hong2025.appendix import FRAME

    return np.minimum(1.0, FRAME**2 * np.exp(-(result.epsilons**2) * exponent))


def _angle_ratio(result: Lemmas, factor: float = 1.0) -> np.ndarray:
    from ncollapse.papers.hong2025.appendix import angle_allowance

    return np.max(np.abs(result.turned) / (factor * angle_allowance(result.distortion)), axis=1)


def _spectrum_excess(result: Lemmas, factor: float) -> float:
    from ncollapse.papers.hong2025.appendix import spectrum_excess

    return float(spectrum_excess(result.extremes, result.frame_distortion, factor).max())


def _displayed_excess(_: Lemmas) -> float:
    from ncollapse.papers.hong2025.appendix import displayed_excess

    return displayed_excess(0.05)


def _lemma10(result: Lemmas) -> np.ndarray:
    from ncollapse.papers.hong2025.appendix import lemma10_minimum

    return np.array([lemma10_minimum(first, second) for first, second in result.pairs])


def _gordon(result: Lemmas, share: float = 1.0) -> float:
    """E‖h‖ − E‖g₊‖ with the second part ``share`` times as large."""
    from ncollapse.papers.hong2025.appendix import gordon_expectation

    rows, dim = result.shape
    length = gordon_expectation(0, dim)
    return length - share * (length - gordon_expectation(rows, dim))


def _gordon_margin(_: Lemmas, printed: bool = True) -> float:
    """Least E‖h‖ − E‖g₊‖ − (√d − √(n/2)) for n ≤ 60 and n ≤ d ≤ 4n; or with E‖g₊‖ for √(n/2)."""
    from ncollapse.papers.hong2025.appendix import gordon_expectation

    margins = []
    for rows in range(1, 61):
        for dim in range(rows, 4 * rows + 1):
            expectation, length = gordon_expectation(rows, dim), gordon_expectation(0, dim)
            lost = np.sqrt(rows / 2.0) if printed else length - expectation
            margins.append(expectation - (np.sqrt(dim) - lost))
    return float(min(margins))


def _deviation_bound(_: Lemmas, factor: int = 1) -> np.ndarray:
    from ncollapse.papers.hong2025.appendix import DEVIATIONS

    return np.minimum(1.0, 2.0 * np.exp(-factor * np.square(DEVIATIONS) / 2.0))


_lemma = rows_of("hong2025.lemmas")

LEMMAS = (
    _lemma(
        "quotient",
        "Lemma 10",
        "minimum of ⟨v₁ + v, v₂⟩/√(‖v₁‖² + ‖v‖²) over v ⊥ v₁, which acute pairs only approach",
        "hong2025 Lemma 10; tolerance: quadratic programming",
        expected=_lemma10,
        tolerance=1e-8,
        measure=lambda result: result.least,
        wrong=Wrong(
            "−‖v₂‖ for all pairs",
            expected=lambda r: -np.linalg.norm(r.pairs[:, 1], axis=1),
        ),
    ),
    _lemma(
        "angle",
        "Lemma 11, its proof",
        "largest change of a cosine as a share of 4ε/(1 − ε)², ε the distortion of the draw",
        "hong2025 Lemma 11, (5.1) for v₁, v₂ and v₁ ± v₂",
        relation=Relation.AT_MOST,
        expected=1.0,
        measure=_angle_ratio,
        wrong=Wrong("without the factor 4", measure=lambda result: _angle_ratio(result, 0.25)),
    ),
    _lemma(
        "angle-share",
        "Lemma 11",
        "share of draws on which a cosine changes by more than 4ε/(1 − ε)², at most 4e^{−cε²m}",
        "hong2025 Lemma 11" + _OPEN,
        relation=Relation.AT_MOST,
        expected=lambda r: _angle_bound(r, r.kept),
        tolerance=lambda r: _share_error(_angle_bound(r, r.kept), len(r.minima)),
        measure=lambda result: result.turned_share,
        wrong=Wrong("d in place of m", expected=lambda r: _angle_bound(r, r.dim)),
    ),
    _lemma(
        "spectrum",
        "Lemma 12, its proof",
        "largest excess of squared singular values over (5.2), ε the distortion of the draw",
        "hong2025 Lemma 12, (5.3) for v_i and v_i ± v_j",
        relation=Relation.AT_MOST,
        expected=0.0,
        tolerance=_ROUNDING,
        measure=lambda result: _spectrum_excess(result, 3.0),
        wrong=Wrong("1 in place of K", measure=lambda result: _spectrum_excess(result, 1.0)),
    ),
    _lemma(
        "spectrum-printed",
        "(5.3)–(5.5)",
        "excess over (5.2) at K = 2, ε = 0.05 of Gram matrix ((1 − ε)², 4ε), which has (5.3) as "
        "displayed, for v_i and v_i + v_j",
        "hong2025 (5.5), whose 1 + ε² stands for (1 + ε)²",
        relation=Relation.AT_MOST,
        expected=0.0,
        tolerance=_ROUNDING,
        measure=_displayed_excess,
        corrected="hong2025.lemmas.spectrum",
    ),
    _lemma(
        "spectrum-share",
        "Lemma 12, (5.2)",
        "share of draws on which (5.2) fails, at most K²e^{−cε²m}",
        "hong2025 Lemma 12" + _OPEN,
        relation=Relation.AT_MOST,
        expected=lambda r: _spectrum_bound(r, r.kept),
        tolerance=lambda r: _share_error(_spectrum_bound(r, r.kept), len(r.minima)),
        measure=lambda result: result.stretched_share,
        wrong=Wrong("d in place of m", expected=lambda r: _spectrum_bound(r, r.dim)),
    ),
    _lemma(
        "gordon",
        "Proposition 13",
        "mean of min ‖Zᵀs‖ over s ≥ 0, ‖s‖ = 1, at least E‖h‖ − E‖g₊‖",
        "hong2025 Proposition 13; tolerance: four standard errors",
        relation=Relation.AT_LEAST,
        expected=_gordon,
        tolerance=lambda r: 4.0 * float(r.minima.std()) / np.sqrt(len(r.minima)),
        measure=lambda result: float(result.minima.mean()),
        wrong=Wrong("E‖g₊‖ smaller by a fifth", expected=lambda r: _gordon(r, 0.8)),
    ),
    _lemma(
        "gordon-rounded",
        "Proposition 13, (4.13)",
        "least E‖h‖ − E‖g₊‖ − (√d − √(n/2)) for n ≤ 60, n ≤ d ≤ 4n",
        "hong2025 (4.13), both sides exact",
        relation=Relation.AT_LEAST,
        expected=0.0,
        measure=_gordon_margin,
        wrong=Wrong("E‖h‖ rounded up alone", measure=lambda r: _gordon_margin(r, False)),
    ),
    _lemma(
        "concentration",
        "Lemma 15, (5.8)",
        "share of draws with |f(Z) − E f(Z)| ≥ t for t = 0.5, 1, 1.5, 2, at most 2e^{−t²/2}",
        "hong2025 (5.8); tolerance: four standard errors; the mean of all draws stands for E",
        relation=Relation.AT_MOST,
        expected=_deviation_bound,
        tolerance=lambda r: _share_error(_deviation_bound(r), len(r.minima)),
        measure=lambda result: result.deviating_share,
        wrong=Wrong(
            "the concentration of a mean over d entries",
            expected=lambda r: _deviation_bound(r, r.shape[1]),
        ),
    ),
)


_theorem8 = rows_of("hong2025.theorem8")


def _last_score(result: TwoNeurons) -> float:
    return float(result.scores[-1].mean())


def _score_tolerance(result: TwoNeurons) -> float:
    scores = result.scores[-1]
    spread = 4.0 * float(scores.std(ddof=1)) / np.sqrt(len(scores))
    return spread + 1.0 / result.count + 1.0 / float(result.sigmas[-1])


THEOREM8 = (
    _theorem8(
        "optimum",
        "(2.26)",
        "relative duality gap of the neurons that maximise ⟨μ, β⟩/‖β‖ over (2.25)",
        "weak duality; tolerance: rounding",
        relation=Relation.AT_MOST,
        expected=0.0,
        tolerance=1e-9,
        measure=lambda result: result.gap,
        wrong=Wrong("the shortest β that collapses is best", measure=lambda r: r.shortest),
    ),
    _theorem8(
        "fresh",
        "(2.24), (2.26)",
        "shares of fresh samples that a neuron and a pair get wrong, ties as errors and not",
        "hong2025 §2.3, Φ(−⟨μ, β⟩/(σ‖β‖)), and bivariate normals; tolerance: four standard errors",
        expected=lambda result: result.formula,
        tolerance=lambda r: _share_error(r.formula, 2 * r.fresh_count),
        measure=lambda result: result.fresh,
        wrong=Wrong("σ replaced by 1.1σ", expected=lambda result: result.louder),
    ),
    _theorem8(
        "ties-printed",
        "Theorem 8, its proof",
        "error of the pair, both neurons off being no error as in its first display, at least the "
        "mean of the two single errors",
        "hong2025 proof of Theorem 8: P(g₁ < g₂) ≥ P(g₁ ≤ 0) forgets ties",
        relation=Relation.AT_LEAST,
        expected=lambda result: result.lower,
        tolerance=_ROUNDING,
        measure=lambda result: result.pair - result.tied,
        corrected="hong2025.theorem8.ties",
    ),
    _theorem8(
        "ties",
        "Theorem 8, its proof, corrected",
        "error of the pair, both neurons off being an error, at least the mean of the single ones",
        "ours: the display with ≤ for <",
        relation=Relation.AT_LEAST,
        expected=lambda result: result.lower,
        tolerance=_ROUNDING,
        measure=lambda result: result.pair,
        wrong=Wrong("half of the ties are errors", measure=lambda r: r.pair - 0.5 * r.tied),
    ),
    _theorem8(
        "large-noise-printed",
        "Remark after Theorem 8",
        "error of the best neuron, at least 1 − Φ(√(d/n) s^{−3/2})",
        "hong2025 after Theorem 8: (2.28) for large s",
        relation=Relation.AT_LEAST,
        expected=lambda result: result.printed,
        measure=lambda result: result.neuron,
        corrected="hong2025.theorem8.large-noise",
    ),
    _theorem8(
        "large-noise",
        "Remark after Theorem 8, corrected",
        "mean −s Φ⁻¹(error) of the best neuron at the largest s, whose limit is √(1 − 3/(2δ))",
        "ours: checked, limit of large n; tolerance: four standard errors, 1/n and 1/s",
        expected=lambda result: result.limit,
        tolerance=_score_tolerance,
        measure=_last_score,
        wrong=Wrong(
            "the error Φ(−√(d/n) s^{−3/2})",
            expected=lambda r: float(np.sqrt(r.ratio / r.sigmas[-1])),
        ),
    ),
)
