"""A Lightning callback that watches collapse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ncollapse.metrics.registry import preset_names
from ncollapse.torch._batches import Unpack, unpack_batch
from ncollapse.torch._metric import NeuralCollapse
from ncollapse.torch._taps import FeatureTap, Pool, aligned, check_pool, head_rows
from ncollapse.torch._watch import check_every, head_of, watch_pass

STAGES = ("train", "validation", "test")


class NeuralCollapseCallback(Callback):
    """Logs the collapse of the features that enter the classifier to whatever logger is attached.

    In each of ``stages`` the features are caught in the forward passes that Lightning makes anyway,
    so watching costs no forward pass. During "train" the weights move and layers are in training
    mode while the statistics gather. The papers' definition, one set of weights in evaluation mode,
    is what ``loader`` gives: it is gone through after the epoch and logged as stage "loader".

    Names are ``{prefix}/{stage}/{metric}``; they can be monitored by other callbacks. The ranks'
    statistics are merged.

    Parameters
    ----------
    head
        Name of the classifier; without it the nn.Linear that the module registered last.
    preset
        As in `NeuralCollapse`.
    stages
        Some of "train", "validation", "test".
    loader
        Batches for a pass of their own.
    every_n_epochs
        Only in each n-th epoch.
    unpack
        From a batch to (inputs, labels), where they are no pair and no mapping with "labels".
    pool, ignore_index
        As in `measure_model`.
    """

    def __init__(
        self,
        *,
        head: str | None = None,
        preset: str | Iterable[str] = "papyan2020",
        stages: Sequence[str] = ("validation",),
        loader: Iterable[Any] | None = None,
        every_n_epochs: int = 1,
        unpack: Unpack | None = None,
        pool: Pool = "mean",
        ignore_index: int | None = None,
        prefix: str = "nc",
    ) -> None:
        unknown = [stage for stage in stages if stage not in STAGES]
        if unknown or isinstance(stages, str):
            raise ValueError(f"stages must be some of {', '.join(STAGES)}, but it is {stages!r}")
        self.head = head
        self.preset = preset_names(preset)
        self.stages = tuple(stages)
        self.loader = loader
        self.every_n_epochs = check_every(every_n_epochs)
        self.unpack = unpack or unpack_batch
        self.pool: Pool = check_pool(pool)
        self.ignore_index = ignore_index
        self.prefix = prefix
        self._taps: dict[str, FeatureTap] = {}
        self._metrics: dict[str, NeuralCollapse] = {}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("train", trainer, pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._start("validation", trainer, pl_module)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start("test", trainer, pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._before("train")

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._before("validation")

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._before("test")

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        self._update("train", batch)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._update("validation", batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._update("test", batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("train", pl_module)
        if self.loader is not None and self._due(trainer):
            values = watch_pass(
                pl_module,
                self.loader,
                head=self.head,
                preset=self.preset,
                unpack=self.unpack,
                pool=self.pool,
                ignore_index=self.ignore_index,
                device=pl_module.device,
            )
            self._log("loader", values, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("validation", pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish("test", pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._stop()

    def _due(self, trainer: Trainer) -> bool:
        return (trainer.current_epoch + 1) % self.every_n_epochs == 0

    def _start(self, stage: str, trainer: Trainer, pl_module: LightningModule) -> None:
        if stage not in self.stages or not (stage == "test" or self._due(trainer)):
            return
        name, module = head_of(pl_module, self.head)
        self._taps[stage] = FeatureTap(module, name)
        self._metrics[stage] = NeuralCollapse(head=module, preset=self.preset).to(pl_module.device)

    def _before(self, stage: str) -> None:
        if stage in self._taps:
            self._taps[stage].__enter__().clear()

    def _update(self, stage: str, batch: Any) -> None:
        if stage not in self._taps:
            return
        labels = self.unpack(batch)[1]
        tap = self._taps[stage]
        features = head_rows(tap.take(), labels, self.pool, tap.name)
        tap.close()
        features, labels = aligned(features, labels, self.ignore_index)
        self._metrics[stage].update(features, labels)

    def _finish(self, stage: str, pl_module: LightningModule) -> None:
        if stage not in self._taps:
            return
        self._taps.pop(stage).close()
        metric = self._metrics.pop(stage)
        self._log(stage, {name: float(v) for name, v in metric.compute().items()}, pl_module)

    def _log(self, stage: str, values: dict[str, float], pl_module: LightningModule) -> None:
        pl_module.log_dict(
            {f"{self.prefix}/{stage}/{name}": value for name, value in values.items()},
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )

    def _stop(self) -> None:
        for tap in self._taps.values():
            tap.close()
        self._taps, self._metrics = {}, {}
