"""Flows of unconstrained features, each with the stepper that measurement favours.

See docs/unconstrained.md; `ncollapse.theory.ends` measures where they end, beside theory.
"""

from __future__ import annotations

from collections.abc import Callable

import diffrax

from ncollapse._checks import check_positive
from ncollapse.flow._integrate import REACHABLE, gradient_flow
from ncollapse.flow.steppers import Rosenbrock
from ncollapse.models import LayerPeeled, PositiveFeatures, UnconstrainedFeatures
from ncollapse.runs import Run

SQUARED_REACHABLE = 36.0
"""Largest log(1/R) for squared loss, log 2⁵²: there residuals are rounding errors, ½Σr² ≈ ε."""

STIFF = 1e3
"""Up to this log(1/L) the layer-peeled flow steps explicitly: cheaper at 400, dearer at 10⁴."""

Progress = Callable[[float, float], None]


def flow_ulpm(
    *,
    num_classes: int,
    per_class: int,
    dim: int,
    seed: int = 0,
    init: float = 1.0,
    until: float = 400.0,
    rtol: float = 1e-7,
    resume: Run | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """The layer-peeled model (ji2022) from ‖W‖_F = ‖H‖_F = ``init`` until log(1/L) = ``until``.

    Raises
    ------
    ValueError
        K < 2, no samples, D < K − 1 (a simplex of K points spans K − 1 dimensions), ``init`` zero
        (a saddle) or negative, ``until`` not above the start or beyond what is reachable; a run
        to ``resume`` of another set-up.
    """
    model = LayerPeeled.of(num_classes, per_class)
    stepper = Rosenbrock() if until > STIFF else diffrax.Dopri8()
    return gradient_flow(
        model,
        model.start(dim, init, seed),
        log_inverse_loss=until,
        rtol=rtol,
        solver=stepper,
        setup=model.setup(init=init, seed=seed),
        resume=resume,
        on_progress=on_progress,
    )


def flow_ufm(
    *,
    num_classes: int,
    per_class: int,
    dim: int,
    seed: int = 0,
    init: float = 1e-2,
    until: float = 32.0,
    rtol: float = 1e-9,
    resume: Run | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """Squared loss with bias (mixon2022) from ‖W‖_F = ‖H‖_F = ``init``, b = 0, in plain time.

    It ends at log(1/R) = ``until``. Slow modes, at rates near ``init``², follow the fast ones at
    √n and Kn, so the problem is stiff although nothing diverges.

    Raises
    ------
    ValueError
        As `flow_ulpm`; ``until`` above `SQUARED_REACHABLE`, where residuals are rounding errors.
    """
    if until > SQUARED_REACHABLE:
        raise ValueError(
            f"until must be at most {SQUARED_REACHABLE:g} for squared loss, where float64 rounds "
            f"the residuals away, but it is {until:g}"
        )
    model = UnconstrainedFeatures.of(num_classes, per_class)
    return gradient_flow(
        model,
        model.start(dim, init, seed),
        log_inverse_loss=until,
        stall=None,
        rtol=rtol,
        solver=Rosenbrock(),
        setup=model.setup(init=init, seed=seed),
        resume=resume,
        on_progress=on_progress,
    )


def flow_upfm(
    name: str,
    *,
    num_classes: int,
    per_class: int,
    dim: int,
    lambda_w: float,
    lambda_h: float,
    seed: int = 0,
    init: float = 1.0,
    until: float | None = None,
    rtol: float = 1e-7,
    resume: Run | None = None,
    on_progress: Progress | None = None,
) -> Run:
    """Positive features (hong2025), ``"upfm-ce"`` or ``"upfm-l2"``, until the time ``until``.

    Plain time runs at the rates λ_W and λ_H, so ``until`` is 10⁵/min(λ_W, λ_H) unless given.

    Raises
    ------
    ValueError
        As `flow_ulpm`; a regularisation that is not positive; D < K, where K orthogonal
        nonnegative means have no room.
    """
    model = PositiveFeatures.of(name, num_classes, per_class, lambda_w, lambda_h)
    until = 1e5 / min(lambda_w, lambda_h) if until is None else check_positive("until", until)
    return gradient_flow(
        model,
        model.start(dim, init, seed),
        log_inverse_loss=REACHABLE,
        s=until,
        stall=None,
        rtol=rtol,
        solver=Rosenbrock(),
        setup=model.setup(init=init, seed=seed),
        resume=resume,
        on_progress=on_progress,
    )
