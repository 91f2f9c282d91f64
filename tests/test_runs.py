"""Files of runs: what is kept, and how files that are not whole are refused. NumPy only."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ncollapse.runs import FORMAT, End, Run
from ncollapse.setup import Setup


def run_of(times=3, snapshots=2):
    series = np.arange(1.0, times + 1)
    return Run(
        setup=Setup("mine", counts=(2, 2), method="adam"),
        end=End.EPOCHS,
        stopped="Did 3 epochs.",
        **dict.fromkeys(("s", "log_time", "log_inverse_loss", "norm", "speed", "drift"), series),
        observations={"groups": np.zeros((times, 2), np.int8)},
        snapshot_s=np.arange(snapshots),
        snapshots={"a": [np.ones((snapshots, 2)), None], "b": (np.zeros(snapshots),)},
        parameters={"a": [np.ones(2), None], "b": (np.zeros(()),)},
        steps=3,
        rejected=0,
        evaluations=3,
        seconds=0.5,
        compile_seconds=0.25,
        state=(np.ones(()), np.zeros((0, 2))),
    )


@pytest.fixture
def path(tmp_path):
    run_of().save(tmp_path / "run.npz")
    return tmp_path / "run.npz"


def rewritten(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(str(arrays["header"]))
    change(header, arrays)
    arrays["header"] = np.array(json.dumps(header)) if "header" in arrays else None
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_full_disk_leaves_the_last_good_file(path):
    good, part = path.read_bytes(), path.with_name("run.npz.part")
    part.symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"run.npz could not be written \(No space left.* is kept$"):
        run_of(times=5).save(path)
    assert path.read_bytes() == good
    assert len(Run.load(path).s) == 3
    assert not part.is_symlink()
    run_of(times=5).save(path)
    assert len(Run.load(path).s) == 5
    run_of().save("/dev/null")
    assert not Path("/dev/null").is_file()


def test_a_file_holds_the_whole_run(path):
    run, loaded = run_of(), Run.load(path)
    assert loaded.setup == run.setup
    assert (loaded.end, loaded.reached, loaded.interrupted) == (End.EPOCHS, True, False)
    assert loaded.to_dict() == run.to_dict()
    assert loaded.epochs.tolist() == [1, 2, 3]
    assert loaded.observations["groups"].dtype == np.int8
    assert isinstance(loaded.snapshots["b"], tuple)
    assert loaded.snapshots["a"][1] is None
    assert [part.shape for part in loaded.state] == [(), (0, 2)]
    assert loaded.at(0)["a"][0].tolist() == [1.0, 1.0]
    with np.load(path, allow_pickle=False) as file:
        assert file["parameters.a.0"].tolist() == [1.0, 1.0]


def test_ends_that_were_asked_for_are_reached():
    assert {end for end in End if end.reached} == {End.GOAL, End.TIME, End.EPOCHS}
    assert all(end.value.endswith(".") for end in End)
    assert replace(run_of(), end=End.INTERRUPTED).interrupted


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        flipped,
        lambda path: path.write_text("hello"),
        lambda path: path.write_bytes(b""),
        lambda path: np.savez(path, s=np.ones(3)),
        lambda path: np.savez(path, header=np.array("[1]")),
        lambda path: np.savez(path, header=np.array([object()])),
        lambda path: rewritten(path, lambda header, arrays: arrays.pop("norm")),
        lambda path: rewritten(path, lambda header, arrays: arrays.update(s=np.ones(2))),
        lambda path: rewritten(path, lambda header, arrays: arrays.update(snapshot_s=np.ones(3))),
        lambda path: rewritten(path, lambda header, arrays: arrays.update(norm=np.array(3.0))),
        lambda path: rewritten(path, lambda header, arrays: header.update(end="BORED")),
        lambda path: rewritten(path, lambda header, arrays: header["setup"].update(loss="x")),
        lambda path: rewritten(path, lambda header, arrays: header["trees"].update(state=3)),
        lambda path: rewritten(path, lambda header, arrays: header["numbers"].pop("steps")),
        lambda path: rewritten(path, lambda header, arrays: header.update(trees=[])),
    ],
)
def test_damaged_files_are_refused_by_name(path, damage):
    damage(path)
    with pytest.raises(ValueError, match=r"run\.npz is damaged"):
        Run.load(path)


def test_files_of_another_format_are_refused_with_both(path):
    rewritten(path, lambda header, arrays: header.update(format=FORMAT + 1, version="9.9"))
    with pytest.raises(
        ValueError, match=f"of format {FORMAT + 1}, written by ncollapse 9.9; .*reads"
    ):
        Run.load(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Run.load(tmp_path / "none.npz")


@pytest.mark.parametrize("tree", [{"a": object()}, {1: np.ones(2)}, {"a": {"b": np.datetime64}}])
def test_parameters_that_are_no_plain_tree_are_not_saved(tmp_path, tree):
    with pytest.raises(TypeError, match="must be arrays in dicts with names, lists and tuples"):
        replace(run_of(), parameters=tree).save(tmp_path / "run.npz")


def test_what_is_not_finite_is_none_in_json():
    run = replace(run_of(), log_inverse_loss=np.array([0.0, 1.0, np.inf]))
    assert run.to_dict()["log_inverse_loss"] is None
    json.dumps(run.to_dict(), allow_nan=False)


def test_runs_are_read_without_jax(path):
    code = (
        "import sys; from ncollapse.runs import Run; "
        f"print(Run.load({str(path)!r}).at(-1)['a'][0].shape, 'jax' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "(2,) False"
