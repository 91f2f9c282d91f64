"""A shallow ReLU network followed to its collapse, beside what min2025 predicts for its data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.claims import Verdict, judge
from ncollapse.data import (
    Dataset,
    Separability,
    as_dataset,
    orthogonal_separability,
)
from ncollapse.geometry import simplex_etf
from ncollapse.metrics import compute
from ncollapse.stats import ClassStats
from ncollapse.theory.alignment import AlignmentForecast, forecast_alignment
from ncollapse.theory.margins import ReLULimit, relu_limit

if TYPE_CHECKING:
    from ncollapse import runs

Progress = Callable[[float, float], None]


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the neurons of a run fell into groups, from the exact sign pattern.

    Attributes
    ----------
    step
        First recorded step from which on every surviving neuron stays in one group, or None.
    s, log_time
        When that was (T*), or None.
    group_sizes
        Neurons of each class's group at the end, ``(K,)``.
    dead_neurons, mixed_neurons
        Neurons at the end that are active on no sample, or on another set than one whole class.
    dead_samples
        Rows of the data on which every neuron is off at the end: their loss stays at log K.
    """

    step: int | None
    s: float | None
    log_time: float | None
    group_sizes: np.ndarray
    dead_neurons: int
    mixed_neurons: int
    dead_samples: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        return {
            "alignment_s": self.s,
            "alignment_log_time": self.log_time,
            "group_sizes": self.group_sizes.tolist(),
            "dead_neurons": self.dead_neurons,
            "mixed_neurons": self.mixed_neurons,
            "dead_samples": self.dead_samples.tolist(),
        }


