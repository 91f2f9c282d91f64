"""The command line: JSON for programs, tables for people, one line for mistakes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from ncollapse.cli import main
from ncollapse.data import orthogonally_separable


def call(capsys, *arguments):
    """Exit status, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return exit_info.value.code, captured.out, captured.err


@pytest.fixture
def data_file(tmp_path):
    data = orthogonally_separable(2, 4, 6, 0)
    path = tmp_path / "data.npz"
    np.savez(path, inputs=data.inputs, labels=data.labels + 5)
    return path


@pytest.fixture
def features_file(tmp_path):
    labels = np.repeat(np.arange(3), 10)
    features = np.eye(3, 5)[labels] + 1e-3 * np.random.default_rng(0).standard_normal((30, 5))
    path = tmp_path / "features.npz"
    np.savez(path, features=features, labels=labels, weight=np.eye(3, 5), bias=np.zeros(3))
    return path


def test_flow_prints_what_programs_rely_on(capsys, data_file, tmp_path):
    saved = tmp_path / "path.npz"
    arguments = ["flow", "relu2", "--data", data_file, "--width", 8, "--init", 1e-3, "--seed", 3]
    status, out, err = call(capsys, *arguments, "--until", 20, "--save", saved, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    assert record["log_inverse_loss"] == pytest.approx(20.0)
    assert record["seed"] == 3
    assert record["version"]
    assert record["arguments"]["width"] == 8
    assert record["classes"] == [5, 6]
    assert sum(record["group_sizes"]) + record["dead_neurons"] + record["mixed_neurons"] == 8
    assert out == json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert saved.exists()


def test_flow_prints_a_table_for_people(capsys, data_file):
    status, out, _ = call(capsys, "flow", "relu2", "--data", data_file, "--until", 5)
    assert status == 0
    assert "alignment T*" in out
    assert "masses" in out


def test_measure_prints_metrics(capsys, features_file):
    status, out, err = call(capsys, "measure", features_file, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    assert record["num_samples"] == 30
    assert record["metrics"]["nc4_agreement"] == 1.0
    assert {"metrics", "num_classes", "classes", "preset", "version"} <= record.keys()
    status, out, _ = call(capsys, "measure", features_file, "--preset", "papyan2020")
    assert status == 0
    assert "nc1_pinv" in out


def test_certify_and_verify(capsys, data_file, tmp_path):
    kept = tmp_path / "certificate.npz"
    status, out, _ = call(capsys, "certify", data_file, "--certificate", kept, "--json")
    record = json.loads(out)
    assert status == 0
    assert record["verdict"] == "feasible"
    assert all(entry["verified"] for entry in record["classes"])
    status, out, _ = call(capsys, "certify", "--verify", kept, data_file, "--json")
    assert json.loads(out)["verdict"] == "feasible"
    assert call(capsys, "certify", data_file)[0] == 0


def test_boundary_is_that_of_the_theory(capsys):
    arguments = ["boundary", "--classes", 2, "--sigma", 0.5, "--angle", np.pi]
    record = json.loads(call(capsys, *arguments, "--json")[1])
    assert record["boundary"] == pytest.approx(1.2880, abs=1e-4)
    assert record["gordon_bound"] == 1.5
    assert "boundary" in call(capsys, *arguments)[1]


def test_list_of_experiments(capsys):
    status, out, _ = call(capsys, "reproduce", "--list", "--json")
    names = [entry["name"] for entry in json.loads(out)["experiments"]]
    assert status == 0
    assert "hong2025.figure1" in names


MISTAKES = {
    "unknown command": (["bogus"], "No such command"),
    "missing option": (["flow", "relu2"], "--data"),
    "missing file": (["flow", "relu2", "--data", "nowhere.npz"], "nowhere.npz"),
    "narrow network": (["flow", "relu2", "--data", "{data}", "--width", 1], "width must be"),
    "zero start": (["flow", "relu2", "--data", "{data}", "--init", 0], "scale must be"),
    "goal too near": (
        ["flow", "relu2", "--data", "{data}", "--until", -50],
        "the goal log(1/L) must lie above",
    ),
    "wrong arrays": (["measure", "{data}"], "lacks the array features"),
    "unknown preset": (["measure", "{features}", "--preset", "x"], "preset must be one of"),
    "unwritable page": (["measure", "{features}", "--html", "/nowhere/x.html"], "/nowhere"),
    "five corners": (["flow", "ulpm", "--html", "{tmp}/x.html"], "number of classes is 5"),
    "no page there": (["flow", "ufm", "--html", "/nowhere/x.html"], "--html /nowhere"),
    "sigma": (["boundary", "--classes", 2, "--sigma", -1], "sigma must be positive"),
    "angle": (["boundary", "--classes", 3, "--sigma", 1, "--angle", 1], "--angle"),
    "means": (["boundary", "--classes", 3, "--sigma", 1, "--means", "x"], "--means"),
    "experiment": (["reproduce", "x.y"], "no experiment 'x.y'"),
    "unwritable folder": (["demo", "--out", "/proc/nowhere"], "/proc/nowhere"),
    "digit": (["demo", "--classes", "a,b", "--out", "{tmp}/d"], "--classes must be integers"),
    "same digit": (["demo", "--classes", "1,1", "--out", "{tmp}/d"], "--classes must differ"),
    "data folder": (["demo", "--data-dir", "/nowhere", "--out", "{tmp}/d"], "/nowhere"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_get_one_line_and_status_2(capsys, data_file, features_file, tmp_path, case):
    arguments, message = MISTAKES[case]
    places = {"data": data_file, "features": features_file, "tmp": tmp_path}
    filled = [str(argument).format(**places) for argument in arguments]
    status, out, err = call(capsys, *filled)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (np.array([[1.0, np.nan]] * 4), np.array([0, 0, 1, 1]), "inputs must be finite, but row 0"),
        (np.eye(4), np.zeros(4, int), "two classes"),
        (np.eye(4), np.array([0, 1, 1, 1]), "class 0 has 1 sample"),
        (np.eye(4) * [1, 1, 1, 0], np.array([0, 0, 1, 1]), "row 3 is the zero vector"),
        (np.eye(4), np.array([0, 0, 1]), "3 entries for 4 samples"),
        (np.eye(4), np.array([0.0, 0, 1, 1]), "labels must hold integers"),
    ],
)
def test_bad_data_are_explained(capsys, tmp_path, inputs, labels, message):
    path = tmp_path / "bad.npz"
    np.savez(path, inputs=inputs, labels=labels)
    status, _, err = call(capsys, "flow", "relu2", "--data", path)
    assert status == 2
    assert message in err


def test_an_interrupt_saves_the_path_and_says_where(capsys, data_file, tmp_path, monkeypatch):
    from ncollapse.flow import _integrate

    monkeypatch.chdir(tmp_path)
    decide, calls = _integrate._end_of, []

    def interrupted(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return decide(*arguments, **named)

    monkeypatch.setattr(_integrate, "_end_of", interrupted)
    status, out, err = call(capsys, "flow", "relu2", "--data", data_file, "--until", 1e5, "--json")
    assert status == 130
    assert "Interrupted at s" in err
    assert "interrupted-relu2-seed-0.npz" in err
    assert json.loads(out)["reached"] is False
    with np.load(tmp_path / "interrupted-relu2-seed-0.npz", allow_pickle=False) as kept:
        assert kept["s"].size > 1


def test_import_stays_light():
    heavy = "{'jax', 'torch', 'dask', 'xarray', 'plotly', 'matplotlib', 'pandas', 'flint'}"
    program = f"import sys, ncollapse, ncollapse.cli; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_version(capsys):
    status, out, _ = call(capsys, "--version")
    assert status == 0
    assert out.count(".") >= 2


def test_free_features_from_the_shell(capsys):
    shape = ["--classes", 3, "--per-class", 4]
    arguments = ["flow", "ulpm", *shape, "--dim", 5, "--until", 20, "--json"]
    status, out, err = call(capsys, *arguments)
    record = json.loads(out)
    assert (status, err) == (0, "")
    expected = {"margin", "margin_bound_ratio", "kkt_epsilon", "kkt_delta", "loss_gap", "metrics"}
    assert expected | {"log_time", "conserved_drift", "evaluations"} <= record.keys()
    strengths = ["--lambda-w", 1e-2, "--lambda-h", 1e-2]
    status, out, _ = call(capsys, "minimiser", "upfm-ce", *shape, *strengths, "--json")
    record = json.loads(out)
    assert status == 0
    assert record["a"] > 0
    assert record["certificate"]["smallest_eigenvalue"] >= -1e-12
    assert call(capsys, "minimiser", "upfm-ce", *strengths)[0] == 0
    assert "model must be one of" in call(capsys, "minimiser", "x", *strengths)[2]
    flat = ["flow", "ulpm", "--classes", 5, "--dim", 2]
    assert "dim" in call(capsys, *flat)[2]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("ulpm", ["--classes", 3, "--per-class", 4, "--dim", 5, "--until", 20]),
        ("ufm", ["--until", 20]),
        ("upfm-l2", ["--lambda-w", 1e-2, "--lambda-h", 1e-2]),
    ],
)
def test_free_features_write_a_page_that_moves(capsys, tmp_path, model, options):
    page = tmp_path / "run.html"
    status, out, err = call(capsys, "flow", model, *options, "--html", page, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["reached"] is True
    assert 'figure id="motion" class="animation"' in page.read_text(encoding="utf-8")
