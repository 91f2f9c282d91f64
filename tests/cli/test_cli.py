"""The command line: JSON for programs, tables for people, one line for mistakes."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ncollapse.certify import decide_classes
from ncollapse.cli import main
from ncollapse.cli._output import print_json
from ncollapse.data import orthogonally_separable
from ncollapse.papers import experiments
from ncollapse.runs import Run


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
    shape = ["--data", data_file, "--width", 8]
    status, out, _ = call(capsys, "flow", "relu2", *shape, "--until", 5)
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
    status, out, err = call(capsys, "certify", data_file)
    assert (status, err) == (0, "")
    heading = ["class", "samples", "verdict", "verified", "slack"]
    assert out.splitlines()[0].split()[:5] == heading
    assert [row.split()[:4] for row in out.splitlines()[1:3]] == [
        ["5", "4", "feasible", "yes"],
        ["6", "4", "feasible", "yes"],
    ]
    assert "data.npz: feasible. At its optimum a two-layer ReLU network collapses on it." in out


def test_certify_prints_the_same_results_twice(capsys, data_file):
    first, second = (json.loads(call(capsys, "certify", data_file, "--json")[1]) for _ in "ab")
    assert first.pop("volatile").keys() == second.pop("volatile").keys() == {"seconds"}
    assert first == second


def test_certify_some_classes_up_to_an_obstacle(capsys, tmp_path):
    """Class 1 holds a point and its double."""
    path = tmp_path / "data.npz"
    inputs = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [0.0, -1.0]])
    np.savez(path, inputs=inputs, labels=np.array([0, 1, 1, 2]))
    record = json.loads(call(capsys, "certify", path, "--classes", "2,0", "--json")[1])
    assert (record["verdict"], record["covered"], record["missing"]) == ("undecided", [2, 0], [1])
    assert "class 1 not covered" in " ".join(
        call(capsys, "certify", path, "--classes", "0,2")[1].split()
    )
    record = json.loads(call(capsys, "certify", path, "--stop", "--json")[1])
    assert (record["verdict"], record["covered"], record["missing"]) == ("infeasible", [0, 1], [2])


def test_certify_centres_exactly(capsys, tmp_path):
    """Two points on one side of the origin, on opposite sides of their mean."""
    path, kept = tmp_path / "data.npz", tmp_path / "certificate.npz"
    np.savez(path, inputs=np.array([[1], [2]]), labels=np.array([0, 1]))
    assert json.loads(call(capsys, "certify", path, "--json")[1])["verdict"] == "infeasible"
    arguments = ["certify", path, "--centre", "--json"]
    record = json.loads(call(capsys, *arguments, "--certificate", kept)[1])
    assert record["verdict"] == "feasible"
    assert json.loads(call(capsys, *arguments, "--verify", kept)[1])["verified"]
    status, _, err = call(capsys, "certify", path, "--verify", kept)
    assert status == 2
    assert "about other data" in err
    np.savez(path, inputs=np.array([[0.1], [0.7]]), labels=np.array([0, 1]))
    assert "multiples of one power of two" in call(capsys, *arguments)[2]


@pytest.mark.parametrize("count", [0, 1])
def test_an_interrupted_certify_keeps_what_was_decided(
    capsys, data_file, tmp_path, monkeypatch, count
):
    from ncollapse.cli import _certify

    def interrupted(*arguments, **options):
        yield from itertools.islice(decide_classes(*arguments, **options), count)
        raise KeyboardInterrupt

    monkeypatch.setattr(_certify, "decide_classes", interrupted)
    monkeypatch.chdir(tmp_path)
    status, out, err = call(capsys, "certify", data_file, "--json")
    record = json.loads(out)
    assert (status, record["verdict"], record["covered"]) == (130, "undecided", [5][:count])
    assert f"interrupted: {count} of 2 classes decided" in err
    kept = tmp_path / "interrupted-data-certificate.npz"
    assert kept.exists() == (count == 1)
    if count:
        record = json.loads(call(capsys, "certify", "--verify", kept, data_file, "--json")[1])
        assert record["reason"] == "class 6 not covered"
        assert record["classes"][0]["verified"]


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


TAKEN = {
    "min2025.digits": {"save", "seed", "rtol", "until"},
    "min2025.alignment_time": {"seed", "rtol"},
    "ji2022.rates": {"save", "seed", "rtol", "until"},
    "mixon2022.figure2": {"seed", "rtol", "until"},
    "hong2025.figure1": {"scheduler"},
    "hong2025.lemmas": {"seed"},
    "hong2025.theorem2": set(),
}


def test_experiments_say_which_options_they_take(capsys):
    listed = json.loads(call(capsys, "reproduce", "--list", "--json")[1])["experiments"]
    options = {entry["name"]: set(entry["options"]) for entry in listed}
    assert {name: options[name] - {"out", "html"} for name in TAKEN} == TAKEN
    assert all({"out", "html"} <= taken for taken in options.values())


@pytest.mark.parametrize("name", TAKEN)
def test_an_option_that_an_experiment_does_not_take_is_refused_before_it_runs(
    capsys, tmp_path, name
):
    values = {"save": tmp_path / "run.npz", "seed": 1, "rtol": 1e-6, "until": 9.0}
    for option in values.keys() - TAKEN[name]:
        where = ["--out", tmp_path / "out", f"--{option}", values[option]]
        status, out, err = call(capsys, "reproduce", name, *where)
        assert (status, out) == (2, "")
        assert f"{option} is no option of {name}, which takes out, html" in err
        assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_reproduce_takes_the_options_that_a_flow_takes(capsys, tmp_path, monkeypatch):
    """At the shape of the other runs of this file."""
    rates = experiments()["ji2022.rates"]
    small = {"num_classes": 3, "per_class": 4, "dim": 5, "share": 0.5}
    monkeypatch.setitem(rates.scales, "quick", small)
    page, run, folder = tmp_path / "run.html", tmp_path / "run.npz", tmp_path / "folder"
    outputs = ["--html", page, "--save", run, "--out", folder, "--json"]
    options = ["--seed", 2, "--until", 20, "--rtol", 1e-6]
    status, out, err = call(capsys, "reproduce", "ji2022.rates", *options, *outputs)
    record = json.loads(out)
    assert (status, err) == (0, "")
    assert record["settings"] == {**small, "seed": 2, "until": 20.0, "rtol": 1e-6}
    assert {str(page), str(run), str(folder / "rates.png")} <= set(record["files"])
    kept = Run.load(run)
    assert kept.setup.seed == 2
    assert kept.log_inverse_loss[-1] == pytest.approx(20.0)
    text = page.read_text(encoding="utf-8")
    assert "How fast the layer-peeled model collapses" in text
    assert "data:image/png" in text
    assert record["claims"][0]["id"] in text


MISTAKES = {
    "unknown command": (["bogus"], "No such command"),
    "missing option": (["flow", "relu2"], "--data"),
    "missing file": (["flow", "relu2", "--data", "nowhere.npz"], "nowhere.npz"),
    "classes that are no labels": (["certify", "{data}", "--classes", "a,b"], "--classes must be"),
    "unknown classes": (
        ["certify", "{data}", "--classes", "5,9"],
        "--classes must be some of 5, 6, but",
    ),
    "classes to verify": (["certify", "{data}", "--verify", "{data}", "--stop"], "no --stop"),
    "data as a certificate": (["certify", "{data}", "--verify", "{data}"], "lacks format"),
    "narrow network": (["flow", "relu2", "--data", "{data}", "--width", 1], "--width must be"),
    "zero start": (["flow", "relu2", "--data", "{data}", "--init", 0], "--init must be"),
    "few classes": (["flow", "ulpm", "--classes", 1], "--classes must be at least 2"),
    "zero features": (["flow", "ulpm", "--init", 0], "--init must be positive"),
    "flat": (["flow", "ulpm", "--dim", 2], "--dim must be at least --classes - 1 = 4"),
    "decay": (
        ["flow", "upfm-ce", "--lambda-w", 0, "--lambda-h", 1],
        "--lambda-w must be a positive",
    ),
    "no run there": (["flow", "ufm", "--save", "/nowhere/x.npz"], "--save /nowhere"),
    "no folder there": (["flow", "ufm", "--classes", 3, "--out", "/proc/x"], "/proc/x"),
    "goal too near": (
        ["flow", "relu2", "--data", "{data}", "--until", -50],
        "the goal log(1/L) must lie above",
    ),
    "wrong arrays": (["measure", "{features}", "--head", "{data}"], "lacks weight; it holds"),
    "unknown preset": (["measure", "{features}", "--preset", "x"], "--preset must be one of"),
    "unwritable page": (["measure", "{features}", "--html", "/nowhere/x.html"], "/nowhere"),
    "five corners": (["flow", "ulpm", "--html", "{tmp}/x.html"], "number of classes is 5"),
    "no page there": (["flow", "ufm", "--html", "/nowhere/x.html"], "--html /nowhere"),
    "sigma": (["boundary", "--classes", 2, "--sigma", -1], "--sigma must be positive"),
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


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import ncollapse", {"numpy", "scipy", "typer", "ncollapse.metrics"}),
        ("import ncollapse; ncollapse.ClassStats", {"scipy.stats", "ncollapse.theory"}),
        ("import ncollapse.cli", {"numpy", "scipy", "ncollapse.metrics"}),
        (
            "from ncollapse.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
            {"numpy", "scipy", "ncollapse.metrics", "ncollapse.cli._certify"},
        ),
    ],
)
def test_imports_stay_light(program, absent):
    absent |= {"jax", "torch", "dask", "xarray", "plotly", "matplotlib", "pandas", "flint"}
    program += f"\nimport sys; sys.exit(str(sorted({absent} & set(sys.modules))))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stderr.strip() == "[]"


@pytest.mark.parametrize("arguments", [[], ["flow"]], ids=str)
def test_a_bare_name_is_answered_with_help(capsys, arguments):
    status, out, err = call(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "Usage: ncollapse" in out
    assert "Commands" in out


def test_the_shell_completes_commands(capsys, monkeypatch):
    monkeypatch.setenv("_NCOLLAPSE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "ncollapse flow u")
    monkeypatch.setenv("COMP_CWORD", "2")
    status, out, _ = call(capsys)
    assert status == 0
    assert out.split() == ["ulpm", "ufm", "upfm-ce", "upfm-l2"]


FOLLOWING = [["flow", name] for name in ("relu2", "ulpm", "ufm", "upfm-ce", "upfm-l2")] + [["demo"]]


@pytest.mark.parametrize("command", FOLLOWING, ids=" ".join)
def test_commands_that_follow_a_model_share_their_options(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = call(capsys, *command, "--help")
    assert status == 0
    for option in ("--out", "--html", "--save", "--seed", "--rtol", "--until", "--json"):
        assert re.search(rf"{option}\b", out), option


def test_version(capsys):
    status, out, _ = call(capsys, "--version")
    assert status == 0
    assert out.count(".") >= 2


def test_unconstrained_features_from_the_shell(capsys):
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
    assert record["optimality"]["smallest_eigenvalue"] >= -1e-12
    assert call(capsys, "minimiser", "upfm-ce", *strengths)[0] == 0
    assert "model must be one of" in call(capsys, "minimiser", "x", *strengths)[2]
    flat = ["flow", "ulpm", "--classes", 5, "--dim", 2]
    assert "dim" in call(capsys, *flat)[2]


STRENGTHS = ["--lambda-w", 1e-2, "--lambda-h", 1e-2]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("ulpm", ["--classes", 3, "--per-class", 4, "--dim", 5, "--until", 20]),
        ("ufm", ["--until", 20]),
        ("upfm-l2", STRENGTHS),
    ],
)
def test_unconstrained_features_leave_a_page_that_moves_and_the_run(
    capsys, tmp_path, model, options
):
    page, run, folder = tmp_path / "run.html", tmp_path / "run.npz", tmp_path / "folder"
    outputs = ["--html", page, "--save", run, "--out", folder]
    status, out, err = call(capsys, "flow", model, *options, *outputs, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    assert record["reached"] is True
    assert record["files"] == [str(run), *map(str, sorted(folder.iterdir())[::-1]), str(page)]
    for path in (page, folder / "report.html"):
        assert 'figure id="motion" class="animation"' in path.read_text(encoding="utf-8")
    with np.load(run, allow_pickle=False) as kept:
        assert kept["s"].size > 1


def test_relu2_writes_the_page_of_the_demo_for_any_data(capsys, data_file, tmp_path):
    page, folder = tmp_path / "run.html", tmp_path / "folder"
    outputs = ["--html", page, "--out", folder, "--json"]
    status, out, err = call(
        capsys, "flow", "relu2", "--data", data_file, "--width", 8, "--until", 20, *outputs
    )
    assert (status, err) == (0, "")
    text = page.read_text(encoding="utf-8")
    assert "Neural collapse on data" in text
    assert "Predicted before training" in text
    assert (folder / "report.html").exists()
    assert (folder / "masses.png").exists()
    assert str(folder / "masses.png") in json.loads(out)["files"]


@pytest.mark.parametrize(
    ("command", "volatile"),
    [
        (["certify", "{data}"], "seconds"),
        (["measure", "{features}"], None),
        (["flow", "ufm", "--until", 20], "compile_seconds"),
        (["minimiser", "upfm-ce", *STRENGTHS], None),
    ],
    ids=lambda value: value and str(value),
)
def test_json_is_the_same_again_but_for_what_is_volatile(
    capsys, data_file, features_file, command, volatile
):
    filled = [str(word).format(data=data_file, features=features_file) for word in command]
    records = [json.loads(call(capsys, *filled, "--json")[1]) for _ in range(2)]
    names = [record.pop("volatile").keys() for record in records]
    assert names[0] == names[1]
    assert volatile is None or any(name.endswith(volatile) for name in names[0])
    assert records[0] == records[1]
    assert "seconds" not in json.dumps(records[0])


def test_json_holds_what_json_cannot_say(capsys):
    result = {"b": [1.0, float("nan")], "a": {"x": -np.inf, "y": np.int64(3)}, "seconds": 1.5}
    print_json(result | {"rows": [{"seconds": np.inf}]}, {"file": Path("x.npz"), "json": True})
    record = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert record.pop("version")
    assert record == {
        "b": [1.0, None],
        "a": {"x": "-Infinity", "y": 3},
        "rows": [{}],
        "arguments": {"file": "x.npz"},
        "volatile": {"seconds": 1.5, "rows.0.seconds": "Infinity"},
    }
