"""The example trains, sees collapse, draws and logs it."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "train_and_watch.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_train_and_watch(tmp_path, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    main = runpy.run_path(str(SCRIPT))["main"]
    figure, runs = tmp_path / "collapse.png", tmp_path / "runs"
    options = ["--epochs", "24", "--watch-every", "8", "--per-class", "60", "--width", "64"]
    found = main([*options, "--output", str(figure), "--tensorboard", str(runs)])
    first, last = found["first"], found["last"]
    assert last["nc1_pinv"] < 0.05 * first["nc1_pinv"]
    assert last["nc2_equiangular_means"] < first["nc2_equiangular_means"]
    assert last["nc3_duality"] < 0.7 * first["nc3_duality"]
    assert last["nc4_agreement"] > 0.99
    assert last["decay by layer"] < first["decay by layer"]
    assert figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    events = EventAccumulator(str(runs))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("nc/nc1_pinv")] == [0, 8, 16, 24]
    assert '"first"' in capsys.readouterr().out
