"""Sweeps: each cell once, the same on every schedule, safe from kills and bad input."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import sweep_cells
import xarray as xr

from ncollapse.sweep import Grid, _run, _store, open_sweep, run_sweep
from ncollapse.sweep._grid import cell_seed
from ncollapse.sweep._workers import CellError, one_thread

DIMS = {"sigma": [0.1, 0.5, 2.0], "trial": range(7)}
HERE = Path(__file__).parent


def oracle(dims, seed=0):
    """The cells one after the other, straight from the definition of their seeds."""
    expected = np.empty([len(dims["sigma"]), len(dims["trial"])])
    for i, sigma in enumerate(dims["sigma"]):
        for j, trial in enumerate(dims["trial"]):
            number = int(sigma) if float(sigma).is_integer() else sigma
            text = json.dumps([seed, [["sigma", number], ["trial", trial]]])
            words = hashlib.sha256(text.encode()).digest()
            own = int.from_bytes(words[:8], "big") // 2
            expected[i, j] = sigma * np.random.default_rng(own).standard_normal()
    return expected


def noise_sweep(folder, **changes):
    given = {"dims": DIMS, "outputs": {"value": float}, "workers": 0} | changes
    return run_sweep(sweep_cells.noise, given.pop("dims"), folder, **given)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
    ) as running:
        with distributed.Client(running) as client:
            client.run(sys.path.insert, 0, str(HERE))
        yield running


def test_a_sweep_equals_the_plain_loop(tmp_path):
    result = noise_sweep(tmp_path / "sweep", seed=3)
    np.testing.assert_array_equal(result["value"], oracle(DIMS, seed=3))
    assert bool(result["done"].all())
    assert result["value"].dims == ("sigma", "trial")
    np.testing.assert_array_equal(result["sigma"], DIMS["sigma"])


def test_plain_xarray_reads_the_folder_with_its_record(tmp_path):
    noise_sweep(tmp_path, seed=3, arguments={"pause": 0.0})
    with xr.open_zarr(tmp_path / "cells.zarr") as plain:
        np.testing.assert_array_equal(plain["value"], oracle(DIMS, seed=3))
        assert plain.attrs["function"] == "sweep_cells.noise"
        assert plain.attrs["seed"] == 3
        assert json.loads(plain.attrs["arguments"]) == {"pause": 0.0}
        assert plain.attrs["seed_dims"] == ["sigma", "trial"]
        assert plain.attrs["ncollapse_version"] == _run.version("ncollapse")


def test_strings_booleans_several_outputs_and_no_seed(tmp_path):
    result = run_sweep(
        sweep_cells.several,
        {"kind": ["raw", "whitened"], "centred": [False, True]},
        tmp_path,
        outputs={"length": np.int32, "half": np.float32, "flag": bool},
        arguments={"count": 3},
        seed=None,
        workers=0,
    )
    assert result["length"].sel(kind="whitened", centred=True) == 24
    assert result["half"].dtype == np.float32
    assert result["flag"].values.tolist() == [[False, True], [False, True]]
    assert result.attrs["seed"] == "none"


def test_processes_give_the_same_bits_as_one_process(tmp_path, cluster):
    serial = noise_sweep(tmp_path / "serial")
    parallel = noise_sweep(tmp_path / "parallel", workers=None, scheduler=cluster.scheduler_address)
    assert serial.identical(parallel)


def test_a_local_cluster_is_started_on_request(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    assert noise_sweep(tmp_path / "two", workers=2).identical(noise_sweep(tmp_path / "one"))


def test_threads_of_the_linear_algebra_do_not_change_bits(tmp_path, cluster):
    dims, outputs = {"trial": range(4)}, {"total": float}
    function = sweep_cells.product_of_large_matrices
    here = run_sweep(function, dims, tmp_path / "a", outputs=outputs, workers=0)
    there = run_sweep(
        function, dims, tmp_path / "b", outputs=outputs, scheduler=cluster.scheduler_address
    )
    assert here.identical(there)


def test_one_thread_holds_inside_and_is_undone_after(monkeypatch):
    from threadpoolctl import threadpool_info

    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with one_thread():
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize("order", [0, 1, 2], ids="order seed {}".format)
def test_any_order_gives_the_same_bits(tmp_path, monkeypatch, order):
    generator = np.random.default_rng(order)
    missing = _store.CellStore.missing
    monkeypatch.setattr(
        _store.CellStore, "missing", lambda store: generator.permutation(missing(store)).tolist()
    )
    np.testing.assert_array_equal(noise_sweep(tmp_path)["value"], oracle(DIMS))


def test_a_cell_keeps_its_value_in_another_grid(tmp_path):
    small = noise_sweep(tmp_path / "small", dims={"sigma": [2], "trial": [5, 3]})
    large = noise_sweep(tmp_path / "large")
    assert small["value"].sel(sigma=2, trial=5) == large["value"].sel(sigma=2.0, trial=5)


def test_seed_dims_couple_the_cells_that_differ_elsewhere(tmp_path):
    result = noise_sweep(tmp_path, seed_dims=["trial"])["value"] / np.array(DIMS["sigma"])[:, None]
    np.testing.assert_allclose(result[0], result[2], rtol=1e-12)
    assert np.unique(result[0]).size == 7


def test_seeds_of_many_cells_are_distinct_and_independent_of_the_order_of_names():
    grid = Grid.from_values({"sigma": np.linspace(0.1, 2, 50), "trial": range(100)})
    seeds = {cell_seed(0, cell, ["sigma", "trial"]) for cell in grid}
    assert len(seeds) == grid.size
    assert seeds == {cell_seed(0, cell, ["trial", "sigma"]) for cell in grid}
    assert not seeds & {cell_seed(1, cell, ["sigma", "trial"]) for cell in grid}


def test_running_again_computes_only_what_is_missing(tmp_path):
    log = tmp_path / "log"
    arguments = {"log": str(log)}
    whole = noise_sweep(tmp_path / "sweep", arguments=arguments)
    assert len(log.read_text().splitlines()) == 21
    noise_sweep(tmp_path / "sweep", arguments=arguments)
    assert len(log.read_text().splitlines()) == 21

    store = _store.CellStore(tmp_path / "sweep", Grid.from_values(DIMS))
    store.done[1, 2:4] = False
    store.outputs["value"][1, 2:4] = np.nan
    store.write([])
    store._write_chunks("value", store.outputs["value"], {(0, 0)})
    store._write_chunks("done", store.done, {(0, 0)})
    assert int(open_sweep(tmp_path / "sweep")["done"].sum()) == 19
    assert noise_sweep(tmp_path / "sweep", arguments=arguments).identical(whole)
    assert log.read_text().splitlines()[21:] == ["0.5 2", "0.5 3"]


SCRIPT = """
import sys, sweep_cells
from ncollapse.sweep import run_sweep
if __name__ == "__main__":
    folder, log, workers = sys.argv[1:]
    run_sweep(
        sweep_cells.noise, {"sigma": [0.1, 0.5, 2.0], "trial": range(200)}, folder,
        outputs={"value": float}, arguments={"pause": 0.01, "log": log}, workers=int(workers),
    )
