"""The page: complete, self-contained, and nothing from outside is ever markup."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.papers import min2025
from ncollapse.report import (
    Fact,
    Illustration,
    Page,
    Section,
    Table,
    build_page,
    prepare_folder,
    render,
    write_page,
    write_report,
)
from ncollapse.report._page import closeness, number, percent
from ncollapse.verdict import Assumption, judge

HOSTILE = '<script>alert("x")</script><img src=//evil.example/a.png>'


class Collector(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset"}]


@pytest.fixture(scope="module")
def run():
    data = orthogonally_separable(3, 3, 6, 0)
    named = Dataset(data.inputs, data.labels, data.classes, HOSTILE)
    found = min2025.run(named, width=9, scale=1e-2, rtol=1e-3, log_inverse_loss=30.0)
    return replace(found, alignment=replace(found.alignment, dead_samples=np.array([4])))


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    return write_report(run, tmp_path_factory.mktemp("report") / "new" / "folder")


@pytest.fixture(scope="module")
def html(written):
    return written[0].read_text(encoding="utf-8")


def judged(measured, tolerance=1e-3, violated=0.0, **words):
    return judge(
        words.get("claim", "a claim"),
        "a statement",
        measured=measured,
        predicted=1.0,
        tolerance=tolerance,
        source="a theorem",
        assumption=Assumption("separability", violated),
    )


def test_files_are_the_page_and_a_png_of_each_figure(written):
    assert written[0].name == "report.html"
    assert {path.stem for path in written[1:]} == {
        "digit-correlation",
        "neuron-weights",
        "principal-components",
        "loss-and-norms",
        "alignment",
        "masses",
        "dead-samples",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[1:])
    assert sorted(path.name for path in written[0].parent.iterdir()) == sorted(
        path.name for path in written
    )


def test_page_refers_to_nothing_outside_itself(html):
    seen = Collector()
    seen.feed(html)
    assert len(seen.links) == 2 * 7 + 1
    assert all(link.startswith("data:") for link in seen.links)
    assert "script" not in seen.tags
    assert not re.search(r"url\(|@import", html)


def test_names_from_outside_are_escaped(html):
    assert HOSTILE not in html
    assert "<script" not in html
    assert HOSTILE in unescape(html)


def test_every_verdict_is_listed_with_its_status_and_reason(run, html):
    text = unescape(html)
    assert len(run.verdicts) > 5
    for verdict in run.verdicts:
        assert verdict.claim in text
        assert verdict.statement in text
        assert verdict.reason in text
        assert verdict.source in text


@pytest.fixture
def undrawn(monkeypatch):
    """Pages whose words matter, without the time that drawing takes."""
    monkeypatch.setattr("ncollapse.report._images._png", lambda *_: b"")


def test_dead_samples_are_named_with_what_they_cost(run, html, undrawn):
    assert "Row: 4 (class 1)." in html
    assert number(float(np.log(3))) in html
    alive = replace(run, alignment=replace(run.alignment, dead_samples=np.array([], dtype=int)))
    assert not any("dead" in figure.name for figure in build_page(alive).figures)


def test_a_run_without_a_prediction_says_so(run, undrawn):
    page = build_page(replace(run, limit=None, no_limit="class 2 has no margin"))
    assert "class 2 has no margin" in render(page)


def test_statuses_differ_without_colour():
    page = Page(
        "A title",
        "A lead.",
        verdicts=[judged(1.0), judged(0.5), judged(1.0, violated=0.2), judged(None)],
    )
    html = render(page)
    for mark, status in (("✓", "holds"), ("✗", "fails"), ("△", "assumption violated")):
        assert html.count(f"{mark}</b> {status}") == {"fails": 2}.get(status, 1)
    assert "not measured" in html


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
