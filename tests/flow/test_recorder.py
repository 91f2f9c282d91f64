"""What a recorder makes of steps: physical time, drift, kept snapshots, stalls, failures."""

from types import SimpleNamespace

import diffrax
import numpy as np
import pytest

from ncollapse.flow import End, Rosenbrock
from ncollapse.flow._recorder import Recorder, drift, integrated_log_time, kept_snapshots
from ncollapse.models import LayerPeeled

START = {"first_step": np.ones(()), "log_loss": np.array(0.7), "rate": np.ones(())}


def integrated(level, slope, s):
    """The recorder's log time of a path of level φ and slope ds/dφ, at the times s[1:]."""
    rate = 1.0 / slope
    steps = {
        "s": s[1:],
        "log_inverse_loss": level[1:],
        "speed": np.sqrt(rate[1:]) / 3.0,
        "norm": np.full(len(s) - 1, 3.0),
    }
    return integrated_log_time(steps, {"log_loss": -level[0], "rate": rate[0]})


@pytest.mark.parametrize("bend", [-0.005, 0.0, 0.02])
@pytest.mark.parametrize("rise", [12.0, 16.0, 40.0])
def test_time_over_large_rises_is_exact_where_s_is_quadratic_in_the_level(bend, rise):
    """ds/dφ = a + bφ, so t = ∫ e^φ (a + bφ) dφ = [e^φ (a + b(φ − 1))]."""
    level = 1.0 + rise * np.arange(4)
    slope = 1.0 + bend * level
    s = level + 0.5 * bend * level**2
    primitive = np.exp(level) * (1.0 + bend * (level - 1.0))
    exact = np.log(primitive[1:] - primitive[0])
    np.testing.assert_allclose(integrated(level, slope, s - s[0]), exact, rtol=1e-12)


def test_time_over_small_rises_is_the_integral_of_the_cubic():
    """φ = s³ + s/2 is its own Hermite cubic."""
    s = np.array([0.0, 0.4, 0.9, 2.1])
    level, slope = s**3 + 0.5 * s, 1.0 / (3.0 * s**2 + 0.5)
    fine = np.linspace(0.0, 2.1, 2_100_001)
    height = np.exp(fine**3 + 0.5 * fine)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (height[1:] + height[:-1]) * np.diff(fine))])
    exact = np.log(np.interp(s[1:], fine, area))
    np.testing.assert_allclose(integrated(level, slope, s), exact, atol=1e-10)


def test_drift_is_the_largest_change_either_way():
    start = np.array([[1.0, -2.0], [0.5, 0.0]])
    fall, rise = np.zeros((2, 2, 2))
    fall[1, 0], rise[0, 1] = -3.0, 1.0
    path = np.stack([start, start + fall, start + rise])
    np.testing.assert_allclose(drift(path, start, np.array([1.0, 2.0, 0.5])), [0.0, 0.75, 4.0])
    assert drift(np.zeros((3, 0)), np.zeros(0), np.ones(3)).tolist() == [0.0, 0.0, 0.0]


def test_kept_snapshots_are_the_first_ones_then_even_to_the_last():
    assert kept_snapshots(5).tolist() == [0, 1, 2, 3, 4]
    assert kept_snapshots(6, early=2, most=6).tolist() == [0, 1, 2, 3, 4, 5]
    assert kept_snapshots(12, early=2, most=6).tolist() == [0, 1, 2, 5, 8, 11]
    rows = kept_snapshots(10_000)
    assert rows[:64].tolist() == list(range(64))
    assert (len(rows), rows[-1]) == (256, 9_999)
    assert np.ptp(np.diff(rows[64:])) <= 1
    assert len(kept_snapshots(256)) == 256
    assert len(kept_snapshots(257)) == 256


POINT = {"weight": np.ones((2, 2)), "features": np.ones((2, 2))}


def fresh():
    begin = {**START, "invariants": np.zeros(1), "kinds": {}}
    return Recorder(LayerPeeled.of(2, 1), POINT, begin, None)


def recorder(s, level, speed, log_time=None):
    """A recorder that has been given one chunk, its buffer of snapshots filled up with infinity."""
    made, count = fresh(), len(s)
    steps = {"s": np.asarray(s, float), "log_inverse_loss": np.asarray(level, float)}
    steps |= {"speed": np.asarray(speed, float), "norm": np.ones(count)}
    steps["log_time"] = np.zeros(count) if log_time is None else np.asarray(log_time)
    steps |= {"invariants": np.full((count, 1), -0.5), "observations": {}}
    times = np.array([0.5, s[-1], np.inf])
    snapshots = {"s": times, "parameters": {n: np.stack([v] * 3) for n, v in POINT.items()}}
    stats = {"num_accepted_steps": count, "num_rejected_steps": 3}
    record = {"steps": steps, "snapshots": snapshots, "stats": stats, "evaluations": 7}
    made.add(record, (POINT, np.zeros(())), np.asarray(s[-1]), np.ones(()))
    return made


