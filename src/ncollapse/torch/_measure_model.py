"""measure_model: how collapsed is a network on a data set, in one pass over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from ncollapse.metrics import Measurement, SampleStats, SampleSummary, compute_or_explain
from ncollapse.metrics.registry import preset_names
from ncollapse.stats import ClassStats, ClassSummary
from ncollapse.torch._batches import Unpack, logits_of
from ncollapse.torch._heads import check_head, head_parameters, is_head, module_name, named_module
from ncollapse.torch._measurement import ModelMeasurement
from ncollapse.torch._runner import Runner, undisturbed, unwrapped
from ncollapse.torch._taps import FeatureTap, Pool, pooled

NC4 = "nc4_agreement"


def measure_model(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    layers: Sequence[str] | None = None,
    head: str | nn.Module | None = None,
    preset: str | Iterable[str] = "papyan2020",
    nc4: bool = False,
    against: ModelMeasurement | None = None,
    classes: Sequence[int] | None = None,
    pool: Pool = "mean",
    ignore_index: int | None = None,
    unpack: Unpack | None = None,
    device: torch.device | str | None = None,
    stats_device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    memory_format: torch.memory_format | None = None,
    progress: bool | None = None,
) -> ModelMeasurement:
    """Measure the features that enter a network's classifier, and any layers, in one pass.

    The network runs in evaluation mode without gradients. Its mode, the random state and its hooks
    come back whatever happens.

    Parameters
    ----------
    model, loader
        ``loader`` gives pairs (inputs, labels), or mappings with "labels" or "label" whose other
        entries are keyword arguments; ``unpack`` turns any other batch into (inputs, labels).
    layers
        Names of modules whose outputs are measured too. (B, C, H, W) is averaged over places and
        (B, T, D) over tokens, unless ``pool`` is "flatten" or a function to (samples, features).
    head
        The classifier or its name. Without it: the last nn.Linear whose outputs are the logits,
        recognised in the first batch.
    preset
        As in `ncollapse.metrics.measure`.
    nc4
        Also the metrics that need decisions and distances of single samples. They need the class
        means, so the model goes over the loader twice.
    against
        A measurement, of the training set for instance, whose class means stand for the metrics of
        single samples: there is then one pass only, and nc4 is that of this split.
    classes
        Label values in the order of the logits; without it labels are 0 … K−1.
    ignore_index
        A label whose rows are left out. With labels (B, T) every token is a sample.
    device, autocast, memory_format
        Where batches go (where the model is, by default), the dtype of `torch.autocast`, and the
        layout of 4-D inputs such as ``torch.channels_last``.
    stats_device
        Where the statistics are kept: beside the features, unless their device has no float64.
    progress
        A bar on stderr; by default only on a terminal.

    Raises
    ------
    ValueError, TypeError
        No classifier whose outputs are the logits; a module that does not exist, does not run or
        runs twice; labels that are no class; features with NaN (layer, batch and row are named); an
        empty loader; an iterator where two passes are needed.
    """
    names = _metric_names(preset, nc4 or against is not None)
    model = unwrapped(model)
    runner = Runner(
        model,
        loader,
        device=device,
        autocast=autocast,
        memory_format=memory_format,
        unpack=unpack,
        pool=pool,
        ignore_index=ignore_index,
        stats_device=stats_device,
        progress=progress,
    )
    twice = nc4 and against is None
    if twice and isinstance(loader, Iterator):
        raise TypeError(
            "loader is an iterator, which can be gone through once, but nc4 needs two passes"
        )
    with ExitStack() as stack:
        stack.enter_context(undisturbed(model))
        taps = {
            name: stack.enter_context(
                runner.tap(name, named_module(model, name, "layers"), output=True)
            )
            for name in layers or ()
        }
        found = _HeadSearch(runner, head, stack)
        stats = _first_pass(runner, taps, found, classes, against)
        summaries = {name: entry.finish() for name, entry in stats.statistics.items()}
        samples = stats.samples
        if twice:
            samples = _second_pass(runner, taps, found, summaries)
    weight, bias = head_parameters(found.module)
    finished = {name: entry.finish() for name, entry in samples.items()}

    def measured(name: str | None) -> Measurement:
        classifier = (weight, bias) if name is None else (None, None)
        return _measurement(summaries[name], finished.get(name), names, preset, *classifier)

    ordered = [name for name in runner.seen if name in taps]
    return ModelMeasurement(
        head=found.name,
        features=measured(None),
        layers={name: measured(name) for name in ordered},
        forward_passes=runner.forward_passes,
    )


class _HeadSearch:
    """The tap on the classifier's input: named, or found by its outputs in the first batch."""

    def __init__(self, runner: Runner, head: str | nn.Module | None, stack: ExitStack) -> None:
        self._runner = runner
        self._stack = stack
        self._candidates: dict[str, tuple[FeatureTap, FeatureTap]] = {}
        self._tap: FeatureTap | None = None
        self.name = ""
        if head is not None:
            self._listen(head if isinstance(head, str) else module_name(runner.model, head))
            return
        for name, module in runner.model.named_modules():
            if is_head(module):
                self._candidates[name] = (
                    stack.enter_context(self._quiet(module, output=False)),
                    stack.enter_context(self._quiet(module, output=True)),
                )
        if not self._candidates:
            raise ValueError(
                f"model {type(runner.model).__name__} has no nn.Linear that could be its head: "
                "pass the classifier or its name as head"
            )

    @property
    def module(self) -> nn.Module:
        return (
            named_module(self._runner.model, self.name, "head") if self.name else self._runner.model
        )

    def tap(self, output: Any) -> FeatureTap:
        """The tap, after the first forward pass, which gave ``output``."""
        if self._tap is None:
            self._tap = self._choose(output)
        return self._tap

    def _quiet(self, module: nn.Module, *, output: bool) -> FeatureTap:
        runner = self._runner

        def rows(value: Tensor) -> Tensor:
            return pooled(value, runner.labels, "mean")

        return FeatureTap(module, output=output, transform=rows)

    def _listen(self, name: str) -> None:
        self.name = name
        model = self._runner.model
        module = named_module(model, name, "head") if name else model
        check_head(module)
        tap = self._runner.tap(name or "model", module, output=False, strict=True)
        self._tap = self._stack.enter_context(tap)

    def _choose(self, output: Any) -> FeatureTap:
        logits = logits_of(output)
        if logits is None:
            raise ValueError(
                f"model returns a {type(output).__name__} without logits: "
                "pass the classifier or its name as head"
            )
        logits = pooled(logits.detach(), self._runner.labels, "mean")
        chosen = None
        for name, (before, after) in self._candidates.items():
            if after.calls == 1 and _same(after.take(), logits):
                chosen = name, before.take()
            before.close()
            after.close()
        if chosen is None:
            raise ValueError(
                "head was not given and the outputs of no nn.Linear are the logits; the model has "
                f"{', '.join(list(self._candidates)[-8:])}: pass the classifier or its name as head"
            )
        self._candidates = {}
        self._listen(chosen[0])
        tap = self.tap(output)
        tap.put(chosen[1])
        return tap


