"""How far from optimal a run of training ended, and what can be known of that."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ncollapse.certify import Certificate
from ncollapse.runs import Run
from ncollapse.train._dead import below, dead_share, signal_and_noise
from ncollapse.train._problem import TwoLayer


@dataclass(frozen=True)
class Outcome:
    """Where a run ended.

    Attributes
    ----------
    risk, lower_bound
        R at the end, and the least risk of all H ≥ 0, which no network is below.
    optimal_risk, gap
        The least risk of a network where collapse is certified feasible: it is the lower bound then,
        and ``gap`` is how far above it the run ended. None otherwise: what is optimal is not known,
        and the risk is at most ``risk − lower_bound`` above it.
    feasible
        The certificate's answer; None where there is none or it is undecided.
    metrics, undefined
        `METRIC_NAMES` at the end, and why others of them have no value.
    dead_share, predicted_dead_share
        As the functions of these names; the prediction takes ‖μ‖² and σ²√d from the inner products of
        two classes, and is None for more classes or data without signal.
    seconds
        Time the run took.
    """

    risk: float
    lower_bound: float
    optimal_risk: float | None
    gap: float | None
    feasible: bool | None
    metrics: dict[str, float]
    undefined: dict[str, str]
    dead_share: float
    predicted_dead_share: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def outcome(run: Run, certificate: Certificate | None = None) -> Outcome:
    """How far from optimal ``run`` ended, given what ``certificate`` says of its data.

    Raises
    ------
    ValueError
        A run without its problem, or classes of different sizes.
    """
    problem = run.model
    if not isinstance(problem, TwoLayer):
        raise ValueError("run must be one of ncollapse.train, loaded with ncollapse.train.restore")
    held = run.at(-1)
    risk, bound = float(problem.evaluate(held)[0]), problem.lower_bound.risk
    verdict = None if certificate is None else certificate.verdict
    feasible = {"feasible": True, "infeasible": False}.get(verdict or "")
    metrics, undefined = problem.metrics(held)
    return Outcome(
        risk=risk,
        lower_bound=bound,
        optimal_risk=bound if feasible else None,
        gap=risk - bound if feasible else None,
        feasible=feasible,
        metrics=metrics,
        undefined=undefined,
        dead_share=dead_share(held["preactivations"], held["weight"], problem.labels),
        predicted_dead_share=_predicted(problem),
        seconds=run.seconds,
    )


def _predicted(problem: TwoLayer) -> float | None:
    if problem.num_classes != 2:
        return None
    signal, noise = signal_and_noise(problem.gram, problem.labels)
    if signal <= 0 or noise <= 0:
        return None
    return float(below(signal * math.sqrt(len(problem.labels) / 2.0) / noise))