@pytest.mark.parametrize(
    ("level", "speed", "stalled"),
    [
        ([0.0, 0.0, 1.0, 1.005], [2.0, 1e-4, 1e-4, 1.5e-3], True),
        ([0.0, 0.0, 1.0, 1.005], [2.0, 1e-4, 1e-4, 2.2e-3], False),  # still fast
        ([0.0, 0.0, 1.0, 1.02], [2.0, 1e-4, 1e-4, 1.5e-3], False),  # still falling
        ([0.0, 0.0, 1.0, 1.005], [1e-4, 1e-4, 2.0, 1.5e-3], True),  # its fastest moment came late
    ],
)
def test_a_stall_is_slow_and_level_since_half_its_time(level, speed, stalled):
    assert recorder([1.0, 3.0, 4.0, 8.0], level, speed).stalled(1e-3) == stalled


@pytest.mark.parametrize(
    ("level", "log_time", "failed"),
    [
        ([0.0, 5.0, 4.995], [0.0, 1.0, 2.0], False),  # within √rtol · log(1/L)
        ([0.0, 5.0, 4.94], [0.0, 1.0, 2.0], True),
        ([-0.5, -0.495, -0.502], [0.0, 1.0, 2.0], False),  # below one, √rtol itself
        ([-0.5, -0.495, -0.51], [0.0, 1.0, 2.0], True),
        ([-9.0, -4.0, -4.02], [0.0, 1.0, 2.0], False),
        ([0.0, 5.0, np.nan], [0.0, 1.0, 2.0], True),
        ([0.0, 5.0, 6.0], [0.0, np.nan, 2.0], True),
    ],
)
def test_a_run_fails_when_its_loss_rises_or_its_time_is_lost(level, log_time, failed):
    made = recorder([1.0, 2.0, 3.0], level, [1.0, 1.0, 1.0], log_time)
    assert made.failed(1e-4, timed=True) == failed
    assert made.failed(1e-4, timed=False) == (failed and np.isfinite(log_time).all())


def test_a_recorder_counts_what_it_was_given():
    made = recorder([1.0, 2.0], [0.0, 3.0], [1.0, 1.0])
    assert (made.tried, made.level, made.started) == (5, 3.0, True)
    assert made.last.evaluations == 7
    assert made.last.snapshots["s"].tolist() == [0.5, 2.0]
    assert made.last.snapshots["parameters"]["weight"].shape == (2, 2, 2)
    assert made.last.steps["drift"].tolist() == [0.5, 0.5]
    assert fresh().level == -0.7
    assert (fresh().tried, fresh().started) == (0, False)
    assert (float(made.last.now), float(made.last.step)) == (2.0, 1.0)
    first = fresh().last
    assert (float(first.now), float(first.step), float(first.state[1])) == (0.0, 1.0, 0.0)
    assert first.state[0] is POINT
    assert first.steps == {}


def test_a_chunk_without_an_accepted_step_leaves_no_trace_but_its_rejections():
    made = recorder([1.0, 2.0], [0.0, 3.0], [1.0, 1.0])
    empty = {name: np.zeros(0) for name in ("s", "log_inverse_loss", "speed", "norm", "log_time")}
    empty |= {"invariants": np.zeros((0, 1)), "observations": {}}
    snapshots = {"s": np.zeros(0), "parameters": {n: v[None][:0] for n, v in POINT.items()}}
    stats = {"num_accepted_steps": 0, "num_rejected_steps": 9}
    record = {"steps": empty, "snapshots": snapshots, "stats": stats, "evaluations": 0}
    made.add(record, (POINT, np.zeros(())), np.asarray(2.0), np.ones(()))
    assert (made.tried, made.level) == (14, 3.0)
    assert made.last.snapshots["s"].size == 0
    assert made.last.steps == {}


SETUP = SimpleNamespace(method="flow")


def two_chunks(resumed=None):
    """A recorder whose second chunk drifts less than its first."""
    model = SimpleNamespace(lift=lambda tree: {"lifted": tree["weight"]})
    begin = {**START, "invariants": np.zeros(1), "kinds": {"alive": np.zeros((), bool)}}
    made = Recorder(model, POINT, begin, resumed)
    for turn in (1.0, 2.0):
        s = turn - 1.0 + np.array([0.5, 1.0])
        steps = {"s": s, "log_time": -s, "log_inverse_loss": s + 1.0, "speed": np.ones(2)}
        steps |= {"norm": np.ones(2), "invariants": np.array([[0.1], [-0.3]]) / turn}
        steps["observations"] = {"alive": np.array([0.0, 1.0])}
        snapshots = {"s": s[:1], "parameters": {n: turn * v[None] for n, v in POINT.items()}}
        stats = {"num_accepted_steps": 2, "num_rejected_steps": 3}
        record = {"steps": steps, "snapshots": snapshots, "stats": stats, "evaluations": 10}
        state = {name: 9.0 * turn * values for name, values in POINT.items()}
        made.add(record, (state, np.asarray(0.25 * turn)), np.asarray(turn), np.asarray(0.1 * turn))
    return made


