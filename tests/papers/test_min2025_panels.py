"""What min2025's figures show, against literal transcriptions, and that the drawings carry it."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.geometry import simplex_etf
from ncollapse.papers import min2025
from ncollapse.papers.min2025 import figures, panels, timelines
from ncollapse.report.style import theme


@pytest.fixture(scope="module")
def tiny():
    data = orthogonally_separable(3, 3, 6, 0, scales=[1, 2, 3])
    return min2025.run(data, width=9, scale=1e-2, rtol=1e-3, log_inverse_loss=30.0)


@pytest.fixture(scope="module")
def shown(tiny):
    return panels.compute_panels(tiny)


@pytest.fixture
def figure():
    with theme("light"):
        yield Figure(figsize=(6, 4))


def test_correlation_is_every_pair_sorted_by_class():
    data = Dataset.from_arrays(np.random.default_rng(0).normal(size=(5, 4)), [1, 0, 1, 0, 0])
    found = panels.correlate(data)
    order = [1, 3, 4, 0, 2]
    for i, a in enumerate(data.inputs[order]):
        for j, b in enumerate(data.inputs[order]):
            cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
            assert found.cosines[i, j] == pytest.approx(cosine, abs=1e-12)
    assert found.edges.tolist() == [0, 3, 5]


def test_nearest_etf_finds_the_direction_a_column_points_to():
    etf = simplex_etf(4)
    weight = np.column_stack([3 * etf[2], 0.1 * etf[0] + 0.01 * etf[1], np.zeros(4)])
    assigned, cosines = panels.nearest_etf(weight)
    assert assigned.tolist() == [2, 0, panels.UNASSIGNED]
    assert cosines[0] == pytest.approx(1.0)
    assert cosines[1] == pytest.approx(etf[0] @ weight[:, 1] / np.linalg.norm(weight[:, 1]))
    assert cosines[2] == 0


def test_sign_agreement_counts_pairs():
    labels = np.array([0, 0, 1])
    features = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
    # neuron 0 (class 0): right, wrong, wrong; neuron 1 is dead; neuron 2 (class 0): all right
    assert panels.sign_agreement(features, labels, np.array([0, 1, 0])) == pytest.approx(4 / 6)
    assert panels.sign_agreement(features, labels, np.full(3, panels.UNASSIGNED)) == 0.0


def test_average_weights_by_group():
    data = Dataset.from_arrays([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0]], [0, 0, 1])
    hidden = np.array([[1.0, 1.0], [1.0, -1.0], [9.0, 9.0]])
    found = panels.average_weights(hidden, np.array([0, 0, panels.UNASSIGNED]), data)
    np.testing.assert_allclose(found.weights, [[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(found.inputs, [[2.0, 0.0], [0.0, 2.0]])
    assert found.cosines == (1.0, None)
    assert found.sizes.tolist() == [2, 0]


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_simplex_plane_is_orthonormal_and_shows_a_regular_polygon(count):
    plane = panels.simplex_plane(count)
    np.testing.assert_allclose(plane.T @ plane, np.eye(2), atol=1e-12)
    corners = simplex_etf(count) @ plane
    radius = 1.0 if count == 2 else np.sqrt(2 / (count - 1))
    np.testing.assert_allclose(np.linalg.norm(corners, axis=1), radius)
    turn = corners[0] @ corners[1] / radius**2
    assert turn == pytest.approx(np.cos(2 * np.pi / count))


def test_project_keeps_the_largest_components_without_centring():
    rows = np.diag([3.0, -2.0, 1.0, 0.5])
    found = panels.project(rows, 2)
    np.testing.assert_allclose(np.abs(found.coordinates), np.diag([3.0, 2, 1, 0])[:, :3])
    assert found.coordinates.max(axis=0).tolist() == pytest.approx([3.0, 2.0, 1.0])
    assert found.error == pytest.approx((1 + 0.25) / (9 + 4 + 1 + 0.25))


def test_panels_of_a_run(tiny, shown):
    exact = tiny.trajectory.observations["groups"][-1]
    np.testing.assert_array_equal(shown.assigned[exact >= 0], exact[exact >= 0])
    np.testing.assert_allclose(shown.masses, tiny.masses, rtol=1e-12)
    np.testing.assert_allclose(shown.cos_to_max_margin, tiny.cos_to_max_margin, rtol=1e-12)
    assert shown.agreement[shown.aligned] == shown.agreement.max() == 1.0
    assert (shown.agreement[: shown.aligned] < 1.0).all()
    assert shown.features_end.error == pytest.approx(tiny.feature_rank_error[-1], abs=1e-12)


def test_figures_of_the_end_carry_the_data(tiny, shown, figure):
    classes = tiny.data.classes
    matrix = figures.digit_correlation(figure.subplots(), shown.correlation, classes)
    np.testing.assert_array_equal(matrix.get_array(), shown.correlation.cosines)
    figure.clear()
    images = figures.neuron_weights(figure, shown, classes)
    assert len(images) == 6
    np.testing.assert_array_equal(images[0].get_array()[0], shown.groups.weights[0])
    np.testing.assert_array_equal(images[1].get_array()[0], shown.groups.inputs[0])
    figure.clear()
    groups = figures.output_directions(figure.subplots(), shown, classes)
    assert sum(len(group.get_offsets()) for group in groups) == 9
    figure.clear()
    bars = figures.group_masses(figure.subplots(), shown, tiny.limit.masses, classes)
    assert [bar.get_height() for bar in bars] == shown.masses.tolist()
    figure.clear()
    dots = figures.margin_cosines(figure.subplots(), shown, classes)
    np.testing.assert_allclose(dots.get_offsets()[:, 1], shown.cos_to_max_margin)


@pytest.mark.parametrize("projection", ["3d", None])
def test_components_show_every_sample_and_ring_the_dead(tiny, shown, figure, projection):
    ax = figure.add_subplot(projection=projection)
    groups = figures.principal_components(ax, shown.inputs, tiny.data, hollow=np.array([0, 4]))
    assert [group.get_label() for group in groups] == [
        "class 0",
        "class 1",
        "class 2",
        "dead sample",
    ]
    figure.savefig("/dev/null", format="png", dpi=20)
    sizes = [len(group.get_offsets()) for group in groups]
    assert sizes == [3, 3, 3, 2]


def test_square_vectors_of_some_size_are_images_and_others_strips(figure):
    axes = figure.subplots(1, 2)
    assert figures.draw_vector(axes[0], np.arange(64.0)).get_array().shape == (8, 8)
    assert figures.draw_vector(axes[1], np.zeros(16)).get_array().shape == (1, 16)


def test_timelines_carry_the_run(tiny, shown, figure):
    path = tiny.trajectory
    ax = figure.subplots()
    np.testing.assert_array_equal(timelines.loss(ax, tiny).get_ydata(), path.log_inverse_loss)
    top = timelines.time_axis(ax, path)
    for place, label in zip(top.get_xticks(), top.get_xticklabels(), strict=True):
        assert np.interp(place, path.s, path.log_time) == pytest.approx(float(label.get_text()))
    figure.clear()
    assert timelines.norms(figure.subplots(), path).get_ydata()[-1] == path.norm[-1]
    figure.clear()
    lines = timelines.margins(figure.subplots(), tiny)
    last = [line.get_ydata()[-1] for line in lines]
    np.testing.assert_allclose(last, path.observations["margins"][-1] / path.norm[-1] ** 2)
    figure.clear()
    layers = timelines.neuron_shares(figure.subplots(), tiny)
    assert [layer.get_label() for layer in layers][-2:] == ["mixed", "dead"]
    figure.clear()
    assert len(timelines.collapse(figure.subplots(), tiny)) == len(timelines.METRICS)
    figure.clear()
    features, _ = timelines.feature_rank(figure.subplots(), tiny, shown)
    np.testing.assert_allclose(features.get_ydata(), tiny.feature_rank_error, atol=1e-15)
    figure.clear()
    signs, _ = timelines.agreement(figure.subplots(), tiny, shown)
    np.testing.assert_array_equal(signs.get_ydata(), shown.agreement)


def test_margins_end_at_the_predicted_common_limit(tiny):
    """√(K/(K−1)) s_k² γ_k from the limit network's own logits."""
    limit = tiny.limit
    logits = np.maximum(tiny.data.inputs @ limit.hidden.T, 0) @ limit.weight.T
    rows = np.arange(len(logits))
    own = logits[rows, tiny.data.labels]
    logits[rows, tiny.data.labels] = -np.inf
    smallest = [(own - logits.max(axis=1))[tiny.data.labels == k].min() for k in range(3)]
    np.testing.assert_allclose(smallest, np.sqrt(1.5) * limit.masses * limit.margins)
    with theme("light"):
        ax = Figure().subplots()
        timelines.margins(ax, tiny)
    dashed = next(line for line in ax.lines if line.get_label() == "predicted limit")
    np.testing.assert_allclose(dashed.get_ydata(), smallest[0])


def test_dead_samples_cap_the_loss(tiny, figure):
    stuck = replace(tiny, alignment=replace(tiny.alignment, dead_samples=np.array([2, 5])))
    ax = figure.subplots()
    timelines.loss(ax, stuck)
    assert ax.lines[1].get_ydata()[0] == pytest.approx(-np.log(2 * np.log(3)))
    figure.clear()
    images = figures.dead_samples(figure, stuck, [2, 5])
    np.testing.assert_array_equal(images[1].get_array()[0], tiny.data.inputs[5])
