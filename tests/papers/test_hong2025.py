"""hong2025's experiments: cells against an oracle, claims against made-up results, figures."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.optimize import linprog

from ncollapse.claims import judge
from ncollapse.data import load_images
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.papers import claims, experiments
from ncollapse.papers.hong2025 import figures, generalisation, image_limits, phase, transition

SMALL = phase.Grid(2, 12, (0.0, float(np.pi)), (0.3, 1.0), (1.0, 1.25, 1.5, 1.75, 2.0), 2)
SMALL_4 = phase.Grid(4, 8, (), (0.3, 1.0), (1.0, 2.0, 3.0, 4.0), 2)


def status(claim, result):
    return judge(claims()[f"hong2025.{claim}"], result).status


def feasible_by_linear_program(own, rest):
    """hong2025 (3.1) as it stands."""
    answer = linprog(
        np.zeros(own.shape[1]),
        A_ub=rest,
        b_ub=np.zeros(len(rest)),
        A_eq=own,
        b_eq=np.ones(len(own)),
        bounds=(None, None),
    )
    return answer.status == 0


@pytest.mark.parametrize("seed", range(6), ids="seed {}".format)
@pytest.mark.parametrize("predicted", [None, 0.0, 9.0], ids="prediction {}".format)
def test_search_equals_a_scan_of_linear_programs_whatever_is_predicted(
    seed, predicted, monkeypatch
):
    means, dims = np.eye(2), list(range(20, 41, 2))
    data = gaussian_mixture(means, 20, 0.6, dims[-1], seed)
    scan = [
        feasible_by_linear_program(data.of_class(0)[:, :dim], data.of_class(1)[:, :dim])
        for dim in dims
    ]
    if predicted is not None:
        boundary = SimpleNamespace(ratio=predicted)
        monkeypatch.setattr(transition, "phase_boundary", lambda means, sigma: boundary)
    found = transition.search(means, 0.6, 20, dims, seed)
    assert found["feasible"] == sum(scan)
    assert scan == sorted(scan)
    assert found["proven"] == found["verdicts"] <= len(dims)


def test_an_unproven_verdict_counts_as_infeasible_and_is_reported(monkeypatch):
    undecided = SimpleNamespace(feasible=None)
    monkeypatch.setattr(transition, "decide", lambda own, rest: undecided)
    found = transition.search(np.eye(2), 0.6, 5, [5, 6, 7], 0)
    assert found["feasible"] == found["proven"] == 0 < found["verdicts"]


def made_up(grid, feasible):
    shape = (len(grid.angles), len(grid.sigmas), grid.trials)
    dims = ("angle", "sigma", "trial")
    counts = np.broadcast_to(feasible, shape)
    coords = {"angle": list(grid.angles), "sigma": list(grid.sigmas)}
    ones = np.ones(shape, dtype=int)
    cells = xr.Dataset(
        {"feasible": (dims, counts), "verdicts": (dims, 3 * ones), "proven": (dims, 3 * ones)},
        coords=coords | {"trial": range(grid.trials)},
        attrs={"seed": 0},
    )
    return phase.Phase(grid, cells)


def test_success_rate_and_crossings_of_known_counts():
    result = made_up(SMALL, np.array([3, 5]))
    np.testing.assert_array_equal(result.success.values[1, 0], [0.5, 0.5, 1.0, 1.0, 1.0])
    np.testing.assert_array_equal(result.crossings.values[0, 0], [1.375, 1.0])
    assert result.mean[0, 0] == pytest.approx(1.1875)
    assert result.spread == pytest.approx(0.375 / np.sqrt(2))
    np.testing.assert_array_equal(result.promised(1.75), np.ones(8))
    np.testing.assert_array_equal(
        result.promised(np.array([[3.0, 1.2], [3.0, 3.0]])), [0.5, 1.0, 1.0, 1.0]
    )


def at_the_boundary(noise):
    """Draws of which half turn on either side of the boundary for ``noise`` times σ."""
    ratios = tuple(np.linspace(1, 2, 1001).round(6).tolist())
    grid = phase.Grid(2, 300, (0.5, 1.5), (0.3, 0.6, 1.0), ratios, 2)
    exact = grid.boundary(noise * np.asarray(grid.sigmas))
    above = (np.asarray(ratios) > exact[..., None]).sum(axis=-1)[..., None]
    return made_up(grid, above + np.array([-5, 5]))


@pytest.mark.parametrize("noise", [0.9, 1.0, 1.05])
def test_the_noise_scale_is_that_of_the_draws(noise):
    result = at_the_boundary(noise)
    assert result.noise_scale() == pytest.approx(noise, rel=0.01)
    assert result.noise_scale(noise) == pytest.approx(1.0, abs=1e-3)
    assert 0 < result.noise_scale_error < 0.05


@pytest.mark.parametrize(("noise", "expected"), [(1.0, "holds"), (1.3, "fails")])
def test_claims_tell_a_moved_boundary(noise, expected):
    assert status("figure1.boundary", at_the_boundary(noise)) == expected
    assert status("figure1.noise", at_the_boundary(noise)) == expected


def test_the_sufficiency_claims_fail_when_a_promised_cell_fails():
    grid = phase.Grid(2, 300, (1.5,), (0.1,), (1.0, 1.2, 1.4, 1.6, 1.8, 2.0), 2)
    assert status("figure1.union", made_up(grid, np.array([3, 5]))) == "fails"
    assert status("figure1.union", made_up(grid, np.array([5, 5]))) == "holds"
    late = made_up(grid, np.array([1, 1]))
    assert status("figure1.gordon-limit", late) == "fails"
    loud = phase.Grid(2, 300, (1.5,), (3.0,), grid.ratios, 2)
    assert status("figure1.union", made_up(loud, np.array([5, 5]))) == "not measured"


@pytest.mark.parametrize("grid", [SMALL, SMALL_4], ids=["two classes", "four classes"])
def test_a_phase_figure_is_computed_and_drawn(tmp_path, grid):
    result = phase.compute(grid, tmp_path / "sweep", workers=0)
    assert result.cells["feasible"].values.min() > 0
    assert result.cells["feasible"].values.max() <= len(grid.ratios)
    again = phase.compute(grid, tmp_path / "sweep", workers=0)
    assert again.cells.identical(result.cells)
    json.dumps(result.to_dict(), allow_nan=False)
    draw = figures.figure1 if grid.angles else figures.figure2
    image, table = draw(result, tmp_path)
    assert image.read_bytes().startswith(b"\x89PNG")
    lines = table.read_text().splitlines()
    assert len(lines) == 1 + 2 * max(1, len(grid.angles))


def test_plots_take_an_axis_and_return_artists():
    success = made_up(SMALL, np.array([3, 5])).success.isel(angle=0)
    lines = {"union": [1.1, 1.2], "gordon": [1.5, 1.5]}
    artists = figures.plot_success(Figure().subplots(), success, lines, [0.3, 1.0])
    assert list(artists[1].get_xdata()) == [1.1, 1.2]
    drawn = [(line.get_color(), line.get_linestyle()) for line in artists[1:]]
    assert drawn == [("red", "-"), ("blue", "--")]  # as the paper draws them


def test_the_settings_at_paper_scale_are_the_papers(monkeypatch):
    grids = []
    monkeypatch.setattr(phase, "compute", lambda grid, folder, **_: grids.append(grid))
    for name in ("figure1", "figure2"):
        experiment = experiments()[f"hong2025.{name}"]
        experiment(**experiment.scales["paper"], folder=Path())
    one, two = grids
    assert (one.classes, one.count, one.trials, len(one.angles)) == (2, 300, 10, 5)
    assert one.angles[0] == 0.0
    assert one.angles[-1] == pytest.approx(np.pi)
    assert len(one.sigmas) >= 20
    assert len(one.ratios) >= 20
    assert 5 * len(one.sigmas) * len(one.ratios) * one.trials >= 20_000
    assert (two.classes, two.count, two.trials) == (4, 250, 10)
    assert two.ratios[0] == 1.0
    assert two.ratios[-1] == 4.0


def test_theorem_7_tells_wrong_errors(tmp_path, result_of):
    result = result_of("hong2025.theorem7")
    json.dumps(result.to_dict(), allow_nan=False)
    neuron = result.cells["neuron"]
    for claim, wrong in (
        ("noise", 1.3 * neuron),
        ("neuron-lower", neuron.where(neuron["sigma"] < 1, 0.5 * result.lower[0, -1])),
        ("neuron-upper", neuron + 0.01),
    ):
        changed = generalisation.Errors(result.count, result.cells.assign(neuron=wrong))
        assert status(f"theorem7.{claim}", changed) == "fails", claim
    (image,) = figures.theorem7(result, tmp_path)
    assert image.read_bytes().startswith(b"\x89PNG")


def test_a_sample_without_a_collapsed_neuron_is_marked(monkeypatch):
    monkeypatch.setattr(generalisation, "best_pair", lambda *a: None)
    found = generalisation.error_cell(2.0, 1.0, 0, 0, 5)
    assert found["found"] is False
    assert np.isnan(found["pair"])


def test_image_limits_are_those_of_a_scan_of_linear_programs(image_folder):
    data = load_images((0, 1), folder=image_folder, scale=1)
    for centred in (False, True):
        scan = 0
        for n in range(1, 21):
            own, rest = (data.of_class(k)[:n] / 255 for k in (0, 1))
            if centred:
                mean = (own.mean(axis=0) + rest.mean(axis=0)) / 2
                own, rest = own - mean, rest - mean
            if not (
                feasible_by_linear_program(own, rest) and feasible_by_linear_program(rest, own)
            ):
                break
            scan = n
        found = image_limits.largest_count_cell("tiny", centred, 2, {"tiny": str(image_folder)}, 20)
        assert (found["largest"], found["undecided"], found["tried"]) == (scan, 0, 20)
        assert found["proven"]
        assert found["obstacle"] in (0.0, 1.0)
        assert (found["independent"], found["rank"]) == (5 if centred else 4, 9)
        assert scan <= found["spanned"] <= 9 + centred


def test_image_limits_are_judged_tabled_and_drawn(tmp_path, result_of):
    result = result_of("hong2025.images")
    json.dumps(result.to_dict(), allow_nan=False)
    image, table = figures.images(result, tmp_path)
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["centred"] for line in lines] == ["False", "True"]
    assert int(lines[1]["largest"]) == result.cells["largest"].sel(centred=True).item()
    assert image.read_bytes().startswith(b"\x89PNG")
    largest = result.cells["largest"]
    for claim, change in (
        ("spanned", {"spanned": largest - 1}),
        ("independent", {"independent": largest + 1}),
        ("proven", {"proven": ~result.cells["proven"]}),
    ):
        changed = image_limits.LargestCounts(result.cells.assign(change))
        assert status(f"images.{claim}", changed) == "fails"


def test_all_images_tried_may_collapse(image_folder):
    found = image_limits.largest_count_cell("tiny", False, 2, {"tiny": str(image_folder)}, 3)
    assert (found["largest"], found["tried"], found["undecided"]) == (3, 3, 0)
    assert np.isnan(found["obstacle"])


def test_images_come_from_the_folder_that_is_named(monkeypatch, tmp_path, image_folder):
    monkeypatch.delenv("NCOLLAPSE_DATA", raising=False)
    assert image_limits.image_sources() == {"packaged digits": ""}
    monkeypatch.setenv("NCOLLAPSE_DATA", str(image_folder.parent))
    assert image_limits.image_sources() == {"packaged digits": "", "tiny": str(image_folder)}
    monkeypatch.setenv("NCOLLAPSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="holds no folder of IDX files"):
        image_limits.image_sources()


def test_theorem_2_on_both_sides_of_the_threshold(result_of):
    result = result_of("hong2025.theorem2")
    assert result.predicted("upfm-ce")[0].a > 0.0 == result.predicted("upfm-ce")[1].a
    assert result.printed_sizes()[0] != pytest.approx(result.predicted("upfm-l2")[0].a, abs=0.1)
    json.dumps(result.to_dict(), allow_nan=False)
    for model in result.logit_size:
        assert len(figures.plot_sizes(Figure().subplots(), result, model)) == 2
