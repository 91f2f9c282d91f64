"""Free features, followed to the end and measured: what ``ncollapse flow`` runs for each model.

Each function builds a model of `ncollapse.models.free_features`, follows its flow with the stepper that
measurement favours (docs/unconstrained.md), measures the end with `ncollapse.metrics` and sets
what theory predicts beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import diffrax
import numpy as np

from ncollapse._checks import check_positive
from ncollapse.flow import (
    REACHABLE,
    Ensemble,
    Trajectory,
    gradient_flow,
    gradient_flow_ensemble,
    stack_starts,
)
from ncollapse.flow.steppers import Rosenbrock
from ncollapse.metrics import measure
from ncollapse.models.free_features import LayerPeeled, PositiveFeatures, UnconstrainedFeatures
from ncollapse.theory import layer_peeled
from ncollapse.theory.minimisers import Minimiser, minimiser

SQUARED_REACHABLE = 36.0
"""Largest log(1/R) for squared loss: beyond it steps change residuals by less than they round."""

STIFF = 1e3
"""Up to this log(1/L) the layer-peeled flow steps explicitly: cheaper at 400, dearer at 10⁴."""

METRIC_NAMES = (
    "cdnv",
    "directional_collapse",
    "nc1_pinv",
    "nc1_quotient",
    "nc2_equiangular_means",
    "nc2_equiangular_weight",
    "nc2_equinorm_means",
    "nc2_equinorm_weight",
    "nc2_etf_means",
    "nc2_etf_weight",
    "nc2_orthogonal_means",
    "nc3_alignment",
    "nc3_average",
    "nc3_duality",
    "nc4_agreement",
    "within_variation",
)
"""Metrics reported at the end of a run, by their names in `ncollapse.metrics.METRICS`."""

Progress = Callable[[float, float], None]


@dataclass(frozen=True, eq=False)
class FreeRun:
    """One run of a free-feature model.

    trajectory
        The flow, with ji2022's metrics and the margin at every step.
    metrics
        Collapse metrics of the end by name; ``undefined`` names those without a value, and why.
    theory
        What the model's theory says of the end, by name; None where it does not apply.
    arguments
        What was asked for, the seed included.
    """

    trajectory: Trajectory
    metrics: dict[str, float]
    undefined: dict[str, str]
    theory: dict[str, float | None]
    arguments: dict[str, Any] = field(default_factory=dict)

    def parameters_at_end(self) -> dict[str, np.ndarray]:
        """Parameters at the end as the flow holds them (`Trajectory.parameters` are the user's)."""
        return {name: values[-1] for name, values in self.trajectory.snapshots.items()}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: how the flow ended, the metrics, the theory, the arguments, the version."""
        return {
            **self.trajectory.to_dict(),
            **self.theory,
            "metrics": dict(sorted(self.metrics.items())),
            "undefined": dict(sorted(self.undefined.items())),
            "arguments": dict(sorted(self.arguments.items())),
            "seed": self.arguments["seed"],
            "version": version("ncollapse"),
        }


def flow_ulpm(
    *,
    num_classes: int,
    per_class: int,
    dim: int,
    seed: int = 0,
    init: float = 1.0,
    until: float = 400.0,
    rtol: float = 1e-7,
    on_progress: Progress | None = None,
) -> FreeRun:
    """The layer-peeled model (ji2022) from ‖W‖_F = ‖H‖_F = ``init`` until log(1/L) = ``until``.

    ``theory`` holds ``margin``, ``margin_bound_ratio`` (Theorem 3.1), ``loss_gap`` and
    ``log_loss_gap`` (Theorem 3.3; the first is None where it is beyond float64), ``kkt_epsilon``,
    ``kkt_delta`` and ``smoothed_margin`` (Lemma B.1; None while L ≥ log 2).

    Raises
    ------
    ValueError
        K < 2, no samples, D < K − 1 (a simplex of K points spans K − 1 dimensions), ``init`` zero
        (a saddle) or negative, ``until`` not above the start or beyond what is reachable.
    """
    model = LayerPeeled.of(num_classes, per_class)
    path = gradient_flow(
        model,
        model.start(dim, init, seed),
        log_inverse_loss=until,
        rtol=rtol,
        solver=_stepper(until),
        on_progress=on_progress,
    )
    arguments = {"num_classes": num_classes, "per_class": per_class, "dim": dim, "seed": seed}
    arguments |= {"model": "ulpm", "init": init, "until": until, "rtol": rtol}
    metrics, undefined = _measured(path, num_classes, per_class)
    return FreeRun(path, metrics, undefined, _layer_peeled_theory(path), arguments)


def flow_ulpm_ensemble(
    *,
    num_classes: int,
    per_class: int,
    dim: int,
    seeds: list[int],
    init: float | list[float] = 1.0,
    until: float = 400.0,
    rtol: float = 1e-7,
) -> Ensemble:
    """`flow_ulpm` from many seeds, and scales if ``init`` is a list, in one vectorised call."""
    model = LayerPeeled.of(num_classes, per_class)
    scales = init if isinstance(init, list) else [init] * len(seeds)
    if len(scales) != len(seeds):
        raise ValueError(f"init has {len(scales)} entries for {len(seeds)} seeds")
    starts = [model.start(dim, scale, seed) for scale, seed in zip(scales, seeds, strict=True)]
    return gradient_flow_ensemble(
        model, stack_starts(starts), log_inverse_loss=until, rtol=rtol, solver=_stepper(until)
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
    on_progress: Progress | None = None,
) -> FreeRun:
    """Squared loss with bias (mixon2022) from ‖W‖_F = ‖H‖_F = ``init``, b = 0, in plain time.

    It ends at log(1/R) = ``until``. Slow modes, at rates near ``init``², follow the fast ones at
    √n and Kn, so the problem is stiff although nothing diverges. ``theory`` holds the errors of
    Figure 1 (``snc1``, ``snc2``, ``snc3``) and Figure 2's ``off_subspace``.

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
    path = gradient_flow(
        model,
        model.start(dim, init, seed),
        log_inverse_loss=until,
        stall=None,
        rtol=rtol,
        solver=Rosenbrock(),
        on_progress=on_progress,
    )
    arguments = {"num_classes": num_classes, "per_class": per_class, "dim": dim, "seed": seed}
    arguments |= {"model": "ufm", "init": init, "until": until, "rtol": rtol}
    metrics, undefined = _measured(path, num_classes, per_class)
    names = ("snc1", "snc2", "snc3", "off_subspace")
    theory: dict[str, float | None] = {name: float(path.observations[name][-1]) for name in names}
    return FreeRun(path, metrics, undefined, theory, arguments)


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
    on_progress: Progress | None = None,
) -> FreeRun:
    """Positive features (hong2025), ``"upfm-ce"`` or ``"upfm-l2"``, until the time ``until``.

    Plain time runs at the rates λ_W and λ_H, so ``until`` is 10⁵/min(λ_W, λ_H) unless given.
    ``theory`` holds the ``risk``, the minimiser's ``predicted_risk``, ``a`` and ``b``, and
    ``risk_gap``, their difference: zero at the global minimiser.

    Raises
    ------
    ValueError
        As `flow_ulpm`; a regularisation that is not positive; D < K, where K orthogonal
        nonnegative means have no room.
    """
    model = PositiveFeatures.of(name, num_classes, per_class, lambda_w, lambda_h)
    until = 1e5 / min(lambda_w, lambda_h) if until is None else check_positive("until", until)
    path = gradient_flow(
        model,
        model.start(dim, init, seed),
        log_inverse_loss=REACHABLE,
        s=until,
        stall=None,
        rtol=rtol,
        solver=Rosenbrock(),
        on_progress=on_progress,
    )
    arguments = {"num_classes": num_classes, "per_class": per_class, "dim": dim, "seed": seed}
    arguments |= {"model": name, "lambda_w": lambda_w, "lambda_h": lambda_h}
    arguments |= {"init": init, "until": until, "rtol": rtol}
    metrics, undefined = _measured(path, num_classes, per_class)
    predicted: Minimiser = minimiser(
        name, num_classes=num_classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    )
    risk = float(path.observations["risk"][-1])
    theory: dict[str, float | None] = {
        "a": predicted.a,
        "b": predicted.b,
        "risk": risk,
        "predicted_risk": predicted.risk,
        "risk_gap": risk - predicted.risk,
    }
    return FreeRun(path, metrics, undefined, theory, arguments)


