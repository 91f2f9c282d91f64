"""``ncollapse train relu2``: what it prints, leaves behind and refuses."""

import json

import numpy as np
import pytest

from ncollapse.cli import main
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.runs import Run
from ncollapse.train import METRIC_NAMES, restore


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    for name, dim, sigma in (("feasible", 24, 0.5), ("infeasible", 10, 0.8)):
        data = gaussian_mixture([[1.0], [-1.0]], 12, sigma, dim, 1)
        np.savez(folder / f"{name}.npz", inputs=data.inputs, labels=data.labels)
    return folder


def ncollapse(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(["train", "relu2", *map(str, words)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


@pytest.mark.parametrize("method", ["descent", "optimum", "built"])
def test_it_prints_how_far_from_optimal_it_ended(files, capsys, method):
    status, out, _ = ncollapse(
        capsys,
        *("--data", files / "feasible.npz", "--width", 6, "--method", method),
        *("--epochs", 300, "--json"),
    )
    record = json.loads(out)
    assert status == 0
    assert record["feasible"] is True
    assert record["gap"] == pytest.approx(record["risk"] - record["optimal_risk"], abs=1e-15)
    assert (record["gap"] < 1e-9) == (method != "descent")
    assert set(record["metrics"]) == set(METRIC_NAMES)
    assert 0 <= record["dead_share"] <= 1
    assert 0 < record["predicted_dead_share"] < 1
    assert record["run"]["setup"]["method"] == method
    assert record["volatile"]["seconds"] > 0


def test_a_saved_run_is_resumed_and_shown(files, capsys, tmp_path):
    words = ("--data", files / "infeasible.npz", "--width", 4, "--epochs", 60)
    saved, page = tmp_path / "run.npz", tmp_path / "page.html"
    status, out, _ = ncollapse(capsys, *words, "--save", saved, "--html", page)
    assert status == 0
    assert "unknown" in out
    assert Run.load(saved, restore=restore).epochs[-1] == 60
    assert "neurons off on samples of their class" in page.read_text()
    status, _, err = ncollapse(capsys, *words, "--resume", saved)
    assert (status, err) == (2, "ncollapse: --epochs must be at least 61, but it is 60\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--width", 1), "--width must be at least the number of classes, 2"),
        (("--weight-decay", 0), "--weight-decay must be positive and finite (at zero the infimum"),
        (("--feature-decay", 0), "--feature-decay must be positive and finite"),
        (("--method", "built"), "certificate must be feasible"),
        (("--learning-rate", 0), "--learning-rate must be a positive finite number"),
        (("--method", "built", "--resume", "x.npz"), "resume"),
        (("--learning-rate", 1e300), "the risk is nan after 1 epoch"),
    ],
)
def test_bad_input_is_one_line(files, capsys, words, said):
    status, out, err = ncollapse(capsys, "--data", files / "infeasible.npz", *words)
    assert (status, out) == (2, "")
    assert err.startswith("ncollapse: ")
    assert err.count("\n") == 1
    assert said in err
