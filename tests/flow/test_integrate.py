"""The flow against gradient descent, its own order, its conserved quantities, and its endings."""

import re
from types import SimpleNamespace

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.flow import REACHABLE, End, Rosenbrock, _integrate, gradient_flow
from ncollapse.models import ReLUNetwork

WIDTH = 12


@pytest.fixture(scope="module")
def model():
    return ReLUNetwork.on(orthogonally_separable(3, 4, 6, seed=0, scales=[1, 1.5, 2]))


@pytest.fixture(scope="module")
def aligned(model):
    """A state past the alignment, from which on the flow is smooth."""
    run = gradient_flow(model, model.start(WIDTH, 1e-3, 1), log_inverse_loss=2.0)
    assert (run.observations["groups"][-1] >= 0).all()
    return {name: leaf[-1] for name, leaf in run.snapshots.items()}


def descend(model, start, step, count):
    """Plain gradient descent on the unscaled loss, θ ← θ − η∇L."""
    with jax.enable_x64(True):
        slope = jax.grad(lambda p: jnp.exp(model.log_loss(p)))

        def once(_, p):
            return jax.tree.map(lambda leaf, change: leaf - step * change, p, slope(p))

        start = {name: jnp.asarray(leaf) for name, leaf in start.items()}
        end = jax.jit(lambda p: jax.lax.fori_loop(0, count, once, p))(start)
        return {n: np.asarray(leaf) for n, leaf in end.items()}, float(model.log_loss(end))


def distance(left, right):
    return np.sqrt(sum(np.sum((left[name] - right[name]) ** 2) for name in left))


def test_the_path_is_that_of_plain_gradient_descent(model, aligned):
    start, duration = aligned, 6.0
    gaps, delays = [], []
    for step in (2e-3, 1e-3, 5e-4):
        end, log_loss = descend(model, start, step, round(duration / step))
        run = gradient_flow(model, start, log_inverse_loss=-log_loss, rtol=1e-9)
        final = {name: leaf[-1] for name, leaf in run.snapshots.items()}
        gaps.append(distance(end, final) / np.sqrt(sum(np.sum(e**2) for e in end.values())))
        delays.append(abs(np.exp(run.log_time[-1]) - duration) / duration)
    assert -log_loss > -float(model.log_loss(start)) + 0.5  # descent can still move there
    assert gaps[-1] < 1e-3
    assert delays[-1] < 1e-3
    for errors in (gaps, delays):  # what is left is descent's own error, of first order
        ratios = np.array(errors[:-1]) / np.array(errors[1:])
        np.testing.assert_allclose(ratios, 2.0, atol=0.3)


def test_order_of_convergence(model, aligned):
    settings = {"log_inverse_loss": 1e4, "s": 1.0, "stall": None}
    exact = gradient_flow(model, aligned, solver=diffrax.Dopri8(), rtol=1e-13, **settings)
    reference = {name: leaf[-1] for name, leaf in exact.snapshots.items()}
    errors, steps = [], []
    for rtol in 10.0 ** -np.arange(6, 11):
        run = gradient_flow(model, aligned, rtol=rtol, **settings)
        errors.append(distance({n: leaf[-1] for n, leaf in run.snapshots.items()}, reference))
        steps.append(run.steps)
    fitted = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert fitted == pytest.approx(3, abs=0.5)  # Bogacki and Shampine's method


def test_physical_time_is_the_integral_of_the_inverse_loss(model, aligned):
    run = gradient_flow(model, aligned, log_inverse_loss=30.0, rtol=1e-9)
    level = np.concatenate([run.log_inverse_loss[:1], run.log_inverse_loss])
    s = np.concatenate([[0.0], run.s])
    fine = np.linspace(0, s[-1], 400_001)
    inverse = np.exp(np.interp(fine, s[1:], level[1:]))
    integral = np.sum(0.5 * (inverse[1:] + inverse[:-1]) * np.diff(fine))
    assert run.log_time[-1] == pytest.approx(np.log(integral), abs=0.02)


