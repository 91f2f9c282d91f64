"""measure_model: how collapsed is a network on a data set, in as few passes as the metrics need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ncollapse.metrics import METRICS, Measurement, SampleStats, SampleSummary
from ncollapse.metrics.registry import preset_names
from ncollapse.stats import ClassStats, ClassSummary
from ncollapse.theory.imbalance import LastLayerObjective
from ncollapse.torch._architecture import Trace, read_architecture
from ncollapse.torch._batches import IGNORED, Reader, Unpack, device_of, is_causal_lm
from ncollapse.torch._decisions import OwnDecisions, second_pass
from ncollapse.torch._explaining import LastLayerReading
from ncollapse.torch._heads import check_head, measurement_of_head
from ncollapse.torch._last_layer import GAP, LastLayer, arrays_of, gap_of, refusal
from ncollapse.torch._measurement import ModelMeasurement
from ncollapse.torch._model_taps import Key, ModelTaps
from ncollapse.torch._pooling import Pool
from ncollapse.torch._ranks import gathered, is_shared, merged, on_host
from ncollapse.torch._runner import Runner, undisturbed, unwrapped

NC4 = "nc4_agreement"


def measure_model(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    layers: Sequence[str] | None = None,
    head: str | nn.Module | None = None,
    preset: str | Iterable[str] = "papyan2020",
    nc4: bool | None = None,
    against: ModelMeasurement | None = None,
    objective: LastLayerObjective | None = None,
    explain: bool = False,
    classes: Sequence[Any] | None = None,
    pool: Pool = "mean",
    ignore_index: int | None = IGNORED,
    shift_labels: bool | None = None,
    unpack: Unpack | None = None,
    device: torch.device | str | None = None,
    stats_device: torch.device | str | None = None,
    autocast: torch.dtype | None = None,
    memory_format: torch.memory_format | None = None,
    sync: bool = True,
    progress: bool | None = None,
) -> ModelMeasurement:
    """Measure the features that enter a network's classifier, and any layers.

    The network runs in evaluation mode without gradients. Its mode, the random state and its hooks
    come back whatever happens.

    Parameters
    ----------
    model, loader
        ``loader`` gives pairs (inputs, labels), or mappings with "labels" or "label" whose other
        entries are keyword arguments; ``unpack`` turns any other batch into (inputs, labels).
    layers
        Names of modules whose outputs are measured too.
    head
        The classifier or its name. Without it: the last nn.Linear whose outputs are the logits,
        recognised in the first batch.
    preset
        As in `ncollapse.metrics.measure`.
    nc4
        nc4 and other metrics of single samples need the class means first, so the model goes over
        the loader twice. None: if a metric of the preset needs it; True: in any case, and with nc4;
        False: never, such metrics are then among the undefined ones.
    against
        A measurement, of the training set for instance, whose class means stand for the metrics of
        single samples: there is then one pass only, and nc4 is that of this split.
    objective
        What the last layer minimises: adds the metric ``optimality_gap``, how far it is from its
        optimum, with proof. The loader must be that of the training samples.
    explain
        Keep what `ModelMeasurement.explain` needs: sums of (2K)² numbers, and the architecture, which
        is read from the operations of the first forward pass.
    classes
        Label values in the order of the logits; without it labels are 0 … K−1. Names are allowed,
        for labels that are names or 0 … K−1.
    pool
        How values of several places or tokens become one row: "mean", over (B, C, H, W) places or
        the (B, T, D) tokens that "attention_mask" keeps; "last", the last of these tokens;
        "flatten"; or a function from values, and ``mask=`` if it takes one, to (samples, features).
        It is used for layers, and for a classifier that sees several tokens of a sample, unless
        the model returns the logits of one of them: that one is then taken.
    ignore_index
        A label whose rows are left out. With labels (B, T) every token is a sample.
    shift_labels
        Whether a token's feature belongs to the label one place on, which it predicts. By default
        it does where the model is a causal language model of transformers and labels are (B, T).
    device, autocast, memory_format
        Where batches go (where the model is, by default), the dtype of `torch.autocast`, and the
        layout of 4-D inputs such as ``torch.channels_last``.
    stats_device
        Where the statistics are kept: beside the features, unless their device has no float64.
    sync
        Under `torch.distributed` every rank must call this, each with its share of the data, and
        gets the numbers of all. False: those of its own loader.
    progress
        A bar on stderr; by default only on a terminal.

    Notes
    -----
    A classifier that does not compute W h + b (scaled cosines, say) decides by its own outputs;
    metrics of W take its weight as it stands, and those of b are undefined.

    Raises
    ------
    ValueError, TypeError
        No classifier whose outputs are the logits; a module that does not exist, does not run or
        runs twice; labels that are no class; features with NaN (layer, batch and row are named); an
        empty loader; an iterator where two passes are needed.
    """
    model = unwrapped(model)
    context = nullcontext
    if autocast is not None:
        if not isinstance(autocast, torch.dtype):
            raise TypeError(f"autocast must be a torch.dtype, but it is {autocast!r}")
        context = partial(torch.autocast, torch.device(device or device_of(model)).type, autocast)
    reader = Reader(unpack, ignore_index, shift_labels, classes, causal=is_causal_lm(model))
    runner = Runner(model, loader, reader, device, context, memory_format, progress)
    return run_and_measure(
        runner,
        layers=layers or (),
        head=head,
        preset=preset,
        nc4=nc4,
        against=against,
        objective=objective,
        explain=explain,
        pool=pool,
        stats_device=stats_device,
        sync=sync,
    )


def run_and_measure(
    runner: Runner,
    *,
    layers: Sequence[str] = (),
    head: str | nn.Module | None = None,
    preset: str | Iterable[str] = "papyan2020",
    nc4: bool | None = None,
    against: ModelMeasurement | None = None,
    objective: LastLayerObjective | None = None,
    explain: bool = False,
    pool: Pool = "mean",
    stats_device: torch.device | str | None = None,
    sync: bool = True,
) -> ModelMeasurement:
    """`measure_model` with a runner that is set up."""
    names = preset_names(preset)
    if NC4 not in names and (nc4 or against is not None):
        names = (*names, NC4)
    needed = any(METRICS[name].needs_samples for name in names) if nc4 is None else nc4
    twice = needed and against is None
    if twice and isinstance(runner.loader, Iterator):
        raise TypeError(
            "loader is an iterator, which can be gone through once, but nc4 and other metrics of "
            "single samples need two passes: pass nc4=False to leave them out"
        )
    if against is not None and not isinstance(against, ModelMeasurement):
        raise TypeError(f"against must be a ModelMeasurement, but it is a {type(against).__name__}")
    missing = [] if against is None else [name for name in layers if name not in against.layers]
    if missing:
        raise ValueError(f"against has no measurement of the layers {', '.join(missing)}")
    if objective is not None and not isinstance(objective, LastLayerObjective):
        raise TypeError(
            f"objective must be a LastLayerObjective, but it is a {type(objective).__name__}"
        )
    sync = sync and is_shared()
    if explain:
        runner.trace = Trace(runner.model)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(runner.model))
        taps = stack.enter_context(ModelTaps(runner.model, layers=layers, head=head, pool=pool))
        watched = objective is not None or explain
        measuring = _Passes(runner, taps, stats_device, sync, objective, watched)
        measuring.first(against)
        if twice:
            measuring.second()
    classes = runner.reader.classes

    def measured(key: Key) -> Measurement:
        summary, samples = measuring.summaries[key], measuring.samples.get(key)
        classifier = taps.head if key is None else None
        measurement = measurement_of_head(summary, names, classifier, samples)
        values, reasons = dict(measurement.metrics), dict(measurement.undefined)
        if key is None and objective is not None:
            if measuring.last is None:
                reasons[GAP] = refusal(taps.head) or ""
            else:
                values[GAP] = gap_of(objective, measuring.last.stats, taps.head)
        return replace(
            measurement,
            metrics=values,
            undefined=reasons,
            classes=summary.classes if classes is None else tuple(classes),
            preset=preset if isinstance(preset, str) else ",".join(names),
        )

    reading = None
    if runner.trace is not None and measuring.last is not None:
        architecture = read_architecture(runner.trace, taps.head) if runner.trace.nodes else None
        last = measuring.last
        reading = LastLayerReading(
            last.stats,
            last.negative,
            *arrays_of(taps.head),
            measuring.summaries[None],
            architecture,
        )
    return ModelMeasurement(
        head=taps.head_name,
        features=measured(None),
        layers={name: measured(name) for name in taps.ran or layers},
        forward_passes=runner.forward_passes,
        last_layer=reading,
    )


class _Passes:
    """The passes over the loader, and what they leave: summaries by layer, None for the head."""

    def __init__(
        self,
        runner: Runner,
        taps: ModelTaps,
        stats_device: torch.device | str | None,
        sync: bool,
        objective: LastLayerObjective | None,
        watched: bool,
    ) -> None:
        self.runner = runner
        self.taps = taps
        self.stats_device = stats_device
        self.sync = sync
        self.objective = objective
        self.watched = watched
        self.last: LastLayer | None = None
        self.summaries: dict[Key, ClassSummary] = {}
        self.samples: dict[Key, SampleSummary] = {}

    def first(self, against: ModelMeasurement | None) -> None:
        """Class statistics; with ``against`` also the samples, compared with its means."""
        stats: dict[Key, ClassStats] = {}
        samples: dict[Key, SampleStats | OwnDecisions] = {}
        for place, key, features, labels in self._rows("measuring"):
            if key not in stats:
                num_classes, _ = check_head(self.taps.head)
                self.runner.reader.check_names(num_classes)
                classes = self.runner.reader.class_values
                stats[key] = ClassStats(num_classes, features.shape[-1], classes=classes)
                if against is not None:
                    samples[key] = self._second(key, _summary_of(against, key))
            _feed(stats[key], features, labels, place)
            if key is None and self.watched and (last := self._last()) is not None:
                last.update(features, labels)
            if key in samples:
                _feed(samples[key], features, labels, place)
        if self.sync:
            stats = self._of_all_ranks(stats)
            if self.watched and stats:
                self._sync_last()
        if not stats:
            raise ValueError("loader gave no batches")
        if not stats[None].num_samples:
            raise ValueError(
                "loader gave no samples, or only labels that ignore_index leaves out: "
                f"{self.runner.reader.ignore_index}"
            )
        self.summaries = {key: entry.finish() for key, entry in stats.items()}
        if against is not None:
            for key in stats.keys() - samples.keys():
                samples[key] = self._second(key, _summary_of(against, key))
            self._finish(samples)

    def second(self) -> None:
        """The samples, compared with the means of the first pass."""
        samples = {key: self._second(key, summary) for key, summary in self.summaries.items()}
        for place, key, features, labels in self._rows("second pass"):
            _feed(samples[key], features, labels, place)
        self._finish(samples)
        before, after = self.summaries[None].num_samples, self.samples[None].num_samples
        if before != after:
            raise ValueError(
                f"loader gave {before} samples in the first pass and {after} in the second: metrics "
                "of single samples need the same ones twice; pass nc4=False to leave them out"
            )

    def _rows(self, task: str) -> Iterator[tuple[str, Key, Tensor, Tensor]]:
        """Where it comes from, key, features and labels, of every batch and module."""
        for number, output in self.runner.batches(self.taps, task):
            for key, features, labels in self.taps.rows(output):
                home = features.device if self.stats_device is None else self.stats_device
                place = f"{key or self.taps.head_name!r}, batch {number} of loader"
                yield place, key, features.to(home), labels.to(home)

    def _last(self) -> LastLayer | None:
        """The statistics of the classifier, None where it is not linear."""
        if self.last is None and refusal(self.taps.head) is None:
            self.last = LastLayer(self.taps.head, self.objective, self.runner.reader.class_values)
        return self.last

    def _sync_last(self) -> None:
        last = self._last()
        states = gathered(None if last is None else last.state_dict())
        if last is not None:
            last.load_state_dict({name: sum(s[name] for s in states) for name in states[0]})

    def _second(self, key: Key, summary: ClassSummary) -> SampleStats | OwnDecisions:
        return second_pass(summary, self.taps.head if key is None else None)

    def _of_all_ranks(self, stats: dict[Key, ClassStats]) -> dict[Key, ClassStats]:
        states = {
            key: (entry.num_classes, entry.num_features, on_host(entry.state_dict()))
            for key, entry in stats.items()
        }
        ranks = [rank for rank in gathered((self.taps.head_name, states)) if rank[1]]
        if not ranks:
            return {}
        if self.taps.searching:  # there was no batch here
            self.taps.name_head(ranks[0][0])
        classes = self.runner.reader.class_values

        def loaded(sizes_and_state: tuple[int, int, dict[str, Tensor]]) -> ClassStats:
            *sizes, state = sizes_and_state
            return ClassStats(*sizes, classes=classes).load_state_dict(state)

        return {key: merged([loaded(held[key]) for _, held in ranks]) for key in ranks[0][1]}

    def _finish(self, samples: dict[Key, SampleStats | OwnDecisions]) -> None:
        if self.sync:
            ranks = gathered({key: on_host(entry.state_dict()) for key, entry in samples.items()})
            for key, entry in samples.items():
                state = entry.state_dict()
                entry.load_state_dict({name: sum(r[key][name] for r in ranks) for name in state})
        self.samples = {key: entry.finish() for key, entry in samples.items()}


def _feed(
    stats: ClassStats | SampleStats | OwnDecisions, features: Tensor, labels: Tensor, place: str
) -> None:
    try:
        stats.update(features, labels)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{place}: {error}") from error


def _summary_of(against: ModelMeasurement, key: Key) -> ClassSummary:
    return (against.features if key is None else against.layers[key]).summary
