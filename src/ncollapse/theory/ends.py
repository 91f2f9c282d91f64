"""Where a run of unconstrained features ended: its metrics, and what theory says beside them.

All from the run alone, so that a run from a file gives the same, and without JAX.
"""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np

from ncollapse.metrics import Measurement, measure
from ncollapse.runs import Run
from ncollapse.theory import layer_peeled
from ncollapse.theory.minimisers import minimiser

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


def measure_end(run: Run) -> Measurement:
    """The collapse metrics `METRIC_NAMES` of the end of a run of unconstrained features."""
    weight, bias = run.classifier_at(-1)
    labels = np.repeat(np.arange(run.setup.num_classes), run.setup.counts)
    return measure(run.features_at(-1), labels, weight=weight, bias=bias, preset=METRIC_NAMES)


def theory_at_end(run: Run) -> dict[str, float | None]:
    """What theory says of the end of a run of unconstrained features; None where it does not apply.

    Returns
    -------
    dict
        Of ulpm: ``margin``, ``margin_bound_ratio`` (Theorem 3.1), ``loss_gap`` and
        ``log_loss_gap`` (Theorem 3.3; the first is None where it is beyond float64),
        ``kkt_epsilon``, ``kkt_delta`` and ``smoothed_margin`` (Lemma B.1; None while L ≥ log 2)
        of ji2022. Of ufm: the errors of mixon2022's Figure 1 (``snc1``, ``snc2``, ``snc3``) and
        Figure 2's ``off_subspace``. Of upfm-ce and upfm-l2: the ``risk``, hong2025's minimiser
        with its ``predicted_risk``, ``a`` and ``b``, and ``risk_gap``, their difference: zero at
        the global minimiser.

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
