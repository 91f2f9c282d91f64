"""Is the gap from logits a true lower bound? A search for last layers below it.

    python benchmarks/last_layer_gap.py

1,000 random last layers, some after steps of descent, and 60 trained networks: class counts, decays,
bias, smoothing, class weights and the sign of the features are drawn. For each, L-BFGS goes down over
W, every feature and b from three starts, the network's own point among them, with the objective
written out in PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from torch import nn
from torch.nn import functional

from ncollapse import LastLayerObjective

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "last_layer_gap.md"
RANDOM, TRAINED = 1000, 60
Point = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass
class Case:
    labels: torch.Tensor
    objective: LastLayerObjective
    bias: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Case:
        count = int(rng.integers(2, 7))
        counts = rng.integers(1, 12, count)
        decay = 10 ** rng.uniform(-3, -1)
        weights = rng.uniform(0.5, 3, count) if rng.random() < 0.3 else None
        bias = bool(rng.random() < 0.4)
        return cls(
            torch.from_numpy(np.repeat(np.arange(count), counts)),
            LastLayerObjective(
                decay,
                decay * 10 ** rng.uniform(-2, 0),
                bias_decay=decay if bias and rng.random() < 0.5 else None,
                label_smoothing=0.1 if rng.random() < 0.3 else 0.0,
                class_weights=weights,
                nonnegative=bool(rng.random() < 0.4),
            ),
            bias,
        )

    @property
    def num_classes(self) -> int:
        return int(self.labels.max()) + 1

    def value(
        self, weight: torch.Tensor, features: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        losses = functional.cross_entropy(
            features @ weight.T + shift,
            self.labels,
            reduction="none",
            label_smoothing=self.objective.label_smoothing,
        )
        if self.objective.class_weights is not None:
            losses = (
                losses
                * torch.tensor(self.objective.class_weights, dtype=torch.float64)[self.labels]
            )
        result = losses.mean() + self.objective.weight_decay / 2 * weight.square().sum()
        result = result + (self.objective.feature_decay or 0.0) / 2 * features.square().sum()
        return result + (self.objective.bias_decay or 0.0) / 2 * shift.square().sum()

    def bound(self, point: Point) -> float:
        weight, features, shift = (part.numpy() for part in point)
        stats = self.objective.stats(self.num_classes)
        stats.update(features @ weight.T + shift, self.labels.numpy(), features)
        gap = self.objective.gap(stats, weight, shift if self.bias else None)
        assert abs(gap.value / float(self.value(*point)) - 1) < 1e-12
        return gap.bound

    def random_point(self, rng: np.random.Generator, dim: int) -> Point:
        size = rng.uniform(0.05, 3.0)
        weight, features, shift = (
            torch.from_numpy(size * rng.standard_normal(shape))
            for shape in ((self.num_classes, dim), (len(self.labels), dim), self.num_classes)
        )
        if self.objective.nonnegative:
            features = features.abs()
        return weight, features, shift * self.bias

    def descend(self, start: Point, steps: int) -> tuple[float, Point]:
        shapes = [part.shape for part in start]
        sizes = [part.numel() for part in start]

        def split(flat: torch.Tensor) -> list[torch.Tensor]:
            parts = zip(flat.split(sizes), shapes, strict=True)
            return [part.reshape(shape) for part, shape in parts]

        def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
            variable = torch.from_numpy(flat).requires_grad_()
            weight, features, shift = split(variable)
            value = self.value(weight, features, shift * self.bias)
            value.backward()
            return value.item(), variable.grad.numpy()

        least = 0.0 if self.objective.nonnegative else None
        bounds = [(None, None)] * sizes[0] + [(least, None)] * sizes[1] + [(None, None)] * sizes[2]
        flat = torch.cat([part.flatten() for part in start]).numpy()
        options = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": 1e-9}
        found = minimize(
            objective, flat, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        weight, features, shift = split(torch.from_numpy(found.x))
        return float(found.fun), (weight, features, shift * self.bias)


def random_network(seed: int) -> tuple[Case, Point]:
    rng = np.random.default_rng(seed)
    case = Case.draw(rng)
    point = case.random_point(rng, case.num_classes + 1)
    steps = int(rng.choice([0, 0, 3, 10, 30, 100, 300, 1000, 3000]))
    return case, case.descend(point, steps)[1] if steps else point


def trained_network(seed: int) -> tuple[Case, Point]:
    """A perceptron with decay on all layers and Adam, or with momentum."""
    rng = np.random.default_rng(10_000 + seed)
    case = Case.draw(rng)
    torch.manual_seed(seed)
    count = case.num_classes
    inputs = (torch.randn(count, 8) * 2)[case.labels] + 0.3 * torch.randn(len(case.labels), 8)
    end = nn.ReLU() if case.objective.nonnegative else nn.Identity()
    body = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, count + 1), end).double()
    head = nn.Linear(count + 1, count, bias=case.bias).double()
    parameters, decay = [*body.parameters(), *head.parameters()], case.objective.weight_decay
    optimizer = (
        torch.optim.Adam(parameters, lr=1e-2, weight_decay=decay)
        if seed % 2
        else torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=decay)
    )
    for _ in range(400):
        optimizer.zero_grad()
        functional.cross_entropy(head(body(inputs.double())), case.labels).backward()
        optimizer.step()
    with torch.no_grad():
        shift = head.bias if case.bias else torch.zeros(count).double()
        return case, (head.weight.clone(), body(inputs.double()), shift.clone())


def searched(case: Case, point: Point, seed: int) -> tuple[float, float]:
    """How far the best last layer found is above the bound of ``point``, and the value there."""
    rng = np.random.default_rng(seed)
    bound = case.bound(point)
    dim = point[0].shape[1]
    starts = [point, case.random_point(rng, dim), case.random_point(rng, dim)]
    least = min(case.descend(start, 3000)[0] for start in starts)
    return (least - bound) / least, (float(case.value(*point)) - bound) / float(case.value(*point))


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        "| networks | below the bound | least distance | quartiles | gap of the networks, quartiles |",
        "|---|---|---|---|---|",
    ]
    for name, number, draw in (
        ("random", RANDOM, random_network),
        ("trained", TRAINED, trained_network),
    ):
        rows = np.array([searched(*draw(seed), seed) for seed in range(number)])
        above, gaps = rows.T
        shown = [
            " ".join(f"{q:.1e}" for q in np.quantile(v, (0.25, 0.5, 0.75))) for v in (above, gaps)
        ]
        below = int(np.sum(above < -1e-12))
        lines.append(
            f"| {number:,} {name} | {below} | {above.min():.0e} | {shown[0]} | {shown[1]} |"
        )
        print(lines[-1], flush=True)
    text = (
        "# The gap from logits is a lower bound\n\n"
        "`python benchmarks/last_layer_gap.py`. For each network L-BFGS goes down over W, all features "
        "and b from three\nstarts. The distance is that of the best value found above the bound that the "
        "network's logits give, relatively.\nBelow counts those under the bound by more than 1e-12. Class "
        "counts, decays, bias, smoothing, class weights and\nthe sign of the features are drawn; 0 to "
        "3,000 steps of descent went before the random ones.\n\n" + "\n".join(lines) + "\n"
    )
    TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
