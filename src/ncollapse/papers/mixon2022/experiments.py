"""Figures 1 and 2 of mixon2022 on its own setting, and its two open questions in numbers.

The paper runs gradient descent; gradient flow is its limit of small steps, so the horizontal axis
is time and not iterations, and curves do not depend on a step size that the paper leaves out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.papers import experiment
from ncollapse.theory.unconstrained import (
    Point,
    eigenspace_projections,
    exact_solution,
    on_invariant_subspace,
    strong_collapse_residuals,
)

if TYPE_CHECKING:
    from ncollapse.runs import Run

SIZES = (1e-1, 1e-2, 1e-3)
NAMES = ("snc1", "snc2", "snc3", "off_subspace")
OUTGROWN = 10.0
"""The escape is over once the growing part of the start has become this many times its size."""

OPTIMISERS = {"gd": (0.02, 20_000), "momentum": (0.01, 20_000), "adam": (0.01, 20_000)}
"""Learning rate and epochs of what is compared with the flow (mixon2022 §4, first question)."""


@dataclass(frozen=True, eq=False)
class Start:
    """The run from one size ε, and what theory predicts of it.

    predicted
        ``snc1`` and ``snc3 (T,)`` of the exact flow on S from Π_S of the start (Theorem 3), which
        the full flow follows up to the part that never vanishes.
    """

    size: float
    run: Run
    predicted: dict[str, np.ndarray]

    @classmethod
    def of(cls, run: Run, size: float) -> Start:
        """Follow the exact flow on S beside ``run``."""
        first = {name: values[0] for name, values in run.snapshots.items()}
        per_class = first["features"].shape[0] // first["weight"].shape[0]
        growing, _ = eigenspace_projections(first["weight"], first["features"])["grow"]
        begin = on_invariant_subspace(growing, per_class)
        residuals = [
            strong_collapse_residuals(exact_solution(begin, float(time))) for time in run.s
        ]
        predicted = {
            name: np.array([values[name] for values in residuals]) for name in ("snc1", "snc3")
        }
        return cls(size, run, predicted)

    @property
    def time(self) -> np.ndarray:
        return self.run.s

    @property
    def shape(self) -> tuple[int, int]:
        """Number of classes and samples of each."""
        parameters = self.run.parameters
        classes = parameters["weight"].shape[0]
        return classes, parameters["features"].shape[0] // classes

    def error(self, name: str) -> np.ndarray:
        """``snc1``, ``snc2``, ``snc3`` or ``off_subspace`` at every step."""
        return self.run.observations[name]

    @property
    def escaped(self) -> np.ndarray:
        """``(T,)``: whether the growing part has outgrown the whole start `OUTGROWN` times."""
        first = {name: values[0] for name, values in self.run.snapshots.items()}
        point = Point(first["weight"], first["features"], first["bias"])
        growing, _ = eigenspace_projections(point.weight, point.features)["grow"]
        ratio = OUTGROWN * self.size / float(np.linalg.norm(growing))
        return self.time > math.log(ratio) / math.sqrt(self.shape[1])


@dataclass(frozen=True, eq=False)
class Starts:
    """Figures 1 and 2: one run for each size."""

    starts: tuple[Start, ...]
    seed: int

    @property
    def sizes(self) -> np.ndarray:
        return np.array([start.size for start in self.starts])

    def final(self, name: str) -> np.ndarray:
        """An error at the end of each run."""
        return np.array([start.error(name)[-1] for start in self.starts])

    def late_distances(self) -> np.ndarray:
        """Largest relative distance to S of each run once it has escaped."""
        return np.array([start.error("off_subspace")[start.escaped].max() for start in self.starts])

    def to_dict(self) -> dict[str, Any]:
        return {
            "sizes": self.sizes.tolist(),
            "final": {name: self.final(name).tolist() for name in NAMES},
            "largest_off_subspace_late": self.late_distances().tolist(),
            "seed": self.seed,
        }


@dataclass(frozen=True, eq=False)
class FinalErrors:
    """Where trajectories end, against the size ε of the start (mixon2022 §4, second question).

    errors
        of each optimiser ("flow" included), name and size: ``(len(sizes), len(seeds))``.
    """

    sizes: np.ndarray
    seeds: tuple[int, ...]
    errors: dict[str, dict[str, np.ndarray]]

    def exponent(self, rule: str, name: str) -> float:
        """p of error ∝ ε^p by least squares over all seeds."""
        logs = np.repeat(np.log(self.sizes), len(self.seeds))
        return float(np.polyfit(logs, np.log(self.errors[rule][name].ravel()), 1)[0])

    def to_dict(self) -> dict[str, Any]:
        return {
            "sizes": self.sizes.tolist(),
            "seeds": list(self.seeds),
            "errors": {
                rule: {name: values.tolist() for name, values in errors.items()}
                for rule, errors in self.errors.items()
            },
            "exponents": {
                rule: {name: self.exponent(rule, name) for name in errors}
                for rule, errors in self.errors.items()
            },
        }


@experiment(
    "Strong collapse from small starts",
    "errors in SNC1, SNC2 and SNC3 over time, with the exact flow on the invariant subspace",
    quick={"sizes": SIZES[:2]},
    paper={},
)
def figure1(
    *,
    sizes: tuple[float, ...] = SIZES,
    num_classes: int = 3,
    per_class: int = 3,
    dim: int = 15,
    seed: int = 0,
    until: float = 32.0,
    rtol: float = 1e-9,
) -> Starts:
    """mixon2022 Figures 1 and 2: C = N = 3, p = 15, ‖H₀‖ = ‖W₀‖ = ε, b₀ = 0, several ε.

    The paper does not print its values of ε; these span two decades.
    """
    from ncollapse.flow import flow_ufm

    shape: dict[str, Any] = {"num_classes": num_classes, "per_class": per_class, "dim": dim}
    runs = [flow_ufm(**shape, seed=seed, init=size, until=until, rtol=rtol) for size in sizes]
    return Starts(tuple(map(Start.of, runs, sizes)), seed)


@experiment(
    "How near the invariant subspace",
    "relative distance to the subspace on which the flow is exactly solvable",
    quick={"sizes": SIZES[:2]},
    paper={},
)
def figure2(
    *,
    sizes: tuple[float, ...] = SIZES,
    seed: int = 0,
    until: float = 32.0,
    rtol: float = 1e-9,
) -> Starts:
    """The runs of `figure1`, seen against the invariant subspace S."""
    return figure1(sizes=sizes, seed=seed, until=until, rtol=rtol)


@dataclass(frozen=True, eq=False)
class Subspace:
    """Points on which statements about strong collapse and S are judged; nothing is run.

    collapsed
        a point of strong collapse, of random orientation.
    points, deficient
        random points of S; those whose W has each rank from 1 to K − 2.
    starts
        random points anywhere.
    """

    collapsed: Point
    points: tuple[Point, ...]
    deficient: tuple[Point, ...]
    starts: tuple[Point, ...]
    per_class: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "shape": list(self.collapsed.weight.shape),
            "per_class": self.per_class,
            "points": len(self.points),
            "seed": self.seed,
        }


@experiment(
    "Strong collapse and its invariant subspace",
    "what strong collapse implies, where the flow on the subspace ends, and what is least there",
    quick={},
    paper={"num_classes": 10, "per_class": 20, "dim": 30, "count": 20},
)
def subspace(
    *, num_classes: int = 4, per_class: int = 3, dim: int = 6, count: int = 5, seed: int = 0
) -> Subspace:
    """Random points that mixon2022's lemmas speak of."""
    generator = np.random.default_rng(seed)

    def weight(rank: int) -> np.ndarray:
        left = generator.standard_normal((num_classes, rank))
        return (left - left.mean(axis=0)) @ generator.standard_normal((rank, dim))

    left, _, right = np.linalg.svd(weight(num_classes), full_matrices=False)
    kept = num_classes - 1
    collapsed = per_class**0.25 * left[:, :kept] @ right[:kept]
    return Subspace(
        collapsed=on_invariant_subspace(collapsed, per_class, 1.0 / num_classes),
        points=tuple(
            on_invariant_subspace(weight(num_classes), per_class, generator.standard_normal())
            for _ in range(count)
        ),
        deficient=tuple(
            on_invariant_subspace(weight(rank), per_class) for rank in range(1, num_classes - 1)
        ),
        starts=tuple(
            Point(
                generator.standard_normal((num_classes, dim)),
                generator.standard_normal((num_classes * per_class, dim)),
                generator.standard_normal(num_classes),
            )
            for _ in range(count)
        ),
        per_class=per_class,
        seed=seed,
    )


