"""The claims of hong2025, a row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong, rows_of
from ncollapse.papers.hong2025.construction_claims import CERTIFICATES, OPTIMALITY
from ncollapse.papers.hong2025.lemma_claims import LEMMAS, THEOREM8
from ncollapse.papers.hong2025.three_layer_claims import THREE_LAYER_CLAIMS
from ncollapse.papers.hong2025.training_claims import TRAINING_CLAIMS
from ncollapse.theory.boundary import gordon_bound

if TYPE_CHECKING:
    from ncollapse.papers.hong2025.generalisation import Errors
    from ncollapse.papers.hong2025.image_limits import LargestCounts
    from ncollapse.papers.hong2025.minimisers import Theorem2
    from ncollapse.papers.hong2025.phase import Phase

_FINITE = "; tolerance: four standard errors and 1/n"
_COMPARISON = "ours, Gaussian comparison: checked, limit of large n"


def _promised(line: Callable[[Phase], Any]) -> Callable[[Phase], np.ndarray | Missing]:
    """Success rates beyond a line, if any cell of the grid lies there."""

    def measure(result: Phase) -> np.ndarray | Missing:
        rates = result.promised(line(result))
        return rates if rates.size else Missing("no cell of this grid is promised anything")

    return measure


def _sufficient(
    number: int, name: str, statement: str, says: str, line: Callable[[Phase], Any], wrong: Wrong
) -> Claim:
    return rows_of(f"hong2025.figure{number}")(
        f"{name}",
        statement,
        f"success rate of each cell with d/n at or beyond {says}",
        f"hong2025 {statement}",
        expected=1.0,
        measure=_promised(line),
        wrong=wrong,
    )


def _phase(number: int, union: str) -> tuple[Claim, ...]:
    """The claims of Figure 1 or 2; ``union`` is the theorem behind its union bound."""
    row = rows_of(f"hong2025.figure{number}")
    no_more = Wrong("d > n is enough", measure=_promised(lambda _: 1.04))
    return (
        row(
            "noise",
            f"ours, for Figure {number}",
            "factor on σ for which the exact boundary fits all mean crossings best",
            _COMPARISON + _FINITE,
            expected=1.0,
            tolerance=lambda r: 4.0 * r.noise_scale_error + 1.0 / r.grid.count,
            measure=lambda result: result.noise_scale(),
            wrong=Wrong("σ replaced by 1.1σ", measure=lambda result: result.noise_scale(1.1)),
        ),
        row(
            "boundary",
            f"ours, for Figure {number}",
            "mean crossing in d/n at each angle and σ, against the exact boundary",
            _COMPARISON + _FINITE,
            expected=lambda result: result.grid.boundary(result.grid.sigmas),
            tolerance=lambda r: 4.0 * r.standard_error + 1.0 / r.grid.count,
            measure=lambda result: result.mean,
            wrong=Wrong(
                "Gordon's (K + 1)/2 at all σ, as the text reads its figure",
                expected=lambda result: np.float64(gordon_bound(result.grid.classes)),
            ),
        ),
        _sufficient(
            number,
            "union",
            union,
            "its union bound at ε → 0",
            lambda result: result.grid.union(result.grid.sigmas),
            Wrong(
                "the bound for a quarter of the noise",
                measure=_promised(lambda r: r.grid.union(np.asarray(r.grid.sigmas) / 4.0)),
            ),
        ),
        _sufficient(
            number,
            "gordon",
            "Theorem 5(b)",
            "(2.17), its terms in n included",
            lambda result: gordon_bound(result.grid.classes, result.grid.count),
            no_more,
        ),
        _sufficient(
            number,
            "gordon-limit",
            "Theorem 5(b), limit",
            "(K + 1)/2, as the figure draws it, and four standard deviations of a crossing",
            lambda result: gordon_bound(result.grid.classes) + 4.0 * result.spread,
            no_more,
        ),
        _proven(number),
    )


def _proven(number: int) -> Claim:
    def share(result: Phase, missing: int = 0) -> float:
        return float((result.cells["proven"].sum() - missing) / result.cells["verdicts"].sum())

    return rows_of(f"hong2025.figure{number}")(
        "proven",
        "(2.12), (3.1)",
        "share of the verdicts that are proven against rounding",
        "a certificate each",
        expected=1.0,
        measure=share,
        wrong=Wrong("one verdict is believed, not proven", lambda result: share(result, 1)),
    )


def _found_near_n(result: Errors) -> float:
    """Share of samples at d = 1.1 n and the highest noise that have both neurons."""
    from ncollapse.papers.hong2025.generalisation import error_cell

    noise = float(result.sigmas.max())
    cells = [error_cell(1.1, noise, 0, seed, result.count) for seed in range(3)]
    return float(np.mean([cell["found"] for cell in cells]))


def _noise_scale(result: Errors, assumed: float = 1.0) -> float:
    return float(np.mean(result.noise_scales(assumed)))


def _noise_scale_tolerance(result: Errors) -> float:
    scales = result.noise_scales()
    within = scales.var(axis=-1, ddof=1).mean()
    return float(4.0 * np.sqrt(within / scales.size) + 1.0 / result.count)


def _low_noise(name: str, result: Errors, proven: Any = None) -> np.ndarray | Missing:
    """n² times the largest error over the trials, where Theorem 7(a) is proven."""
    where = result.low_noise if proven is None else proven
    if not where.any():
        return Missing("no noise of this grid is low enough for Theorem 7(a)")
    return result.count**2 * result.errors(name).max(axis=-1)[where]


_theorem7, _images = rows_of("hong2025.theorem7"), rows_of("hong2025.images")


def _neurons(name: str, theorem: str, words: str) -> tuple[Claim, Claim, Claim]:
    """Upper bound, lower bound as printed and lower bound corrected, for one or two neurons."""

    def least(result: Errors) -> np.ndarray:
        return result.errors(name).min(axis=-1)

    upper = _theorem7(
        f"{name}-upper",
        f"{theorem}(a)",
        f"largest error of {words} times n² where 2σ√(log n) < √((d − n + 1)/d), at most 1",
        "hong2025 (2.27), the constant 1 is its proof's",
        relation=Relation.AT_MOST,
        expected=1.0,
        measure=lambda result: _low_noise(name, result),
        wrong=Wrong("at any noise", lambda r: _low_noise(name, r, np.ones_like(r.low_noise))),
    )
    printed = _theorem7(
        f"{name}-printed",
        f"{theorem}(b), (2.28)",
        f"least error of {words} on any sample, at least (2.28) at c₁ = c₂ = 0",
        "hong2025 (2.28)",
        relation=Relation.AT_LEAST,
        expected=lambda result: result.printed,
        measure=least,
        corrected=f"hong2025.theorem7.{name}-lower",
    )
    lower = _theorem7(
        f"{name}-lower",
        f"{theorem}(b), corrected",
        f"least error of {words} on any sample, at least the lower bound of the proof",
        "ours: (2.28) with the second case of (4.24), limit of large n",
        relation=Relation.AT_LEAST,
        expected=lambda result: result.lower,
        measure=least,
        wrong=Wrong("(2.28) as printed", expected=lambda result: result.printed),
    )
    return upper, printed, lower


_THEOREM7 = (
    _theorem7(
        "found",
        "Theorem 3(b)",
        "share of samples with a collapsed neuron of error below one half for each class",
        "hong2025 Theorem 3(b), d ≥ 2n",
        expected=1.0,
        measure=lambda result: float(result.cells["found"].mean()),
        wrong=Wrong("d > n is enough", measure=_found_near_n),
    ),
    _theorem7(
        "noise",
        "ours, for Theorem 7",
        "mean factor on σ for which the exact curve gives the error of the best neuron",
        _COMPARISON + _FINITE,
        expected=1.0,
        tolerance=_noise_scale_tolerance,
        measure=_noise_scale,
        wrong=Wrong("σ replaced by 1.1σ", measure=lambda result: _noise_scale(result, 1.1)),
    ),
    *_neurons("neuron", "Theorem 7", "the best neuron"),
    *_neurons("pair", "Theorem 8", "the pair of best neurons"),
)


def _cells(name: str) -> Callable[[LargestCounts], np.ndarray]:
    return lambda result: result.cells[name].values


_IMAGES = (
    _images(
        "proven",
        "(2.12)",
        "numbers of images per class, in each cell, for which neither answer is proven",
        "a certificate on both sides of the largest",
        expected=0.0,
        measure=lambda r: (r.cells["undecided"] + ~r.cells["proven"]).values,
        wrong=Wrong("answers are believed", lambda r: (r.cells["undecided"] + 1).values),
    ),
    _images(
        "independent",
        "Theorem 3(b)",
        "largest n per class, at least that up to which all images are independent",
        "hong2025 Theorem 3(b)",
        relation=Relation.AT_LEAST,
        expected=_cells("independent"),
        measure=_cells("largest"),
        wrong=Wrong("any number of images can collapse", expected=_cells("tried")),
    ),
    _images(
        "spanned",
        "Theorem 3(c)",
        "largest n per class, at most that up to which the ones are in each class's range",
        "hong2025 Theorem 3(c)",
        relation=Relation.AT_MOST,
        expected=_cells("spanned"),
        measure=_cells("largest"),
        wrong=Wrong("independence is necessary", expected=_cells("independent")),
    ),
)


def _theorem2(model: str, part: str) -> tuple[Claim, Claim]:
    statement = f"Theorem 2({part})"
    row = rows_of("hong2025.theorem2", prefix=f"hong2025.theorem2{part}")

    def sizes(result: Theorem2, strength: float = 1.0) -> np.ndarray:
        return np.array([point.a for point in result.predicted(model, strength)])

    def risks(result: Theorem2, strength: float = 1.0) -> np.ndarray:
        return np.array([point.risk for point in result.predicted(model, strength)])

    return (
        row(
            "size",
            statement,
            "size a of the logits where the flow ends, on both sides of the threshold",
            "hong2025 Theorem 2, corrected; tolerance: the flow's end",
            expected=sizes,
            tolerance=1e-6,
            measure=lambda result: result.logit_size[model],
            wrong=Wrong("1.001 times the decay", expected=lambda r: sizes(r, 1.001)),
        ),
        row(
            "risk",
            statement,
            "risk where the flow ends, against the global minimum",
            "hong2025 Theorem 2; tolerance: the flow's end",
            expected=risks,
            tolerance=1e-7,
            measure=lambda result: result.risk[model],
            wrong=Wrong("1.001 times the decay", expected=lambda r: risks(r, 1.001)),
        ),
    )


_THEOREM2 = (
    *_theorem2("upfm-ce", "a"),
    *_theorem2("upfm-l2", "b"),
    rows_of("hong2025.theorem2", prefix="hong2025.theorem2b")(
        "printed",
        "Theorem 2(b) as displayed",
        "size a of the logits where the flow ends, against (1 − √(nKλ))₊",
        "hong2025 (2.10); its proof has √n·K·λ",
        expected=lambda result: result.printed_sizes(),
        tolerance=1e-6,
        measure=lambda result: result.logit_size["upfm-l2"],
        corrected="hong2025.theorem2b.size",
    ),
)

CLAIMS = (
    *_phase(1, "Theorem 4"),
    *_phase(2, "Theorem 5(a)"),
    *_THEOREM7,
    *_IMAGES,
    *_THEOREM2,
    *LEMMAS,
    *THEOREM8,
    *CERTIFICATES,
    *OPTIMALITY,
    *TRAINING_CLAIMS,
    *THREE_LAYER_CLAIMS,
)
