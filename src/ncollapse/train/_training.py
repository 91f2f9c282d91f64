"""Epochs of a recipe on a network, and its state between them."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ncollapse.train._objective import Objective

_OPTIMISERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Training:
    """A network under its recipe: `epoch` moves it, `state` is everything that decides what follows."""

    def __init__(self, objective: Objective, seed: int, mixed_precision: bool) -> None:
        self.objective = objective
        self.samples = objective.samples
        recipe = self.recipe = objective.recipe
        size = len(self.samples)
        self.batch = size if recipe.batch is None else min(recipe.batch, size)
        self.batches = -(-size // self.batch)
        self.mixed_precision = mixed_precision
        self.order = torch.Generator().manual_seed(seed)
        self.done = 0
        options = {"momentum": recipe.momentum} if recipe.optimiser == "sgd" else {}
        self.optimiser = _OPTIMISERS[recipe.optimiser](
            objective.groups, lr=recipe.learning_rate, **options
        )

    def epoch(self) -> float:
        """One pass over the samples in a new order; the mean of the losses on the way."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate_at(self.done)
        order = None
        if self.batches > 1:
            order = torch.randperm(len(self.samples), generator=self.order)
        self.objective.model.train()
        total = self.samples.inputs.new_zeros(())
        for inputs, labels in self.samples.batches(self.batch, order):
            self.optimiser.zero_grad()
            with self._precision():
                logits, features = self.objective.forward(inputs)
            loss = self.objective.loss(logits.to(total.dtype), labels)
            value = loss + self.objective.feature_decay(features.to(total.dtype))
            value.backward()
            self.optimiser.step()
            total += loss.detach() * len(labels)
        self.done += 1
        return float(total) / len(self.samples) if self._finite() else math.nan

    def _finite(self) -> bool:
        parameters = self.objective.parameters()
        return bool(torch.stack([p.detach().isfinite().all() for p in parameters]).all())

    def _precision(self) -> AbstractContextManager[Any]:
        if not self.mixed_precision:
            return nullcontext()
        return torch.autocast(self.samples.inputs.device.type, torch.bfloat16)

    def time(self) -> float:
        """Sum of the sizes of all steps so far."""
        return self.batches * math.fsum(self.recipe.rate_at(epoch) for epoch in range(self.done))

    def state(self) -> dict[str, Any]:
        """A copy of the parameters, what the optimiser keeps, and both random states."""
        return copy.deepcopy(
            {
                "epochs": self.done,
                "model": dict(self.objective.model.state_dict()),
                "optimiser": self.optimiser.state_dict(),
                "order": self.order.get_state(),
                "random": torch.get_rng_state(),
            }
        )

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        state = copy.deepcopy(state)
        self.done = state["epochs"]
        self.objective.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.order.set_state(state["order"].cpu())
        torch.set_rng_state(state["random"].cpu())
