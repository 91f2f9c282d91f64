"""The animation in its page: complete without a network, safe, and the same data as the frames."""

import base64
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from ncollapse.flow import flow_ulpm, flow_upfm
from ncollapse.report import Page, Section, render
from ncollapse.report._motion import motion
from ncollapse.report._page import number
from ncollapse.report.animation import animate, build_animation
from ncollapse.report.unconstrained import check_page, unconstrained_page, write_unconstrained
from ncollapse.theory.ends import theory_at_end


class Collector(HTMLParser):
    """Addresses that a page refers to, and the text of its scripts by type."""

    def __init__(self):
        super().__init__()
        self.links, self.scripts, self.attributes, self.policy = [], [], [], ""
        self.inside = False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given[name] for name in ("src", "href", "srcset") if name in given]
        self.policy = given["content"] if "http-equiv" in given else self.policy
        self.attributes.append(given)
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append((given.get("type"), ""))

    def handle_data(self, data):
        if self.inside:
            kind, text = self.scripts[-1]
            self.scripts[-1] = kind, text + data

    def handle_endtag(self, _):
        self.inside = False


RUNS = {
    "triangle": lambda: flow_ulpm(num_classes=3, per_class=4, dim=5, until=40.0),
    "tetrahedron": lambda: flow_upfm(
        "upfm-l2", num_classes=4, per_class=3, dim=8, lambda_w=0.01, lambda_h=0.01
    ),
}


@pytest.fixture(scope="module", params=RUNS)
def run(request):
    return RUNS[request.param]()


@pytest.fixture(scope="module")
def html(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "run.html"
    write_unconstrained(run, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(html):
    collector = Collector()
    collector.feed(html)
    return collector


def test_plotly_is_inside_once_and_nothing_is_loaded(html, parsed):
    assert html.count(get_plotlyjs()) == 1
    assert all(link.startswith("data:") for link in parsed.links)
    own = html.replace(get_plotlyjs(), "")
    assert not re.search(r"https?://|url\(|@import|\bfetch\(|XMLHttpRequest", own)


def test_the_policy_lets_the_two_scripts_run_and_no_others(parsed):
    programs = [text for kind, text in parsed.scripts if kind is None]
    assert len(programs) == 2
    hashes = [base64.b64encode(hashlib.sha256(p.encode()).digest()).decode() for p in programs]
    wanted = f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}'"
    assert (
        parsed.policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {wanted}"
    )


def test_the_page_holds_the_frames(run, parsed):
    classes = run.setup.num_classes
    (animation,) = [json.loads(text) for kind, text in parsed.scripts if kind == "application/json"]
    wanted = motion(run)
    assert len(animation["frames"]) == len(animation["labels"]) == len(wanted.clock)
    kinds = {trace["type"] for colours in ("light", "dark") for trace in animation[colours]["data"]}
    assert kinds == {"scatter" if classes == 3 else "scatter3d"}
    names = [animation["light"]["data"][place]["name"] for place in animation["moving"]]
    assert names == [*(f"class {k}" for k in range(classes)), "class means", "rows of W"]
    for place in (0, 40, -1):
        *features, means, rows = (
            np.array([trace[axis] for axis in "xyz"[: classes - 1]], float).T
            for trace in animation["frames"][place]
        )
        np.testing.assert_allclose(np.concatenate(features), wanted.features[place], atol=6e-5)
        np.testing.assert_allclose(means, wanted.means[place], atol=6e-5)
        np.testing.assert_allclose(rows[1::3], wanted.classifier[place], atol=6e-5)
        assert np.isnan(rows[2::3]).all()
        assert not rows[0::3].any()
    assert animation["labels"][0].startswith("t = 0 · log(1/L) = ")
    level = number(float(run.log_inverse_loss[-1]))
    assert f"log(1/L) = {level} " in animation["labels"][-1]
    assert animation["light"]["data"][1]["marker"] != animation["dark"]["data"][1]["marker"]


def test_nothing_leaves_the_axes(run):
    animation = build_animation(run)
    layout = animation.light["layout"]
    for axis in "xyz"[: run.setup.num_classes - 1]:
        low, high = layout.get("scene", layout)[f"{axis}axis"]["range"]
        values = [
            v for rows in animation.frames for row in rows for v in row[axis] if v is not None
        ]
        assert low < min(values) < max(values) < high


def test_what_moves_can_be_read_and_driven_without_seeing_it(html, parsed):
    labelled = {given["aria-label"] for given in parsed.attributes if "aria-label" in given}
    assert "Time" in labelled
    assert any("distance to their own corners goes from" in label for label in labelled)
    assert '<button type="button">Play</button>' in html
    assert "<noscript>" in html


def test_the_page_says_how_the_run_ended(run, html):
    page = unconstrained_page(run)
    assert run.stopped in page.lead
    (theory,) = (table for section in page.sections for table in section.tables)
    assert [name for name, _ in theory.rows] == list(theory_at_end(run))
    assert "run.json" in html
    assert "PNG files" not in html


def test_the_figure_for_notebooks_has_a_slider_a_button_and_the_same_frames(run):
    figure, animation = animate(run, frames=7), build_animation(run, frames=7)
    assert len(figure.frames) == len(figure.layout.sliders[0].steps) == 7
    assert [button.label for button in figure.layout.updatemenus[0].buttons] == ["Play", "Pause"]
    assert figure.layout.sliders[0].steps[0].label == "−∞"
    for frame, rows in zip(figure.frames, animation.frames, strict=True):
        assert list(frame.traces) == animation.moving
        assert [list(trace.x) for trace in frame.data] == [row["x"] for row in rows]


def test_positive_features_are_said_to_end_on_a_frame_that_is_a_simplex_once_centred(run):
    said = "nonnegative and end on orthogonal axes" in build_animation(run, frames=3).caption
    assert said == (run.setup.model == "upfm-l2")


def test_large_classes_are_drawn_in_part_with_means_of_all(run, monkeypatch):
    monkeypatch.setattr("ncollapse.report.animation._MOST_DRAWN", 2)
    animation, parsed = build_animation(run, frames=3), motion(run, frames=3)
    assert len(animation.frames[0][0]["x"]) == 2
    assert animation.frames[-1][-2]["x"] == pytest.approx(parsed.means[-1, :, 0], abs=6e-5)
    assert "first 2 features" in animation.caption


def test_words_of_an_animation_are_never_markup(run):
    hostile = '</script><script>alert("x")</script>'
    animation = build_animation(run, frames=3)
    animation = replace(animation, title=hostile, caption=hostile, labels=[hostile] * 3)
    html = render(Page("t", "l", sections=[Section("s", "", animations=[animation])]))
    assert hostile not in html
    assert html.count("<script") == 3 + get_plotlyjs().count("<script")


@pytest.mark.parametrize("classes", [2, 5])
def test_a_number_of_classes_that_cannot_be_drawn_is_found_before_the_run(classes):
    with pytest.raises(ValueError, match=f"number of classes is {classes}"):
        check_page(classes)


def test_a_missing_library_is_named_before_the_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ModuleNotFoundError, match=r"plotly is needed .*ncollapse\[report\]"):
        check_page(3)
