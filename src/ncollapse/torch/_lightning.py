"""A Lightning callback that watches collapse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ncollapse.torch._batches import Batches, Reader
from ncollapse.torch._heads import check_head
from ncollapse.torch._metric import NeuralCollapse
from ncollapse.torch._model_taps import Key, ModelTaps
from ncollapse.torch._watching import Watching, check_loader, values_by_name

STAGES = ("train", "validation", "test")


class NeuralCollapseCallback(Callback):
    """Logs the collapse of the features that enter the classifier to whatever logger is attached.

    In each of ``stages`` the features are caught in the forward passes that Lightning makes anyway,
    so watching costs no forward pass, and metrics of single samples (nc4) are left out. During
    "train" the weights move and layers are in training mode while the statistics gather. The
    papers' definition, one set of weights in evaluation mode, is what ``loader`` gives: it is gone
    through after the epoch as by `measure_model`, and logged as stage "loader".

    Names are ``{stage}/{metric}``, for a layer ``{stage}/{layer}/{metric}``, and other callbacks
    can monitor them. The ranks' statistics are merged. Classifier, layers and batches are checked
    on the first batch.

    Parameters
    ----------
    stages
        Some of "train", "validation", "test".
    loader
        Batches for a pass of their own; in the precision and on the device of the trainer.
    prefix
        Stands before the names, with a slash.
    **options
        ``every_n_epochs``: only in each n-th epoch. ``head``, ``layers``, ``preset``, ``nc4``,
        ``objective``, ``classes``, ``pool``, ``ignore_index``, ``shift_labels``, ``unpack``: as in
        `measure_model`; ``objective`` needs ``loader``, the training samples, and its
        ``optimality_gap`` is logged in that stage alone. A head that is not named is searched for
        by the module's ``forward``.
    """

    def __init__(
        self,
        *,
        stages: Sequence[str] = ("validation",),
        loader: Iterable[Any] | None = None,
        prefix: str = "",
        **options: Any,
    ) -> None:
        unknown = [stage for stage in stages if stage not in STAGES]
        if unknown or isinstance(stages, str):
            raise ValueError(f"stages must be some of {', '.join(STAGES)}, but it is {stages!r}")
        self.stages = tuple(stages)
        self.loader = check_loader(loader)
        self.prefix = f"{prefix}/" if prefix else ""
        self.watching = Watching(**options)
        if self.watching.objective is not None and loader is None:
            raise ValueError("objective needs loader: the samples whose objective it is")
        self._head: str | None = self.watching.head
        self._due_stages: set[str] = set()
        self._running: dict[str, _Stage] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Go before the callbacks that monitor what this one logs."""
        callbacks = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
        callbacks.insert(0, callbacks.pop(callbacks.index(self)))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.loader is not None:
            context = trainer.precision_plugin.forward_context
            self._head = self.watching.rehearse(pl_module, self._batches(trainer), context)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("train", trainer)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("validation", trainer)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("test", trainer)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._before("train", trainer, pl_module, batch)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: int
    ) -> None:
        self._before("validation", trainer, pl_module, batch)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, *_: int
    ) -> None:
        self._before("test", trainer, pl_module, batch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._after("train")

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        self._after("validation")

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: int
    ) -> None:
        self._after("test")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("train", trainer, pl_module)
        if self.loader is not None and self._due(trainer):
            context = trainer.precision_plugin.forward_context
            measurement = self.watching.measure(pl_module, self._batches(trainer), context)
            self._log("loader", values_by_name(measurement, "/"), pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("validation", trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("test", trainer, pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop()

    def _due(self, trainer: Trainer) -> bool:
        return (trainer.current_epoch + 1) % self.watching.every_n_epochs == 0

    def _batches(self, trainer: Trainer) -> Iterable[Any]:
        return Batches(self.loader or (), trainer.precision_plugin.convert_input)

    def _start(self, stage: str, trainer: Trainer) -> None:
        due = stage == "test" or trainer.sanity_checking or self._due(trainer)
        if stage in self.stages and due:
            self._due_stages.add(stage)

    def _before(self, stage: str, trainer: Trainer, pl_module: LightningModule, batch: Any) -> None:
        if stage not in self._due_stages:
            return
        if self._head is None:
            self._head = self._search(trainer, pl_module, batch)
        if stage not in self._running:
            taps = self.watching.taps(pl_module, self._head)
            reader = self.watching.reader(pl_module)
            self._running[stage] = _Stage(self.watching.preset, taps, reader)
        self._running[stage].before(batch)

    def _search(self, trainer: Trainer, pl_module: LightningModule, batch: Any) -> str:
        context = trainer.precision_plugin.forward_context
        try:
            return self.watching.rehearse(pl_module, [batch], context)
        except Exception as error:
            raise ValueError(
                f"head was not given, and {type(pl_module).__name__}.forward of the first batch "
                f"does not show it: {error}"
            ) from error

    def _after(self, stage: str) -> None:
        if stage in self._running:
            self._running[stage].after()

    def _finish(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        self._due_stages.discard(stage)
        finished = self._running.pop(stage, None)
        if finished is not None and not trainer.sanity_checking:
            self._log(stage, finished.values(), pl_module)

    def _log(self, stage: str, values: dict[str, float], pl_module: LightningModule) -> None:
        pl_module.log_dict(
            {f"{self.prefix}{stage}/{name}": value for name, value in values.items()},
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )

    def _stop(self) -> None:
        for stage in self._running.values():
            stage.taps.close()
        self._running, self._due_stages = {}, set()


@dataclass
class _Stage:
    """Taps and metrics of one epoch of one stage."""

    preset: str | Iterable[str]
    taps: ModelTaps
    reader: Reader
    metrics: dict[Key, NeuralCollapse] = field(default_factory=dict)

    def before(self, batch: Any) -> None:
        self.taps.__enter__().expect(self.reader.read(batch))

    def after(self) -> None:
        for key, features, labels in self.taps.rows():
            if key not in self.metrics:
                self.metrics[key] = self._metric(key, features.shape[1]).to(features.device)
            self.metrics[key].update(features, labels)
        self.taps.close()

    def values(self) -> dict[str, float]:
        values = {}
        for key, metric in self.metrics.items():
            before = "" if key is None else f"{key}/"
            values.update({f"{before}{name}": float(v) for name, v in metric.compute().items()})
        return values

    def _metric(self, key: Key, width: int) -> NeuralCollapse:
        """For a layer without the classifier, whose width is another."""
        options: dict[str, Any] = {"preset": self.preset, "classes": self.reader.class_values}
        if key is None:
            return NeuralCollapse(head=self.taps.head, **options)
        return NeuralCollapse(check_head(self.taps.head)[0], width, **options)
