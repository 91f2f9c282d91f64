"""A stepper for gradient flows that grow stiff, as a solver for diffrax.

Late in the flow of log L the direction of θ relaxes at a rate near ‖θ‖² while its radius grows at
a fixed rate: the larger log(1/L), the stiffer. The Jacobian −∇² log L is symmetric, and near
collapse it has only a few distinct eigenvalues because so many samples are alike. Both facts are
used: `Rosenbrock` solves its linear systems by conjugate gradients, whose iterations count
distinct eigenvalues.
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


class Capabilities(NamedTuple):
    """What the integrator asks of a stepper; these are the answers of one that says nothing.

    Attributes
    ----------
    symmetric
        It needs a symmetric Jacobian: r = t·L is not integrated beside θ, time comes from the record.
    lands
        Its steps are too long to interpolate: it ends on a goal by a step of its own.
    counts
        Its stages are not fixed in number: its state has ``evaluations``, of accepted steps.
    chunk
        Steps in one call. More are lost to an interrupt, or done again to land on a goal.
    """

    symmetric: bool = False
    lands: bool = False
    counts: bool = False
    chunk: int = 256


def capabilities(stepper: Any) -> Capabilities:
    """What ``stepper`` says that it can do."""
    return getattr(stepper, "capabilities", Capabilities())


class Tally(NamedTuple):
    """State of a stepper: evaluations of the field and of Jacobian products on accepted steps."""

    evaluations: Any


class Rosenbrock(diffrax.AbstractAdaptiveSolver):
    """RODAS4(3) for autonomous gradient flows, matrix-free.

    Each step solves six systems (I/(hγ) − J) u = r with J = −∇²f symmetric, by conjugate
    gradients: the systems are positive definite while hγ times the largest eigenvalue of J is
    below one. A step on which conjugate gradients break down, or do not converge within
    ``max_iterations``, is refused, and the controller tries a shorter one.
    """

    linear_tolerance: float = 1e-9
    max_iterations: int = 400

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Any]] = (
        diffrax.ThirdOrderHermitePolynomialInterpolation.from_k
    )
    capabilities: ClassVar = Capabilities(symmetric=True, lands=True, counts=True, chunk=32)

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)

    def order(self, terms: Any) -> int:
        return 4

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Any:
        return Tally(jnp.asarray(0))

    def step(
        self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any, solver_state: Any, made_jump: Any
    ) -> Any:
        del made_jump
        start, restore = ravel_pytree(y0)
        step = t1 - t0

        def field(flat: Any) -> Any:
            return ravel_pytree(terms.vf(t0, restore(flat), args))[0]

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
        end, error = positions[-1] + parts[-1], parts[-1]
        failed = failed | ~jnp.all(jnp.isfinite(end)) | ~jnp.all(jnp.isfinite(error))
        end = jnp.where(failed, start, end)
        slopes = jax.tree.map(
            lambda first, last: step * jnp.stack([first, last]),
            restore(field(start)),
            restore(field(end)),
        )
        dense = {"y0": y0, "y1": restore(end), "k": slopes}
        error = restore(jnp.where(failed, jnp.inf, jnp.abs(error)))
        return restore(end), error, dense, Tally(count), diffrax.RESULTS.successful


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
