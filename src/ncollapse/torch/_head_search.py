"""The classifier of a model: the linear layer that gives its logits."""

from __future__ import annotations

from collections import defaultdict, deque
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor, nn

from ncollapse.torch._batches import logits_of
from ncollapse.torch._heads import is_head
from ncollapse.torch._pooling import logits_place, same
from ncollapse.torch._taps import check_runs, first_tensor

KEPT = 4
"""Linear layers of one width whose tensors are held during a search, the last ones to run: a
transformer has hundreds, and its classifier comes late."""


class HeadSearch:
    """Listens to every linear layer in one forward pass; `choose` says which gave the logits.

    A context manager: the hooks are on the model inside the ``with`` block only.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._hooks = ExitStack()
        self._runs: dict[int, deque[tuple[str, Tensor, Tensor]]] = defaultdict(
            lambda: deque(maxlen=KEPT)
        )

    def __enter__(self) -> Self:
        names = [name for name, module in self._model.named_modules() if is_head(module)]
        if not names:
            raise ValueError(
                f"model {type(self._model).__name__} has no nn.Linear that could be its head: "
                "pass the classifier or its name as head"
            )
        for name in names:
            self._listen(name, self._model.get_submodule(name))
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()
        self._runs.clear()

    def _listen(self, name: str, module: nn.Module) -> None:
        def keep(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            value = first_tensor([*args, *kwargs.values()])
            if isinstance(output, Tensor) and value is not None:
                with torch.no_grad():
                    run = name, value.detach().clone(), output.detach()
                self._runs[output.shape[-1]].append(run)

        handle = module.register_forward_hook(keep, with_kwargs=True)
        self._hooks.callback(handle.remove)

    def choose(self, output: Any) -> tuple[str, Tensor, Tensor]:
        """Name, input and output of the layer whose outputs are the logits in ``output``.

        Raises ``ValueError`` when there is none.
        """
        logits = logits_of(output)
        if logits is None:
            raise ValueError(
                f"model returns a {type(output).__name__} without logits: "
                "pass the classifier or its name as head"
            )
        logits = logits.detach()
        width = logits.shape[-1] if logits.ndim else 0
        for name, value, given in reversed(self._runs[width]):
            if _gives(given, logits):
                check_runs(repr(name), [run[0] for run in self._runs[width]].count(name))
                return name, value, given
        names = [name for name, module in self._model.named_modules() if is_head(module)]
        raise ValueError(
            "head was not given and the outputs of no nn.Linear are the logits; the model has "
            f"{', '.join(names[-8:])}: pass the classifier or its name as head"
        )


def _gives(output: Tensor, logits: Tensor) -> bool:
    if output.numel() == logits.numel():
        return bool(same(output.to(logits.dtype).reshape(logits.shape), logits).all())
    return logits_place(output, logits) is not None