"""


def start(folder, log, workers=0):
    paths = [str(HERE), str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(log), str(workers)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.PIPE,
    )


def wait_for_lines(log, process, count):
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def test_kill_loses_only_the_cells_in_flight(tmp_path):
    dims = {"sigma": [0.1, 0.5, 2.0], "trial": range(200)}
    log, folder = tmp_path / "log", tmp_path / "sweep"
    started, done_before = 0, set()
    for kill_after in (60, 97):
        with start(folder, log) as process:
            wait_for_lines(log, process, started + kill_after)
            process.kill()
        lines = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
        fresh, started = lines[started:], len(lines)
        with xr.open_zarr(folder / "cells.zarr") as found:
            done = found["done"].values
            np.testing.assert_array_equal(found["value"].values[done], oracle(dims)[done])
        marked = {(dims["sigma"][i], float(j)) for i, j in np.argwhere(done)}
        assert not done_before & set(fresh)
        in_flight = set(fresh) - marked
        assert len(in_flight) <= 2 * _run.SECONDS_PER_TASK / 0.01
        assert done_before < marked
        done_before = marked
    rest = noise_sweep(folder, dims=dims, arguments={"pause": 0.01, "log": str(log)})
    np.testing.assert_array_equal(rest["value"], oracle(dims))


def test_kill_while_the_folder_is_made_leaves_a_folder_that_can_be_used(tmp_path):
    (tmp_path / "cells.zarr.partial" / "value").mkdir(parents=True)
    (tmp_path / "cells.zarr.partial" / "zarr.json").write_text("{")
    np.testing.assert_array_equal(noise_sweep(tmp_path)["value"], oracle(DIMS))
    assert not (tmp_path / "cells.zarr.partial").exists()


def test_a_lost_worker_is_survived(tmp_path, cluster):
    arguments = {"flag": str(tmp_path / "flag"), "bad": 4}
    result = run_sweep(
        sweep_cells.kills_its_worker_once,
        DIMS,
        tmp_path / "sweep",
        outputs={"value": float},
        arguments=arguments,
        scheduler=cluster.scheduler_address,
    )
    assert (tmp_path / "flag").exists()
    np.testing.assert_array_equal(result["value"], oracle(DIMS))


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_cell_that_always_kills_its_worker_is_named(tmp_path, monkeypatch, on_error):
    """It stands amid a batch, and innocent batches wait beside it on workers that die."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    expected = (
        pytest.raises(CellError, match=r"the cell {'trial': 17} failed: every worker.*died")
        if on_error == "raise"
        else pytest.warns(UserWarning, match=r"1 cell \({'trial': 17}\) is skipped and marked")
    )
    with expected:
        run_sweep(
            sweep_cells.kills_its_worker,
            {"trial": range(40)},
            tmp_path,
            outputs={"value": float},
            arguments={"bad": 17},
            workers=2,
            timeout=600,
            on_error=on_error,
        )
    result = open_sweep(tmp_path)
    assert np.flatnonzero(result["failed"]).tolist() == [17]
    assert not bool(result["done"].sel(trial=17))
    assert np.isnan(result["value"].sel(trial=17))
    if on_error == "skip":
        assert int(result["done"].sum()) == 39


