"""The flow against gradient descent, its own order, its conserved quantities, and its endings."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.flow import REACHABLE, gradient_flow, gradient_flow_ensemble, stack_starts
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


@pytest.mark.parametrize(("solver", "order"), [(diffrax.Bosh3(), 3), (diffrax.Tsit5(), 5)])
def test_order_of_convergence(model, aligned, solver, order):
    settings = {"log_inverse_loss": 1e4, "s": 1.0, "stall": None}
    exact = gradient_flow(model, aligned, solver=diffrax.Dopri8(), rtol=1e-13, **settings)
    reference = {name: leaf[-1] for name, leaf in exact.snapshots.items()}
    errors, steps = [], []
    for rtol in 10.0 ** -np.arange(6, 11):
        run = gradient_flow(model, aligned, solver=solver, rtol=rtol, **settings)
        errors.append(distance({n: leaf[-1] for n, leaf in run.snapshots.items()}, reference))
        steps.append(run.steps)
    fitted = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert fitted == pytest.approx(order, abs=0.5)


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
    assert "given s" in run.stopped


def test_stops_by_itself_when_nothing_changes():
    inputs = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [1.0, 0.0]])
    contradiction = Dataset.from_arrays(inputs, np.array([0, 0, 1, 1]))
    model = ReLUNetwork.on(contradiction)
    run = gradient_flow(model, model.start(6, 1e-2, 0), rtol=1e-4)
    assert not run.reached
    assert "Nothing changes any more" in run.stopped


def test_stops_when_its_steps_are_used_up(model):
    run = gradient_flow(model, model.start(WIDTH, 1e-3, 1), log_inverse_loss=1e6, max_steps=300)
    assert not run.reached
    assert "Used up 300 steps" in run.stopped


def test_an_interrupt_keeps_what_was_computed(model, tmp_path):
    calls = []

    def interrupt(s, level):
        calls.append((s, level))
        if len(calls) == 2:
            raise KeyboardInterrupt

    run = gradient_flow(
        model, model.start(WIDTH, 1e-3, 1), log_inverse_loss=1e5, on_progress=interrupt
    )
    assert run.interrupted
    assert not run.reached
    assert run.s[-1] == calls[-1][0]
    run.save(tmp_path / "kept.npz")
    with np.load(tmp_path / "kept.npz", allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["s"], run.s)
        assert kept["parameters.hidden"].shape == (WIDTH, 6)


def test_ensemble_members_are_the_runs_one_by_one(model):
    starts = [model.start(WIDTH, 1e-3, seed) for seed in range(11)]
    ensemble = gradient_flow_ensemble(model, stack_starts(starts), log_inverse_loss=50.0)
    assert ensemble.reached.all()
    assert ensemble.drift.max() < 1e-6
    for index in (0, 7, 8, 10):
        alone = gradient_flow(model, starts[index], log_inverse_loss=50.0)
        final = {name: leaf[-1] for name, leaf in alone.snapshots.items()}
        assert distance(ensemble.member(index), final) < 1e-2 * alone.norm[-1]
        assert ensemble.log_time[index] == pytest.approx(alone.log_time[-1], abs=1e-3)


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
