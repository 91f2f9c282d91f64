"""Free features, followed to the end and measured: what ``ncollapse flow`` runs for each model.

`flow_ulpm`, `flow_ufm` and `flow_upfm` build a model of `ncollapse.models.free_features` and follow its
flow with the stepper that measurement favours (docs/unconstrained.md). `measure_end` measures
where it ended and `theory_at_end` sets beside it what theory says of that, from the run alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import diffrax
import numpy as np

from ncollapse._checks import check_positive
from ncollapse.flow import REACHABLE, Rosenbrock, Run, gradient_flow
from ncollapse.metrics import Measurement, measure
from ncollapse.models.free_features import LayerPeeled, PositiveFeatures, UnconstrainedFeatures
from ncollapse.theory import layer_peeled
from ncollapse.theory.minimisers import minimiser

SQUARED_REACHABLE = 36.0
"""Largest log(1/R) for squared loss, log 2⁵²: there residuals are rounding errors, ½Σr² ≈ ε."""

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


def measure_end(run: Run) -> Measurement:
    """The collapse metrics `METRIC_NAMES` of the end of a run of free features."""
    weight, bias = run.classifier_at(-1)
    labels = np.repeat(np.arange(run.setup.num_classes), run.setup.counts)
    return measure(run.features_at(-1), labels, weight=weight, bias=bias, preset=METRIC_NAMES)


def theory_at_end(run: Run) -> dict[str, float | None]:
    """What theory says of the end of a run of free features; None where it does not apply.

    ulpm
        ``margin``, ``margin_bound_ratio`` (Theorem 3.1), ``loss_gap`` and ``log_loss_gap``
        (Theorem 3.3; the first is None where it is beyond float64), ``kkt_epsilon``,
        ``kkt_delta`` and ``smoothed_margin`` (Lemma B.1; None while L ≥ log 2) of ji2022.
    ufm
        The errors of mixon2022's Figure 1 (``snc1``, ``snc2``, ``snc3``) and Figure 2's
        ``off_subspace``.
    upfm-ce, upfm-l2
        The ``risk``, hong2025's minimiser with its ``predicted_risk``, ``a`` and ``b``, and
        ``risk_gap``, their difference: zero at the global minimiser.

    Raises
    ------
    ValueError
        The run is of another model.
    """
    theories = {
        "ulpm": _layer_peeled_theory,
        "ufm": _squared_theory,
        "upfm-ce": _positive_theory,
        "upfm-l2": _positive_theory,
    }
    if run.setup.model not in theories:
        raise ValueError(f"run must be of {', '.join(theories)}, but it is of {run.setup.model!r}")
    return theories[run.setup.model](run)


def end_record(run: Run) -> dict[str, Any]:
    """JSON-ready: how the run ended, the metrics, the theory, the set-up, the version."""
    measured = measure_end(run)
    return {
        **run.to_dict(),
        **theory_at_end(run),
        "metrics": dict(sorted(measured.metrics.items())),
        "undefined": dict(sorted(measured.undefined.items())),
        "seed": run.setup.seed,
        "version": version("ncollapse"),
    }


def margin_ratios(run: Run) -> np.ndarray:
    """q_min over its bound of ji2022 Theorem 3.1 at each step, ``(T,)``; it rises to 1."""
    shape = {"num_classes": run.setup.num_classes, "per_class": run.setup.per_class}
    return run.observations["margin"] / (layer_peeled.margin_bound(1.0, **shape) * run.norm**2)


def smoothed_margins(run: Run) -> np.ndarray:
    """γ̃ at each step, ``(T,)``: nondecreasing once L < log 2, NaN before (ji2022 Lemma B.2)."""
    below = -run.log_inverse_loss < math.log(math.log(2.0))
    values = np.full(run.s.shape, np.nan)
    values[below] = [
        layer_peeled.smoothed_margin(-level, norm**2)
        for level, norm in zip(run.log_inverse_loss[below], run.norm[below], strict=True)
    ]
    return values


def _layer_peeled_theory(run: Run) -> dict[str, float | None]:
    weight, features = run.parameters["weight"], run.parameters["features"]
    gap = layer_peeled.log_loss_gap(weight, features)
    kkt = None
    if -run.log_inverse_loss[-1] < math.log(math.log(2.0)):
        kkt = layer_peeled.kkt_residuals(weight, features)
    return {
        "margin": layer_peeled.margin(weight, features),
        "margin_bound_ratio": layer_peeled.margin_ratio(weight, features),
        "log_loss_gap": gap,
        "loss_gap": math.expm1(gap) if gap < 700.0 else None,
        "kkt_epsilon": None if kkt is None else kkt.epsilon,
        "kkt_delta": None if kkt is None else kkt.delta,
        "smoothed_margin": None if kkt is None else kkt.smoothed_margin,
    }


def _squared_theory(run: Run) -> dict[str, float | None]:
    names = ("snc1", "snc2", "snc3", "off_subspace")
    return {name: float(run.observations[name][-1]) for name in names}


def _positive_theory(run: Run) -> dict[str, float | None]:
    setup, risk = run.setup, float(run.observations["risk"][-1])
    predicted = minimiser(
        setup.model,
        num_classes=setup.num_classes,
        per_class=setup.per_class,
        lambda_w=setup.weight_decay,
        lambda_h=setup.feature_decay,
    )
    return {
        "a": predicted.a,
        "b": predicted.b,
        "risk": risk,
        "predicted_risk": predicted.risk,
        "risk_gap": risk - predicted.risk,
    }
