"""Verdicts: inside, outside, missing, and never passed on violated assumptions."""

import pytest

from ncollapse.verdict import Assumption, judge


def decide(measured, **more):
    return judge("c", "s", measured=measured, predicted=1.0, tolerance=0.1, source="here", **more)


@pytest.mark.parametrize(
    ("measured", "status"),
    [(1.05, "holds"), (0.8, "fails"), (None, "fails"), (float("nan"), "fails")],
)
def test_status_follows_the_tolerance(measured, status):
    assert decide(measured).status == status


def test_violated_assumption_is_never_passed():
    verdict = decide(1.0, assumption=Assumption("separability", 0.215))
    assert verdict.status == "assumption violated"
    assert "assumption violated by 21.5 %" in verdict.reason
    assert decide(1.0, assumption=Assumption("separability", 0.0)).status == "holds"


def test_missing_measurement_says_why():
    assert "no neuron" in decide(None, missing="no neuron survives").reason