@experiment(
    "Where trajectories end",
    "final errors against the size ε of the start, for the flow, gradient descent, momentum "
    "and Adam, with fitted powers",
    quick={"sizes": SIZES[:2], "seeds": (0,), "optimisers": {"adam": OPTIMISERS["adam"]}},
    paper={"optimisers": OPTIMISERS},
)
def final_errors(
    *,
    sizes: tuple[float, ...] = (3e-1, 1e-1, 3e-2, 1e-2, 3e-3),
    seeds: tuple[int, ...] = (0, 1, 2),
    num_classes: int = 3,
    per_class: int = 3,
    dim: int = 15,
    until: float = 32.0,
    rtol: float = 1e-9,
    optimisers: dict[str, tuple[float, int]] | None = None,
) -> FinalErrors:
    """Final errors of the flow, and of optimisers, against ε.

    ``optimisers`` maps a name of `ncollapse.flow.descent.OPTIMISERS` to a learning rate and a number of
    epochs.
    """
    from ncollapse.flow import descend, flow_ufm
    from ncollapse.models import UnconstrainedFeatures

    chosen = optimisers or {}
    rules = ("flow", *chosen)
    errors = {rule: {name: np.empty((len(sizes), len(seeds))) for name in NAMES} for rule in rules}
    model = UnconstrainedFeatures.of(num_classes, per_class)
    shape: dict[str, Any] = {"num_classes": num_classes, "per_class": per_class, "dim": dim}
    for row, size in enumerate(sizes):
        for column, seed in enumerate(seeds):
            run = flow_ufm(**shape, seed=seed, init=size, until=until, rtol=rtol)
            ends = {"flow": run.observations}
            for rule, (rate, epochs) in chosen.items():
                start = model.start(dim, size, seed)
                ends[rule] = descend(
                    model, start, optimiser=rule, learning_rate=rate, epochs=epochs, records=2
                ).observations
            for rule in rules:
                for name in NAMES:
                    errors[rule][name][row, column] = ends[rule][name][-1]
    return FinalErrors(np.array(sizes), seeds, errors)