def test_late_flow_keeps_its_promises(model):
    run = gradient_flow(model, model.start(WIDTH, 1e-6, 1), log_inverse_loss=1000.0)
    assert run.reached
    assert run.log_inverse_loss[-1] == pytest.approx(1000.0, abs=1e-6)
    assert np.all(np.diff(run.log_inverse_loss) > -1e-12)
    assert np.all(np.diff(run.s) > 0)
    assert np.all(np.diff(run.log_time) > 0)
    assert run.drift[-1] < 1e-6
    assert run.snapshot_s[0] == 0.0
    assert run.snapshot_s[-1] == run.s[-1]
    assert np.all(np.diff(run.snapshot_s) > 0)
    rise = run.log_inverse_loss[-1] - run.log_inverse_loss[-50]
    assert np.log(run.norm[-1] / run.norm[-50]) == pytest.approx(
        0.5 * np.log1p(rise / run.log_inverse_loss[-50]), rel=0.05
    )


def test_stops_at_a_given_s(model, aligned):
    run = gradient_flow(model, aligned, s=0.25)
    assert run.s[-1] == pytest.approx(0.25)
    assert run.reached
    assert run.end is End.TIME
    assert "given s" in run.stopped


def test_stops_by_itself_when_nothing_changes():
    inputs = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [1.0, 0.0]])
    contradiction = Dataset.from_arrays(inputs, np.array([0, 0, 1, 1]))
    model = ReLUNetwork.on(contradiction)
    run = gradient_flow(model, model.start(6, 1e-2, 0), rtol=1e-4)
    assert not run.reached
    assert run.end is End.STALLED
    assert "Nothing changes any more" in run.stopped


def test_stops_when_its_steps_are_used_up(model):
    run = gradient_flow(model, model.start(WIDTH, 1e-3, 1), log_inverse_loss=1e6, max_steps=300)
    assert not run.reached
    assert run.end is End.STEPS
    assert run.stopped.startswith("Used up 300 steps at log(1/L) = ")
    assert run.stopped.endswith(".")


@pytest.mark.parametrize("seed", range(2))
def test_a_run_that_slides_along_kinks_until_its_steps_run_out_names_them(seed):
    inputs = np.random.default_rng(seed).standard_normal((8, 3))
    model = ReLUNetwork.on(Dataset.from_arrays(inputs, np.arange(8) % 2))
    run = gradient_flow(model, model.start(WIDTH, 1e-3, 0), max_steps=4000)
    assert run.end is End.KINKS
    assert not run.reached
    (neuron, sample), *_ = re.findall(r"neuron (\d+) at sample (\d+)", run.stopped)
    near = model.kinks(run.at(-1))[int(sample), int(neuron)]
    size = np.linalg.norm(run.at(-1)["hidden"][int(neuron)]) * np.linalg.norm(inputs[int(sample)])
    assert abs(near) < 1e-4 * size, f"seed {seed}"
    assert "larger rtol" in run.stopped


def test_a_tolerance_that_does_not_follow_the_flow_ends_as_failed(model):
    start = model.start(WIDTH, 1e-3, 1)
    for rtol in (0.1, 5.0):
        with pytest.raises(ValueError, match=rf"rtol must be below 0\.1, but it is {rtol:g}"):
            gradient_flow(model, start, rtol=rtol)
    equal = ReLUNetwork.on(orthogonally_separable(3, 4, 6, seed=0))
    run = gradient_flow(equal, equal.start(WIDTH, 1e-3, 1), rtol=0.09, max_steps=5000)
    assert not np.isfinite(run.log_time).all()
    assert run.end is End.DIVERGED
    assert not run.reached
    assert "smaller rtol" in run.stopped
    assert run.to_dict()["log_time"] is None