def _stepper(until: float) -> diffrax.AbstractSolver:
    return Rosenbrock() if until > STIFF else diffrax.Dopri8()


def margin_ratios(path: Trajectory, num_classes: int, per_class: int) -> np.ndarray:
    """q_min over its bound of ji2022 Theorem 3.1 at each step, ``(T,)``; it rises to 1."""
    bound = layer_peeled.margin_bound(1.0, num_classes=num_classes, per_class=per_class)
    return path.observations["margin"] / (bound * path.norm**2)


def smoothed_margins(path: Trajectory) -> np.ndarray:
    """γ̃ at each step, ``(T,)``: nondecreasing once L < log 2, NaN before (ji2022 Lemma B.2)."""
    below = -path.log_inverse_loss < math.log(math.log(2.0))
    values = np.full(path.s.shape, np.nan)
    values[below] = [
        layer_peeled.smoothed_margin(-level, norm**2)
        for level, norm in zip(path.log_inverse_loss[below], path.norm[below], strict=True)
    ]
    return values


def _measured(
    path: Trajectory, num_classes: int, per_class: int
) -> tuple[dict[str, float], dict[str, str]]:
    weight, bias = path.classifier_at(-1)
    labels = np.repeat(np.arange(num_classes), per_class)
    found = measure(path.features_at(-1), labels, weight=weight, bias=bias, preset=METRIC_NAMES)
    return found.metrics, found.undefined


def _layer_peeled_theory(path: Trajectory) -> dict[str, float | None]:
    weight, features = path.parameters["weight"], path.parameters["features"]
    gap = layer_peeled.log_loss_gap(weight, features)
    found: dict[str, float | None] = {
        "margin": layer_peeled.margin(weight, features),
        "margin_bound_ratio": layer_peeled.margin_ratio(weight, features),
        "log_loss_gap": gap,
        "loss_gap": math.expm1(gap) if gap < 700.0 else None,
        "kkt_epsilon": None,
        "kkt_delta": None,
        "smoothed_margin": None,
    }
    if -path.log_inverse_loss[-1] < math.log(math.log(2.0)):
        kkt = layer_peeled.kkt_residuals(weight, features)
        found["kkt_epsilon"] = kkt.epsilon
        found["kkt_delta"] = kkt.delta
        found["smoothed_margin"] = kkt.smoothed_margin
    return found
