"""ji2022 Example 3.1, problem (3.1), Figure 2 and the rates that it is said to show; its networks."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.geometry import simplex_etf
from ncollapse.papers import experiment
from ncollapse.papers.ji2022.minimum_norm import least_norm, margin_deficit
from ncollapse.papers.ji2022.networks import (
    METRICS,
    figure1,
    figure3,
    figure4,
    figure5,
    figure6,
    figure7,
    figure8,
)
from ncollapse.theory.landscape import EscapeDirection, escape_direction, example_3_1
from ncollapse.theory.layer_peeled import log_loss, margin

if TYPE_CHECKING:
    from ncollapse.runs import Run

__all__ = [
    "METRICS",
    "Example",
    "Figure2",
    "Rates",
    "Solutions",
    "example31",
    "figure1",
    "figure2",
    "figure3",
    "figure4",
    "figure5",
    "figure6",
    "figure7",
    "figure8",
    "rates",
    "separation",
]
Pair = tuple[np.ndarray, np.ndarray]
"""``(weight, features)``."""


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

    def to_dict(self) -> dict[str, Any]:
        return {
            "escape": None if self.escape is None else self.escape.to_dict(),
            "decrease": None if self.escape is None else self.escape.decrease,
            "paper_decrease": -float(self.paper.min()),
        }


@dataclass(frozen=True, eq=False)
class Figure2:
    """The flow to the end, and gradient descent as in the paper.

    time_step
        time of the flow that one epoch stands for.
    """

    run: Run
    descent: Run
    time_step: float

    @property
    def shape(self) -> tuple[int, int]:
        """Number of classes and samples of each."""
        parameters = self.run.parameters
        classes = parameters["weight"].shape[0]
        return classes, parameters["features"].shape[0] // classes

    @property
    def start_share(self) -> float:
        """‖θ₀‖/‖θ‖ at the end: what the start still weighs beside what has grown."""
        first = self.run.snapshots.values()
        start = np.sqrt(sum(float(np.sum(np.square(values[0]))) for values in first))
        return float(start / self.run.norm[-1])

    def table(self) -> list[dict[str, Any]]:
        """The same metrics at the end of both, one row each: what 10⁵ epochs leave undone."""
        path, trained = self.run, self.descent
        return [
            {
                "metric": name,
                "descent": float(trained.observations[name][-1]),
                "flow": float(path.observations[name][-1]),
            }
            for name in METRICS
        ]

    def to_dict(self) -> dict[str, Any]:
        from ncollapse.theory.ends import end_record

        return {
            "flow": end_record(self.run),
            "descent": self.descent.to_dict(),
            "table": self.table(),
        }


@dataclass(frozen=True, eq=False)
class Rates:
    """A flow far beyond Figure 2, and p of metric ∝ log(1/L)^{−p} over its last part."""

    run: Run
    share: float

    @property
    def exponents(self) -> dict[str, float]:
        """By least squares where log(1/L) exceeds ``share`` of its end."""
        path = self.run
        late = path.log_inverse_loss > self.share * path.log_inverse_loss[-1]
        logs = np.log(path.log_inverse_loss[late])
        return {
            name: -float(np.polyfit(logs, np.log(path.observations[name][late]), 1)[0])
            for name in METRICS
        }

    def to_dict(self) -> dict[str, Any]:
        from ncollapse.theory.ends import end_record

        return {"flow": end_record(self.run), "exponents": self.exponents}


@experiment(
    "A critical point that is not optimal",
    "the loss along the direction of most negative curvature, and along the paper's curve",
    quick={},
    paper={},
)
def example31(*, points: int = 101) -> Example:
    """Example 3.1 (K = 4, n = 1): a KKT point of (3.1) from which an escape exists."""
    weight, features = example_3_1()
    radius = float(np.sqrt(np.sum(weight**2) + np.sum(features**2)))
    start = log_loss(weight, features)
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
    return Example(angles, ours, alphas, paper_angles, paper, escape)


@dataclass(frozen=True, eq=False)
class Solutions:
    """Minimisers of (3.1) from several starts, and random points to judge its theory on.

    points
        ``(weight, features)`` where the solver ended.
    random
        the same of Gaussian points.
    crossing
        ``(T, 2)``: L and q_min while one feature of a collapsed point is taken to another class.
    """

    num_classes: int
    per_class: int
    points: tuple[Pair, ...]
    random: tuple[Pair, ...]
    crossing: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        values = [0.5 * float(np.sum(w**2) + np.sum(h**2)) for w, h in self.points]
        return {
            "num_classes": self.num_classes,
            "per_class": self.per_class,
            "values": values,
            "deficits": [margin_deficit(*point).total for point in self.points],
            "crossing": self.crossing.tolist(),
        }


@experiment(
    "The minimum-norm separation problem",
    "global optima of (3.1) with their multipliers, and why equality in Theorem 3.1 is collapse",
    quick={},
    paper={"seeds": tuple(range(20)), "num_classes": 4, "per_class": 3, "dim": 5},
)
def separation(
    *,
    num_classes: int = 3,
    per_class: int = 2,
    dim: int = 4,
    seeds: tuple[int, ...] = (0, 1, 2),
    random: int = 20,
) -> Solutions:
    """(3.1) solved from Gaussian starts, with nothing told of where it ends."""
    points = tuple(least_norm(num_classes, per_class, dim, seed) for seed in seeds)
    generator = np.random.default_rng(seeds)
    shapes = (num_classes, dim), (num_classes * per_class, dim)
    drawn = tuple(
        (generator.standard_normal(shapes[0]), generator.standard_normal(shapes[1]))
        for _ in range(random)
    )
    return Solutions(num_classes, per_class, points, drawn, _crossing(num_classes, per_class))


def _crossing(num_classes: int, per_class: int) -> np.ndarray:
    """L and q_min while the first feature of a large collapsed point moves to the second class."""
    weight = 3.0 * simplex_etf(num_classes)
    features = np.repeat(weight, per_class, axis=0)
    table = []
    for share in np.linspace(0.0, 1.0, 201):
        moved = features.copy()
        moved[0] += share * (weight[1] - weight[0])
        table.append((np.exp(log_loss(weight, moved)), margin(weight, moved)))
    return np.array(table)


@experiment(
    "The layer-peeled model to the end of time",
    "four metrics over log log t, with 10⁵ epochs of gradient descent beside the flow",
    quick={"epochs": 2_000},
    paper={},
    run_of=attrgetter("run"),
)
def figure2(
    *,
    num_classes: int = 5,
    per_class: int = 10,
    dim: int = 20,
    learning_rate: float = 5.0,
    epochs: int = 100_000,
    init: float = 1.0,
    until: float = 400.0,
    seed: int = 0,
    rtol: float = 1e-7,
) -> Figure2:
    """ji2022 Appendix D: K = 5, N = 10, d = 20, step 5, 10⁵ epochs; and the flow to log(1/L).

    The step is taken for the mean loss, which the paper does not say: for the sum it diverges.
    The start is not printed either; ours has ‖W‖_F = ‖H‖_F = ``init``.
    """
    from ncollapse.flow import descend, flow_ulpm
    from ncollapse.models import LayerPeeled

    run = flow_ulpm(
        num_classes=num_classes,
        per_class=per_class,
        dim=dim,
        seed=seed,
        init=init,
        until=until,
        rtol=rtol,
    )
    model = LayerPeeled.of(num_classes, per_class)
    samples = num_classes * per_class
    trained = descend(
        model,
        model.start(dim, init, seed),
        learning_rate=learning_rate,
        epochs=epochs,
        scale=1.0 / samples,
    )
    return Figure2(run, trained, learning_rate / samples)


@experiment(
    "How fast the layer-peeled model collapses",
    "powers of log(1/L) by which the four metrics fall, far beyond ordinary training",
    quick={},
    paper={"until": 1e8},
    run_of=attrgetter("run"),
)
def rates(
    *,
    num_classes: int = 5,
    per_class: int = 10,
    dim: int = 20,
    init: float = 1.0,
    until: float = 1e6,
    seed: int = 0,
    rtol: float = 1e-7,
    share: float = 0.05,
) -> Rates:
    """Figure 2's flow to log(1/L) = ``until``, fitted above ``share`` of it.

    log t and log(1/L) agree to leading order, so O(1/log t) is a power of 1.
    """
    from ncollapse.flow import flow_ulpm

    run = flow_ulpm(
        num_classes=num_classes,
        per_class=per_class,
        dim=dim,
        seed=seed,
        init=init,
        until=until,
        rtol=rtol,
    )
    return Rates(run, share)
