"""Theorem 2 of hong2025 across its threshold: flows of (2.6) and (2.7) against the closed forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.runs import Run
from ncollapse.theory.minimisers import MODELS, collapse_threshold, minimiser
from ncollapse.unconstrained import flow_upfm, theory_at_end
from ncollapse.verdict import Verdict, judge

SHARES = (0.05, 0.2, 0.5, 0.8, 0.95, 1.1, 1.5)


@dataclass(frozen=True, eq=False)
class Theorem2:
    """For each model: √(λ_W λ_H) as a share of the threshold, against what flow and theorem say.

    found, predicted
        size of the logits: a of Theorem 2, by least squares from the flow's end, ``(S,)``.
    risk_gap
        ``(S,)``: risk of the flow's end above the global minimum.
    stuck
        ``(S,)``: seeds whose flow ended in a stationary point that is not global.
    """

    shares: np.ndarray
    found: dict[str, np.ndarray]
    predicted: dict[str, np.ndarray]
    risk_gap: dict[str, np.ndarray]
    stuck: dict[str, np.ndarray]
    verdicts: tuple[Verdict, ...]
    arguments: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        series = {"found": self.found, "predicted": self.predicted, "risk_gap": self.risk_gap}
        series["stuck"] = self.stuck
        return {
            "shares": self.shares.tolist(),
            **{
                name: {model: values.tolist() for model, values in by_model.items()}
                for name, by_model in series.items()
            },
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "arguments": self.arguments,
        }


def theorem2(
    *,
    num_classes: int = 3,
    per_class: int = 4,
    dim: int = 9,
    shares: tuple[float, ...] = SHARES,
    ratio: float = 1.0,
    seeds: tuple[int, ...] = (0, 1, 2),
    models: tuple[str, ...] = MODELS,
) -> Theorem2:
    """Run each model from a few seeds at each strength of regularisation, keep the lowest risk.

    ``ratio`` is λ_W/λ_H. H ≥ 0 makes the landscape combinatorial, who gets which dimension, so a
    flow can end in a stationary point that is not global; how many do is part of the result.
    Near the origin, beyond the threshold, the risk is quartic and the flow ends only slowly.
    """
    found = {model: np.zeros(len(shares)) for model in models}
    predicted = {model: np.zeros(len(shares)) for model in models}
    gaps = {model: np.zeros(len(shares)) for model in models}
    stuck = {model: np.zeros(len(shares), dtype=int) for model in models}
    shape = {"num_classes": num_classes, "per_class": per_class}
    for model in models:
        for index, share in enumerate(shares):
            level = share * collapse_threshold(model, **shape)
            strengths = {"lambda_w": level * ratio**0.5, "lambda_h": level / ratio**0.5}
            runs = [flow_upfm(model, **shape, dim=dim, seed=seed, **strengths) for seed in seeds]
            risks = np.array([theory_at_end(run)["risk_gap"] for run in runs], dtype=float)
            best = int(np.argmin(risks))
            found[model][index] = _logit_size(runs[best], model)
            predicted[model][index] = minimiser(model, **shape, **strengths).a
            gaps[model][index] = risks[best]
            stuck[model][index] = int(np.sum(risks > 1e-6))
    arguments = {**shape, "dim": dim, "ratio": ratio, "seeds": list(seeds)}
    verdicts = tuple(
        verdict for model in models for verdict in _claims(model, found, predicted, gaps)
    )
    return Theorem2(np.array(shares), found, predicted, gaps, stuck, verdicts, arguments)


def plot_theorem2(result: Theorem2, axes: Sequence[Any]) -> list[Any]:
    """One axis a model: a against √(λ_W λ_H) as a share of the threshold, curve and dots."""
    drawn = []
    fine = np.linspace(0.02, result.shares.max(), 200)
    shape = {name: result.arguments[name] for name in ("num_classes", "per_class")}
    for axis, model in zip(axes, result.found, strict=True):
        levels = fine * collapse_threshold(model, **shape)
        curve = [minimiser(model, **shape, lambda_w=one, lambda_h=one).a for one in levels]
        drawn += axis.plot(fine, curve, "C0", label="Theorem 2")
        drawn += axis.plot(result.shares, result.found[model], "C1o", label="flow")
        axis.axvline(1.0, color="0.7", lw=1)
        axis.set_title(model)
        axis.set_xlabel("√(λ_W λ_H) / threshold")
        axis.set_ylabel("a")
        axis.legend()
    return drawn


def _logit_size(run: Run, model: str) -> float:
    """Least-squares multiple of C_K (cross-entropy) or I (squared) in the mean logits."""
    weight, features = run.parameters["weight"], run.parameters["features"]
    count = weight.shape[0]
    logits = (features @ weight.T).reshape(count, -1, count).mean(axis=1)
    shape = np.eye(count) - (1.0 / count if model == "upfm-ce" else 0.0)
    return float(np.sum(logits * shape) / np.sum(shape**2))


def _claims(
    model: str,
    found: dict[str, np.ndarray],
    predicted: dict[str, np.ndarray],
    gaps: dict[str, np.ndarray],
) -> tuple[Verdict, Verdict]:
    source = f"hong2025, Theorem 2({'a' if model == 'upfm-ce' else 'b'})"
    return (
        judge(
            f"{model}: a",
            "largest gap between the logits' size and a, on both sides of the threshold",
            measured=float(np.abs(found[model] - predicted[model]).max()),
            predicted=0.0,
            tolerance=1e-4,
            source=source,
        ),
        judge(
            f"{model}: risk",
            "largest gap between the flow's risk and the global minimum",
            measured=float(np.abs(gaps[model]).max()),
            predicted=0.0,
            tolerance=1e-6,
            source=source,
        ),
    )
