"""Batches of any usual shape: what goes into the model and what the labels are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

LABEL_KEYS = ("labels", "label")

Unpack = Callable[[Any], tuple[Any, Tensor]]


def unpack_batch(batch: Any) -> tuple[Any, Tensor]:
    """(inputs, labels) of a pair or of a mapping with an entry "labels" or "label".

    Raises ``TypeError`` for anything else, ``ValueError`` for a mapping without labels.
    """
    if isinstance(batch, Mapping):
        for key in LABEL_KEYS:
            if key in batch:
                return {name: value for name, value in batch.items() if name != key}, batch[key]
        raise ValueError(
            f"loader gives mappings with {', '.join(map(str, batch))} but none of "
            f"{', '.join(LABEL_KEYS)}: pass unpack, a function from a batch to (inputs, labels)"
        )
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    shown = f"{len(batch)} entries" if isinstance(batch, (tuple, list)) else "it"
    raise TypeError(
        f"loader must give pairs (inputs, labels) or mappings, but gives a {type(batch).__name__} "
        f"({shown}): pass unpack, a function from a batch to (inputs, labels)"
    )


def call_model(model: torch.nn.Module, inputs: Any) -> Any:
    """Mappings are keyword arguments, tuples and lists positional ones, the rest is one input."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, (tuple, list)):
        return model(*inputs)
    return model(inputs)


def moved(
    value: Any, device: torch.device, memory_format: torch.memory_format | None = None
) -> Any:
    """The same nest with every tensor on ``device``; ``memory_format`` is for 4-D ones."""
    if isinstance(value, Tensor):
        if memory_format is not None and value.ndim == 4:
            return value.to(device, non_blocking=True, memory_format=memory_format)
        return value.to(device, non_blocking=True)
    if isinstance(value, Mapping):
        return {name: moved(entry, device, memory_format) for name, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [moved(entry, device, memory_format) for entry in value]
    return value


def logits_of(output: Any) -> Tensor | None:
    """The logits a model returns: the tensor, the entry "logits", or the first of a tuple."""
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif not isinstance(output, (Tensor, tuple, list)):
        output = getattr(output, "logits", None)
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def device_of(model: torch.nn.Module) -> torch.device:
    """Where the first parameter or buffer is; the CPU if there is none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")
