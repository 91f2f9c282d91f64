"""The claims on data made for hong2025's Theorems 3–6, and on why its Theorem 2(a) is optimal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ncollapse.claims import Claim, Relation, Wrong, rows_of

if TYPE_CHECKING:
    from ncollapse.papers.hong2025.constructions import Built, Constructions
    from ncollapse.papers.hong2025.multipliers import Optimality

_ROUNDING = 1e-12
_DESCENT = 1e-6


_certificate = rows_of("hong2025.certificates")


def _share(
    name: str,
    statement: str,
    says: str,
    measure: Callable[[Constructions], float],
    wrong: Wrong,
) -> Claim:
    """Share of draws for which a theorem without exceptions must be right."""
    return _certificate(
        name,
        statement,
        f"share of draws {says}",
        f"hong2025 {statement}; a certificate each",
        expected=1.0,
        measure=measure,
        wrong=wrong,
    )


def _built(name: str, statement: str, words: str, network: str) -> tuple[Claim, Claim]:
    def of(result: Constructions) -> Built:
        return getattr(result, network)

    return (
        _certificate(
            f"{name}-risk",
            statement,
            f"risk of {words} built of the certificate's directions, against the global minimum",
            "hong2025 Theorem 2(a), below which no network is; tolerance: rounding",
            expected=lambda result: of(result).least,
            tolerance=_ROUNDING,
            measure=lambda result: of(result).risk,
            wrong=Wrong("1.001 times the decay", expected=lambda result: of(result).louder),
        ),
        _certificate(
            f"{name}-metrics",
            f"{statement}, (3.2), (3.3)",
            f"NC1, NC2 of means and weight, NC3 of {words}, and its largest spread within a class",
            "hong2025 Definition 1; tolerance: rounding",
            expected=0.0,
            tolerance=_ROUNDING,
            measure=lambda r: np.array([*of(r).metrics.values(), of(r).spread]),
            wrong=Wrong(
                "uncentred means form a simplex, not an orthogonal frame",
                expected=lambda r: np.array([_simplex_offset(r, network, m) for m in range(5)]),
            ),
        ),
    )


def _simplex_offset(result: Constructions, network: str, place: int) -> float:
    """‖C_K/√(K−1) − I/√K‖_F where the means' own metric stands, 0 elsewhere."""
    if list(getattr(result, network).metrics)[place : place + 1] != ["nc2_orthogonal_means"]:
        return 0.0
    count = {"two_layers": 3, "three_layers": 2}[network]
    return float(np.sqrt(2.0 - 2.0 * np.sqrt((count - 1) / count)))


CERTIFICATES = (
    _share(
        "theorem3a",
        "Theorem 3(a)",
        "with a sample inside the other class's hull that are proven infeasible for that reason",
        lambda r: r.cited["inside_hull"] * r.infeasible["inside_hull"],
        Wrong("separable data collapse", measure=lambda r: r.feasible["separated"]),
    ),
    _share(
        "theorem3b",
        "Theorem 3(b)",
        "with d = Kn, K = 3, σ = 5 that are proven feasible by rank N",
        lambda r: r.cited["independent"] * r.feasible["independent"],
        Wrong("rank N − 1 is enough", measure=lambda result: result.feasible["opposite"]),
    ),
    _share(
        "theorem3c",
        "Theorem 3(c)",
        "with d < n and far means that are proven infeasible because 1 is not in the range",
        lambda r: r.cited["separated"] * r.infeasible["separated"],
        Wrong("d < n alone forbids it", measure=lambda result: result.infeasible["spanned"]),
    ),
    _share(
        "theorem4-twice",
        "Theorem 4, d ≥ 2n",
        "with d = 2n at any angle and σ = 5 that are proven feasible",
        lambda result: result.feasible["twice"],
        Wrong("from d = n + 1 on", measure=lambda result: result.feasible["short_of_twice"]),
    ),
    _certificate(
        "unequal-boundary",
        "Remark after Theorem 5",
        "shares of draws, classes of 80 and 240, on which the first can collapse 15 % beyond the "
        "exact boundary for their sizes, and 15 % short of it",
        "ours, Gaussian comparison: checked, limit of large n",
        expected=np.array([1.0, 0.0]),
        measure=lambda result: np.array(result.unequal[:2]),
        wrong=Wrong(
            "the boundary of equal classes",
            measure=lambda result: np.array([result.unequal[2], 0.0]),
        ),
    ),
    *_built("definition1", "Definition 1, (2.4), (2.12)", "the two-layer network", "two_layers"),
    _share(
        "theorem6-two-layers",
        "Theorem 3(c), for Theorem 6",
        "of points on a sphere with d < n, on which no two-layer network can collapse",
        lambda result: 1.0 - result.sphere_feasible,
        Wrong("wide enough two layers collapse", measure=lambda r: r.sphere_feasible),
    ),
    _share(
        "theorem6",
        "Theorem 6",
        "for which N log N random neurons are proven to have rank N, as then all wider layers have",
        lambda result: result.full_rank[0],
        Wrong("parallel pairs do no harm", measure=lambda result: result.full_rank[1]),
    ),
    *_built(
        "theorem6",
        "Theorem 6, (2.5), (2.18)",
        "the three-layer network with a random first layer",
        "three_layers",
    ),
    _certificate(
        "kernel",
        "Theorem 6, H_∞",
        "largest difference of the kernel and a mean over random neurons, in standard errors",
        "hong2025 Theorem 6 with E σ = 1/√(2π); tolerance: five standard errors",
        expected=0.0,
        tolerance=5.0,
        measure=lambda r: r.kernel_error / r.kernel_spread,
        wrong=Wrong(
            "E σ = √(2/π), as printed", measure=lambda r: r.printed_error / r.kernel_spread
        ),
    ),
    _certificate(
        "lemma9-printed",
        "Lemma 9 as displayed",
        "least eigenvalue of E σσᵀ − (2/π)J, at least 0",
        "hong2025 Lemma 9, with E σ = √(2/π)",
        relation=Relation.AT_LEAST,
        expected=0.0,
        measure=lambda result: result.kernel[1],
        corrected="hong2025.certificates.lemma9",
    ),
    _certificate(
        "lemma9",
        "Lemma 9, corrected",
        "least eigenvalue of E σσᵀ − J/(2π) beyond rounding, no two points parallel",
        "hong2025 Lemma 9 with E σ = 1/√(2π)",
        relation=Relation.EXISTS,
        measure=lambda result: result.kernel[0],
        wrong=Wrong("whatever the points", measure=lambda result: result.kernel[2]),
    ),
)


