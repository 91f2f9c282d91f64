"""Running a model over a loader for its features only, and leaving no trace."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ncollapse.torch._batches import Unpack, call_model, device_of, moved, unpack_batch
from ncollapse.torch._taps import FeatureTap, Pool, aligned, check_pool, head_rows, pooled


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside `torch.compile` and data-parallel wrappers, where hooks are heard."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, but it is a {type(model).__name__}")
    inner = getattr(model, "_orig_mod", model)
    if isinstance(inner, (DataParallel, DistributedDataParallel)):
        inner = inner.module
    return model if inner is model else unwrapped(inner)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; mode of every module and random state come back."""
    modes = [(module, module.training) for module in model.modules()]
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        stack.callback(_restore, modes)
        model.eval()
        yield


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    for module, training in modes:
        module.training = training


@dataclass
class Runner:
    """One model, one loader: forward passes with taps on modules, counted.

    ``labels`` are those of the current batch, and ``seen`` the taps in the order in which their
    modules ran.
    """

    model: nn.Module
    loader: Iterable[Any]
    device: torch.device | str | None = None
    autocast: torch.dtype | None = None
    memory_format: torch.memory_format | None = None
    unpack: Unpack | None = None
    pool: Pool = "mean"
    ignore_index: int | None = None
    stats_device: torch.device | str | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        check_pool(self.pool)
        if not isinstance(self.loader, Iterable):
            raise TypeError(f"loader must be iterable, but it is a {type(self.loader).__name__}")
        home = device_of(self.model)
        self.device = home if self.device is None else torch.device(self.device)
        if self.device.type != home.type:
            raise ValueError(
                f"device is {self.device}, but the model is on {home}: move the model first"
            )
        if self.progress is None:
            self.progress = sys.stderr.isatty()
        self.forward_passes = 0
        self.labels = torch.empty(0)
        self.seen: list[str] = []

    def tap(
        self, name: str, module: nn.Module, *, output: bool, strict: bool = False
    ) -> FeatureTap:
        """A `FeatureTap` that gives a row for every label; ``strict`` refuses to pool."""

        def rows(value: Tensor) -> Tensor:
            if name not in self.seen:
                self.seen.append(name)
            if strict:
                return head_rows(value, self.labels, self.pool, name)
            return pooled(value, self.labels, self.pool)

        return FeatureTap(module, f"{name!r}", output=output, transform=rows)

    def batches(self, task: str) -> Iterator[tuple[int, Any]]:
        """Number and model output of every batch; read the taps and `take` before the next one."""
        unpack = self.unpack or unpack_batch
        with self._shown(task) as step:
            for number, batch in enumerate(self.loader):
                inputs, labels = unpack(batch)
                self.labels = torch.as_tensor(labels).to(self.device)
                inputs = moved(inputs, torch.device(self.device or "cpu"), self.memory_format)
                with self._casting():
                    output = call_model(self.model, inputs)
                self.forward_passes += 1
                yield number, output
                step()

    def take(self, tap: FeatureTap) -> tuple[Tensor, Tensor]:
        """(rows, D) features and their labels, without those that are ignored."""
        features, labels = aligned(tap.take(), self.labels, self.ignore_index)
        home = features.device if self.stats_device is None else self.stats_device
        return features.to(home), labels.to(home)

    def _casting(self) -> Any:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(torch.device(self.device or "cpu").type, dtype=self.autocast)

    @contextmanager
    def _shown(self, task: str) -> Iterator[Any]:
        if not self.progress:
            yield lambda: None
            return
        total = len(self.loader) if hasattr(self.loader, "__len__") else None  # pyright: ignore
        with Progress(console=Console(stderr=True), transient=True) as bar:
            handle = bar.add_task(task, total=total)
            yield lambda: bar.advance(handle)
