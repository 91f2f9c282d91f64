"""The claims of min2025, each with the tolerance that log(1/L) = 300 should meet."""

from __future__ import annotations

import numpy as np

from ncollapse.data import Separability
from ncollapse.theory.margins import ReLULimit
from ncollapse.verdict import Assumption, Verdict, judge


def claims(
    *,
    separability: Separability,
    limit: ReLULimit | None,
    no_limit: str | None,
    survivors: int,
    grouped: int,
    masses: np.ndarray,
    cos_to_max_margin: np.ndarray,
    cos_to_etf: np.ndarray,
    metrics: dict[str, float],
    drift: float,
    rtol: float,
) -> tuple[Verdict, ...]:
    """Judge every claim; those that need orthogonal separability say when the data lack it."""
    assumption = Assumption("orthogonal separability", separability.violating_share)
    empty = "a class has no group of neurons"
    off_mass = None if limit is None else float(np.abs(masses - limit.masses).max())
    return (
        judge(
            "alignment",
            "every surviving neuron is active on exactly one whole class",
            measured=grouped / survivors if survivors else None,
            predicted=1.0,
            tolerance=0.0,
            source="min2025, alignment theorem",
            assumption=assumption,
            missing="no neuron survives",
        ),
        judge(
            "directional collapse",
            "features of a class share one direction",
            measured=_known(metrics.get("directional_collapse")),
            predicted=0.0,
            tolerance=1e-3,
            source="min2025, neural collapse theorem, 1",
            assumption=assumption,
            missing="a class has zero mean feature",
        ),
        judge(
            "orthogonal means",
            "directions of class means form an orthogonal frame",
            measured=_known(metrics.get("nc2_orthogonal_directions")),
            predicted=0.0,
            tolerance=1e-3,
            source="min2025, neural collapse theorem, 2",
            assumption=assumption,
            missing="a class has zero mean feature",
        ),
        judge(
            "projected self-duality",
            "the classifier is the centred class means, lengths fitted",
            measured=_known(metrics.get("nc3_projected_directions")),
            predicted=0.0,
            tolerance=1e-2,
            source="min2025, neural collapse theorem, 3",
            assumption=assumption,
            missing="a class has zero mean feature",
        ),
        judge(
            "max-margin input weights",
            "smallest cosine between the input weights of a group and u_k",
            measured=_known(cos_to_max_margin.min()),
            predicted=1.0,
            tolerance=1e-2,
            source="min2025, convergence theorem",
            assumption=assumption,
            missing=no_limit or empty,
        ),
        judge(
            "simplex output weights",
            "smallest cosine between the output weights of a group and its ETF direction",
            measured=_known(cos_to_etf.min()),
            predicted=1.0,
            tolerance=1e-2,
            source="min2025, convergence theorem",
            assumption=assumption,
            missing=empty,
        ),
        judge(
            "masses",
            "largest gap between a group's mass and s_k² = γ_k⁻¹ / (2 Σ γ_j⁻¹)",
            measured=off_mass,
            predicted=0.0,
            tolerance=1e-3,
            source="equal class losses after min2025's convergence theorem",
            assumption=assumption,
            missing=no_limit or empty,
        ),
        judge(
            "conservation",
            "‖w_j‖² − ‖v_j‖² of every neuron stays what it was, relative to ‖θ‖²",
            measured=drift,
            predicted=0.0,
            tolerance=rtol,
            source="gradient flow of any two-layer ReLU network; tolerance: the integrator's own",
        ),
    )


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
