"""hong2025's experiments: cells against an oracle, claims against made-up results, figures."""

import csv
import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import linprog

import ncollapse.papers as papers
from ncollapse.data import load_images
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.papers.hong2025 import _transition, generalisation, images, phase
from ncollapse.papers.hong2025.phase_plot import plot_success

SMALL = phase.Settings(2, 12, (0.0, float(np.pi)), (0.3, 1.0), (1.0, 1.25, 1.5, 1.75, 2.0), 2)
SMALL_4 = phase.Settings(4, 8, (), (0.3, 1.0), (1.0, 2.0, 3.0, 4.0), 2)


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
        monkeypatch.setattr(_transition, "phase_boundary", lambda means, sigma: boundary)
    found = _transition.search(means, 0.6, 20, dims, seed)
    assert found["feasible"] == sum(scan)
    assert scan == sorted(scan)
    assert found["proven"] == found["verdicts"] <= len(dims)


def test_an_unproven_verdict_counts_as_infeasible_and_is_reported(monkeypatch):
    monkeypatch.setattr(_transition, "proven_verdict", lambda own, rest: None)
    found = _transition.search(np.eye(2), 0.6, 5, [5, 6, 7], 0)
    assert found["feasible"] == found["proven"] == 0 < found["verdicts"]


def made_up(settings, feasible):
    shape = (len(settings.angles), len(settings.sigmas), settings.trials)
    dims = ("angle", "sigma", "trial")
    counts = np.broadcast_to(feasible, shape)
    coords = {"angle": list(settings.angles), "sigma": list(settings.sigmas)}
    ones = np.ones(shape, dtype=int)
    return xr.Dataset(
        {"feasible": (dims, counts), "verdicts": (dims, 3 * ones), "proven": (dims, 3 * ones)},
        coords=coords | {"trial": range(settings.trials)},
    )


def test_success_rate_and_crossings_of_known_counts():
    results = made_up(SMALL, np.array([3, 5]))
    success = phase.success_rate(results, SMALL.ratios)
    np.testing.assert_array_equal(success.values[1, 0], [0.5, 0.5, 1.0, 1.0, 1.0])
    turns = phase.crossings(results, SMALL.ratios)
    np.testing.assert_array_equal(turns.values[0, 0], [1.375, 1.0])


@pytest.mark.parametrize(("shift", "status"), [(0, "holds"), (1, "fails")])
def test_the_boundary_claim_tells_a_shifted_boundary(shift, status):
    settings = phase.Settings(
        2, 300, (0.0, 1.5), (0.3, 0.6, 1.0), tuple(np.linspace(1, 2, 21).tolist()), 4
    )
    exact = np.array([phase.curves(settings, settings.sigmas, a)["exact"] for a in settings.angles])
    above = (np.asarray(settings.ratios) > exact[..., None]).sum(axis=-1)[..., None]
    generator = np.random.default_rng(0)
    feasible = above - shift + generator.choice([0, 0, 0, 1], size=(2, 3, 4))
    results = made_up(settings, feasible)
    verdicts = phase.claims(settings, results, phase.Columns.of(settings, results))
    assert {v.claim: v.status for v in verdicts}["boundary"] == status


def test_the_sufficiency_claim_fails_when_a_promised_cell_fails():
    settings = phase.Settings(2, 300, (1.5,), (0.5,), (1.0, 1.2, 1.4, 1.6, 1.8, 2.0), 2)
    results = made_up(settings, np.array([1, 1]))
    verdicts = phase.claims(settings, results, phase.Columns.of(settings, results))
    assert {v.claim: v.status for v in verdicts}["sufficient"] == "fails"


