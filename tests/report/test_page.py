"""The page of anything: statuses, numbers for readers, files that are complete or absent."""

import pytest

from ncollapse.claims import Assumption, Claim, Missing, Relation, judge
from ncollapse.report import (
    Fact,
    Illustration,
    Page,
    Section,
    Table,
    closeness,
    number,
    percent,
    prepare_folder,
    render,
    write_page,
)


def judged(measured, tolerance=1e-3, violated="", relation=Relation.EQUAL, **words):
    return judge(
        Claim(
            id="paper.claim",
            experiment="paper.experiment",
            statement="Theorem 1",
            says="a quantity",
            source="a theorem",
            relation=relation,
            expected=1.0,
            tolerance=tolerance,
            measure=lambda _: Missing("no such thing") if measured is None else measured,
            assumption=lambda _: Assumption("separability", violated) if violated else None,
            **words,
        ),
        None,
    )


def test_statuses_differ_without_colour():
    page = Page(
        "A title",
        "A lead.",
        verdicts=[
            judged(1.0),
            judged(0.5),
            judged(1.0, violated="20 % of pairs"),
            judged(None),
            judged(0.5, corrected="paper.right"),
        ],
    )
    html = render(page)
    marks = {"holds": "✓", "fails": "✗"}
    marks |= {"not measured": "–", "fails as printed": "✎"}
    for status, mark in marks.items():
        assert html.count(f"{mark}</b> {status}<") == 1, status
    assert html.count('aria-label="assumption violated">△</b>') == 1
    assert "no such thing" in html
    assert "paper.right is the corrected claim" in html


def test_a_violated_assumption_is_said_once():
    html = render(Page("A title", "A lead.", verdicts=[judged(1.0, violated="20 % of pairs")] * 3))
    assert html.count("20 % of pairs") == 1
    assert html.count("Separability: 20 % of pairs.") == 1
    assert html.count('aria-label="assumption violated">△</b>') == 3


def test_any_experiment_can_use_the_page():
    picture = Illustration("name", "Title", "Caption", "Seen", b"light", b"dark", 300)
    page = Page(
        "Another paper",
        "Lead",
        facts=[Fact("what", "42", "why")],
        sections=[Section("Part", "Words", [picture], [Table(["a", "b"], [["<1>", "2"]])])],
    )
    html = render(page)
    for text in ("Another paper", "42", "Caption", "&lt;1&gt;", "data:image/png;base64,"):
        assert text in html
    assert "The verdict" not in html
    assert "run.json" not in html


def test_closeness_is_logarithmic_around_the_tolerance():
    assert closeness(judged(1.001 + 1e-16, tolerance=1e-3)) == pytest.approx(50)
    assert closeness(judged(1.01, tolerance=1e-3)) == pytest.approx(62.5)
    assert closeness(judged(1.0)) == 0
    assert closeness(judged(0.9, tolerance=0.0)) == 100
    assert closeness(judged(1e9)) == 100
    assert closeness(judged(None)) is None
    assert closeness(judged(0.5, relation=Relation.AT_MOST)) == 0
    assert closeness(judged(1.5, relation=Relation.AT_LEAST)) == 0
    assert closeness(judged(1.01, relation=Relation.AT_MOST)) == pytest.approx(62.5)
    assert closeness(judged(0.5, relation=Relation.EXISTS)) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.12345, "0.123"),
        (1234.5, "1,234"),
        (2.5e-7, "2.50 × 10⁻⁷"),
        (-3e12, "−3.00 × 10¹²"),
        (-0.151, "−0.151"),
    ],
)
def test_numbers_for_readers(value, text):
    assert number(value) == text


def test_percentages_for_readers():
    shares = [percent(share).replace("\u00a0", " ") for share in (0.0, 1e-9, 0.2153, 1.0)]
    assert shares == [
        "0 %",
        "< 0.001 %",
        "21.5 %",
        "100 %",
    ]


def test_a_file_in_the_way_is_named_before_anything_is_drawn(tmp_path):
    blocked = tmp_path / "taken"
    blocked.write_text("mine")
    for out in (blocked, blocked / "below"):
        with pytest.raises(NotADirectoryError, match="taken"):
            prepare_folder(out)
        with pytest.raises(NotADirectoryError, match="taken"):
            write_page(Page("t", "l"), out)
    assert blocked.read_text() == "mine"


def test_an_unwritable_folder_is_named(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ncollapse._checks.tempfile.TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=f"{tmp_path.name} cannot be written to: Permission"):
        prepare_folder(tmp_path)
