"""``ncollapse train net``: what it prints, leaves behind, resumes and refuses."""

import json

import numpy as np
import pytest

from ncollapse.cli import main
from ncollapse.runs import Run
from ncollapse.train import restore


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``rows.npz`` of three classes, and ``tiny``, a folder of IDX images of 8 by 8 pixels."""
    home = tmp_path_factory.mktemp("net")
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 6)
    rows = np.eye(3, 5)[labels] + 0.1 * rng.standard_normal((18, 5))
    np.savez(home / "rows.npz", inputs=rows, labels=labels)
    (home / "tiny").mkdir()
    pixels = rng.integers(0, 256, (18, 8, 8))
    for name, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
        content = header + array.astype(np.uint8).tobytes()
        (home / "tiny" / f"train-{name}-ubyte").write_bytes(content)
    return home


def ncollapse(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(["train", "net", *map(str, words)])
    out, err = capsys.readouterr()
    return end.value.code, out, err


@pytest.mark.parametrize("model", ["resnet18", "vgg13"])
def test_it_trains_on_a_folder_of_images(folder, capsys, model):
    status, out, _ = ncollapse(
        capsys,
        *("--model", model, "--data", folder / "tiny", "--images", 12, "--epochs", 2),
        *("--width-multiplier", 0.02, "--weight-decay", 1e-4, "--preset", "ji2022", "--json"),
    )
    record = json.loads(out)
    assert status == 0
    assert record["run"]["setup"]["counts"] == [4, 4, 4]
    assert record["run"]["setup"]["model"] == model
    assert record["recipe"]["weight_decay"] == 1e-4
    assert record["value"] > record["loss"] > 0
    assert {"within_variation", "nc3_average"} <= set(record["metrics"])


def test_a_saved_run_is_resumed_and_shown(folder, capsys, tmp_path):
    words = ("--model", "mlp", "--data", folder / "rows.npz", "--width", 6)
    saved, page = tmp_path / "run.npz", tmp_path / "page.html"
    status, out, _ = ncollapse(capsys, *words, "--epochs", 3, "--save", saved, "--html", page)
    assert status == 0
    assert "Did 3 epochs." in out
    assert "training error" in page.read_text()
    assert Run.load(saved, restore=restore).features_at().shape == (18, 6)
    again = (*words, "--resume", saved, "--epochs")
    status, _, err = ncollapse(capsys, *again, 2)
    assert (status, err) == (2, "ncollapse: --epochs must be at least 3, but it is 2\n")
    status, _, err = ncollapse(capsys, *again, 5, "--batch", 4)
    assert status == 2
    assert "batch is 128 and not 4" in err
    status, out, _ = ncollapse(capsys, *again, 5, "--json")
    assert status == 0
    assert json.loads(out)["run"]["s"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nowhere"), "--data must be cifar10, fashion-mnist, kmnist, mnist, a folder"),
        (("--images", 7), "--images must be a multiple of 3 and at most 18"),
        (("--model", "resnet18"), "rows must be images"),
        (("--recipe", "mine"), "--recipe must be one of ji2022, papyan2020, stationary"),
        (("--learning-rate", 0), "--learning-rate must be a positive finite number"),
        (("--depth", 1), "--depth must be at least 2"),
        (("--device", "cuda:77"), "--device cuda:77 cannot be used here"),
        (("--resume", "nowhere.npz"), "nowhere.npz.checkpoint"),
    ],
)
def test_bad_input_is_one_line(folder, capsys, words, said):
    options = {"--model": "mlp", "--data": folder / "rows.npz", "--epochs": 1}
    options |= dict([words])
    status, out, err = ncollapse(capsys, *[word for pair in options.items() for word in pair])
    assert (status, out) == (2, "")
    assert err.startswith("ncollapse: ")
    assert err.count("\n") == 1
    assert said in err
