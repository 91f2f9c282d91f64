"""Pages of predictions and explanations: the plane of class means, what is said, what is drawn."""

import numpy as np
import pytest

from ncollapse.geometry import simplex_etf
from ncollapse.report import render
from ncollapse.report.explanation import explanation_page
from ncollapse.report.last_layer import largest_classes, plane_coordinates
from ncollapse.report.prediction import prediction_page
from ncollapse.theory.curve import imbalance_curve
from ncollapse.theory.explain import explain
from ncollapse.theory.predict import predict

COUNTS = (40, 20, 10, 4, 4)


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@pytest.mark.parametrize("seed", range(3))
def test_the_plane_keeps_the_distances_of_its_classes(seed):
    means = np.random.default_rng(seed).standard_normal((5, 7))
    plan = plane_coordinates(means @ means.T, [3, 0, 2])
    chosen = [3, 0, 2]
    np.testing.assert_allclose(distances(plan[chosen]), distances(means[chosen]), atol=1e-12)
    assert np.all(distances(plan) <= distances(means) + 1e-12)  # a projection
    assert plan[3, 1] == pytest.approx(0.0, abs=1e-12)
    assert plan[0, 1] > 0
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((7, 7)))[0]
    turned = means @ turn
    np.testing.assert_allclose(plane_coordinates(turned @ turned.T, chosen), plan, atol=1e-12)


def test_means_that_coincide_have_no_axis():
    means = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert not plane_coordinates(means @ means.T, [0, 1, 2]).any()
    assert largest_classes(np.array([3, 9, 9, 4])) == [1, 2, 3]
    assert largest_classes(np.array([3, 9])) == [1, 0]


def test_the_page_of_a_prediction_names_the_threshold_and_what_merges():
    options = {"weight_decay": 3e-2, "feature_decay": 3e-2}
    prediction, curve = predict(COUNTS, **options), imbalance_curve(COUNTS, points=6, **options)
    page = prediction_page(prediction, curve)
    assert prediction.merged == ((3, 4),)
    assert "3 = 4" in [fact.value for fact in page.facts]
    section = next(s for s in page.sections if s.title == "When the smallest classes change")
    assert f"at {curve.threshold} samples and below" in section.text
    film = section.animations[0]
    assert len(film.frames) == len(film.labels) == len(curve.sizes)
    last = np.array([film.frames[-1][1]["x"], film.frames[-1][1]["y"]]).T
    assert np.linalg.norm(last[3] - last[4]) < 1e-3  # one sample each: merged
    first = np.array([film.frames[0][1]["x"], film.frames[0][1]["y"]]).T
    assert np.linalg.norm(first[3] - first[4]) > 0.1
    html = render(page)
    assert "Where is training heading?" in html
    assert 'aria-label="Samples of the smallest classes"' in html
    assert {f.name for f in page.figures} == {
        "weight",
        "means",
        "logits",
        "class-means",
        "imbalance",
    }


def test_two_classes_have_a_page_without_a_plane_to_move_in():
    options = {"weight_decay": 1e-3, "feature_decay": 1e-3}
    page = prediction_page(predict((9, 4), **options), imbalance_curve((9, 4), points=4, **options))
    assert page.animations == []
    assert "plotly" not in render(page)


@pytest.mark.parametrize("given", [{}, {"weight_decay": 1e-3}])
def test_the_page_of_an_explanation_shows_the_best_theory(given):
    means = 3.0 * simplex_etf(4, 6, seed=0)
    labels = np.repeat(np.arange(4), 5)
    found = explain(means[labels], labels, means, **given)
    page = explanation_page(found, "<net>.npz")
    assert page.facts[0].value == "balanced"
    section = next(s for s in page.sections if s.title == "Measured and predicted")
    assert "balanced, the best theory" in section.text
    assert [figure.name for figure in section.figures] == [
        "weight",
        "means",
        "logits",
        "class-means",
        "margins",
    ]
    html = render(page)
    assert "<net>" not in html
    assert ("weight_decay is not known" in html) == (not given)


def test_where_nothing_explains_the_nearest_is_shown():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 6)
    found = explain(rng.standard_normal((18, 4)), labels, rng.standard_normal((3, 4)))
    page = explanation_page(found, "net")
    assert page.facts[0].value == "none"
    assert any("the nearest" in section.text for section in page.sections)
