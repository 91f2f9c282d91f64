"""Order, stability, error estimate and failure of the stepper, against exact solutions."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.flow.steppers import Capabilities, Rosenbrock, capabilities, conjugate_gradients
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


def test_the_fitted_order_is_the_stated_one():
    solver = Rosenbrock(linear_tolerance=1e-13)
    steps = np.array([40, 80, 160])
    errors = [end_error(solver, int(count)) for count in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(4, abs=0.25)
    assert solver.order(None) == 4


def test_stiff_decay_is_stable_at_steps_far_beyond_the_explicit_limit():
    rates = jnp.asarray([1.0, 1e2, 1e4, 1e6])
    path = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: -rates * y),
        Rosenbrock(),
        0.0,
        1.0,
        0.05,
        jnp.ones(4),
        stepsize_controller=diffrax.ConstantStepSize(),
    )
    assert path.ys is not None
    final = np.asarray(path.ys[-1])
    assert final[0] == pytest.approx(np.exp(-1.0), rel=1e-3)
    assert np.abs(final[1:]).max() <= 0.5**20


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


GAMMA = 0.25
ALPHA = [
    [],
    [1.544],
    [0.9466785280815826, 0.2557011698983284],
    [3.314825187068521, 2.896124015972201, 0.9986419139977817],
    [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950],
]
GAMMAS = [
    [],
    [-5.6688],
    [-2.430093356833875, -0.2063599157091915],
    [-0.1073529058151375, -9.594562251023355, -20.47028614809616],
    [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160],
    [
        8.083246795921522,
        -7.981132988064893,
        -31.52159432874371,
        16.31930543123136,
        -6.058818238834054,
    ],
]


def rodas_step(field, jacobian, start, step):
    """One step of RODAS as Hairer and Wanner's code takes it, with dense systems."""
    matrix = np.eye(start.size) / (step * GAMMA) - jacobian(start)
    parts = []

    def solve(position, row):
        coupling = sum((c * part for c, part in zip(row, parts, strict=True)), 0 * start) / step
        parts.append(np.linalg.solve(matrix, field(position) + coupling))

    for positions, row in zip(ALPHA, GAMMAS[:5], strict=True):
        solve(start + sum((a * part for a, part in zip(positions, parts, strict=True)), 0), row)
    embedded = start + sum(a * part for a, part in zip(ALPHA[4], parts[:4], strict=True)) + parts[4]
    solve(embedded, GAMMAS[5])
    return embedded + parts[5], np.abs(parts[5])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [0.05, 2.0])
def test_one_step_and_its_error_are_those_of_the_dense_method(seed, size):
    """f = −∇(¼Σy⁴ + ½yᵀAy), its Jacobian symmetric and negative definite."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((5, 5))
    matrix = root @ root.T
    start = rng.standard_normal(5)

    def field(y):
        return -(y**3) - matrix @ y

    solver, terms = Rosenbrock(linear_tolerance=1e-14), diffrax.ODETerm(lambda t, y, _: field(y))
    state = solver.init(terms, 0.0, size, start, None)
    tree = jnp.asarray(start)
    end, error, dense, tally, _ = solver.step(terms, 0.0, size, tree, None, state, False)
    wanted, estimate = rodas_step(field, lambda y: -matrix - np.diag(3 * y**2), start, size)
    np.testing.assert_allclose(end, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(error, estimate, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(dense["k"], [size * field(start), size * field(wanted)], atol=1e-8)
    assert 6 + 6 <= tally.evaluations <= 6 + 6 * 8  # six stages of at most about five iterations


def test_capabilities_are_asked_of_the_stepper():
    assert capabilities(diffrax.Bosh3()) == Capabilities()
    assert capabilities(Rosenbrock()) == Capabilities(True, True, True, 32)
