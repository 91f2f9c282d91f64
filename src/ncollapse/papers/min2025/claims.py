"""The claims of min2025, a row each: for any run, and for each of the two experiments.

Where the tolerances come from. Late, the direction of a group minimises its class's loss at its norm
q, so its margin is at least γ_k − log(n_k)/q, while log(1/L) ≤ q γ_k: the cosine with u_k is at
least 1 − log(n_k)/log(1/L), since the cosine is at least the relative margin. Equal class losses fix
the masses up to log(N)/log(1/L) in the same way. What collapses exactly is off only by what the
start still weighs, ‖θ₀‖/‖θ‖, times a constant that is ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ncollapse.claims import Assumption, Claim, Missing, Relation, Wrong, rows_of
from ncollapse.geometry import centring_matrix, unit_rows
from ncollapse.papers.min2025.network import Run
from ncollapse.papers.min2025.starts import STARTS

_START = 1e3
"""How many times ‖θ₀‖/‖θ‖ a distance from exact collapse may be: measured, not derived. The most
seen for K = 2 … 6, 8 samples a class and two seeds each is 250, at log(1/L) = 300 and 3000 alike."""
_EXACT, _SLOW = 1e-2, 0.1
"""Largest tolerances, for runs that end early: of what collapses exactly, and like 1/log t."""


def assumption(run: Run) -> Assumption | None:
    """What the theorem asks and this run breaks: its data first, then its start."""
    share = run.separability.violating_share
    if share > 0:
        detail = f"{100 * share:.3g} % of the pairs of inputs violate it"
        return Assumption("orthogonal separability", detail)
    lost = np.flatnonzero(run.alignment.group_sizes == 0)
    if not lost.size or run.forecast is None:
        return None
    words = [
        f"class {run.data.classes[k]} has none at the end, "
        + (f"though {heading} were heading for it" if heading else "as its start foretold")
        for k, heading in zip(lost, run.forecast.group_sizes[lost], strict=True)
    ]
    return Assumption(
        "a neuron alive for each class, in a start small and wide enough",
        "; ".join(words) + " (more neurons, or classes of more equal lengths, keep it)",
    )


def _known(value: Any, missing: str) -> Any:
    known = value is not None and not np.isnan(value).any()
    return value if known else Missing(missing)


def _metric(name: str, place: int = -1) -> Any:
    def measure(run: Run) -> Any:
        values = run.metrics.get(name)
        value = None if values is None else float(values[place])
        return _known(value, "a class has zero mean feature")

    return measure


def _no_group(run: Run) -> str:
    return run.no_limit or "a class has no group of neurons"


def _grouped(run: Run) -> float | Missing:
    survivors = run.trajectory.parameters["hidden"].shape[0] - run.alignment.dead_neurons
    if not survivors:
        return Missing("no neuron survives")
    return float(run.alignment.group_sizes.sum()) / survivors


def _start_tolerance(run: Run) -> float:
    return min(_EXACT, _START * run.start_share)


def _slow(run: Run, samples: int) -> float:
    """log(samples)/log(1/L), at most `_SLOW`."""
    return min(_SLOW, float(np.log(samples) / max(run.trajectory.log_inverse_loss[-1], 1.0)))


def _margin_tolerance(run: Run) -> float:
    return _slow(run, int(run.data.counts.max()))


def _mass_tolerance(run: Run) -> Any:
    return _slow(run, len(run.data.labels)) * _masses(run)


def _masses(run: Run) -> Any:
    return np.full(run.data.num_classes, np.nan) if run.limit is None else run.limit.masses


def _mean_cosines(run: Run) -> np.ndarray:
    """Cosines of the class means with u_k."""
    means = np.array([run.data.of_class(k).mean(axis=0) for k in range(run.data.num_classes)])
    return np.sum(unit_rows(means) * run.limit.directions, axis=1) if run.limit else np.zeros(1)


def _relative_lengths(run: Run) -> Any:
    """‖φ(x_i)‖ over ‖θ‖ at the end, ``(N,)``."""
    if not run.alignment.group_sizes.all() or run.limit is None:
        return Missing(_no_group(run))
    return np.linalg.norm(run.trajectory.features_at(-1), axis=1) / run.trajectory.norm[-1]


def _predicted_lengths(run: Run, *, averaged: bool = False) -> np.ndarray:
    """s_k ⟨u_k, x_i⟩, ``(N,)``; ``averaged`` over each class for the wrong theory."""
    labels = run.data.labels
    if run.limit is None:
        return np.full(len(labels), np.nan)
    along = np.sum(run.data.inputs * run.limit.directions[labels], axis=1)
    if averaged:
        along = (np.bincount(labels, along) / np.bincount(labels))[labels]
    return np.sqrt(run.limit.masses)[labels] * along


def _split(run: Run, *, uniform: bool = False) -> Any:
    """Least cosine of the neurons' shares of a group, ‖w_j‖ against ‖v_j‖ (or against equal)."""
    hidden, weight = run.trajectory.parameters["hidden"], run.trajectory.parameters["weight"]
    groups = run.trajectory.observations["groups"][-1]
    cosines = []
    for k in range(run.data.num_classes):
        own, out = np.linalg.norm(hidden[groups == k], axis=1), np.linalg.norm(weight, axis=0)
        other = np.ones_like(own) if uniform else out[groups == k]
        if own.size == 0:
            return Missing("a class has no group of neurons")
        cosines.append(own @ other / (np.linalg.norm(own) * np.linalg.norm(other)))
    return float(min(cosines))


