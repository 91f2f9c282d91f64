"""``ncollapse predict`` and ``ncollapse explain`` from the shell."""

import json

import numpy as np
import pytest

from ncollapse.cli import main
from ncollapse.theory.explain import explain
from ncollapse.theory.imbalance import class_margins
from ncollapse.theory.predict import predict

DECAYS = ["--weight-decay", "1e-3", "--feature-decay", "1e-3"]


def call(capsys, *arguments):
    """Exit status, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as exit_info:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return exit_info.value.code, captured.out, captured.err


@pytest.fixture
def layer_file(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), (9, 6, 3))
    weight = rng.standard_normal((3, 5))
    path = tmp_path / "layer.npz"
    features = weight[labels] + 1e-3 * rng.standard_normal((18, 5))
    np.savez(path, features=features, labels=labels, weight=weight)
    return path


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (DECAYS, {"weight_decay": 1e-3, "feature_decay": 1e-3}),
        (
            [*DECAYS, "--features", "nonnegative"],
            {"weight_decay": 1e-3, "feature_decay": 1e-3, "features": "nonnegative"},
        ),
        (
            [*DECAYS, "--loss", "squared", "--bias"],
            {"weight_decay": 1e-3, "feature_decay": 1e-3, "loss": "squared", "bias": True},
        ),
        (
            ["--weight-decay", "1e-3", "--normalisation", "batch"],
            {"weight_decay": 1e-3, "normalisation": "batch"},
        ),
        (
            ["--weight-decay", "1e-3,2e-3,4e-3", "--depth", "3", "--input-norms", "1,2,1"],
            {"weight_decay": [1e-3, 2e-3, 4e-3], "depth": 3, "input_norms": [1.0, 2.0, 1.0]},
        ),
    ],
    ids=["peeled", "nonnegative", "squared", "batch", "depth"],
)
def test_predict_prints_what_the_library_says(capsys, options, arguments):
    status, out, err = call(capsys, "predict", "--counts", "50,30,10", *options, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    expected = json.loads(json.dumps(predict((50, 30, 10), **arguments).to_dict()))
    assert {name: record[name] for name in expected} == expected
    assert {
        "risk",
        "gap",
        "logits",
        "margins",
        "weight_gram",
        "means_gram",
        "merged",
        "dead",
        "metrics",
        "theory",
        "assumptions",
    } <= record.keys()


def test_predict_prints_a_table_for_people(capsys):
    status, out, _ = call(
        capsys,
        "predict",
        "--counts",
        "500,300,2,2",
        "--weight-decay",
        2e-3,
        "--feature-decay",
        2e-3,
    )
    assert status == 0
    assert "merged, group 1" in out
    assert "proven gap" in out


def test_predict_takes_margins_from_data(capsys, tmp_path):
    path = tmp_path / "data.npz"
    labels = np.repeat([4, 7], (3, 2))
    inputs = np.eye(2)[np.repeat([0, 1], (3, 2))] + 0.1
    np.savez(path, inputs=inputs, labels=labels)
    options = ["--weight-decay", 1e-3, "--depth", 3, "--data", path, "--json"]
    record = json.loads(call(capsys, "predict", "--counts", "3,2", *options)[1])
    norms = class_margins(inputs, np.repeat([0, 1], (3, 2)))
    law = predict((3, 2), weight_decay=1e-3, depth=3, input_norms=norms)
    assert record["margins"] == pytest.approx(law.margins.tolist())
    status, _, err = call(capsys, "predict", "--counts", "3,3", *options)
    assert (status, err.count("\n")) == (2, 1)
    assert "--counts must be those of" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--counts", "5,0", *DECAYS],
            "--counts must be positive whole numbers, but that of class 1",
        ),
        (
            ["--counts", "5,x", *DECAYS],
            "--counts must be whole numbers with commas, but it is '5,x'",
        ),
        (["--counts", "5", *DECAYS], "--counts must be the samples of at least 2 classes"),
        (["--counts", "5,3", "--weight-decay", "1"], "--feature-decay is needed without --depth"),
        (
            ["--counts", "5,3", "--weight-decay", "-1", "--depth", "2"],
            "--weight-decay must be a pos",
        ),
        (["--counts", "5,3", "--weight-decay", "1,2"], "--weight-decay must be one number"),
        (["--counts", "5,3", "--weight-decay", "1", "--depth", "1"], "--depth must be at least 2"),
        (["--counts", "5,3", *DECAYS, "--input-norms", "1,1"], "give --depth too"),
        (["--counts", "5,3", *DECAYS, "--depth", "3"], "--feature-decay must be None with depth"),
        (
            ["--counts", "5,3", "--weight-decay", "1", "--depth", "3", "--bias"],
            "--bias is for signed",
        ),
        (["--counts", "5,3", *DECAYS, "--loss", "hinge"], "--loss must be one of cross_entropy"),
        (
            ["--counts", "5,3", *DECAYS, "--normalisation", "layer"],
            "--normalisation must be one of",
        ),
        (["--counts", "5,3", *DECAYS, "--html", "/nowhere/page.html"], "--html /nowhere/page.html"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(capsys, arguments, message):
    status, out, err = call(capsys, "predict", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_explain_prints_what_the_library_says(capsys, layer_file):
    options = ["--weight-decay", 1e-2, "--depth", 2]
    status, out, err = call(capsys, "explain", layer_file, *options, "--json")
    record = json.loads(out)
    assert (status, err) == (0, "")
    with np.load(layer_file) as file:
        found = explain(
            *(file[k] for k in ("features", "labels", "weight")), weight_decay=1e-2, depth=2
        )
    expected = json.loads(json.dumps(found.to_dict()))
    assert {name: record[name] for name in expected} == expected
    status, out, _ = call(capsys, "explain", layer_file)
    assert status == 0
    assert "weight_decay is not known" in " ".join(out.replace("│", " ").split())
    assert "equal counts: violated" in " ".join(out.replace("│", " ").split())


def test_both_write_pages(capsys, layer_file, tmp_path):
    page = tmp_path / "page.html"
    assert call(capsys, "explain", layer_file, "--html", page)[0] == 0
    assert "Which theory explains layer.npz?" in page.read_text(encoding="utf-8")
    assert call(capsys, "predict", "--counts", "9,5", *DECAYS, "--html", page)[0] == 0
    assert "Where is training heading?" in page.read_text(encoding="utf-8")


def test_explain_refuses_in_one_line(capsys, layer_file, tmp_path):
    status, _, err = call(capsys, "explain", layer_file, "--depth", 1)
    assert (status, err) == (2, "ncollapse: --depth must be at least 2 layers, but it is 1\n")
    bare = tmp_path / "bare.npz"
    np.savez(bare, features=np.ones((4, 2)), labels=np.array([0, 0, 1, 1]))
    status, _, err = call(capsys, "explain", bare)
    assert (status, err.count("\n")) == (2, 1)
    assert "lacks weight" in err
