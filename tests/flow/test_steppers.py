"""Order, stability and failure of the steppers, against exact solutions."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.flow.steppers import Chebyshev, Rosenbrock, conjugate_gradients, spectral_radius
from ncollapse.theory.unconstrained import exact_solution, on_invariant_subspace

PER_CLASS = 4


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def constrained_field(t, weight, args):
    """W' = √n W − W Wᵀ W, the flow on mixon2022's invariant subspace."""
    return np.sqrt(PER_CLASS) * weight - weight @ weight.T @ weight


def end_error(solver, steps):
    start = np.random.default_rng(0).standard_normal((3, 5))
    point = on_invariant_subspace(start, PER_CLASS, 1 / 3)
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(constrained_field),
        solver,
        0.0,
        1.0,
        1.0 / steps,
        jnp.asarray(point.weight),
        stepsize_controller=diffrax.ConstantStepSize(),
    )
    assert path.ys is not None
    return float(np.linalg.norm(path.ys[-1] - exact_solution(point, 1.0).weight))


@pytest.mark.parametrize(
    ("solver", "order"),
    [(Rosenbrock(linear_tolerance=1e-13), 4), (Chebyshev(), 2)],
    ids=["Rosenbrock", "Chebyshev"],
)
def test_the_fitted_order_is_the_stated_one(solver, order):
    steps = np.array([40, 80, 160])
    errors = [end_error(solver, int(count)) for count in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.25)
    assert solver.order(None) == order


@pytest.mark.parametrize(
    ("solver", "damping"),
    [(Rosenbrock(), 0.5), (Chebyshev(), 1 - 2 / 39)],  # per step; 1 − ε/3 with ε = 2/13
    ids=["Rosenbrock", "Chebyshev"],
)
def test_stiff_decay_is_stable_at_steps_far_beyond_the_explicit_limit(solver, damping):
    rates = jnp.asarray([1.0, 1e2, 1e4, 1e6])
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: -rates * y),
        solver,
        0.0,
        1.0,
        0.05,
        jnp.ones(4),
        stepsize_controller=diffrax.ConstantStepSize(),
    )
    assert path.ys is not None
    final = np.asarray(path.ys[-1])
    assert final[0] == pytest.approx(np.exp(-1.0), rel=1e-3)
    assert np.abs(final[1:]).max() <= damping**20


def test_dense_output_follows_the_path_between_steps():
    times = jnp.linspace(0.0, 1.0, 17)
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: -y),
        Rosenbrock(),
        0.0,
        1.0,
        0.1,
        jnp.ones(2),
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.ConstantStepSize(),
    )
    assert path.ys is not None
    np.testing.assert_allclose(path.ys[:, 0], np.exp(-times), atol=1e-6)


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed{seed}") for seed in range(3)])
def test_conjugate_gradients_solve_and_say_when_they_cannot(seed):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((12, 12)))
    definite = jnp.asarray(basis @ np.diag([1.0] * 6 + [1e3] * 5 + [1e6]) @ basis.T)
    right = jnp.asarray(rng.standard_normal(12))
    solution, iterations, failed = conjugate_gradients(lambda v: definite @ v, right, 1e-10, 50)
    np.testing.assert_allclose(definite @ solution, right, atol=1e-8)
    assert not failed
    assert iterations <= 6  # three distinct eigenvalues, and rounding
    indefinite = definite - 2.0 * jnp.eye(12)
    assert conjugate_gradients(lambda v: indefinite @ v, right, 1e-14, 50)[2]
    assert conjugate_gradients(lambda v: definite @ v, right, 1e-14, 1)[2]


def test_spectral_radius_is_the_largest_modulus():
    matrix = jnp.diag(jnp.asarray([1.0, -250.0, 40.0]))
    _, radius, _ = spectral_radius(lambda v: matrix @ v, jnp.ones(3) / np.sqrt(3.0))
    assert float(radius) == pytest.approx(250.0, rel=0.05)


def test_a_step_that_cannot_be_solved_is_refused_and_shortened():
    """y' = 30 y: with hγ·30 > 1 the linear systems are not positive definite."""
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: 30.0 * y),
        Rosenbrock(),
        0.0,
        1.0,
        0.5,
        jnp.ones(2),
        stepsize_controller=diffrax.PIDController(rtol=1e-8, atol=1e-10),
    )
    assert path.ys is not None
    assert int(path.stats["num_rejected_steps"]) > 0
    np.testing.assert_allclose(path.ys[-1], np.exp(30.0), rtol=1e-5)
