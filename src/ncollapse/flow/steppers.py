"""Steppers for gradient flows that grow stiff, as solvers for diffrax.

Late in the flow of log L the direction of θ relaxes at a rate near ‖θ‖² while its radius grows at
a fixed rate: the larger log(1/L), the stiffer. The Jacobian −∇² log L is symmetric, and near
collapse it has only a few distinct eigenvalues because so many samples are alike. Both facts are
used: :class:`Rosenbrock` solves its linear systems by conjugate gradients, whose iterations count
distinct eigenvalues, and :class:`Chebyshev` is stable along the negative real axis.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

_GAMMA = 0.25
_LAST = (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895)
_STAGES = (
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (1.544, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.9466785280815826, 0.2557011698983284, 0.0, 0.0, 0.0, 0.0),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817, 0.0, 0.0, 0.0),
    (*_LAST, 0.0, 0.0),
    (*_LAST, 1.0, 0.0),
)
_COUPLINGS = (
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (-5.6688, 0.0, 0.0, 0.0, 0.0, 0.0),
    (-2.430093356833875, -0.2063599157091915, 0.0, 0.0, 0.0, 0.0),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616, 0.0, 0.0, 0.0),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616, 0.0, 0.0),
    (
        8.083246795921522,
        -7.981132988064893,
        -31.52159432874371,
        16.31930543123136,
        -6.058818238834054,
        0.0,
    ),
)
"""RODAS, order 4(3), L-stable and stiffly accurate: Hairer & Wanner, Solving ODEs II, IV.7."""


class Tally(NamedTuple):
    """State of a stepper: evaluations on accepted steps, and what the next step starts from."""

    evaluations: Any
    memory: Any


class MatrixFree(diffrax.AbstractAdaptiveSolver):
    """A stepper that touches the Jacobian only by its products, and counts what it evaluates."""

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)

    def _flatten(self, terms: Any, t0: Any, y0: Any, args: Any) -> tuple[Any, Any, Any]:
        flat, restore = ravel_pytree(y0)
        return flat, restore, lambda y: ravel_pytree(terms.vf(t0, restore(y), args))[0]

    def _finish(
        self, field: Any, restore: Any, step: Any, ends: Any, error: Any, failed: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        start, end = ends
        failed = failed | ~jnp.all(jnp.isfinite(end)) | ~jnp.all(jnp.isfinite(error))
        end = jnp.where(failed, start, end)
        dense = {
            "y0": restore(start),
            "y1": restore(end),
            "k": jax.tree.map(
                lambda a, b: jnp.stack([a, b]),
                restore(step * field(start)),
                restore(step * field(end)),
            ),
        }
        return restore(end), restore(jnp.where(failed, jnp.inf, jnp.abs(error))), dense


class Rosenbrock(MatrixFree):
    """RODAS4(3) for autonomous gradient flows, matrix-free.

    Each step solves six systems (I/(hγ) − J) u = r with J = −∇²f symmetric, by conjugate
    gradients: the systems are positive definite while hγ times the largest eigenvalue of J is
    below one. A step on which conjugate gradients break down, or do not converge within
    ``max_iterations``, is refused, and the controller tries a shorter one.
    """

    linear_tolerance: float = 1e-9
    max_iterations: int = 400

    def order(self, terms: Any) -> int:
        return 4

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        return Tally(jnp.asarray(0), ())

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> Any:
        del made_jump
        start, restore, field = self._flatten(terms, t0, y0, args)
        step = t1 - t0
        _, product = jax.linearize(field, start)

        def solve(right: Any) -> tuple[Any, Any, Any]:
            return conjugate_gradients(
                lambda vector: vector / (step * _GAMMA) - product(vector),
                right,
                self.linear_tolerance,
                self.max_iterations,
            )

        def stage(state: Any, row: Any) -> Any:
            parts, count, failed = state
            index, position, coupling = row
            end = start + position @ parts
            part, iterations, broke = solve(field(end) + (coupling @ parts) / step)
            parts = parts.at[index].set(part)
            return (parts, count + iterations + 1, failed | broke), end

        rows = (jnp.arange(6), jnp.asarray(_STAGES), jnp.asarray(_COUPLINGS))
        empty = jnp.zeros((6, start.size), start.dtype)
        state = (empty, solver_state.evaluations, jnp.asarray(False))
        (parts, count, failed), positions = jax.lax.scan(stage, state, rows)
        ends = (start, positions[-1] + parts[-1])
        y1, error, dense = self._finish(field, restore, step, ends, parts[-1], failed)
        return y1, error, dense, Tally(count, ()), diffrax.RESULTS.successful


class Chebyshev(MatrixFree):
    """Second-order Runge–Kutta–Chebyshev for autonomous flows with negative real spectrum.

    s stages are stable up to h‖J‖ ≈ 0.65 s² (Sommeijer, Shampine & Verwer 1998); s follows from
    the spectral radius, found by power iteration from the last step's eigenvector. Explicit: no
    linear system, at a cost that grows as the square root of the stiffness.
    """

    max_stages: int = 20000

    def order(self, terms: Any) -> int:
        return 2

    def error_order(self, terms: Any) -> int:
        return 3

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        flat, _, field = self._flatten(terms, t0, y0, args)
        vector = jnp.cos(jnp.arange(1.0, flat.size + 1.0)) + 0.0 * field(flat)
        return Tally(jnp.asarray(0), vector / jnp.linalg.norm(vector))

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> Any:
        del made_jump
        start, restore, field = self._flatten(terms, t0, y0, args)
        step = t1 - t0
        count, vector = solver_state
        value, product = jax.linearize(field, start)
        vector, radius, iterations = spectral_radius(product, vector)
        needed = jnp.maximum(2.0, jnp.ceil(jnp.sqrt(1.0 + 1.54 * step * 1.1 * radius)))
        failed = needed > self.max_stages
        stages = jnp.minimum(needed, self.max_stages).astype(int)
        end = _chebyshev_stages(field, start, value, step, stages)
        error = 0.8 * (start - end) + 0.4 * step * (value + field(end))
        y1, error, dense = self._finish(field, restore, step, (start, end), error, failed)
        count = count + stages + iterations
        return y1, error, dense, Tally(count, vector), diffrax.RESULTS.successful


def conjugate_gradients(
    product: Callable[[Any], Any], right: Any, tolerance: float, max_iterations: int
) -> tuple[Any, Any, Any]:
    """Solve A x = ``right`` from x = 0 for symmetric positive definite A.

    Returns x, the iterations used, and whether it failed: the residual stayed above
    ``tolerance``·‖right‖ and above the rounding of ‖A‖‖x‖, or a direction with pᵀAp ≤ 0 showed
    that A is not positive definite.
    """
    size = right @ right
    rounding = 8.0 * jnp.finfo(right.dtype).eps

    def inexact(x: Any, square: Any, largest: Any) -> Any:
        return (square > tolerance**2 * size) & (square > (rounding * largest) ** 2 * (x @ x))

    def unfinished(state: Any) -> Any:
        x, _, _, square, iteration, positive, largest = state
        return inexact(x, square, largest) & (iteration < max_iterations) & positive

    def advance(state: Any) -> Any:
        x, residual, direction, square, iteration, _, largest = state
        image = product(direction)
        curvature = direction @ image
        length = square / curvature
        largest = jnp.maximum(largest, curvature / (direction @ direction))
        residual = residual - length * image
        new_square = residual @ residual
        direction_next = residual + (new_square / square) * direction
        x = x + length * direction
        positive = curvature > 0.0
        return x, residual, direction_next, new_square, iteration + 1, positive, largest

    start = (jnp.zeros_like(right), right, right, size, jnp.asarray(0), jnp.asarray(True))
    state = (*start, jnp.zeros_like(size))
    x, _, _, square, iterations, positive, largest = jax.lax.while_loop(unfinished, advance, state)
    return x, iterations, ~positive | inexact(x, square, largest)


def spectral_radius(product: Callable[[Any], Any], vector: Any) -> tuple[Any, Any, Any]:
    """Largest |eigenvalue| of a symmetric operator to about 2 %, by power iteration.

    Returns the vector to start from next time, the radius and the iterations used.
    """

    def unfinished(state: Any) -> Any:
        _, radius, last, iteration = state
        return (jnp.abs(radius - last) > 0.02 * radius) & (iteration < 50)

    def advance(state: Any) -> Any:
        vector, radius, _, iteration = state
        image = product(vector)
        size = jnp.linalg.norm(image)
        safe = jnp.where(size > 0.0, size, 1.0)
        return jnp.where(size > 0.0, image / safe, vector), size, radius, iteration + 1

    one = jnp.ones((), vector.dtype)
    vector, radius, _, iterations = jax.lax.while_loop(
        unfinished, advance, (vector, one, 0.0 * one, jnp.asarray(0))
    )
    return vector, radius, iterations


def _chebyshev_stages(field: Any, start: Any, value: Any, step: Any, stages: Any) -> Any:
    """The recursion of Sommeijer, Shampine & Verwer (1998), damping 2/13."""
    count = stages.astype(start.dtype)
    shift = 1.0 + (2.0 / 13.0) / count**2
    square = shift**2 - 1.0
    angle = count * jnp.log(shift + jnp.sqrt(square))
    speed = (
        jnp.sinh(angle)
        * square
        / (jnp.cosh(angle) * count * jnp.sqrt(square) - shift * jnp.sinh(angle))
    )
    first = 1.0 / (2.0 * shift) ** 2
    zero, one = jnp.zeros_like(shift), jnp.ones_like(shift)

    def advance(_: Any, state: Any) -> Any:
        before, now, b_before, b_now, t, d, dd = state
        t_next = 2.0 * shift * t[1] - t[0]
        d_next = 2.0 * shift * d[1] - d[0] + 2.0 * t[1]
        dd_next = 2.0 * shift * dd[1] - dd[0] + 4.0 * d[1]
        b_next = dd_next / d_next**2
        mu, nu = 2.0 * shift * b_next / b_now, -b_next / b_before
        mu_step = mu * speed / shift
        gamma_step = -mu_step * (1.0 - t[1] * b_now)
        later = (
            (1.0 - mu - nu) * start
            + mu * now
            + nu * before
            + step * (mu_step * field(now) + gamma_step * value)
        )
        return now, later, b_now, b_next, (t[1], t_next), (d[1], d_next), (dd[1], dd_next)

    state = (start, start + step * speed * first * value, first, first)
    state = (*state, (one, shift), (zero, one), (zero, zero))
    return jax.lax.fori_loop(2, stages + 1, advance, state)[1]
