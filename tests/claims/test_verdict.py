"""Verdicts: each relation inside and outside, missing, violated, and how sharp they are."""

import json
import math

import numpy as np
import pytest

from ncollapse.claims import Assumption, Claim, Missing, Relation, Wrong, judge, judge_wrong


def claim(relation=Relation.EQUAL, expected=1.0, tolerance=0.1, **more):
    """A claim on a result that is its own measurement."""
    given = {"measure": lambda result: result, "wrong": Wrong("twice", lambda result: 2 * result)}
    words = {"experiment": "e", "statement": "Theorem 0", "says": "a thing", "source": "here"}
    return Claim(
        "p.c", relation=relation, expected=expected, tolerance=tolerance, **words | given | more
    )


@pytest.mark.parametrize(
    ("relation", "measured", "status"),
    [
        (Relation.EQUAL, 1.05, "holds"),
        (Relation.EQUAL, 0.8, "fails"),
        (Relation.EQUAL, math.nan, "fails"),
        (Relation.EQUAL, math.inf, "fails"),
        (Relation.EQUAL, [1.0, 1.05], "holds"),
        (Relation.EQUAL, [1.0, 1.2], "fails"),
        (Relation.AT_MOST, -9.0, "holds"),
        (Relation.AT_MOST, 1.05, "holds"),
        (Relation.AT_MOST, 1.2, "fails"),
        (Relation.AT_LEAST, 9.0, "holds"),
        (Relation.AT_LEAST, 0.8, "fails"),
        (Relation.AT_LEAST, [9.0, math.nan], "fails"),
        (Relation.TENDS_TO, [0.0, 0.5, 0.95], "holds"),
        (Relation.TENDS_TO, [0.0, 0.5, 0.8], "fails"),
        (Relation.TENDS_TO, [0.0, 0.99, 0.95], "fails"),
        (Relation.TENDS_TO, [0.0, 0.5, math.nan], "fails"),
        (Relation.MONOTONE, [1.0, 1.0, 2.0], "holds"),
        (Relation.MONOTONE, [1.0, 2.0, 1.9], "holds"),
        (Relation.MONOTONE, [1.0, 2.0, 1.7], "fails"),
        (Relation.MONOTONE, [1.0, 1.85, 1.95, 1.7, 1.75], "fails"),
        (Relation.MONOTONE, [1.0, math.nan], "fails"),
        (Relation.EXISTS, 0.3, "holds"),
        (Relation.EXISTS, 0.0, "fails"),
        (Relation.EXISTS, None, "fails"),
    ],
)
def test_status_follows_the_relation(relation, measured, status):
    assert judge(claim(relation), measured).status == status


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_an_infinity_agrees_with_itself_alone(infinity):
    assert judge(claim(expected=infinity, tolerance=0.0), infinity).status == "holds"
    assert judge(claim(expected=infinity), -infinity).status == "fails"
    assert judge(claim(expected=infinity), 1.0).status == "fails"


def test_expected_and_tolerance_may_depend_on_the_result():
    made = claim(expected=lambda result: 2 * result, tolerance=lambda result: 1.5 * result)
    verdict = judge(made, 1.0)
    assert (verdict.status, verdict.expected, verdict.tolerance) == ("holds", 2.0, 1.5)


def test_the_entry_that_decides_is_reported():
    verdict = judge(claim(expected=np.array([1.0, 2.0]), tolerance=0.5), np.array([1.1, 2.4]))
    assert (verdict.measured, verdict.expected) == (2.4, 2.0)
    assert "off by 0.4, within 0.5" in verdict.reason


@pytest.mark.parametrize(
    ("relation", "expected", "measured"),
    [
        (Relation.EQUAL, 2.0, 2.03),
        (Relation.EQUAL, [1.0, 4.0], [1.02, 4.0]),
        (Relation.AT_MOST, 2.0, 1.7),
        (Relation.AT_LEAST, 2.0, 2.3),
        (Relation.EQUAL, -3.0, -3.05),
    ],
)
def test_resolution_is_the_least_change_of_the_prediction_that_is_refuted(
    relation, expected, measured
):
    expected, measured = np.array(expected), np.array(measured)
    least = judge(claim(relation, expected), measured).resolution
    assert least > 0

    def refuted(change):
        moved = (judge(claim(relation, expected * (1 + c)), measured) for c in (change, -change))
        return any(verdict.status == "fails" for verdict in moved)

    assert not refuted(least * (1 - 1e-9))
    assert refuted(least * (1 + 1e-9))
    assert judge(claim(relation, expected, tolerance=0.0), expected * 1.5).resolution == 0.0 or (
        relation is Relation.AT_LEAST
    )


def test_a_violated_assumption_is_never_passed():
    made = claim(assumption=lambda result: Assumption("separability", "21.5 % of pairs"))
    verdict = judge(made, 1.0)
    assert verdict.status == "assumption violated"
    assert verdict.assumption == "separability: 21.5 % of pairs"
    assert verdict.reason.startswith("off by 0")
    assert judge(claim(assumption=lambda result: None), 1.0).status == "holds"


def test_what_is_missing_is_not_measured_and_says_why():
    verdict = judge(claim(measure=lambda result: Missing("no neuron survives")), None)
    assert (verdict.status, verdict.reason) == ("not measured", "no neuron survives")
    assert verdict.measured is verdict.expected is verdict.tolerance is verdict.resolution is None


def test_a_slip_fails_as_printed_beside_its_correction():
    made = claim(corrected="p.right")
    assert judge(made, 1.0).status == "holds"
    verdict = judge(made, 3.0)
    assert verdict.status == "fails as printed"
    assert "p.right is the corrected claim" in verdict.reason


def test_a_wrong_theory_takes_the_place_of_measurement_or_expectation():
    assert judge_wrong(claim(), 1.0).status == "fails"
    assert judge_wrong(claim(wrong=Wrong("0", expected=lambda _: 0.0)), 1.0).status == "fails"
    assert judge_wrong(claim(wrong=Wrong("e", expected=lambda _: 1.0)), 1.0).status == "holds"
    violated = claim(assumption=lambda _: Assumption("a", "b"), corrected="p.right")
    assert judge_wrong(violated, 1.0).status == "fails"
    with pytest.raises(ValueError, match=r"claim p\.c names no wrong theory"):
        judge_wrong(claim(wrong=None), 1.0)


def test_a_verdict_is_json_whatever_was_measured():
    for measured in (1.0, math.nan, math.inf, Missing("nothing")):
        record = judge(claim(measure=lambda _, value=measured: value), None).to_dict()
        assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert judge(claim(), math.inf).to_dict()["measured"] == "inf"
    assert judge(claim(), math.nan).to_dict()["measured"] is None
