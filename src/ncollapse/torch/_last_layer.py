"""The linear classifier while a model is measured: its optimality gap, and what explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncollapse.theory.imbalance import LastLayerObjective, LastLayerStats
from ncollapse.torch._heads import head_parameters, is_linear

GAP = "optimality_gap"
"""The name of the gap among metrics."""


def refusal(head: nn.Module) -> str | None:
    """Why there is no gap of this classifier, if there is none."""
    if is_linear(head):
        return None
    return f"the head, a {type(head).__name__}, does not compute W h + b"


def feed(
    stats: LastLayerStats,
    head: nn.Module,
    features: Tensor,
    labels: Tensor,
    classes: Sequence[int] | None,
) -> None:
    """Take in features ``(B, D)``: their logits are computed where they are."""
    if not len(features):
        return
    weight, bias = head_parameters(head)
    dtype = torch.promote_types(features.dtype, weight.dtype)
    features = features.detach().to(dtype)
    logits = functional.linear(
        features, weight.to(features), None if bias is None else bias.to(features)
    )
    if classes is not None:
        values = torch.as_tensor(tuple(classes), device=labels.device)
        labels = (labels[:, None] == values).to(torch.int8).argmax(dim=1)
    # Features enter by their norms alone.
    norms = features.double().norm(dim=1, keepdim=True)
    stats.update(*(tensor.cpu().numpy() for tensor in (logits.double(), labels, norms)))


def gap_of(objective: LastLayerObjective, stats: LastLayerStats, head: nn.Module) -> float:
    """The proven relative gap of the head as it stands."""
    weight, bias = arrays_of(head)
    return objective.gap(stats, weight, bias).gap


@dataclass
class LastLayer:
    """One pass over what enters a linear head: sums that add up over ranks."""

    head: nn.Module
    objective: LastLayerObjective | None
    classes: Sequence[int] | None
    stats: LastLayerStats = field(init=False)
    negative: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        num_classes = head_parameters(self.head)[0].shape[0]
        if self.objective is None:
            self.stats = LastLayerStats(num_classes)
        else:
            self.stats = self.objective.stats(num_classes)

    def update(self, features: Tensor, labels: Tensor) -> None:
        feed(self.stats, self.head, features, labels, self.classes)
        self.negative += float(features.detach().clamp(max=0.0).double().square().sum())

    def state_dict(self) -> dict[str, Any]:
        return {**self.stats.state_dict(), "negative": self.negative}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stats.load_state_dict(state)
        self.negative = state["negative"]


def arrays_of(head: nn.Module) -> tuple[np.ndarray, np.ndarray | None]:
    """Copies of W and b in float64, on the host."""
    weight, bias = head_parameters(head)
    shift = None if bias is None else bias.double().cpu().numpy().copy()
    return weight.double().cpu().numpy().copy(), shift
