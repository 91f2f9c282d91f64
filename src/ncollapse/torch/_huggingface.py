"""A Hugging Face Trainer callback that watches collapse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ncollapse.metrics.registry import preset_names
from ncollapse.torch._batches import Unpack
from ncollapse.torch._taps import Pool, check_pool
from ncollapse.torch._watch import check_every, watch_pass

SPLITS = ("train", "eval")


class NeuralCollapseTrainerCallback(TrainerCallback):
    """Measures the model after every n-th epoch and logs through the trainer's own reporters.

    >>> trainer.add_callback(NeuralCollapseTrainerCallback(trainer))  # doctest: +SKIP

    The pass is made in evaluation mode over the trainer's loader of ``split``, or over ``loader``,
    and leaves mode and random state as they were. Under several processes each goes over its own
    shard and the statistics are merged. Names are ``{prefix}_{metric}``.

    Parameters
    ----------
    trainer
        Where to log: callbacks are not handed the trainer themselves.
    head
        Name of the classifier; without it the nn.Linear that the model registered last.
    preset, pool, unpack, ignore_index
        As in `measure_model`; pass ``pool`` where the classifier sees whole sequences.
    split
        "train" or "eval".
    loader
        Other batches.
    every_n_epochs
        Only in each n-th epoch.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        head: str | None = None,
        preset: str | Iterable[str] = "papyan2020",
        split: str = "train",
        loader: Iterable[Any] | None = None,
        every_n_epochs: int = 1,
        unpack: Unpack | None = None,
        pool: Pool = "mean",
        ignore_index: int | None = None,
        prefix: str = "nc",
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, but it is {split!r}")
        self.trainer = trainer
        self.head = head
        self.preset = preset_names(preset)
        self.split = split
        self.loader = loader
        self.every_n_epochs = check_every(every_n_epochs)
        self.unpack = unpack
        self.pool: Pool = check_pool(pool)
        self.ignore_index = ignore_index
        self.prefix = prefix
        self._epochs = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._epochs = 0

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        self._epochs += 1
        if self._epochs % self.every_n_epochs or model is None:
            return
        values = watch_pass(
            model,
            self._batches(),
            head=self.head,
            preset=self.preset,
            unpack=self.unpack,
            pool=self.pool,
            ignore_index=self.ignore_index,
            device=args.device,
        )
        self.trainer.log({f"{self.prefix}_{name}": value for name, value in values.items()})

    def _batches(self) -> Iterable[Any]:
        if self.loader is not None:
            return self.loader
        if self.split == "train":
            return self.trainer.get_train_dataloader()
        return self.trainer.get_eval_dataloader()
