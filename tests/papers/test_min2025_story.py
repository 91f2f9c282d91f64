"""The story in three acts: what it runs, what it says, and what is said where it cannot start."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ncollapse.papers.min2025 import separable_choice
from ncollapse.papers.min2025.story import distances, tell
from ncollapse.papers.min2025.story_page import build_story
from ncollapse.report import render


@pytest.fixture(scope="module")
def story():
    return tell(labels=(0, 1), per_class=8, width=8)


@pytest.fixture
def undrawn(monkeypatch):
    """Pages whose words matter, without the time that drawing takes."""
    monkeypatch.setattr("ncollapse.report.images._png", lambda *_: b"")


def test_the_first_act_satisfies_the_assumption_and_its_claims_hold(story):
    assert story.held.separability.separable
    assert story.held.data.counts.tolist() == [8, 8]
    assert {verdict.status for verdict in story.held.verdicts} == {"holds"}


def test_the_second_act_goes_from_none_to_all_the_digits(story):
    shares = [run.separability.violating_share for run in story.curve]
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert story.every in story.curve
    assert len(shares) == len(story.bent) + 2
    assert distances(story.held)["directional collapse"] < 1e-6


def test_the_record_keeps_what_the_demo_always_had(story):
    record = json.loads(json.dumps(story.to_dict(), allow_nan=False))
    assert record.keys() - {"acts"} == story.every.to_dict().keys()
    assert record["acts"]["certificate"]["verdict"] == story.certificate.verdict
    assert len(record["acts"]["bent"]) == len(story.curve)


def test_the_page_has_three_acts_and_says_the_violation_once(story, undrawn):
    html = render(build_story(story)).partition("<h2>The record")[0]
    for act in ("Act one", "Act two", "Act three"):
        assert html.count(f"<h2>{act}") == 1
    assert "assumption violated" not in html
    assert html.count("The assumption is violated by") == 1


def test_without_a_choice_of_digits_the_page_says_why(story, undrawn):
    html = render(build_story(replace(story, held=None, bent=(), why_not="nothing fits")))
    assert "nothing fits" in html
    assert "Act one" not in html
    assert "Act three" in html


def test_a_choice_of_fewer_than_two_a_class_is_refused():
    from ncollapse.data import Dataset

    inputs = np.array([[1.0, 0], [-1.0, 0], [0, 1.0], [0, -1.0]])
    with pytest.raises(ValueError, match="at least 2 orthogonally separable samples of each class"):
        separable_choice(Dataset.from_arrays(inputs, [0, 0, 1, 1]))