@pytest.mark.parametrize("settings", [SMALL, SMALL_4], ids=["two classes", "four classes"])
def test_a_phase_figure_is_computed_and_drawn(tmp_path, settings):
    results = phase.compute(settings, tmp_path / "sweep", workers=0)
    assert results["feasible"].values.min() > 0
    assert results["feasible"].values.max() <= len(settings.ratios)
    again = phase.compute(settings, tmp_path / "sweep", workers=0)
    assert again.identical(results)
    phase.draw(settings, phase.success_rate(results, settings.ratios), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_plots_take_an_axis_and_return_artists():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axis = figure.subplots()
    success = phase.success_rate(made_up(SMALL, np.array([3, 5])), SMALL.ratios).isel(angle=0)
    artists = plot_success(axis, success, {"exact": [1.1, 1.2]}, [0.3, 1.0])
    assert len(artists) == 2
    assert list(artists[1].get_xdata()) == [1.1, 1.2]


def test_the_settings_at_paper_scale_are_the_papers():
    one, two = phase.FIGURE_1["paper"], phase.FIGURE_2["paper"]
    assert (one.classes, one.count, one.trials, len(one.angles)) == (2, 300, 10, 5)
    assert one.angles[0] == 0.0
    assert one.angles[-1] == pytest.approx(np.pi)
    assert len(one.sigmas) >= 20
    assert len(one.ratios) >= 20
    assert 5 * len(one.sigmas) * len(one.ratios) * one.trials >= 20_000
    assert (two.classes, two.count, two.trials) == (4, 250, 10)
    assert two.ratios[0] == 1.0
    assert two.ratios[-1] == 4.0


def test_theorem_7_is_computed_judged_and_drawn(tmp_path):
    settings = generalisation.Settings(25, (2.5, 4.0), (0.5, 1.5), 3)
    results = generalisation.compute(settings, tmp_path / "sweep", workers=0)
    assert bool((results["pair"] >= results["pair_bound"] - 1e-9).all())
    verdicts = generalisation.claims(settings, results)
    assert {v.claim: v.status for v in verdicts} == dict.fromkeys(
        ("found", "best error", "lower bound", "low noise", "two neurons"), "holds"
    )
    wrong = results.assign(neuron=results["neuron"] + 0.3)
    assert {v.claim: v.status for v in generalisation.claims(settings, wrong)}["best error"] == (
        "fails"
    )
    generalisation.draw(settings, results, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_sample_without_a_collapsed_neuron_is_marked(monkeypatch):
    monkeypatch.setattr(generalisation, "best_pair", lambda *a: None)
    found = generalisation.error_cell(2.0, 1.0, 0, 0, 5)
    assert found["found"] is False
    assert np.isnan(found["pair"])


@pytest.mark.parametrize("ratio", [1.6, 2.0, 4.0, 30.0])
def test_the_lower_bound_of_the_proof_lies_below_the_exact_error_and_the_printed_one_does_not(
    ratio,
):
    sigmas = np.geomspace(0.1, 10, 40)
    exact = generalisation.best_error(sigmas, ratio)
    assert (generalisation.lower_bound(sigmas, ratio) <= exact).all()
    assert (generalisation.theorem7b_error(sigmas, ratio, 300) > exact).any()


def write_idx(folder, name, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    (folder / name).write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def image_folder(tmp_path, monkeypatch):
    """Twenty images a class of 3 × 3 pixels: more than nine a class cannot collapse."""
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 3))
    write_idx(folder, "train-images-idx3-ubyte", pixels)
    write_idx(folder, "train-labels-idx1-ubyte", np.arange(40) % 2)
    monkeypatch.setenv("NCOLLAPSE_DATA", str(tmp_path / "data"))
    return folder


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
        found = images.largest_count_cell("tiny", centred, 2, {"tiny": str(image_folder)}, 20)
        assert (found["largest"], found["undecided"], found["tried"]) == (scan, 0, 20)
        assert found["proven"]
        assert found["obstacle"] in (0.0, 1.0)
        assert (found["independent"], found["rank"]) == (5 if centred else 4, 9)
        assert scan <= found["spanned"] <= 9 + centred


def test_image_limits_are_computed_judged_tabled_and_drawn(tmp_path, image_folder):
    sources = images.image_sources()
    assert sources == {"packaged digits": "", "tiny": str(image_folder)}
    settings = images.Settings((2,), 20)
    del sources["packaged digits"]
    results = images.compute(settings, sources, tmp_path / "sweep", workers=0)
    assert all(v.status == "holds" for v in images.claims(results))
    images.write_table(results, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["centred"] for line in lines] == ["False", "True"]
    assert int(lines[1]["largest"]) == results["largest"].sel(centred=True).item()
    images.draw(results, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for change in ({"spanned": results["largest"] - 1}, {"independent": results["largest"] + 1}):
        verdicts = images.claims(results.assign(change))
        assert {v.claim: v.status for v in verdicts} == {"proven": "holds", "between": "fails"}
    verdicts = images.claims(results.assign(proven=~results["proven"]))
    assert {v.claim: v.status for v in verdicts} == {"proven": "fails", "between": "holds"}


def test_all_images_tried_may_collapse(image_folder):
    found = images.largest_count_cell("tiny", False, 2, {"tiny": str(image_folder)}, 3)
    assert (found["largest"], found["tried"], found["undecided"]) == (3, 3, 0)
    assert np.isnan(found["obstacle"])


def test_packaged_digits_are_used_without_a_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("NCOLLAPSE_DATA", raising=False)
    assert images.image_sources() == {"packaged digits": ""}
    monkeypatch.setenv("NCOLLAPSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="holds no folder of IDX files"):
        images.image_sources()


def test_a_registered_experiment_runs_and_reports(tmp_path, monkeypatch):
    monkeypatch.setitem(phase.FIGURE_1, "quick", SMALL)
    compute = phase.compute
    monkeypatch.setattr(
        phase, "compute", lambda *a, scheduler: compute(*a, workers=0, scheduler=scheduler)
    )
    found = papers.reproduce("hong2025.figure1", "quick", tmp_path / "out")
    record = json.loads(json.dumps(found.to_dict()))
    assert record["name"] == "hong2025.figure1"
    assert record["scale"] == "quick"
    assert record["settings"]["cells"] == 2 * 2 * 2 * 5
    assert {claim["claim"] for claim in record["claims"]} == {"boundary", "sufficient", "proven"}
    for path in found.files:
        assert (tmp_path / "out") in Path(path).parents
    lines = (tmp_path / "out" / "crossings.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2


def test_names_and_scales_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"name must be one of hong2025\.figure1, .*'figure9'"):
        papers.reproduce("figure9")
    with pytest.raises(ValueError, match=r"scale of hong2025\.figure1 must be one of quick, paper"):
        papers.reproduce("hong2025.figure1", "huge", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_registered_function_exists():
    for name, experiment in papers.experiments().items():
        assert name == experiment.name
        assert callable(getattr(importlib.import_module(experiment.module), experiment.function))