def test_cells_that_cost_a_cluster_all_its_workers_are_named(tmp_path):
    distributed = pytest.importorskip("distributed")
    paths = os.pathsep.join(map(str, [HERE, HERE.parents[1] / "src"]))
    with distributed.LocalCluster(
        n_workers=0, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
    ) as cluster:
        command = ["-m", "dask", "worker", cluster.scheduler_address, "--no-nanny"]
        with (
            subprocess.Popen(
                [sys.executable, *command, "--no-dashboard", "--nthreads", "1"],
                env=os.environ | {"PYTHONPATH": paths},
                stderr=subprocess.DEVNULL,
            ),
            distributed.Client(cluster) as client,
        ):
            client.wait_for_workers(1, timeout=60)
            with pytest.raises(ConnectionError, match=r"no workers.*one of these: .*'trial': 3"):
                run_sweep(
                    sweep_cells.kills_its_worker,
                    {"trial": [1, 2, 3]},
                    tmp_path,
                    outputs={"value": float},
                    arguments={"bad": 3},
                    scheduler=cluster.scheduler_address,
                    timeout=2,
                )


SCHEDULER = """
import time
from distributed import LocalCluster
if __name__ == "__main__":
    options = dict(processes=False, protocol="tcp", dashboard_address="127.0.0.1:0")
    with LocalCluster(n_workers=1, threads_per_worker=1, **options) as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(60)
"""


