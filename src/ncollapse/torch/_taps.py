"""Catching features inside a network while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

Pool = str | Callable[[Tensor], Tensor]
POOLS = ("mean", "flatten")


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
        if value is None:
            raise ValueError(
                f"the hook on {self.name} saw nothing: it did not run in the forward pass"
            )
        if calls > 1:
            raise ValueError(
                f"{self.name} ran {calls} times in one forward pass: name a module that runs once"
            )
        return value

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._keep([*args, *kwargs.values()], "receive")

    def _after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._keep(output, "return")

    def _keep(self, values: Any, verb: str) -> None:
        found = first_tensor(values)
        if found is None:
            raise TypeError(f"{self.name} does not {verb} a tensor")
        with torch.no_grad():
            value = found.detach()
            self._value = value.clone() if self.transform is None else self.transform(value)
        self.calls += 1


def first_tensor(value: Any) -> Tensor | None:
    """The first tensor in a nest of sequences and mappings."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str):
        for entry in value:
            found = first_tensor(entry)
            if found is not None:
                return found
    return None


def check_pool(pool: Pool) -> Pool:
    if not callable(pool) and pool not in POOLS:
        raise ValueError(
            f"pool must be one of {', '.join(POOLS)} or a function, but it is {pool!r}"
        )
    return pool


def pooled(value: Tensor, labels: Tensor, pool: Pool) -> Tensor:
    """A new ``(rows, D)`` tensor with a row for every label.

    Values (…, D) with labels of shape (…) are one row for each label. Otherwise rows are samples:
    (B, D) stays, "mean" averages (B, C, H, W, …) over the places and (B, T, D) over the tokens,
    "flatten" joins everything but the first axis, a function decides for itself.
    """
    if value.ndim == labels.ndim + 1 and value.shape[:-1] == labels.shape:
        return value.reshape(-1, value.shape[-1]).clone()
    if callable(pool):
        return pool(value).clone()
    if pool == "flatten" or value.ndim < 3:
        return value.flatten(1).clone() if value.ndim > 1 else value[:, None].clone()
    wide = value if value.dtype == torch.float64 else value.float()
    return wide.mean(dim=1) if value.ndim == 3 else wide.flatten(2).mean(dim=2)


def head_rows(value: Tensor, labels: Tensor, pool: Pool, name: str) -> Tensor:
    """`pooled` for what enters a classifier, which only a function as ``pool`` may reduce."""
    if value.ndim > 2 and not callable(pool) and value.shape[:-1] != labels.shape:
        raise ValueError(
            f"the input of head {name!r} has shape {tuple(value.shape)} for labels of shape "
            f"{tuple(labels.shape)}: pass pool, a function that gives (samples, features)"
        )
    return pooled(value, labels, pool)


def aligned(features: Tensor, labels: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Features and one label a row, without the rows whose label is ``ignore_index``."""
    if labels.ndim > 1 and labels.numel() == features.shape[0]:
        labels = labels.reshape(-1)
    if ignore_index is not None and labels.shape == features.shape[:1]:
        kept = labels != ignore_index
        return features[kept], labels[kept]
    return features, labels
