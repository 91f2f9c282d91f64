"""Hooks on a classifier and on layers: a row for every label, in every forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncollapse.torch._batches import Batch, logits_of
from ncollapse.torch._head_search import HeadSearch
from ncollapse.torch._heads import check_head, module_name, named_module
from ncollapse.torch._pooling import Pool, check_pool, pooled, rows_with_logits
from ncollapse.torch._taps import FeatureTap

Key = str | None
"""The name of a layer; None stands for the input of the head."""


class ModelTaps:
    """Catches what enters the head and what leaves the layers.

    A context manager: the hooks are on the model inside the ``with`` block only. `expect` comes
    before a forward pass and `rows` after it. A head that is not named is searched for in the first
    forward pass. ``ran`` has the layers in the order in which they run.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        head: str | nn.Module | None = None,
        layers: Sequence[str] = (),
        pool: Pool = "mean",
    ) -> None:
        if isinstance(layers, str):
            raise TypeError(f"layers must be a list of names, but it is the string {layers!r}")
        self.model = model
        self.pool = check_pool(pool)
        self.head = model
        self.head_name = ""
        self.ran: list[str] = []
        self._hooks = ExitStack()
        self._batch = Batch(None, torch.empty(0))
        self._layers = {name: self._layer_tap(name) for name in layers}
        self._search: HeadSearch | None = None
        if head is None:
            self._search = HeadSearch(model)
        else:
            self.name_head(head if isinstance(head, str) else module_name(model, head))

    def __enter__(self) -> Self:
        taps = [*self._layers.values(), self._search or self._pair]
        for tap in taps:
            self._hooks.enter_context(tap)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take all hooks off the model."""
        self._hooks.close()

    def expect(self, batch: Batch) -> None:
        """The next forward pass is that of ``batch``."""
        self._batch = batch
        for tap in self._layers.values():
            tap.clear()
        if self._search is None:
            self._pair.clear()

    def rows(self, output: Any = None) -> Iterator[tuple[Key, Tensor, Tensor]]:
        """Features and labels of the head's input (key None) and of each layer, without those that
        are ignored; ``output`` is what the model returned.
        """
        yield None, *self._batch.aligned(self._head_rows(output))
        for name, tap in self._layers.items():
            yield name, *self._batch.aligned(tap.take())

    @property
    def searching(self) -> bool:
        """Whether the head is not known yet."""
        return self._search is not None

    def name_head(self, name: str) -> None:
        """Take the module of this name for the head, the model itself for ""."""
        if self._search is not None:
            self._search.__exit__()
            self._search = None
        self.head_name = name
        self.head = named_module(self.model, name, "head") if name else self.model
        num_classes, _ = check_head(self.head)
        if num_classes < 2:
            raise ValueError(
                f"head {name!r} has {num_classes} output: at least two classes are needed"
            )
        self._pair = _HeadTap(self.head, repr(name or "model"))

    def _layer_tap(self, name: str) -> FeatureTap:
        def rows(value: Tensor) -> Tensor:
            if name not in self.ran:
                self.ran.append(name)
            return pooled(value, self._batch, self.pool)

        module = named_module(self.model, name, "layers")
        return FeatureTap(module, repr(name), output=True, transform=rows)

    def _head_rows(self, output: Any) -> Tensor:
        if self._search is not None:
            name, value, given = self._search.choose(output)
            self.name_head(name)
            self._hooks.enter_context(self._pair)
        else:
            value, given = self._pair.take()
        rows = self._one_row_a_label(value, given, output)
        width = check_head(self.head)[1]
        if rows.shape[1] != width:
            raise ValueError(
                f"head {self.head_name!r} has a weight of {width} columns, but features of width "
                f"{rows.shape[1]} enter it: its weight must have the shape (classes, features)"
            )
        return rows

    def _one_row_a_label(self, value: Tensor, given: Tensor, output: Any) -> Tensor:
        labels = self._batch.labels
        chosen = callable(self.pool) or self.pool == "last"
        if value.ndim == 2 or value.shape[:-1] == labels.shape or chosen:
            return pooled(value, self._batch, self.pool)
        logits = logits_of(output)
        rows = rows_with_logits(value, given, None if logits is None else logits.detach())
        if rows is None:
            raise ValueError(
                f"the input of head {self.head_name!r} has shape {tuple(value.shape)} for labels "
                f"of shape {tuple(labels.shape)}: pass pool='last', or a function that gives "
                "(samples, features)"
            )
        return rows


class _HeadTap:
    """Input and output of a classifier in one forward pass."""

    def __init__(self, head: nn.Module, name: str) -> None:
        self._input = FeatureTap(head, name)
        self._output = FeatureTap(head, name, output=True, transform=lambda value: value)

    def __enter__(self) -> Self:
        self._input.__enter__()
        self._output.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        self._output.close()

    def clear(self) -> None:
        self._input.clear()
        self._output.clear()

    def take(self) -> tuple[Tensor, Tensor]:
        return self._input.take(), self._output.take()
