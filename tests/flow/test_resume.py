"""Runs that are interrupted, saved, loaded and gone on with."""

import json

import numpy as np
import pytest

from ncollapse.data import orthogonally_separable
from ncollapse.flow import End, Rosenbrock, Run, descend, gradient_flow
from ncollapse.models import LayerPeeled, ReLUNetwork, restore

WIDTH = 12


@pytest.fixture(scope="module")
def model():
    return ReLUNetwork.on(orthogonally_separable(3, 4, 6, seed=0, scales=[1, 1.5, 2]))


def stop_after(count):
    calls = []

    def interrupt(s, level):
        calls.append((s, level))
        if len(calls) == count:
            raise KeyboardInterrupt

    return calls, interrupt


def assert_same_path(resumed, whole):
    for name in ("s", "log_time", "log_inverse_loss", "norm", "speed", "drift"):
        np.testing.assert_allclose(getattr(resumed, name), getattr(whole, name), rtol=1e-12)
    for name, values in whole.observations.items():
        np.testing.assert_array_equal(resumed.observations[name], values)
        assert resumed.observations[name].dtype == values.dtype
    for name, values in whole.parameters.items():
        np.testing.assert_allclose(resumed.parameters[name], values, rtol=1e-12)
    assert (resumed.steps, resumed.rejected) == (whole.steps, whole.rejected)
    assert (resumed.end, resumed.stopped) == (whole.end, whole.stopped)


def test_an_interrupted_flow_resumed_from_its_file_is_the_uninterrupted_one(model, tmp_path):
    start, goal = model.start(WIDTH, 1e-3, 1), 2e4
    calls, interrupt = stop_after(3)
    run = gradient_flow(model, start, log_inverse_loss=goal, on_progress=interrupt)
    assert run.interrupted
    assert run.end is End.INTERRUPTED
    assert not run.reached
    assert run.s[-1] == calls[-1][0]
    run.save(tmp_path / "kept.npz")
    loaded = Run.load(tmp_path / "kept.npz")
    resumed = gradient_flow(model, start, log_inverse_loss=goal, resume=loaded)
    whole = gradient_flow(model, start, log_inverse_loss=goal)
    assert resumed.reached
    assert_same_path(resumed, whole)
    assert resumed.evaluations == whole.evaluations
    assert len(resumed.snapshot_s) <= 256
    assert np.all(np.diff(resumed.snapshot_s) > 0)


def test_the_stiff_stepper_resumes_with_its_time_and_lands(tmp_path):
    model = LayerPeeled.of(3, 4)
    start = model.start(5, 1.0, seed=0)
    ways = {"log_inverse_loss": 1e4, "rtol": 1e-7, "solver": Rosenbrock()}
    run = gradient_flow(model, start, on_progress=stop_after(3)[1], **ways)
    run.save(tmp_path / "kept.npz")
    resumed = gradient_flow(model, start, resume=Run.load(tmp_path / "kept.npz"), **ways)
    whole = gradient_flow(model, start, **ways)
    assert_same_path(resumed, whole)
    assert resumed.evaluations == pytest.approx(whole.evaluations, rel=0.02)


def test_a_run_that_reached_its_goal_goes_on_to_a_farther_one(model):
    start = model.start(WIDTH, 1e-3, 1)
    first = gradient_flow(model, start, log_inverse_loss=50.0)
    resumed = gradient_flow(model, start, log_inverse_loss=300.0, resume=first)
    whole = gradient_flow(model, start, log_inverse_loss=300.0)
    assert resumed.log_time[-1] == pytest.approx(whole.log_time[-1], abs=1e-2)
    for name, values in whole.parameters.items():
        size = np.linalg.norm(values)
        assert np.linalg.norm(resumed.parameters[name] - values) < 1e-4 * size
    with pytest.raises(ValueError, match="must lie above the start's"):
        gradient_flow(model, start, log_inverse_loss=40.0, resume=first)


def test_a_run_of_another_set_up_is_refused_by_name(model):
    start = model.start(WIDTH, 1e-3, 1)
    setup = model.setup(seed=1, init=1e-3)
    run = gradient_flow(model, start, log_inverse_loss=1.0, setup=setup)
    with pytest.raises(ValueError, match=r"another set-up: rtol is 1e-05 and not 0\.0001"):
        gradient_flow(model, start, rtol=1e-4, setup=setup, resume=run)
    with pytest.raises(ValueError, match="seed is 1 and not 2"):
        gradient_flow(model, start, setup=model.setup(seed=2, init=1e-3), resume=run)
    with pytest.raises(ValueError, match="its start is another one"):
        gradient_flow(model, model.start(WIDTH, 1e-3, 2), setup=setup, resume=run)
    other = ReLUNetwork.on(orthogonally_separable(3, 4, 6, seed=1))
    with pytest.raises(ValueError, match="data is '"):
        gradient_flow(other, start, setup=setup, resume=run)
    with pytest.raises(ValueError, match="method is 'flow' and not 'gd'"):
        descend(model, start, learning_rate=0.1, epochs=300, setup=setup, resume=run)


@pytest.mark.parametrize("optimiser", ["gd", "adam"])
def test_an_interrupted_descent_resumed_is_the_uninterrupted_one(optimiser, tmp_path, monkeypatch):
    from ncollapse.flow import descent

    model = LayerPeeled.of(3, 4)
    start = model.start(5, 1.0, seed=0)
    ways = {"optimiser": optimiser, "learning_rate": 1e-2, "epochs": 200, "records": 8}
    whole = descend(model, start, **ways)
    assert whole.end is End.EPOCHS
    assert whole.reached
    check, marks = descent._check_level, []

    def interrupted(level, epoch, rate):
        marks.append(epoch)
        if len(marks) == 5:
            raise KeyboardInterrupt
        check(level, epoch, rate)

    monkeypatch.setattr(descent, "_check_level", interrupted)
    run = descend(model, start, **ways)
    monkeypatch.undo()
    assert run.interrupted
    assert run.epochs[-1] == marks[3]
    run.save(tmp_path / "kept.npz")
    resumed = descend(model, start, resume=Run.load(tmp_path / "kept.npz"), **ways)
    assert_same_path(resumed, whole)
    np.testing.assert_array_equal(resumed.epochs, whole.epochs)
    np.testing.assert_array_equal(resumed.snapshot_s, whole.snapshot_s)
    with pytest.raises(ValueError, match="epochs must be at least 201"):
        descend(model, start, resume=whole, **ways)


def test_a_loaded_run_is_the_saved_one_and_knows_its_features(model, tmp_path):
    run = gradient_flow(model, model.start(WIDTH, 1e-3, 1), log_inverse_loss=1.0)
    run.save(tmp_path / "run.npz")
    bare, whole = Run.load(tmp_path / "run.npz"), Run.load(tmp_path / "run.npz", restore=restore)
    for loaded in (bare, whole):
        assert json.dumps(loaded.to_dict()) == json.dumps(run.to_dict())
        assert loaded.setup.digest() == run.setup.digest()
    for snapshot in (0, -1):
        np.testing.assert_array_equal(whole.features_at(snapshot), run.features_at(snapshot))
        np.testing.assert_array_equal(
            whole.classifier_at(snapshot)[0], run.classifier_at(snapshot)[0]
        )
    with pytest.raises(ValueError, match="loaded without its model"):
        bare.features_at(-1)
    with pytest.raises(ValueError, match="a flow has no epochs"):
        _ = run.epochs
