"""What the callbacks share: one pass over a loader that ends in a synchronised metric."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ncollapse.torch._batches import Unpack
from ncollapse.torch._heads import check_head, last_head, named_module
from ncollapse.torch._metric import NeuralCollapse
from ncollapse.torch._runner import Runner, undisturbed, unwrapped
from ncollapse.torch._taps import Pool


def head_of(model: nn.Module, head: str | None) -> tuple[str, nn.Module]:
    """The named classifier, or the last one that the model registered."""
    name = last_head(model) if head is None else head
    module = named_module(model, name, "head")
    check_head(module)
    return name, module


def watch_pass(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    head: str | None,
    preset: str | Iterable[str],
    unpack: Unpack | None = None,
    pool: Pool = "mean",
    ignore_index: int | None = None,
    device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
) -> dict[str, float]:
    """The preset's metrics of the head's input over ``loader``, of all ranks together."""
    model = unwrapped(model)
    name, module = head_of(model, head)
    runner = Runner(
        model,
        loader,
        device=device,
        autocast=autocast,
        unpack=unpack,
        pool=pool,
        ignore_index=ignore_index,
        progress=False,
    )
    metric = NeuralCollapse(head=module, preset=preset)
    tap = runner.tap(name, module, output=False, strict=True)
    with undisturbed(model), tap:
        for _ in runner.batches("measuring"):
            features, labels = runner.take(tap)
            metric.to(features.device).update(features, labels)
    return {key: float(value) for key, value in metric.compute().items()}


def check_every(every_n_epochs: int) -> int:
    if int(every_n_epochs) != every_n_epochs or every_n_epochs < 1:
        raise ValueError(f"every_n_epochs must be a positive integer, but it is {every_n_epochs!r}")
    return int(every_n_epochs)
