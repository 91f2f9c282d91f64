"""What the callbacks share: a pass over a loader by the options of `measure_model`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from torch import nn

from ncollapse.metrics.registry import preset_names
from ncollapse.theory.imbalance import LastLayerObjective
from ncollapse.torch._batches import IGNORED, Batches, Reader, Unpack, is_causal_lm
from ncollapse.torch._last_layer import GAP
from ncollapse.torch._measure_model import run_and_measure
from ncollapse.torch._measurement import ModelMeasurement
from ncollapse.torch._model_taps import ModelTaps
from ncollapse.torch._pooling import Pool, check_pool
from ncollapse.torch._runner import Runner, unwrapped


@dataclass(frozen=True)
class Watching:
    """Options of a callback; those of the same name are those of `measure_model`."""

    head: str | None = None
    layers: Sequence[str] = ()
    preset: str | Iterable[str] = "papyan2020"
    nc4: bool | None = None
    objective: LastLayerObjective | None = None
    classes: Sequence[Any] | None = None
    pool: Pool = "mean"
    ignore_index: int | None = IGNORED
    shift_labels: bool | None = None
    unpack: Unpack | None = None
    every_n_epochs: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.preset, str):
            object.__setattr__(self, "preset", tuple(self.preset))
        preset_names(self.preset)
        check_pool(self.pool)
        every = self.every_n_epochs
        if int(every) != every or every < 1:
            raise ValueError(f"every_n_epochs must be a positive integer, but it is {every!r}")
        Reader(self.unpack, self.ignore_index, self.shift_labels, self.classes)

    def names(self, between: str) -> list[str]:
        """What `values_by_name` may give."""
        metrics = preset_names(self.preset)
        gap = [] if self.objective is None else [GAP]
        return [
            *metrics,
            *gap,
            *(f"{layer}{between}{name}" for layer in self.layers for name in metrics),
        ]

    def reader(self, model: nn.Module) -> Reader:
        causal = is_causal_lm(model)
        return Reader(self.unpack, self.ignore_index, self.shift_labels, self.classes, causal)

    def taps(self, model: nn.Module, head: str | None) -> ModelTaps:
        return ModelTaps(model, head=head, layers=self.layers, pool=self.pool)

    def measure(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        context: Callable[[], Any] = nullcontext,
    ) -> ModelMeasurement:
        """One measurement over ``loader``, of all ranks together."""
        return self._run(model, loader, context, nc4=self.nc4, sync=True)

    def rehearse(
        self,
        model: nn.Module,
        loader: Iterable[Any],
        context: Callable[[], Any] = nullcontext,
    ) -> str:
        """Measure the first batch alone, so that what is wrong shows at once: the head's name."""
        return self._run(model, Batches(loader, count=1), context, nc4=False, sync=False).head

    def _run(
        self, model: nn.Module, loader: Iterable[Any], context: Callable[[], Any], **options: Any
    ) -> ModelMeasurement:
        model = unwrapped(model)
        runner = Runner(model, loader, self.reader(model), context=context, progress=False)
        return run_and_measure(
            runner,
            head=self.head,
            layers=self.layers,
            preset=self.preset,
            objective=self.objective,
            pool=self.pool,
            **options,
        )


def check_loader(loader: Iterable[Any] | None) -> Iterable[Any] | None:
    """``TypeError`` unless it can be gone through again and again."""
    if loader is not None and (isinstance(loader, Iterator) or not isinstance(loader, Iterable)):
        raise TypeError(
            f"loader must be an iterable that can be gone through in every epoch, but it is a "
            f"{type(loader).__name__}"
        )
    return loader


def values_by_name(measurement: ModelMeasurement, between: str) -> dict[str, float]:
    """Metrics of the head's input by name, those of layers by layer and name."""
    values = dict(measurement.metrics)
    for layer, measured in measurement.layers.items():
        values.update({f"{layer}{between}{name}": v for name, v in measured.metrics.items()})
    return values