def _spread_of_lengths(run: Run) -> float:
    """Largest relative spread of the features' lengths within a class."""
    lengths = np.linalg.norm(run.trajectory.features_at(-1), axis=1)
    own = [lengths[run.data.labels == k] for k in range(run.data.num_classes)]
    return float(max(part.std() / part.mean() for part in own))


def _off_simplex(run: Run) -> float:
    """Distance of the Gram matrix of the unit class means from that of a simplex, normalised."""
    features, labels = run.trajectory.features_at(-1), run.data.labels
    means = [features[labels == k].mean(axis=0) for k in range(run.data.num_classes)]
    units = unit_rows(np.array(means))
    simplex = centring_matrix(len(units))
    return float(
        np.linalg.norm(
            units @ units.T / np.linalg.norm(units @ units.T) - simplex / np.linalg.norm(simplex)
        )
    )


def _projected_means(run: Run, *, factor: bool = True) -> Any:
    """‖V/‖θ‖ − √(K/(K−1)) C_K [s_k φ̄_k]‖ over ‖V/‖θ‖‖, with or without the ``factor``."""
    if not run.alignment.group_sizes.all() or run.limit is None:
        return Missing(_no_group(run))
    count, norm = run.data.num_classes, run.trajectory.norm[-1]
    features, (weight, _) = run.trajectory.features_at(-1), run.trajectory.classifier_at(-1)
    means = np.array([features[run.data.labels == k].mean(axis=0) for k in range(count)])
    lengths = np.sqrt(run.limit.masses * (count / (count - 1) if factor else 1.0))
    predicted = centring_matrix(count) @ (lengths[:, None] * unit_rows(means))
    return float(np.linalg.norm(weight / norm - predicted) / np.linalg.norm(weight / norm))


def _norm_over_level(run: Run, place: int = -1) -> float | Missing:
    """‖θ‖² √(K/(K−1)) s_k² γ_k, the least margin of the limit, over log(1/L) at the end."""
    if run.limit is None:
        return Missing(_no_group(run))
    count = run.data.num_classes
    rate = np.sqrt(count / (count - 1)) * run.limit.masses[0] * run.limit.margins[0]
    return float(rate * run.trajectory.norm[place] ** 2 / run.trajectory.log_inverse_loss[-1])


