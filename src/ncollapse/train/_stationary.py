"""Training to a stationary point: the recipe on all samples at once, then L-BFGS."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ncollapse.train._last_layer import Network
from ncollapse.train._objective import Objective, Samples
from ncollapse.train._recipe import RECIPES, Recipe
from ncollapse.train._training import Training


def to_stationary(
    model: nn.Module,
    data: Any,
    recipe: Recipe = RECIPES["stationary"],
    *,
    steps: int = 3_000,
    head: str | None = None,
    tolerance: float = 1e-9,
) -> Network:
    """Train ``model`` in place, in double precision, until its objective's gradient is about zero.

    The epochs of the recipe, then at most ``steps`` of L-BFGS on all samples at once, until no entry
    of the gradient is above ``tolerance``. The network is in training mode throughout, so that a
    batch norm takes its statistics from all samples; ``features`` are taken so too.

    Parameters
    ----------
    model, data, recipe, head
        As `fit`; ``recipe`` must take all samples at once and must not decouple its decay.

    Raises
    ------
    ValueError
        A recipe with batches or with ``"adamw"``, and what `fit` raises.
    """
    if recipe.batch is not None:
        raise ValueError(f"recipe must take all samples at once, but its batch is {recipe.batch}")
    if recipe.optimiser == "adamw":
        raise ValueError("recipe must decay by the gradient, but adamw does not: take adam")
    samples = Samples(data, torch.device("cpu"), torch.float64)
    objective = Objective(model.double(), recipe, samples, head)
    training = Training(objective, 0, False)
    for _ in range(recipe.epochs):
        training.epoch()
    parameters = objective.parameters()
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=steps,
        history_size=30,
        tolerance_grad=tolerance,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def evaluate() -> tuple[Tensor, Tensor, Tensor]:
        logits, features = objective.forward(samples.inputs)
        loss = objective.loss(logits, samples.labels)
        return loss + objective.feature_decay(features) + objective.weight_decay(), loss, features

    def closure() -> Tensor:
        optimiser.zero_grad()
        value, _, _ = evaluate()
        value.backward()
        return value

    if steps:
        optimiser.step(closure)
    closure()
    slope = max(float(p.grad.abs().max()) for p in parameters if p.grad is not None)
    with torch.no_grad():
        value, loss, features = evaluate()
    weight, bias = objective.last_layer()
    return Network(features.numpy(), weight, bias, float(value), float(loss), slope)
