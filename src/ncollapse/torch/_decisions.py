"""The second pass over samples, with the decisions that the classifier itself makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncollapse.metrics import SampleStats, SampleSummary
from ncollapse.stats import ClassSummary
from ncollapse.torch._heads import head_parameters, is_linear

OWN = ("agreements", "correct")


def second_pass(summary: ClassSummary, head: nn.Module | None) -> SampleStats | OwnDecisions:
    """The second pass against ``summary``; without a head only what needs no classifier."""
    if head is None:
        return SampleStats(summary)
    return (
        SampleStats(summary, *head_parameters(head))
        if is_linear(head)
        else OwnDecisions(summary, head)
    )


class OwnDecisions:
    """`SampleStats` of a classifier that is not linear: it decides by its own outputs.

    Classes without samples are no candidates for the nearest mean, nor for the decision that is
    compared with it.
    """

    def __init__(self, summary: ClassSummary, head: nn.Module) -> None:
        self._stats = SampleStats(summary)
        self._head = head
        self._centre = torch.as_tensor(summary.global_mean)
        self._means = torch.as_tensor(summary.means) - self._centre
        self._empty = torch.as_tensor(summary.counts) == 0
        self._classes = torch.as_tensor(summary.classes)
        self._own = {name: torch.zeros(summary.num_classes).double() for name in OWN}

    def update(self, features: Tensor, labels: Tensor) -> None:
        """As `SampleStats.update`."""
        self._stats.update(features, labels)
        if not len(features):
            return
        weight, _ = head_parameters(self._head)
        logits = self._head.forward(features.to(weight.dtype))
        nearest = self._nearest(features)
        index = (labels[:, None] == self._classes.to(labels.device)).to(torch.int8).argmax(dim=1)
        among = logits.masked_fill(self._empty.to(logits.device), -torch.inf).argmax(dim=1)
        hits = {"agreements": among == nearest, "correct": logits.argmax(dim=1) == index}
        for name, hit in hits.items():
            self._own[name].index_add_(0, index.cpu(), hit.double().cpu())

    def _nearest(self, features: Tensor) -> Tensor:
        means = self._means.to(features)
        half = means.square().sum(dim=1) / 2
        half = half.masked_fill(self._empty.to(features.device), torch.inf)
        shifted = (features.double() - self._centre.to(features.device)).to(features.dtype)
        return (shifted @ means.T - half).argmax(dim=1)

    def state_dict(self) -> dict[str, Any]:
        return {**self._stats.state_dict(), **self._own}

    def load_state_dict(self, state: Mapping[str, Any]) -> OwnDecisions:
        self._stats.load_state_dict(state)
        self._own = {name: torch.as_tensor(state[name]).double() for name in OWN}
        return self

    def finish(self) -> SampleSummary:
        whole = {name: np.rint(value.numpy()).astype(np.int64) for name, value in self._own.items()}
        return replace(self._stats.finish(), **whole)
