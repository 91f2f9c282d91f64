"""The page of a run of min2025: complete, self-contained, and nothing from outside is markup."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.papers import min2025
from ncollapse.papers.min2025.page import build_page, write_report
from ncollapse.report import number, render

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
        assert verdict.id in text
        assert verdict.statement in text
        assert verdict.says in text
        assert verdict.reason in text
        assert verdict.source in text


@pytest.fixture
def undrawn(monkeypatch):
    """Pages whose words matter, without the time that drawing takes."""
    monkeypatch.setattr("ncollapse.report.images._png", lambda *_: b"")


def test_dead_samples_are_named_with_what_they_cost(run, html, undrawn):
    assert "Row: 4 (class 1)." in html
    assert number(float(np.log(3))) in html
    alive = replace(run, alignment=replace(run.alignment, dead_samples=np.array([], dtype=int)))
    assert not any("dead" in figure.name for figure in build_page(alive).figures)


def test_a_run_without_a_prediction_says_so(run, undrawn):
    page = build_page(replace(run, limit=None, no_limit="class 2 has no margin"))
    assert "class 2 has no margin" in render(page)
