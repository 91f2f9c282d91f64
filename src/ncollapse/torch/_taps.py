"""Catching features inside a network while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast

import torch
from torch import Tensor, nn


class FeatureTap:
    """Catches what enters a module (a classifier's features) or, with ``output``, what leaves it.

    A context manager: the hook is on the module inside the ``with`` block only. After each forward
    pass `take` gives the tensor, without gradient and safe from later in-place operations.

    >>> head = nn.Linear(3, 2)
    >>> with FeatureTap(head) as tap:
    ...     _ = head(torch.ones(4, 3))
    ...     tap.take().shape
    torch.Size([4, 3])

    Parameters
    ----------
    module
        The module to listen to; it must run exactly once in a forward pass.
    name
        What to call it in errors.
    output
        Catch the output (its first tensor) instead of the first input.
    transform
        Applied to the tensor as soon as it is caught, so that only its result is kept.
    """

    def __init__(
        self,
        module: nn.Module,
        name: str = "module",
        *,
        output: bool = False,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.module = module
        self.name = name
        self.output = output
        self.transform = transform
        self.calls = 0
        self._value: Tensor | None = None
        self._handle: Any = None

    def __enter__(self) -> Self:
        if self._handle is None:
            if self.output:
                self._handle = self.module.register_forward_hook(self._after)
            else:
                self._handle = self.module.register_forward_pre_hook(self._before, with_kwargs=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the hook off the module and forget what was caught."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        self.clear()

    def clear(self) -> None:
        self.calls, self._value = 0, None

    def put(self, value: Tensor) -> None:
        """Count as caught what was caught by other means in this forward pass."""
        self.calls, self._value = 1, value

    def take(self) -> Tensor:
        """The tensor of the last forward pass, once.

        Raises ``ValueError`` when the module did not run since the last call, or ran twice.
        """
        calls, value = self.calls, self._value
        self.clear()
        check_runs(self.name, calls)
        return cast(Tensor, value)

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._keep([*args, *kwargs.values()], "receive")

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._keep(output, "return")

    def _keep(self, values: Any, verb: str) -> None:
        tensor = first_tensor(values)
        if tensor is None:
            raise TypeError(f"{self.name} does not {verb} a tensor")
        with torch.no_grad():
            value = tensor.detach()
            self._value = value.clone() if self.transform is None else self.transform(value)
        self.calls += 1


def check_runs(name: str, calls: int) -> None:
    """Raise ``ValueError`` unless the module ran once in the forward pass."""
    if calls == 0:
        raise ValueError(f"{name} did not run in the forward pass: name a module that runs")
    if calls > 1:
        raise ValueError(f"{name} ran {calls} times in one forward pass: name one that runs once")


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor in a nest of sequences and mappings."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            tensor = first_tensor(entry)
            if tensor is not None:
                return tensor
    return None