def test_the_importing_program_keeps_its_precision(model):
    gradient_flow(model, model.start(WIDTH, 1e-3, 1), log_inverse_loss=1.0)
    assert jnp.ones(2).dtype == jnp.float32


def test_bad_goals_and_starts_are_refused(model):
    start = model.start(WIDTH, 1e-3, 1)
    with pytest.raises(ValueError, match="above the start's"):
        gradient_flow(model, start, log_inverse_loss=-10.0)
    with pytest.raises(ValueError, match="at most"):
        gradient_flow(model, start, log_inverse_loss=2 * REACHABLE)
    with pytest.raises(ValueError, match="saddle point"):
        gradient_flow(model, {name: 0 * leaf for name, leaf in start.items()})
    with pytest.raises(ValueError, match=r"start\['hidden'\] must be finite"):
        gradient_flow(model, {**start, "hidden": start["hidden"] + np.nan})
    with pytest.raises(ValueError, match="rtol must be a positive"):
        gradient_flow(model, start, rtol=0.0)


LIMITS = {"goal": np.asarray(5.0), "rtol": np.asarray(1e-4)}
GOES_ON = {"goal": False, "end": False, "more": True}


def recorder(**changes):
    """What the integrator asks of a recorder, with answers on which a run goes on."""
    answers = {"level": 3.0, "started": True, "tried": 99, "sliding": list}
    answers |= {"failed": lambda rtol, *, timed: False, "stalled": lambda share: False}
    return SimpleNamespace(**answers | changes)


def end_of(changes=(), outcome=(), stall=1e-3, timed=True):
    ending = _integrate._end_of(
        recorder(**dict(changes)), GOES_ON | dict(outcome), LIMITS, stall, 100, timed=timed
    )
    return (ending[0], ending[1].split(":")[0]) if ending else None


def test_each_ending_has_its_sentence():
    asked = []

    def failed(rtol, *, timed):
        asked.append((rtol, timed))
        return True

    at = "at log(1/L) = 3"
    assert end_of() is None
    assert end_of({"failed": failed}) == (End.DIVERGED, f"The integrator failed {at}")
    assert asked == [(1e-4, True)]
    assert end_of({"failed": failed, "started": False}) is None
    assert end_of(outcome={"goal": True}) == (End.GOAL, "Reached log(1/L) = 5.")
    assert end_of(outcome={"end": True}) == (End.TIME, f"Reached the given s {at}.")
    assert end_of(outcome={"more": False}) == (End.STEP_SIZE, f"The integrator failed {at}")
    slow = {"stalled": lambda share: share == 1e-3}
    assert end_of(slow) == (End.STALLED, f"Nothing changes any more {at}")
    assert end_of(slow, stall=None) is None
    assert end_of({**slow, "started": False}) is None
    assert end_of({"tried": 100}) == (End.STEPS, f"Used up 100 steps {at}.")


@pytest.mark.parametrize("count", [1, 3, 4])
def test_at_most_three_kinks_are_named(count):
    sliding = recorder(sliding=lambda: [(10 + i, i) for i in range(count)])
    end, text = _integrate._used_up(sliding, "Used up 9 steps")
    named = ["0 at sample 10", "1 at sample 11", "2 at sample 12"][:count]
    more = " and 1 more" if count == 4 else ""
    assert end is End.KINKS
    assert text.startswith("Used up 9 steps: neurons slide along kinks")
    assert f"(neuron {', '.join(named)}{more})" in text


