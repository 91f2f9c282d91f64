"""A claim judged on a result: its status, the reason, and how sharp the measurement is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from ncollapse.claims._claim import Claim, Missing, Relation

Status = Literal["holds", "fails", "fails as printed", "assumption violated", "not measured"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Verdict:
    """A claim and its measurement.

    Attributes
    ----------
    id, statement, says, source, relation
        Those of the claim.
    status
        A claim whose assumption is violated is never said to hold.
    reason
        Why, in a sentence: how far off.
    assumption
        What the theorem asks and the result breaks, in a sentence; empty where nothing is broken.
    measured, expected, tolerance
        At the entry that decides, where many are compared; None where nothing was measured. Of a
        monotone quantity: its largest fall, and 0.
    resolution
        The smallest relative change of the prediction that this measurement would have refuted
        (absolute where zero is expected); 0 where it refutes the prediction itself, None where
        nothing is expected or measured.
    wrong
        The wrong theory that the claim refutes.
    """

    id: str
    statement: str
    says: str
    source: str
    relation: str
    status: Status
    reason: str
    assumption: str
    measured: float | None
    expected: float | None
    tolerance: float | None
    resolution: float | None
    wrong: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: a NaN is None, an infinity the word ``"inf"`` or ``"-inf"``."""
        return {name: _json_number(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class _Comparison:
    """The entry that decides, whether all hold, in words, and the resolution."""

    measured: float
    expected: float | None
    tolerance: float
    holds: bool
    words: str
    resolution: float | None = None


def judge(claim: Claim, result: Any) -> Verdict:
    """Measure ``claim`` on ``result`` and compare: see `Relation` and `Verdict`."""
    measured = claim.measure(result)
    comparison: _Comparison | None = None
    if isinstance(measured, Missing):
        status: Status = "not measured"
        reason = str(measured)
    else:
        expected = claim.expected(result) if callable(claim.expected) else claim.expected
        tolerance = claim.tolerance(result) if callable(claim.tolerance) else claim.tolerance
        comparison = _compare(claim.relation, measured, expected, tolerance)
        status, reason = ("holds" if comparison.holds else "fails"), comparison.words
    if status == "fails" and claim.corrected:
        status = "fails as printed"
        reason += f"; {claim.corrected} is the corrected claim"
    broken = claim.assumption(result) if claim.assumption is not None else None
    if broken is not None:
        status = "assumption violated"
    return Verdict(
        claim.id,
        claim.statement,
        claim.says,
        claim.source,
        claim.relation.value,
        status,
        reason,
        "" if broken is None else f"{broken.name}: {broken.detail}",
        None if comparison is None else comparison.measured,
        None if comparison is None else comparison.expected,
        None if comparison is None else comparison.tolerance,
        None if comparison is None else comparison.resolution,
        "" if claim.wrong is None else claim.wrong.theory,
    )


def judge_wrong(claim: Claim, result: Any) -> Verdict:
    """The same claim with its wrong theory in place of the right one; it must fail.

    Raises ``ValueError`` for a claim that names none.
    """
    wrong = claim.wrong
    if wrong is None:
        raise ValueError(f"claim {claim.id} names no wrong theory")
    given: dict[str, Any] = {"assumption": None, "corrected": ""}
    given |= {"measure": wrong.measure} if wrong.measure is not None else {}
    given |= {"expected": wrong.expected} if wrong.expected is not None else {}
    return judge(replace(claim, **given), result)


def _compare(relation: Relation, measured: Any, expected: Any, tolerance: Any) -> _Comparison:
    if relation is Relation.EXISTS:
        size = 0.0 if measured is None else float(measured)
        return _Comparison(size, None, 0.0, size > 0, "found" if size > 0 else "none found")
    values = np.atleast_1d(np.asarray(measured, dtype=np.float64))
    if relation is Relation.MONOTONE:
        return _compare_steps(values, float(tolerance))
    if relation is Relation.TENDS_TO:
        return _compare_approach(values.ravel(), float(expected), float(tolerance))
    return _compare_entries(relation, values, expected, tolerance)


def _compare_entries(
    relation: Relation, values: np.ndarray, expected: Any, tolerance: Any
) -> _Comparison:
    values, wanted, allowed = (
        part.ravel() for part in np.broadcast_arrays(values, expected, np.float64(tolerance))
    )
    with np.errstate(invalid="ignore"):
        off = np.where(values == wanted, 0.0, values - wanted)  # infinities agree with themselves
        gap = {Relation.EQUAL: np.abs(off), Relation.AT_MOST: off, Relation.AT_LEAST: -off}[
            relation
        ]
        slack = np.where(gap == np.inf, -np.inf, allowed - gap)
    slack = np.where(np.isnan(slack), -np.inf, slack)
    size = np.where(np.isfinite(wanted) & (wanted != 0), np.abs(wanted), 1.0)
    worst = int(np.argmin(slack / size))
    holds = bool((slack >= 0).all())
    side = "within" if holds else "beyond"
    if relation is Relation.EQUAL:
        words = f"off by {gap[worst]:.2g}, {side} {allowed[worst]:.3g}"
    else:
        words = f"{values[worst]:.4g} against {relation.value} {wanted[worst]:.4g}"
        words += f", {side} {allowed[worst]:.3g}" if allowed[worst] else ""
    resolution = max(0.0, float((slack / size).min()))
    return _Comparison(
        float(values[worst]),
        float(wanted[worst]),
        float(allowed[worst]),
        holds,
        words,
        resolution,
    )


def _compare_steps(values: np.ndarray, tolerance: float) -> _Comparison:
    falls = np.maximum.accumulate(values) - values
    fall = float(falls.max()) / max(float(np.abs(values).max()), np.finfo(float).tiny)
    holds = fall <= tolerance
    words = f"falls by at most {fall:.2g} of its largest value over {values.size} entries"
    return _Comparison(fall, 0.0, tolerance, holds, words)


def _compare_approach(values: np.ndarray, limit: float, tolerance: float) -> _Comparison:
    last, middle = (abs(float(values[place]) - limit) for place in (-1, len(values) // 2))
    holds = last <= tolerance and last <= middle
    words = f"off by {last:.2g} at the end and by {middle:.2g} half way, allowed {tolerance:.3g}"
    resolution = max(0.0, tolerance - last) / (abs(limit) or 1.0) if holds else 0.0
    return _Comparison(float(values[-1]), limit, tolerance, holds, words, resolution)


def _json_number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