def _same(output: Tensor, logits: Tensor) -> bool:
    if output.shape != logits.shape:
        return False
    output = output.to(logits.dtype)
    return bool(((output == logits) | (output.isnan() & logits.isnan())).all())


class _Collected:
    """Statistics of every tap; None is the key of the head's input."""

    def __init__(self) -> None:
        self.statistics: dict[str | None, ClassStats] = {}
        self.samples: dict[str | None, SampleStats] = {}


def _first_pass(
    runner: Runner,
    taps: dict[str, FeatureTap],
    found: _HeadSearch,
    classes: Sequence[int] | None,
    against: ModelMeasurement | None,
) -> _Collected:
    collected = _Collected()
    num_classes = 0
    for number, output in runner.batches("measuring"):
        every: dict[str | None, FeatureTap] = {None: found.tap(output), **taps}
        if not collected.statistics:
            num_classes = _num_classes(found)
            if against is not None:
                summaries = _summaries_of(against, taps)
                collected.samples = _sample_stats(found, summaries)
        for key, tap in every.items():
            features, labels = runner.take(tap)
            if key not in collected.statistics:
                width = features.shape[-1]
                collected.statistics[key] = ClassStats(num_classes, width, classes=classes)
            _feed(collected.statistics[key].update, features, labels, key or found.name, number)
            if key in collected.samples:
                _feed(collected.samples[key].update, features, labels, key or found.name, number)
    if not collected.statistics:
        raise ValueError("loader gave no batches")
    return collected


def _second_pass(
    runner: Runner,
    taps: dict[str, FeatureTap],
    found: _HeadSearch,
    summaries: dict[str | None, ClassSummary],
) -> dict[str | None, SampleStats]:
    samples = _sample_stats(found, summaries)
    count = 0
    for number, output in runner.batches("second pass"):
        every: dict[str | None, FeatureTap] = {None: found.tap(output), **taps}
        for key, tap in every.items():
            features, labels = runner.take(tap)
            count += features.shape[0] if key is None else 0
            _feed(samples[key].update, features, labels, key or found.name, number)
    if count != summaries[None].num_samples:
        raise ValueError(
            f"loader gave {summaries[None].num_samples} samples in the first pass and {count} in "
            "the second: nc4 needs the same samples twice"
        )
    return samples


def _feed(
    update: Callable[[Tensor, Tensor], Any],
    features: Tensor,
    labels: Tensor,
    name: str,
    number: int,
) -> None:
    try:
        update(features, labels)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{name!r}, batch {number} of loader: {error}") from error


def _num_classes(found: _HeadSearch) -> int:
    num_classes, _ = check_head(found.module)
    if num_classes < 2:
        raise ValueError(
            f"head {found.name!r} has {num_classes} output: at least two classes are needed"
        )
    return num_classes


def _sample_stats(
    found: _HeadSearch, summaries: dict[str | None, ClassSummary]
) -> dict[str | None, SampleStats]:
    weight, bias = head_parameters(found.module)
    return {
        key: SampleStats(summary, weight, bias) if key is None else SampleStats(summary)
        for key, summary in summaries.items()
    }


def _summaries_of(
    against: ModelMeasurement, taps: dict[str, FeatureTap]
) -> dict[str | None, ClassSummary]:
    missing = [name for name in taps if name not in against.layers]
    if missing:
        raise ValueError(f"against has no measurement of the layers {', '.join(missing)}")
    layers = {name: against.layers[name].summary for name in taps}
    return {None: against.features.summary, **layers}


def _metric_names(preset: str | Iterable[str], nc4: bool) -> tuple[str, ...]:
    names = preset_names(preset)
    return (*names, NC4) if nc4 and NC4 not in names else names


def _measurement(
    summary: ClassSummary,
    samples: SampleSummary | None,
    names: tuple[str, ...],
    preset: str | Iterable[str],
    weight: Tensor | None,
    bias: Tensor | None,
) -> Measurement:
    values, reasons = compute_or_explain(
        summary, preset=names, weight=weight, bias=bias, samples=samples
    )
    return Measurement(
        metrics=values,
        undefined=reasons,
        num_samples=summary.num_samples,
        num_classes=summary.num_classes,
        classes=summary.classes,
        preset=preset if isinstance(preset, str) else ",".join(names),
        version=version("ncollapse"),
        summary=summary,
        samples=samples,
    )