@pytest.mark.parametrize("goal", [0.25, 9.0, -3.0])
@pytest.mark.parametrize("clock", ["log_loss", "time"])
def test_the_last_chunk_is_taken_again_until_a_step_ends_at_the_goal(clock, goal):
    """On the path log(1/L) = s³ − 4, from the chunk's start at s = 0.5."""
    calls, before = [], ("state", 0.5, "step")
    root = np.cbrt(goal + 4.0)

    def advance(model, state, now, step, limits):
        assert (state, now, step) == before
        s = float(limits["end"])
        level = s**3 - 4.0
        calls.append((s, float(limits["goal"])))
        rate = 3.0 * s**2 * (np.exp(-level) if clock == "time" else 1.0)
        rows = {
            "log_inverse_loss": np.array([0.0, level, np.inf]),
            "speed": np.array([1.0, np.sqrt(rate) / 2.0, np.inf]),
            "norm": np.array([9.0, 2.0, np.inf]),
        }
        return ("moved", s), s, "shorter", {"steps": rows, "stats": {"num_accepted_steps": 2}}, {}

    limits = {"goal": np.asarray(goal), "end": np.asarray(np.inf)}
    model = SimpleNamespace(clock=clock)
    state, now, step, record = _integrate._land(advance, model, before, 1.01 * root, limits)
    assert now == pytest.approx(root, rel=1e-10)
    assert state == ("moved", now)
    assert step == "shorter"
    assert record["steps"]["log_inverse_loss"][1] == pytest.approx(goal, abs=1e-9)
    assert calls[0][0] == 1.01 * root
    assert 3 <= len(calls) <= 4
    assert {beyond for _, beyond in calls} == {goal + max(1.0, abs(goal))}
    assert float(limits["goal"]) == goal


@pytest.mark.parametrize(("solver", "timed"), [(diffrax.Bosh3(), True), (Rosenbrock(), False)])
def test_one_chunk_is_added_and_lands_where_the_stepper_does(solver, timed, monkeypatch):
    added, asked = [], []
    last = SimpleNamespace(state="state", now=0.5, step="step")

    def failed(rtol, *, timed):
        asked.append(timed)
        return False

    made = recorder(
        model=SimpleNamespace(clock="log_loss"),
        last=last,
        add=lambda *chunk: added.append(chunk),
        failed=failed,
    )
    result = {**GOES_ON, "goal": True}
    landings = []

    def land(*given):
        landings.append(given)
        return "landed", 0.9, "last", "end"

    monkeypatch.setattr(_integrate, "_land", land)

    def advance(model, *start):
        assert model is made.model
        assert start == ("state", 0.5, "step", LIMITS)
        return "state", 1.0, "next", "record", result

    end, _ = _integrate._go_on(made, advance, LIMITS, solver, None, 100)
    assert end is End.GOAL
    landed = ("end", "landed", 0.9, "last")
    assert added == [("record", "state", 1.0, "next") if timed else landed]
    assert asked == [timed]
    before = "state", 0.5, "step"
    assert landings == ([] if timed else [(advance, made.model, before, 1.0, LIMITS)])
    result |= {"goal": False}
    assert _integrate._go_on(made, advance, LIMITS, solver, None, 100) is None
    assert _integrate._go_on(made, advance, LIMITS, solver, None, 99)[0] is End.STEPS
    made.stalled = lambda share: share == 1e-3
    assert _integrate._go_on(made, advance, LIMITS, solver, 1e-3, 100)[0] is End.STALLED
    result |= {"more": False}
    assert _integrate._go_on(made, advance, LIMITS, solver, None, 100)[0] is End.STEP_SIZE
    made.started = False
    with pytest.raises(ValueError, match="could not take a first step"):
        _integrate._go_on(made, advance, LIMITS, solver, None, 100)


def test_a_goal_lies_above_the_start_and_within_reach():
    _integrate._check_goal(1.0, 1.5)
    _integrate._check_goal(1.0, REACHABLE)
    for level, goal in [(1.0, 1.0), (1.0, 1.01 * REACHABLE), (1.0, np.nan)]:
        with pytest.raises(ValueError, match=r"above the start's 1 and at most 1e\+08, but it is"):
            _integrate._check_goal(level, goal)
    with pytest.raises(ValueError, match="must be finite at the start, but it is nan"):
        _integrate._check_goal(np.nan, 1.0)
