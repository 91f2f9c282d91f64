"""Batches of any usual shape: what goes into the model, the labels, and the attention mask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

LABEL_KEYS = ("labels", "label")
IGNORED = -100
"""The label that PyTorch's cross entropy leaves out."""

Unpack = Callable[[Any], tuple[Any, Tensor]]


@dataclass(frozen=True)
class Batch:
    """Inputs of the model, integer labels, and the attention mask (samples, tokens) if any."""

    inputs: Any
    labels: Tensor
    mask: Tensor | None = None
    ignore_index: int | None = None

    def aligned(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and one label a row, without those whose label is ``ignore_index``."""
        labels = self.labels
        if labels.ndim > 1 and labels.numel() == rows.shape[0]:
            labels = labels.reshape(-1)
        if self.ignore_index is None or labels.shape != rows.shape[:1]:
            return rows, labels
        kept = labels != self.ignore_index
        return rows[kept], labels[kept]


@dataclass(frozen=True)
class Reader:
    """Turns what a loader gives into a `Batch`.

    ``shift_labels`` moves labels (samples, tokens) one place to the left, so that a token's feature
    meets the token that it predicts; None moves them where ``causal`` says so. ``classes`` that are
    no integers stand for 0 … K−1, and labels may be such names.
    """

    unpack: Unpack | None = None
    ignore_index: int | None = IGNORED
    shift_labels: bool | None = None
    classes: Sequence[Any] | None = None
    causal: bool = False
    names: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.shift_labels and self.ignore_index is None:
            raise ValueError(
                "ignore_index must not be None with shift_labels: it marks the last token of each "
                "sequence, which predicts nothing"
            )
        if self.classes is None:
            return
        if not all(isinstance(value, (int, np.integer)) for value in self.classes):
            self.names.update({str(name): index for index, name in enumerate(self.classes)})
            if len(self.names) != len(self.classes):
                raise ValueError("classes must be distinct, but a name is repeated")
        elif self.ignore_index in self.classes:
            raise ValueError(
                f"ignore_index {self.ignore_index} is one of classes: pass another, or None"
            )

    @property
    def class_values(self) -> Sequence[int] | None:
        """The label values in the order of the logits; None for 0 … K−1."""
        return None if self.names else self.classes

    def check_names(self, num_classes: int) -> None:
        """``ValueError`` where there are names, but not one for each of K classes."""
        if self.names and len(self.names) != num_classes:
            raise ValueError(f"classes must name {num_classes} classes, not {len(self.names)}")

    def read(self, batch: Any) -> Batch:
        inputs, given = (self.unpack or unpack_batch)(batch)
        labels = self._labels(given)
        if self.shift_labels and labels.ndim != 2:
            raise ValueError(
                "shift_labels needs labels of shape (samples, tokens), but their shape is "
                f"{tuple(labels.shape)}"
            )
        shifts = self.causal and self.ignore_index is not None and labels.ndim == 2
        if self.shift_labels or (self.shift_labels is None and shifts):
            labels = functional.pad(labels[:, 1:], (0, 1), value=self.ignore_index)
        mask = inputs.get("attention_mask") if isinstance(inputs, Mapping) else None
        mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
        return Batch(inputs, labels, mask, self.ignore_index)

    def _labels(self, given: Any) -> Tensor:
        if self.names and not isinstance(given, Tensor):
            values = np.asarray(given)
            if values.dtype.kind in "UO":
                unknown = [str(name) for name in values.flat if str(name) not in self.names]
                if unknown:
                    raise ValueError(f"labels must be among classes, but one is {unknown[0]!r}")
                indices = [self.names[str(name)] for name in values.flat]
                return torch.tensor(indices).reshape(values.shape)
        try:
            return torch.as_tensor(given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                "labels must be a tensor of integers, or names among classes, but they are a "
                f"{type(given).__name__}: {error}"
            ) from error


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


@dataclass(frozen=True)
class Batches:
    """The batches of a loader, each turned by ``convert``; only the first ``count`` of them.

    Nothing is drawn from the loader before the iteration starts.
    """

    loader: Iterable[Any]
    convert: Callable[[Any], Any] | None = None
    count: int | None = None

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(self.loader):
            if number == self.count:
                return
            yield batch if self.convert is None else self.convert(batch)


def call_model(model: nn.Module, inputs: Any) -> Any:
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


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter or buffer is; the CPU if there is none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def is_causal_lm(model: nn.Module) -> bool:
    """Whether the outermost transformers model in it is a causal language model.

    That is what transformers itself shifts labels by: the class, or one it derives from, is listed
    as one, and the model is no encoder and decoder.
    """
    if "transformers" not in sys.modules:
        return False
    from transformers import PreTrainedModel
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            names = {kind.__name__ for kind in type(module).__mro__}
            listed = not names.isdisjoint(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
            return listed and not getattr(module.config, "is_encoder_decoder", False)
    return False
