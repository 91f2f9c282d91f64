"""What the processes of `torch.distributed` have measured, brought together."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor

from ncollapse.stats import ClassStats


def is_shared() -> bool:
    """Whether there is more than one rank."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gathered(value: Any) -> list[Any]:
    """The picklable ``value`` of every rank, in their order."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def on_host(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.cpu() if isinstance(value, Tensor) else value for name, value in state.items()
    }


def merged(ranks: list[ClassStats]) -> ClassStats:
    """All of them in one, merged in order, so that every rank gets the same digits."""
    for other in ranks[1:]:
        ranks[0].merge(other)
    return ranks[0]
