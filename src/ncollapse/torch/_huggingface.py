"""A Hugging Face Trainer callback that watches collapse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ncollapse.torch._watching import Watching, check_loader, values_by_name

SPLITS = ("train", "eval")


class NeuralCollapseTrainerCallback(TrainerCallback):
    """Measures the model after every n-th epoch and logs through the trainer's own reporters.

    >>> trainer.add_callback(NeuralCollapseTrainerCallback(trainer))  # doctest: +SKIP

    The passes are those of `measure_model`, in evaluation mode over the trainer's loader of
    ``split``, or over ``loader``; mode and random state stay as they were. Under several processes
    each goes over its own shard and the statistics are merged. Classifier, layers and batches are
    checked on the first batch when training begins.

    Names are ``{prefix}_{metric}``, for a layer ``{prefix}_{layer}_{metric}``, and hold for
    ``metric_for_best_model`` and `EarlyStoppingCallback` too: evaluations have them, with "eval_"
    before those that lack it, as the trainer looks them up. Where one of them chooses the best
    model, every evaluation measures.

    Parameters
    ----------
    trainer
        Where to log: callbacks are not handed the trainer themselves.
    split
        "train" or "eval".
    loader
        Other batches.
    prefix
        What the names begin with; without it the split.
    **options
        ``every_n_epochs``: only in each n-th epoch. ``head``, ``layers``, ``preset``, ``nc4``,
        ``objective``, ``classes``, ``pool``, ``ignore_index``, ``shift_labels``, ``unpack``: as in
        `measure_model`.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        split: str = "train",
        loader: Iterable[Any] | None = None,
        prefix: str | None = None,
        **options: Any,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}, but it is {split!r}")
        self.trainer = trainer
        self.split = split
        self.loader = check_loader(loader)
        self.prefix = split if prefix is None else prefix
        self.watching = Watching(**options)
        self._epochs = 0
        self._step: int | None = None
        self._values: dict[str, float] = {}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        **kwargs: Any,
    ) -> None:
        self._epochs, self._step, self._values = 0, None, {}
        # Early stopping reads an evaluation's metrics after this callback has put its own there.
        callbacks = self.trainer.callback_handler.callbacks
        callbacks.insert(0, callbacks.pop(callbacks.index(self)))
        self.watching.rehearse(model, self._batches(), self.trainer.compute_loss_context_manager)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """What was measured may be another model's from here on: the best one is loaded."""
        self._step = None

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        **kwargs: Any,
    ) -> None:
        self._epochs += 1
        if self._epochs % self.watching.every_n_epochs == 0:
            self.trainer.log(dict(self._measured(model, state)))

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        model: nn.Module,
        **kwargs: Any,
    ) -> None:
        if self._step != state.global_step and self._chooses(args.metric_for_best_model):
            self._measured(model, state)
        if self._step == state.global_step:
            metrics.update({_evaluated(name): value for name, value in self._values.items()})

    def _chooses(self, best: str | None) -> bool:
        names = [f"{self.prefix}_{name}" for name in self.watching.names("_")]
        return best is not None and _evaluated(best) in map(_evaluated, names)

    def _measured(self, model: nn.Module, state: TrainerState) -> dict[str, float]:
        context = self.trainer.compute_loss_context_manager
        measurement = self.watching.measure(model, self._batches(), context)
        values = values_by_name(measurement, "_")
        self._step = state.global_step
        self._values = {f"{self.prefix}_{name}": value for name, value in values.items()}
        return self._values

    def _batches(self) -> Iterable[Any]:
        if self.loader is not None:
            return self.loader
        if self.split == "train":
            return self.trainer.get_train_dataloader()
        return self.trainer.get_eval_dataloader()


def _evaluated(name: str) -> str:
    """The name under which the trainer looks it up among the metrics of an evaluation."""
    return name if name.startswith("eval_") else f"eval_{name}"
