"""ji2022 Example 3.1: a KKT point that gradient descent cannot leave and curvature can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.theory.landscape import EscapeDirection, escape_direction, example_3_1
from ncollapse.theory.layer_peeled import log_loss, log_loss_gradient
from ncollapse.verdict import Verdict, judge


@dataclass(frozen=True, eq=False)
class Example:
    """The loss along the paper's escape and along ours, on the sphere of the example.

    angles, ours
        distance along the great circle of `escape_direction` and log L(there) − log L(start).
    alphas, paper_angles, paper
        the example's α, the angle between its point and the start, and the same difference.
    """

    angles: np.ndarray
    ours: np.ndarray
    alphas: np.ndarray
    paper_angles: np.ndarray
    paper: np.ndarray
    escape: EscapeDirection | None
    verdicts: tuple[Verdict, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "escape": None if self.escape is None else self.escape.to_dict(),
            "decrease": None if self.escape is None else self.escape.decrease,
            "paper_decrease": -float(self.paper.min()),
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
        }


def example31(*, points: int = 101) -> Example:
    """Example 3.1 (K = 4, n = 1): the gradient is parallel to (W, H), yet an escape exists."""
    weight, features = example_3_1()
    flat = np.concatenate([weight.ravel(), features.ravel()])
    radius, start = float(np.linalg.norm(flat)), log_loss(weight, features)
    d_weight, d_features = log_loss_gradient(weight, features)
    gradient = np.concatenate([d_weight.ravel(), d_features.ravel()])
    across = gradient - (gradient @ flat) / radius**2 * flat
    escape = escape_direction(weight, features)
    angles = np.linspace(0.0, np.pi / 4, points)
    ours = np.zeros(points)
    if escape is not None:
        for index, angle in enumerate(angles):
            along, aside = np.cos(angle), radius * np.sin(angle)
            there = (
                along * weight + aside * escape.weight,
                along * features + aside * escape.features,
            )
            ours[index] = log_loss(*there) - start
    alphas = np.linspace(0.0, 0.7, points)
    paper, paper_angles = np.zeros(points), np.zeros(points)
    for index, alpha in enumerate(alphas):
        moved = example_3_1(float(alpha))
        paper[index] = log_loss(*moved) - start
        cosine = (np.sum(weight * moved[0]) + np.sum(features * moved[1])) / radius**2
        paper_angles[index] = np.arccos(min(1.0, cosine))
    verdicts = (
        judge(
            "KKT point",
            "part of ∇L across (W, H), relative to ∇L",
            measured=float(np.linalg.norm(across) / np.linalg.norm(gradient)),
            predicted=0.0,
            tolerance=1e-12,
            source="ji2022, Example 3.1",
        ),
        judge(
            "escape",
            "1 if a tangent direction with a verified decrease was found",
            measured=0.0 if escape is None else 1.0,
            predicted=1.0,
            tolerance=0.0,
            source="ji2022, Theorem 3.4",
        ),
        judge(
            "no weaker than the paper's",
            "shortfall of our decrease of log L against the best on the paper's curve",
            measured=None if escape is None else max(0.0, -float(paper.min()) - escape.decrease),
            predicted=0.0,
            tolerance=1e-2,
            source="ji2022, Example 3.1",
            missing="no escape was found",
        ),
    )
    return Example(angles, ours, alphas, paper_angles, paper, escape, verdicts)


def plot_example31(result: Example, axis: Any) -> list[Any]:
    """Change of log L against the angle walked on the sphere, ours and the paper's."""
    drawn = axis.plot(result.angles, result.ours, "C0", label="bottom eigenvector of the Hessian")
    drawn += axis.plot(result.paper_angles, result.paper, "C1--", label="Example 3.1's own curve")
    axis.axhline(0.0, color="0.7", lw=1)
    axis.set_xlabel("angle on the sphere")
    axis.set_ylabel("log L − log L(start)")
    axis.legend(loc="lower left")
    return drawn
