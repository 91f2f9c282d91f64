"""The claims of mixon2022, a row each."""

from __future__ import annotations

import math

import numpy as np

from ncollapse.claims import Claim, Missing, Relation, Wrong, rows_of
from ncollapse.papers.mixon2022.experiments import OUTGROWN, FinalErrors, Start, Starts
from ncollapse.papers.mixon2022.invariant import INVARIANT

_EXPONENT = "mixon2022 §4 asks; the power is fitted here, not proved"
_LED = 10.0
"""The exact flow on S is compared while its error is this many times the one that stays."""


def _largest_errors(result: Starts) -> np.ndarray:
    return np.max([result.final(name) for name in ("snc1", "snc2", "snc3")], axis=0)


def _uncentred_errors(result: Starts) -> np.ndarray:
    """‖WWᵀ − √N I‖ at the end of each run."""
    weights = [start.run.parameters["weight"] for start in result.starts]
    root = math.sqrt(result.starts[0].shape[1])
    return np.array([np.linalg.norm(w @ w.T - root * np.eye(len(w))) for w in weights])


def _against_exact(result: Starts, pace: float) -> np.ndarray:
    """Error in SNC3 over that of the exact flow on S at ``pace`` times the time."""

    def ratio(start: Start) -> np.ndarray:
        error = start.error("snc3")
        exact = np.exp(
            np.interp(
                pace * start.time, start.time, np.log(np.maximum(start.predicted["snc3"], 1e-300))
            )
        )
        led = start.predicted["snc3"] > _LED * error[-1]
        return error[led] / exact[led]

    return np.concatenate([ratio(start) for start in result.starts])


def _escape_bound(result: Starts) -> float:
    """Theorem 2: what does not grow stays within e^{1/(C√N)} of its size while the rest grows."""
    classes, per_class = result.starts[0].shape
    stays = math.exp(1.0 / (classes * math.sqrt(per_class)))
    return stays / (OUTGROWN - stays)


def _final_distance_power(result: Starts) -> float | Missing:
    if len(result.starts) < 2:
        return Missing("one size does not give a power")
    return float(np.polyfit(np.log(result.sizes), np.log(result.final("off_subspace")), 1)[0])


def _adam_power(result: FinalErrors) -> float | Missing:
    if "adam" not in result.errors or len(result.sizes) < 2:
        return Missing("Adam was not run from two sizes")
    return result.exponent("adam", "snc1")


_figure1, _figure2 = rows_of("mixon2022.figure1"), rows_of("mixon2022.figure2")
_final_errors = rows_of("mixon2022.final_errors", prefix="mixon2022.final-errors")


def _exponent(name: str, power: float, wrong: float) -> Claim:
    def measure(result: FinalErrors) -> float | Missing:
        if len(result.sizes) < 2:
            return Missing("one size does not give a power")
        return result.exponent("flow", name)

    return _final_errors(
        name,
        "§4, second question",
        f"power p of the final error {name} ∝ ε^p",
        _EXPONENT,
        expected=power,
        tolerance=0.05,
        measure=measure,
        wrong=Wrong(f"{name} ∝ ε^{wrong:g}", expected=lambda _: wrong),
    )


CLAIMS = (
    _figure1(
        "strong-collapse",
        "Figure 1",
        "largest of the errors of (SNC1)–(SNC3) at the end of each run, at most its ε",
        "the figure shows the order ε; the factor 1 is ours",
        relation=Relation.AT_MOST,
        expected=lambda result: result.sizes,
        measure=_largest_errors,
        wrong=Wrong("WWᵀ → √N I, without the centring of (SNC1)", measure=_uncentred_errors),
    ),
    _figure1(
        "exact-flow",
        "Theorem 3(b)",
        "error of (SNC3) over that of the exact flow on S, while that is ten times the "
        "error that stays",
        "mixon2022 Theorem 3; what stays is at right angles to S: second order",
        expected=1.0,
        tolerance=1.0 / _LED**2,
        measure=lambda result: _against_exact(result, 1.0),
        wrong=Wrong("b relaxes at the rate 1.2 CN", measure=lambda r: _against_exact(r, 1.2)),
    ),
    _figure2(
        "late-distance",
        "Theorem 2, Figure 2",
        "largest relative distance to S once the growing part is ten times the whole start",
        "mixon2022 Theorem 2, linearised: e^{1/(C√N)} / (10 − e^{1/(C√N)})",
        relation=Relation.AT_MOST,
        expected=_escape_bound,
        measure=lambda result: result.late_distances(),
        wrong=Wrong(
            "the whole path stays near S, its start too",
            measure=lambda result: np.array(
                [start.error("off_subspace").max() for start in result.starts]
            ),
        ),
    ),
    _figure2(
        "final-distance",
        "§4, first question",
        "power p of the final relative distance to S ∝ ε^p",
        _EXPONENT,
        expected=1.0,
        tolerance=0.05,
        measure=_final_distance_power,
        wrong=Wrong("the distance is of second order in ε", expected=lambda _: 2.0),
    ),
    _exponent("snc1", 2.0, 1.0),
    _exponent("snc2", 1.0, 2.0),
    _exponent("snc3", 1.0, 2.0),
    _final_errors(
        "adam",
        "§4, third question",
        "power p of Adam's final error snc1 ∝ ε^p: it does not end at strong collapse, "
        "however small the start",
        _EXPONENT,
        expected=0.0,
        tolerance=0.1,
        measure=_adam_power,
        wrong=Wrong("Adam ends where the flow does, snc1 ∝ ε²", expected=lambda _: 2.0),
    ),
    *INVARIANT,
)
