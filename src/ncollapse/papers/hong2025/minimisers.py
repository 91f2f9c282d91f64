"""Theorem 2 of hong2025 across its threshold: flows of (2.6) and (2.7) against the closed forms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.flow import flow_upfm
from ncollapse.runs import Run
from ncollapse.theory.ends import theory_at_end
from ncollapse.theory.minimisers import Minimiser, collapse_threshold, minimiser


@dataclass(frozen=True, eq=False)
class Theorem2:
    """For each model: √(λ_W λ_H) as a share of the threshold, against what flow and theorem say.

    logit_size
        a of Theorem 2, by least squares from the flow's end, ``(S,)``.
    risk
        ``(S,)``: the risk of the flow's end.
    stuck
        ``(S,)``: seeds whose flow ended in a stationary point that is not global.
    """

    shares: np.ndarray
    logit_size: dict[str, np.ndarray]
    risk: dict[str, np.ndarray]
    stuck: dict[str, np.ndarray]
    num_classes: int
    per_class: int
    ratio: float

    def predicted(self, model: str, strength: float = 1.0) -> list[Minimiser]:
        """Theorem 2 at each share, with both regularisations ``strength`` times as strong."""
        return [
            minimiser(
                model,
                num_classes=self.num_classes,
                per_class=self.per_class,
                **_strengths(self, model, share, strength),
            )
            for share in self.shares
        ]

    def printed_sizes(self) -> np.ndarray:
        """a of Theorem 2(b) as its display has it: (1 − √(nKλ))₊ with λ = √(λ_W λ_H), ``(S,)``."""
        threshold = collapse_threshold("upfm-l2", **self._shape)
        levels = self.shares * threshold * self.per_class * self.num_classes
        return np.maximum(0.0, 1.0 - np.sqrt(levels))

    @property
    def _shape(self) -> dict[str, int]:
        return {"num_classes": self.num_classes, "per_class": self.per_class}

    def to_dict(self) -> dict[str, Any]:
        predicted = {model: self.predicted(model) for model in self.logit_size}
        return {
            "shares": self.shares.tolist(),
            "logit_size": {model: values.tolist() for model, values in self.logit_size.items()},
            "predicted": {model: [p.a for p in points] for model, points in predicted.items()},
            "risk": {model: values.tolist() for model, values in self.risk.items()},
            "predicted_risk": {model: [p.risk for p in ps] for model, ps in predicted.items()},
            "stuck": {model: values.tolist() for model, values in self.stuck.items()},
            **self._shape,
            "ratio": self.ratio,
        }


def compute(
    *,
    num_classes: int,
    per_class: int,
    dim: int,
    shares: tuple[float, ...],
    ratio: float,
    seeds: tuple[int, ...],
    models: tuple[str, ...],
) -> Theorem2:
    """Run each model from a few seeds at each strength of regularisation, keep the lowest risk.

    ``ratio`` is λ_W/λ_H. H ≥ 0 makes the landscape combinatorial, who gets which dimension, so a
    flow can end in a stationary point that is not global; how many do is part of the result.
    Near the origin, beyond the threshold, the risk is quartic and the flow ends only slowly.
    """
    sizes, risks, stuck = ({model: np.zeros(len(shares)) for model in models} for _ in range(3))
    result = Theorem2(np.array(shares), sizes, risks, stuck, num_classes, per_class, ratio)
    shape: dict[str, Any] = {"num_classes": num_classes, "per_class": per_class}
    for model in models:
        for index, share in enumerate(shares):
            strengths = _strengths(result, model, share)
            runs = [flow_upfm(model, **shape, dim=dim, seed=seed, **strengths) for seed in seeds]
            theory = [theory_at_end(run) for run in runs]
            ends = np.array([end["risk"] for end in theory], dtype=float)
            gaps = np.array([end["risk_gap"] for end in theory], dtype=float)
            best = int(np.argmin(ends))
            sizes[model][index] = _logit_size(runs[best], model)
            risks[model][index] = ends[best]
            stuck[model][index] = np.sum(gaps > 1e-6)
    return result


def _strengths(result: Theorem2, model: str, share: float, strength: float = 1.0) -> dict[str, Any]:
    threshold = collapse_threshold(
        model, num_classes=result.num_classes, per_class=result.per_class
    )
    level, tilt = strength * share * threshold, math.sqrt(result.ratio)
    return {"lambda_w": level * tilt, "lambda_h": level / tilt}


def _logit_size(run: Run, model: str) -> float:
    """Least-squares multiple of C_K (cross-entropy) or I (squared) in the mean logits."""
    weight, features = run.parameters["weight"], run.parameters["features"]
    count = weight.shape[0]
    logits = (features @ weight.T).reshape(count, -1, count).mean(axis=1)
    shape = np.eye(count) - (1.0 / count if model == "upfm-ce" else 0.0)
    return float(np.sum(logits * shape) / np.sum(shape**2))
