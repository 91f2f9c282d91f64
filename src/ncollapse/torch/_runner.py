"""Running a model over a loader for its features only, and leaving no trace."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ncollapse.torch._architecture import Trace
from ncollapse.torch._batches import Reader, call_model, device_of, moved
from ncollapse.torch._model_taps import ModelTaps


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
    """Evaluation mode without gradients; mode of every module and random states come back."""
    modes = [(module, module.training) for module in model.modules()]
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002
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
    """Forward passes of one model over one loader, counted; ``context`` is around each, and
    ``trace`` around the first.
    """

    model: nn.Module
    loader: Iterable[Any]
    reader: Reader = field(default_factory=Reader)
    device: torch.device | str | None = None
    context: Callable[[], AbstractContextManager[Any]] = nullcontext
    memory_format: torch.memory_format | None = None
    progress: bool | None = None
    trace: Trace | None = None
    forward_passes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if not isinstance(self.loader, Iterable):
            raise TypeError(f"loader must be iterable, but it is a {type(self.loader).__name__}")
        home = device_of(self.model)
        self._device = home if self.device is None else torch.device(self.device)
        if self._device.type != home.type:
            raise ValueError(
                f"device is {self._device}, but the model is on {home}: move the model first"
            )

    def batches(self, taps: ModelTaps, task: str) -> Iterator[tuple[int, Any]]:
        """Number and model output of every batch; read the taps before the next one."""
        with self._shown(task) as step:
            for number, given in enumerate(self.loader):
                batch = self.reader.read(given)
                inputs = moved(batch.inputs, self._device, self.memory_format)
                taps.expect(replace(batch, labels=batch.labels.to(self._device)))
                with self.context(), self._traced(inputs):
                    output = call_model(self.model, inputs)
                self.forward_passes += 1
                yield number, output
                step()

    def _traced(self, inputs: Any) -> AbstractContextManager[Any]:
        if self.trace is None or self.forward_passes:
            return nullcontext()
        return self.trace.begin(inputs)

    @contextmanager
    def _shown(self, task: str) -> Iterator[Any]:
        if not (sys.stderr.isatty() if self.progress is None else self.progress):
            yield lambda: None
            return
        total = len(self.loader) if isinstance(self.loader, Sized) else None
        with Progress(console=Console(stderr=True), transient=True) as bar:
            handle = bar.add_task(task, total=total)
            yield lambda: bar.advance(handle)