@dataclass(frozen=True, eq=False)
class Run:
    """One run, beside what min2025 predicts for its data.

    Attributes
    ----------
    data, separability, limit
        The data, how far they are from orthogonal separability, and the predicted limit; ``limit``
        is None, and ``no_limit`` says why, when a class has no margin.
    trajectory, alignment
        The flow and the neuron groups.
    masses
        ``(K,)``: ‖W_k‖²/‖θ‖² with W_k the input weights of group k at the end.
    cos_to_max_margin, cos_to_etf
        ``(K,)``: cosine of W_k with its best multiple of u_k, and of V_k with ē_k; NaN where
        the group is empty or the prediction is missing.
    metrics
        The min2025 preset at each of the M snapshots; a value is NaN where it is undefined.
    feature_rank_error
        ``(M,)``: share of the features' squared norm outside their best rank-K approximation.
    rtol
        Tolerance of the integrator.
    """

    data: Dataset
    separability: Separability
    limit: ReLULimit | None
    no_limit: str | None
    trajectory: runs.Run
    alignment: Alignment
    masses: np.ndarray
    cos_to_max_margin: np.ndarray
    cos_to_etf: np.ndarray
    metrics: dict[str, np.ndarray]
    feature_rank_error: np.ndarray
    rtol: float
    seed: int

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Each claim of the paper, judged on this run."""
        from ncollapse.papers.min2025.claims import THEOREM

        return tuple(judge(claim, self) for claim in THEOREM)

    @cached_property
    def forecast(self) -> AlignmentForecast | None:
        """Where the start's neurons are heading; None for data that are not separable."""
        if not self.separability.separable:
            return None
        start = self.trajectory.model.lift(self.trajectory.at(0))
        return forecast_alignment(start["hidden"], start["weight"], self.data)

    @property
    def start_share(self) -> float:
        """‖θ₀‖/‖θ‖ at the end: what the start still weighs beside what has grown."""
        first = self.trajectory.snapshots.values()
        start = np.sqrt(sum(float(np.sum(np.square(values[0]))) for values in first))
        return float(start / self.trajectory.norm[-1])

    @property
    def input_rank_error(self) -> float:
        """Share of the inputs' squared norm outside their best rank-K approximation."""
        return rank_error(self.data.inputs, self.data.num_classes)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; a quantity that does not exist is None."""
        limit = self.limit.to_dict() if self.limit is not None else None
        return {
            **self.trajectory.to_dict(),
            **self.alignment.to_dict(),
            "classes": self.data.classes.tolist(),
            "orthogonal_separability": self.separability.to_dict(),
            "margins": self.trajectory.observations["margins"][-1].tolist(),
            "max_margins": limit["margins"] if limit else None,
            "masses": self.masses.tolist(),
            "predicted_masses": limit["masses"] if limit else None,
            "no_prediction": self.no_limit,
            "cos_to_max_margin": _listed(self.cos_to_max_margin),
            "cos_to_etf": _listed(self.cos_to_etf),
            "metrics": dict(zip(self.metrics, _listed(self._last_metrics()), strict=True)),
            "feature_rank_error": float(self.feature_rank_error[-1]),
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "seed": self.seed,
        }

    def facts(self) -> list[tuple[str, str]]:
        """The run in a few lines for people."""
        path, aligned = self.trajectory, self.alignment
        share = 100 * self.separability.violating_share
        dead = ", ".join(map(str, aligned.dead_samples)) or "none"
        predicted = _row(self.limit.masses) if self.limit is not None else f"none: {self.no_limit}"
        never = "never: some neurons see part of a class or several"
        return [
            (
                "orthogonally separable",
                "yes" if share == 0 else f"no: {share:.3g} % of pairs violate it",
            ),
            ("stopped", path.stopped),
            ("s", f"{path.s[-1]:.6g}, which is log t = {path.log_time[-1]:.6g}"),
            ("alignment T*", never if aligned.s is None else f"s = {aligned.s:.6g}"),
            ("groups", " + ".join(map(str, aligned.group_sizes))),
            ("dead and mixed neurons", f"{aligned.dead_neurons} and {aligned.mixed_neurons}"),
            ("dead samples (rows)", dead),
            ("masses", _row(self.masses)),
            ("predicted masses", predicted),
            ("cos to max margin", _row(self.cos_to_max_margin)),
            ("features outside rank K", f"{100 * self.feature_rank_error[-1]:.3g} %"),
            ("conserved drift", f"{path.drift[-1]:.2g}"),
            (
                "integrator",
                f"{path.steps} steps, {path.seconds:.2f} s after {path.compile_seconds:.1f} s",
            ),
        ]

    def _last_metrics(self) -> np.ndarray:
        return np.array([values[-1] for values in self.metrics.values()])


def run(
    data: Any,
    labels: Any = None,
    *,
    width: int = 48,
    scale: float = 1e-6,
    seed: int = 0,
    log_inverse_loss: float = 300.0,
    s: float = np.inf,
    rtol: float = 1e-5,
    max_steps: int = 100_000,
    on_progress: Progress | None = None,
) -> Run:
    """Predict, watch, measure and judge a two-layer ReLU network on ``data``.

    Parameters
    ----------
    data, labels
        A `Dataset`, or inputs ``(N, d)`` with ``labels``. Centre it first (`Dataset.centred`) if
        the assumption is to have a chance.
    width, scale, seed
        Neurons; norm of their initial input weights (‖v_j‖ = ‖w_j‖); seed of the initialisation.
    log_inverse_loss, s, rtol, max_steps, on_progress
        As in `gradient_flow`.
    """
    from ncollapse.flow import gradient_flow
    from ncollapse.models import ReLUNetwork

    data = as_dataset(data, labels)
    separability = orthogonal_separability(data)
    try:
        limit, no_limit = relu_limit(data), None
    except ValueError as error:
        limit, no_limit = None, str(error)
    model = ReLUNetwork.on(data)
    trajectory = gradient_flow(
        model,
        model.start(width, scale, seed),
        log_inverse_loss=log_inverse_loss,
        s=s,
        rtol=rtol,
        max_steps=max_steps,
        setup=model.setup(init=scale, seed=seed),
        on_progress=on_progress,
    )
    alignment = find_alignment(trajectory, data.num_classes)
    masses, to_margin, to_etf = _compare_weights(trajectory, limit, data.num_classes)
    metrics, rank_error = _measure_snapshots(trajectory, data)
    return Run(
        data=data,
        separability=separability,
        limit=limit,
        no_limit=no_limit,
        trajectory=trajectory,
        alignment=alignment,
        masses=masses,
        cos_to_max_margin=to_margin,
        cos_to_etf=to_etf,
        metrics=metrics,
        feature_rank_error=rank_error,
        rtol=rtol,
        seed=seed,
    )


def find_alignment(trajectory: runs.Run, num_classes: int) -> Alignment:
    """Find T*, the first step after which every surviving neuron stays in one group for good."""
    from ncollapse.models import DEAD, MIXED

    groups = trajectory.observations["groups"]
    settled = (groups != MIXED).all(axis=1) & (groups == groups[-1]).all(axis=1)
    unsettled = np.flatnonzero(~settled)
    step = int(unsettled[-1]) + 1 if unsettled.size else 0
    aligned = step < len(groups)
    last = groups[-1]
    return Alignment(
        step=step if aligned else None,
        s=float(trajectory.s[step]) if aligned else None,
        log_time=float(trajectory.log_time[step]) if aligned else None,
        group_sizes=np.array([np.sum(last == k) for k in range(num_classes)]),
        dead_neurons=int(np.sum(last == DEAD)),
        mixed_neurons=int(np.sum(last == MIXED)),
        dead_samples=np.flatnonzero(trajectory.observations["dead_samples"][-1]),
    )


def rank_error(matrix: np.ndarray, rank: int) -> float:
    """Σ_{j > rank} σ_j² / Σ_j σ_j²: share of the squared norm outside the best approximation."""
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return float(squares[rank:].sum() / squares.sum()) if squares.any() else 0.0


def _compare_weights(
    trajectory: runs.Run, limit: ReLULimit | None, num_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    hidden, weight = trajectory.parameters["hidden"], trajectory.parameters["weight"]
    groups = trajectory.observations["groups"][-1]
    etf = simplex_etf(num_classes)
    total = np.sum(hidden**2) + np.sum(weight**2)
    masses = np.zeros(num_classes)
    to_margin, to_etf = np.full(num_classes, np.nan), np.full(num_classes, np.nan)
    for k in range(num_classes):
        own, out = hidden[groups == k], weight[:, groups == k]
        if own.size == 0:
            continue
        masses[k] = np.sum(own**2) / total
        to_etf[k] = np.linalg.norm(etf[k] @ out) / np.linalg.norm(out)
        if limit is not None:
            to_margin[k] = np.linalg.norm(own @ limit.directions[k]) / np.linalg.norm(own)
    return masses, to_margin, to_etf


def _measure_snapshots(
    trajectory: runs.Run, data: Dataset
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rows, errors = [], []
    for snapshot in range(len(trajectory.snapshot_s)):
        features = trajectory.features_at(snapshot)
        weight, _ = trajectory.classifier_at(snapshot)
        summary = ClassStats.from_arrays(features, data.labels).finish()
        rows.append(compute(summary, preset="min2025", weight=weight))
        errors.append(rank_error(features, data.num_classes))
    names = sorted(set().union(*rows))
    table = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    return table, np.array(errors)


def _row(values: np.ndarray) -> str:
    return ", ".join("none" if np.isnan(value) else f"{value:.5f}" for value in values)


def _listed(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
