"""The ledger's page: everything in it once, slips beside their corrections, nothing from outside."""

import re

import pytest

from ncollapse.claims import (
    Assumption,
    Claim,
    Ledger,
    Missing,
    Relation,
    Row,
    Statement,
    Wrong,
    judge,
)
from ncollapse.report.ledger import render_ledger, write_ledger


def row(name, measured, **more):
    claim = Claim(
        id=f"fake2000.{name}",
        experiment="fake2000.e",
        statement="Lemma 1",
        says=f"<i>{name}</i>",
        source="here",
        relation=more.pop("relation", Relation.EQUAL),
        expected=more.pop("expected", 2.0),
        tolerance=more.pop("tolerance", 0.1),
        measure=lambda _: measured,
        wrong=Wrong("zero", expected=lambda _: 0.0),
        **more,
    )
    command = f"ncollapse ledger --claim {claim.id} --scale quick"
    return Row("fake2000", claim.experiment, judge(claim, None), claim.corrected, 1.0, command)


@pytest.fixture
def page():
    rows = (
        row("right", 2.03),
        row("wrong", 5.0),
        row("printed", 3.0, corrected="fake2000.right"),
        row("missing", Missing("no data set")),
        row("zero", 0.05, expected=0.0),
        row("ours", 2.0, tolerance=0.0),
        row("broken", 2.0, assumption=lambda _: Assumption("separability", "9 % of pairs")),
    )
    statements = (
        Statement("Lemma 1", "x < y", ("fake2000.right", "fake2000.printed", "fake2000.wrong")),
        Statement("Lemma 2", "z", ("fake2000.right", "fake2000.missing", "fake2000.zero")),
        Statement("Remark 1", "w", reason="a remark."),
    )
    return render_ledger(Ledger("quick", rows, {"fake2000": statements}))


def test_every_claim_is_there_once_with_its_command(page):
    names = re.findall(r'class="claim" id="fake2000\.(\w+)"', page)
    assert sorted(names) == ["broken", "missing", "ours", "printed", "right", "wrong", "zero"]
    for name in names:
        assert page.count(f"ncollapse ledger --claim fake2000.{name} --scale quick") == 1
    assert page.index('id="fake2000.ours"') > page.index("Beyond the paper's numbered statements")


def test_failures_stand_in_it_like_the_rest(page):
    block = page[page.index('id="fake2000.wrong"') :]
    assert "✗</b> fails</span>" in block[: block.index("</div>")]
    assert "2 of 3 statements have a verdict" in page
    assert "no data set" in page
    assert "separability: 9 % of pairs; off by 0" in page
    assert "No claim: a remark.</p>" in page


def test_a_slip_has_its_correction_beside_it(page):
    slips = page[page.index('id="slips"') : page.index('<section id="fake2000"')]
    assert "off by 1, beyond 0.1" in slips
    assert "measured 2.03, expected 2<small>± 0.1</small>." in slips
    assert page.count('class="correction"') == 2


def test_a_correction_may_be_that_something_exists():
    rows = (
        row("found", 2.0, relation=Relation.EXISTS, expected=None),
        row("printed", 3.0, corrected="fake2000.found"),
    )
    statement = Statement("Lemma 1", "x", ("fake2000.printed", "fake2000.found"))
    assert "measured 2, expected exists" in render_ledger(
        Ledger("quick", rows, {"fake2000": (statement,)})
    )


def test_sharpness_is_in_words(page):
    assert "a change of 3.5\u00a0% would have been refuted;" in page
    assert "a change of 0.05 would have been refuted;" in page
    assert page.count("the prediction itself is refuted") == 2
    assert page.count("any change of the prediction is refuted") == 1


def test_texts_are_escaped_and_nothing_comes_from_outside(page, tmp_path):
    assert "<i>" not in page
    assert "x &lt; y" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert re.findall(r"(?:href|src)=\"(?!#)", page) == []
    write_ledger(Ledger("quick", (), {}), tmp_path / "page.html")
    assert "0 of 0 statements" in (tmp_path / "page.html").read_text(encoding="utf-8")