_optimality = rows_of("hong2025.optimality")


def _slackness(result: Optimality, strength: float = 1.0) -> np.ndarray:
    """Negative part of S's least eigenvalue, and SQ."""
    eigenvalue, product = result.slackness(strength)
    return np.array([max(0.0, -eigenvalue), product])


OPTIMALITY = (
    _optimality(
        "multiplier",
        "(4.2)–(4.4)",
        "S ⪰ 0, SQ = 0 at B = t(J_K − I_K) ⊗ J_n, t = λ_H/(n(K−1)): relative sizes of what is off",
        "hong2025 (4.2), (4.3), (4.4); tolerance: rounding",
        expected=0.0,
        tolerance=_ROUNDING,
        measure=_slackness,
        wrong=Wrong("1.001 times t", measure=lambda result: _slackness(result, 1.001)),
    ),
    _optimality(
        "quotient-printed",
        "(4.5) as displayed",
        "a/b where minimisation ends at λ_W = 4λ_H, against √(nK/(K−1))·λ_H/λ_W",
        "hong2025 (4.5); Theorem 2(a) has the root over both quotients",
        expected=lambda result: result.predicted_quotient(printed=True),
        tolerance=_DESCENT,
        measure=lambda result: result.quotient,
        corrected="hong2025.optimality.quotient",
    ),
    _optimality(
        "quotient",
        "(4.5), corrected",
        "a/b where minimisation ends at λ_W = 4λ_H, against √(nKλ_H/((K−1)λ_W))",
        "hong2025 Theorem 2(a); tolerance: the end of minimisation",
        expected=lambda result: result.predicted_quotient(),
        tolerance=_DESCENT,
        measure=lambda result: result.quotient,
        wrong=Wrong(
            "without the factor K/(K − 1)",
            expected=lambda r: r.predicted_quotient() / np.sqrt(2.0),
        ),
    ),
    _optimality(
        "two-classes",
        "(2.22), (2.23)",
        "α¹ + α², one less the cosine of α and h̄₁ − h̄₂, and cosine of h̄₁ and h̄₂",
        "hong2025 (2.22), by minimisation of (2.6); tolerance: its end",
        expected=0.0,
        tolerance=_DESCENT,
        measure=lambda result: result.two_class_form,
        wrong=Wrong("α along h̄₁ alone", measure=lambda result: result.one_sided_form),
    ),
    _optimality(
        "unequal-risk",
        "Remark after Theorem 5",
        "least risk of (2.6) found for classes of 7, 3 and 2, against the closed form",
        "ours, proven: (2.6) for any class sizes; tolerance: the end of minimisation",
        expected=lambda result: result.unequal_risk,
        tolerance=_DESCENT,
        measure=lambda result: result.unequal.risk,
        wrong=Wrong("the minimum of equal classes", expected=lambda r: r.balanced_risk),
    ),
    _optimality(
        "unequal-margins",
        "Remark after Theorem 5",
        "margin of each class where minimisation ends, for classes of 7, 3 and 2",
        "ours, proven: m_k = log((K−1)(1/q_k − 1)); tolerance: the end of minimisation",
        expected=lambda result: result.unequal_margins,
        tolerance=1e-5,
        measure=lambda result: result.unequal.margins,
        wrong=Wrong("margins of equal classes", expected=lambda r: r.balanced_margins),
    ),
)