def finished(made, solver=None, quadrature=False, **seconds):
    seconds = seconds or {"seconds": 2.0, "compile_seconds": 0.5}
    end, solver = (End.GOAL, "Reached."), solver or diffrax.Bosh3()
    return made.run(SETUP, end, solver=solver, quadrature=quadrature, **seconds)


def test_a_run_is_its_chunks_joined():
    run = finished(two_chunks())
    assert (run.setup, run.end, run.stopped) == (SETUP, End.GOAL, "Reached.")
    assert run.s.tolist() == [0.5, 1.0, 1.5, 2.0]
    assert run.log_time.tolist() == [-0.5, -1.0, -1.5, -2.0]
    assert run.log_inverse_loss.tolist() == [1.5, 2.0, 2.5, 3.0]
    np.testing.assert_allclose(run.drift, [0.1, 0.3, 0.3, 0.3])
    assert run.observations["alive"].tolist() == [False, True, False, True]
    assert run.observations["alive"].dtype == bool
    assert run.snapshot_s.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert run.snapshots["weight"][:, 0, 0].tolist() == [1.0, 1.0, 9.0, 2.0, 18.0]
    assert run.parameters["lifted"].tolist() == (18.0 * POINT["weight"]).tolist()
    assert (run.steps, run.rejected) == (4, 6)
    assert (run.seconds, run.compile_seconds) == (2.0, 0.5)
    assert [float(part) for part in run.state] == [0.5, 0.2]
    assert run.model is not None


def test_time_comes_from_the_record_where_it_is_not_integrated():
    made = two_chunks()
    steps = {"s": np.array([0.5, 1.0, 1.5, 2.0]), "log_inverse_loss": np.array([1.5, 2, 2.5, 3])}
    steps |= {"speed": np.ones(4), "norm": np.ones(4)}
    expected = integrated_log_time(steps, made.begin)
    assert finished(made, quadrature=True).log_time.tolist() == expected.tolist()


def test_evaluations_are_counted_by_the_stepper_or_by_its_stages():
    """Bosh3 has four stages; of 20 evaluations on 4 accepted steps come 50 on all 10."""
    made = two_chunks()
    assert finished(made).evaluations == 4 * 10
    assert finished(made, Rosenbrock()).evaluations == 50
    assert fresh().evaluations(Rosenbrock()) == 0


@pytest.mark.parametrize("solver", [diffrax.Bosh3(), Rosenbrock()])
def test_a_resumed_run_adds_up(solver):
    first = finished(two_chunks(), solver, seconds=2.0, compile_seconds=0.5)
    made = Recorder(two_chunks().model, POINT, two_chunks().begin, first)
    assert (made.tried, made.level, made.started) == (10, 3.0, True)
    assert [float(part) for part in (made.last.now, made.last.step)] == [2.0, 0.2]
    assert made.last.state[0]["weight"].tolist() == first.at(-1)["weight"].tolist()
    assert float(made.last.state[1]) == 0.5
    whole = finished(two_chunks(first), solver, seconds=1.0, compile_seconds=0.25)
    assert (whole.steps, whole.rejected, whole.evaluations) == (8, 12, 2 * first.evaluations)
    assert (whole.seconds, whole.compile_seconds) == (3.0, 0.75)
    assert whole.s.tolist() == [*first.s, *first.s]
    assert whole.snapshot_s.tolist() == [*first.snapshot_s, 0.5, 1.0, 1.5, 2.0]


def test_a_neuron_slides_where_it_crosses_its_kink_in_every_snapshot():
    """Four changes of sign and more: sample 0 of neuron 1."""
    signs = np.ones((6, 1, 2, 2))
    signs[:, 0, 0, 1] = [1, -1, 1, -1, 1, 1]
    signs[:, 0, 1, 0] = [1, -1, 1, -1, -1, -1]
    model = SimpleNamespace(kinks=lambda parameters: parameters["signs"][0])
    made = Recorder(model, {"signs": signs[0]}, {**START, "invariants": np.zeros(1)}, None)
    made.last.snapshots["parameters"] = {"signs": signs}
    assert made.sliding() == [(0, 1)]