def _norm_tolerance(run: Run) -> float:
    wrong_logits = len(run.data.labels) * (run.data.num_classes - 1)
    return float(np.log(wrong_logits) / max(run.trajectory.log_inverse_loss[-1], 1.0))


def _singular_share(run: Run) -> float:
    """Share of the sum of the inputs' singular values beyond the first K."""
    singular = np.linalg.svd(run.data.inputs, compute_uv=False)
    return float(singular[run.data.num_classes :].sum() / singular.sum())


def _weights_alone(run: Run) -> float:
    """Change of ‖w_j‖² over the run, relative to ‖θ‖², as `conservation` measures the balance."""
    first, last = (np.sum(run.trajectory.snapshots["hidden"][i] ** 2, axis=1) for i in (0, -1))
    return float(np.abs(last - first).max() / run.trajectory.norm[-1] ** 2)


_row = rows_of("min2025.separable", prefix="min2025", assumption=assumption)
_FROM_START = {"expected": 0.0, "tolerance": _start_tolerance}

THEOREM = (
    _row(
        "alignment",
        "alignment theorem",
        "share of the surviving neurons that are active on exactly one whole class",
        expected=1.0,
        measure=_grouped,
        wrong=Wrong(
            "so are they from the start",
            measure=lambda run: float(np.mean(run.trajectory.observations["groups"][0] >= 0)),
        ),
    ),
    _row(
        "directional-collapse",
        "neural collapse theorem, 1",
        "average 1 − cos of a feature with its class mean",
        measure=_metric("directional_collapse"),
        wrong=Wrong("features of a class collapse to one point", measure=_spread_of_lengths),
        **_FROM_START,
    ),
    _row(
        "feature-lengths",
        "neural collapse theorem, 1: φ(x_i) = s_k ⟨u_k, x_i⟩ φ̄_k",
        "length of each feature over ‖θ‖",
        expected=_predicted_lengths,
        tolerance=lambda run: np.sqrt(2.0 * _margin_tolerance(run)) * _predicted_lengths(run),
        measure=_relative_lengths,
        wrong=Wrong(
            "all features of a class are equally long",
            expected=lambda run: _predicted_lengths(run, averaged=True),
        ),
    ),
    _row(
        "orthogonal-means",
        "neural collapse theorem, 2",
        "distance of the class means' directions from an orthogonal frame",
        measure=_metric("nc2_orthogonal_directions"),
        wrong=Wrong("they form a simplex", measure=_off_simplex),
        **_FROM_START,
    ),
    _row(
        "self-duality",
        "neural collapse theorem, 3",
        "distance of the classifier from the centred class means, lengths fitted",
        measure=_metric("nc3_projected_directions"),
        wrong=Wrong("so it is from the start", measure=_metric("nc3_projected_directions", 0)),
        **_FROM_START,
    ),
    _row(
        "self-duality-lengths",
        "neural collapse theorem, 3: V̄ = √(K/(K−1)) C_K [s_k φ̄_k]",
        "distance of the classifier over ‖θ‖ from the centred frame with its lengths, relative",
        expected=0.0,
        tolerance=lambda run: _slow(run, len(run.data.labels)),
        measure=_projected_means,
        wrong=Wrong(
            "without the factor √(K/(K−1))",
            measure=lambda run: _projected_means(run, factor=False),
        ),
    ),
    _row(
        "norm",
        "convergence theorem: ‖θ‖ → ∞",
        "‖θ‖² √(K/(K−1)) s_k² γ_k over log(1/L), so that ‖θ‖ grows like √log(1/L) without end",
        source="ours: margins of the limit; 0 ≤ margin − log(1/L) ≤ log(N(K−1))",
        expected=1.0,
        tolerance=_norm_tolerance,
        measure=_norm_over_level,
        wrong=Wrong(
            "‖θ‖ stays where it was half way",
            measure=lambda run: _norm_over_level(run, len(run.trajectory.s) // 2),
        ),
    ),
    _row(
        "max-margin",
        "convergence theorem",
        "cosine between the input weights of each group and u_k",
        expected=1.0,
        tolerance=_margin_tolerance,
        measure=lambda run: _known(run.cos_to_max_margin, _no_group(run)),
        wrong=Wrong("weights end along the class mean", measure=_mean_cosines),
    ),
    _row(
        "output-weights",
        "convergence theorem",
        "cosine between the output weights of each group and its ETF direction",
        expected=1.0,
        tolerance=_start_tolerance,
        measure=lambda run: _known(run.cos_to_etf, "a class has no group of neurons"),
        wrong=Wrong(
            "they end along e_k", measure=lambda run: np.sqrt(1.0 - 1.0 / run.data.num_classes)
        ),
    ),
    _row(
        "split",
        "convergence theorem, one g_k in both layers",
        "least cosine of a group's neurons' shares in the input weights and in the output weights",
        expected=1.0,
        tolerance=_start_tolerance,
        measure=_split,
        wrong=Wrong(
            "every neuron of a group has the same share",
            measure=lambda run: _split(run, uniform=True),
        ),
    ),
    _row(
        "masses",
        "ours, after the convergence theorem",
        "share of ‖θ‖² in the input weights of each group, against s_k² = γ_k⁻¹ / (2 Σ γ_j⁻¹)",
        source="ours: equal class losses; derived, checked",
        expected=_masses,
        tolerance=_mass_tolerance,
        measure=lambda run: run.masses if run.limit is not None else Missing(_no_group(run)),
        wrong=Wrong(
            "all classes weigh the same",
            expected=lambda run: np.full(run.data.num_classes, 0.5 / run.data.num_classes),
        ),
    ),
    _row(
        "conservation",
        "gradient flow of any two-layer ReLU network",
        "change of ‖w_j‖² − ‖v_j‖² of any neuron, relative to ‖θ‖²",
        source="Noether-type conservation; tolerance: the integrator's own",
        expected=0.0,
        tolerance=lambda run: run.rtol,
        measure=lambda run: float(run.trajectory.drift[-1]),
        wrong=Wrong("‖w_j‖² stays by itself", measure=_weights_alone),
        assumption=None,
    ),
)
"""The rows for any run of `ncollapse.papers.min2025.run`."""


def _on(experiment: str, claim: Claim) -> Claim:
    name = claim.id.partition(".")[2]
    kept = experiment.replace("_", "-")
    return replace(claim, id=f"min2025.{kept}.{name}", experiment=f"min2025.{experiment}")


_digits = rows_of("min2025.digits")

FIGURE = (
    _digits(
        "input-rank",
        "Figure (c)",
        "share of the inputs' squared norm outside three dimensions, against 61 %",
        "min2025, Figure (c); it does not print which digits, so two points either way",
        expected=0.61,
        tolerance=0.02,
        measure=lambda run: run.input_rank_error,
        wrong=Wrong(
            "singular values for their squares",
            measure=_singular_share,
        ),
    ),
    _digits(
        "feature-rank",
        "Figure (d)",
        "least share of the features' squared norm outside three dimensions, of 0.2 % or less",
        "min2025, Figure (d); 0.2 % is rounded",
        relation=Relation.AT_MOST,
        expected=0.002,
        tolerance=0.0005,
        measure=lambda run: float(run.feature_rank_error.min()),
        wrong=Wrong(
            "features keep the rank of the start",
            measure=lambda run: float(run.feature_rank_error[0]),
        ),
    ),
)
"""What the poster's figure says of digits, whether or not its assumption holds."""

CLAIMS = (
    *THEOREM,
    *FIGURE,
    *(_on("digits", claim) for claim in THEOREM),
    *(_on("separable_digits", claim) for claim in THEOREM),
    *STARTS,
)