def test_a_scheduler_that_goes_away_is_an_error_and_nothing_is_lost(tmp_path):
    pytest.importorskip("distributed")
    dims = {"sigma": [1.0, 2.0], "trial": range(1000)}
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, [HERE, HERE.parents[1] / "src"]))
    }
    with subprocess.Popen(
        [sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        address = process.stdout.readline().strip()

        written = tmp_path / "sweep" / "cells.zarr" / "done" / "c"

        def kill_after_the_first_write():
            while not written.exists():
                time.sleep(0.01)
            process.kill()

        threading.Thread(target=kill_after_the_first_write, daemon=True).start()
        with pytest.raises(ConnectionError, match="the cluster went away"):
            noise_sweep(
                tmp_path / "sweep",
                dims=dims,
                arguments={"pause": 0.02},
                workers=None,
                scheduler=address,
                timeout=5,
            )
    found = open_sweep(tmp_path / "sweep")
    done = found["done"].values
    assert 0 < done.sum() < 2000
    np.testing.assert_array_equal(found["value"].values[done], oracle(dims)[done])


def test_an_interrupt_leaves_what_was_computed(tmp_path, monkeypatch):
    calls = iter(range(100))

    def interrupted(store, *arguments, write=_store.CellStore.write):
        write(store, *arguments)
        if next(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_store.CellStore, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        noise_sweep(tmp_path)
    monkeypatch.undo()
    done = open_sweep(tmp_path)["done"].values
    assert 3 <= done.sum() < 21
    np.testing.assert_array_equal(noise_sweep(tmp_path)["value"], oracle(DIMS))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_what_is_there_readable(tmp_path, monkeypatch, code):
    written = []

    def fsync(descriptor, fsync=os.fsync):
        written.append(descriptor)
        if len(written) > 40:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"disk is full; [1-9]\d* of 21 cells are safe") as caught:
        noise_sweep(tmp_path)
    assert caught.value.errno == code
    monkeypatch.undo()
    found = open_sweep(tmp_path)
    done = found["done"].values
    assert f"{done.sum()} of 21" in str(caught.value)
    np.testing.assert_array_equal(found["value"].values[done], oracle(DIMS)[done])
    assert not list(tmp_path.rglob("*.partial"))
    np.testing.assert_array_equal(noise_sweep(tmp_path)["value"], oracle(DIMS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dims": DIMS | {"sigma": [0.1, 0.6, 2.0]}}, r"sigma\[1\] is 0.6 here and 0.5"),
        ({"dims": DIMS | {"trial": range(9)}}, "trial has 9 values here and 7"),
        (
            {"dims": {"trial": range(7), "sigma": [1.0]}},
            r"dimensions are \['trial', 'sigma'\] here",
        ),
        ({"seed": 1}, "seed is 1 here and 0 in the folder"),
        ({"seed_dims": ["trial"]}, "seed_dims is"),
        ({"arguments": {"pause": 0.001}}, r'arguments is {"pause": 0.001} here and {} in'),
        ({"outputs": {"value": np.float32}}, "the outputs are"),
        ({"outputs": {"other": float}}, "the outputs are"),
    ],
)
def test_resuming_into_another_sweep_is_refused_naming_the_difference(tmp_path, changes, message):
    before = noise_sweep(tmp_path)
    with pytest.raises(ValueError, match="holds another sweep.*" + message):
        noise_sweep(tmp_path, **changes)
    assert open_sweep(tmp_path).identical(before)


def test_results_of_another_version_are_not_mixed_in(tmp_path, monkeypatch):
    noise_sweep(tmp_path)
    monkeypatch.setattr(_run, "version", lambda name: "99.0")
    with pytest.raises(ValueError, match=r"ncollapse_version is 99.0 here and"):
        noise_sweep(tmp_path)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dims": {}}, ValueError, "at least one dimension"),
        ({"dims": {"sigma": [1.0, 2, 1]}}, ValueError, "holds 1.0 twice, at positions 0 and 2"),
        ({"dims": {"sigma": []}}, ValueError, "at least one value"),
        ({"dims": {"sigma": [1.0, np.nan]}}, ValueError, "must be finite, but value 1 is nan"),
        ({"dims": {"sigma": [1.0, "a"]}}, TypeError, "of type float, str"),
        ({"dims": {"sigma": [True, 1]}}, TypeError, "of type bool, int"),
        ({"dims": {"sigma": "abc"}}, TypeError, "must be a list of values"),
        ({"dims": {"seed": [1]}}, ValueError, "named 'seed'"),
        ({"dims": {"a b": [1]}}, ValueError, "named 'a b'"),
        ({"outputs": {}}, ValueError, "at least one output"),
        ({"outputs": {"sigma": float}}, ValueError, "neither a dimension"),
        ({"outputs": {"done": bool}}, ValueError, "'done'"),
        ({"outputs": {"value": str}}, TypeError, "floating, integer or boolean"),
        ({"arguments": {"sigma": 1}}, ValueError, "which the grid or the seed already gives"),
        ({"arguments": {"pause": np.zeros(2)}}, TypeError, "must be JSON values"),
        ({"arguments": {"pause": float("nan")}}, TypeError, "must be JSON values"),
        ({"seed": -1}, ValueError, "nonnegative integer or None"),
        ({"seed": True}, ValueError, "nonnegative integer or None"),
        ({"seed_dims": ["theta"]}, ValueError, "seed_dims names"),
        ({"workers": -1}, ValueError, "at least 0"),
        ({"workers": 1, "scheduler": "tcp://127.0.0.1:1"}, ValueError, "None when a scheduler"),
        ({"timeout": 0}, ValueError, "timeout must be a positive"),
        ({"on_error": "ignore"}, ValueError, "on_error must be 'raise' or 'skip'"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        noise_sweep(tmp_path / "sweep", **changes)
    assert not (tmp_path / "sweep").exists()


def test_a_function_without_a_name_is_refused(tmp_path):
    with pytest.raises(TypeError, match="function with a name"):
        run_sweep(lambda trial: 1.0, {"trial": [1]}, tmp_path, outputs={"x": float}, workers=0)


@pytest.mark.parametrize("where", ["here", "on a cluster"])
def test_a_failing_cell_is_named_and_the_others_are_kept(tmp_path, cluster, where):
    place = {"workers": 0} if where == "here" else {"scheduler": cluster.scheduler_address}
    with pytest.raises(
        CellError, match=r"'sigma': 0.1, 'trial': 5.*ArithmeticError: no luck"
    ) as caught:
        run_sweep(
            sweep_cells.fails_at,
            DIMS,
            tmp_path,
            outputs={"value": float},
            arguments={"bad": 5},
            **place,
        )
    assert "in fails_at" in caught.value.__notes__[0]
    found = open_sweep(tmp_path)
    assert bool(found["done"].sel(sigma=0.1)[:5].all())
    assert not bool(found["done"].sel(trial=5).any())
    assert bool(found["failed"].sel(sigma=0.1, trial=5))
    assert np.isnan(found["value"].sel(sigma=0.1, trial=5))


def test_skipped_cells_are_marked_and_tried_again(tmp_path):
    """Trial 5 fails in all three rows, as long as the file of the cure is missing."""
    cure = tmp_path / "cure"

    def sweep(on_error):
        return run_sweep(
            sweep_cells.fails_without,
            DIMS,
            tmp_path / "sweep",
            outputs={"value": float},
            arguments={"bad": 5, "cure": str(cure)},
            workers=0,
            on_error=on_error,
        )

    with pytest.warns(UserWarning, match=r"3 cells .*'trial': 5.* skipped.*ArithmeticError"):
        result = sweep("skip")
    assert bool(result["failed"].sel(trial=5).all())
    assert int(result["failed"].sum()) == 3
    assert int(result["done"].sum()) == 18
    assert np.isnan(result["value"].sel(trial=5)).all()
    cure.touch()
    result = sweep("raise")
    assert bool(result["done"].all())
    assert not bool(result["failed"].any())


def damage(folder, how, chunk="value/c/0/0"):
    path = folder / "cells.zarr" / chunk
    content = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "cut short":
        path.write_bytes(content[:-3])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 1
        path.write_bytes(bytes(flipped))


@pytest.mark.parametrize("how", ["deleted", "cut short", "emptied", "one bit flipped"])
def test_damaged_cells_are_named_and_computed_again(tmp_path, how):
    dims, log = {"sigma": [0.1, 0.5, 2.0], "trial": range(400)}, tmp_path / "log"
    arguments = {"log": str(log)}
    whole = noise_sweep(tmp_path / "sweep", dims=dims, arguments=arguments)
    lost = int(np.prod(_store.chunk_shape((3, 400))))
    damage(tmp_path / "sweep", how)
    named = rf"{lost} cells \({{'sigma': 0.1, 'trial': 0}}.*more\) are lost or damaged on disk"
    with pytest.raises(ValueError, match=named):
        open_sweep(tmp_path / "sweep")
    before = len(log.read_text().splitlines())
    with pytest.warns(UserWarning, match=named):
        again = noise_sweep(tmp_path / "sweep", dims=dims, arguments=arguments)
    assert again.identical(whole)
    assert len(log.read_text().splitlines()) - before == lost < whole["done"].size
    assert open_sweep(tmp_path / "sweep").identical(whole)


def test_a_crash_during_the_repair_leaves_no_empty_cell_marked_done(tmp_path, monkeypatch):
    noise_sweep(tmp_path)
    damage(tmp_path, "deleted")

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_run, "_write", crash)
        with pytest.warns(UserWarning, match="21 cells"), pytest.raises(KeyboardInterrupt):
            noise_sweep(tmp_path)
    assert not bool(open_sweep(tmp_path)["done"].any())
    np.testing.assert_array_equal(noise_sweep(tmp_path)["value"], oracle(DIMS))


def test_finished_cells_of_zeros_are_not_taken_for_lost(tmp_path):
    arguments, outputs = {"count": 0}, {"length": int, "half": float, "flag": bool}
    dims = {"kind": ["a"], "centred": [False]}

    def sweep():
        return run_sweep(
            sweep_cells.several,
            dims,
            tmp_path,
            outputs=outputs,
            arguments=arguments,
            seed=None,
            workers=0,
        )

    assert sweep().identical(sweep())
    assert open_sweep(tmp_path)["length"].values.tolist() == [[0]]
    damage(tmp_path, "deleted", "flag/c/0/0")
    with pytest.warns(UserWarning, match="1 cell .* is lost or damaged"):
        sweep()


@pytest.mark.parametrize("how", ["deleted", "one bit flipped"])
def test_a_damaged_mask_makes_cells_missing(tmp_path, how):
    whole = noise_sweep(tmp_path)
    damage(tmp_path, how, "done/c/0/0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert noise_sweep(tmp_path).identical(whole)


@pytest.mark.parametrize("how", ["deleted", "one bit flipped"])
def test_damaged_coordinates_are_refused(tmp_path, how):
    noise_sweep(tmp_path)
    damage(tmp_path, how, "sigma/c/0")
    with pytest.raises(ValueError, match="cannot be read as the results of a sweep"):
        open_sweep(tmp_path)


@pytest.mark.parametrize(
    ("function", "dtype", "message"),
    [
        (sweep_cells.returns_wrong_names, float, r"must return \['value'\]"),
        (sweep_cells.returns_an_array, float, r"must be a scalar.*shape \(2,\)"),
        (sweep_cells.returns_a_float_for_an_integer, int, "must be a scalar of type int64"),
    ],
)
def test_a_function_that_returns_something_else_is_refused(tmp_path, function, dtype, message):
    with pytest.raises(CellError, match=message):
        run_sweep(function, DIMS, tmp_path, outputs={"value": dtype}, workers=0)


def test_a_scheduler_that_does_not_answer_is_an_error_within_the_timeout(tmp_path):
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no scheduler answered at tcp://127.0.0.1:9 within"):
        noise_sweep(tmp_path, workers=None, scheduler="tcp://127.0.0.1:9", timeout=0.5)
    assert time.monotonic() - start < 30
    assert int(open_sweep(tmp_path)["done"].sum()) == 0


def test_a_scheduler_without_workers_is_an_error(tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=0, dashboard_address="127.0.0.1:0", silence_logs="CRITICAL"
        ) as empty,
        pytest.raises(TimeoutError, match=r"has no workers after 0\.5 s"),
    ):
        noise_sweep(tmp_path, workers=None, scheduler=empty.scheduler_address, timeout=0.5)


def test_a_folder_that_cannot_be_made_or_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write a sweep to this folder"):
        noise_sweep(tmp_path / "file" / "sweep")
    (tmp_path / "sweep" / "lock").mkdir(parents=True)
    with pytest.raises(OSError, match="cannot write a sweep to this folder"):
        noise_sweep(tmp_path / "sweep")


def test_two_runs_in_one_folder_are_kept_apart(tmp_path):
    with (
        _store.locked(tmp_path),
        pytest.raises(BlockingIOError, match="another process is running"),
    ):
        noise_sweep(tmp_path)


def test_open_sweep_names_what_is_missing_or_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no cells\.zarr"):
        open_sweep(tmp_path)
    noise_sweep(tmp_path)
    (tmp_path / "cells.zarr" / "zarr.json").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="cannot be read as the results of a sweep"):
        open_sweep(tmp_path)


@pytest.mark.parametrize("shape", [(1,), (5000,), (5, 20, 20, 10), (3, 2000), (2000, 3)], ids=str)
def test_chunks_fit_the_grid_and_stay_small(shape):
    chunks = _store.chunk_shape(shape)
    assert all(1 <= c <= s for c, s in zip(chunks, shape, strict=True))
    assert np.prod(chunks) <= _store.MAX_CELLS_PER_CHUNK
    assert np.prod([-(-s // c) for s, c in zip(shape, chunks, strict=True)]) <= max(
        1, np.prod(shape) // 100
    )


def test_a_grid_of_many_chunks_comes_back_whole(tmp_path):
    dims = {"sigma": [1.0, 2.0, 3.0], "trial": range(1100)}
    np.testing.assert_array_equal(noise_sweep(tmp_path, dims=dims)["value"], oracle(dims))


def test_task_sizes_follow_the_pace_and_share_out_the_rest():
    def size(seconds, cells, before, left, slots):
        outcome = _run.Outcome([(i, {}) for i in range(cells)], seconds)
        return _run._next_size([outcome], before, left, slots)

    assert size(0.001, 1, before=1, left=10_000, slots=4) == 4
    assert size(0.25, 100, before=100, left=10_000, slots=4) == 100
    assert size(10.0, 1, before=50, left=10_000, slots=4) == 1
    assert size(0.25, 100, before=100, left=40, slots=4) == 5


def test_progress_is_shown_on_a_terminal_only(tmp_path, capsys, monkeypatch):
    noise_sweep(tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    noise_sweep(tmp_path / "loud")
    out, err = capsys.readouterr()
    assert out == ""
    assert "21/21" in err


def test_no_warning_on_reading_without_options(tmp_path):
    noise_sweep(tmp_path)
    with warnings.catch_warnings(), xr.open_zarr(tmp_path / "cells.zarr") as dataset:
        warnings.simplefilter("error")
        dataset.load()


def test_writes_replace_whole_files(tmp_path, monkeypatch):
    path = tmp_path / "chunk"
    _store.write_durably(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _store.write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["chunk"]
