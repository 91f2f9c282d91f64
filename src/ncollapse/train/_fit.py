"""`fit`: train any network by a recipe, watched by the project's own metrics, and resumably."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from ncollapse._checks import prepare_folder
from ncollapse.metrics import measure
from ncollapse.metrics.registry import preset_names
from ncollapse.runs import End, Run
from ncollapse.setup import Setup
from ncollapse.train._checkpoint import read_checkpoint, write_checkpoint
from ncollapse.train._descent import Progress
from ncollapse.train._last_layer import LastLayer, Snapshot
from ncollapse.train._objective import BATCH_NORMS, Objective, Samples
from ncollapse.train._recipe import Recipe
from ncollapse.train._training import Training

Grid = Literal["log", "loglog"]
SECONDS_BETWEEN = 60.0
"""Longest time between checkpoints, where an epoch ends."""

_SERIES = ("s", "log_time", "log_inverse_loss", "norm", "speed", "drift")
_FREE = ("epochs", "records", "grid")


def fit(
    model: nn.Module,
    data: Any,
    recipe: Recipe,
    *,
    seed: int = 0,
    epochs: int | None = None,
    head: str | None = None,
    preset: str | Iterable[str] = "papyan2020",
    records: int = 40,
    grid: Grid = "log",
    checkpoint: str | Path | None = None,
    resume: str | Path | bool = False,
    on_progress: Progress | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    mixed_precision: bool = False,
) -> Run:
    """Train ``model`` in place to minimise what `Recipe` states, and measure its last layer.

    On a CPU an interrupted or killed run that is resumed ends with the weights of one that was
    not, bit for bit.

    Parameters
    ----------
    model
        One of this package or anyone's: its classifier is found as `ncollapse.torch.measure_model`
        does, or named by ``head``. It is moved to ``device`` and ``dtype``, and left in evaluation mode.
    data
        A `Dataset`, or (inputs, labels): rows ``(N, d)`` or images ``(N, H, W)`` or ``(N, C, H, W)``,
        class indices ``(N,)``. They are not changed: neither scaled nor augmented.
    seed
        Of the order of batches, and of layers that draw random numbers.
    epochs
        In the place of the recipe's; its schedule follows.
    preset
        What is measured, as in `ncollapse.metrics.measure`; in evaluation mode, over all samples.
    records, grid
        About how many epochs to record, spread evenly in log(epoch) or log(log(epoch)); the start
        and the last always are.
    checkpoint, resume
        File to write the state to, at each record and at least each minute; such a file to go on
        from, or True for ``checkpoint`` itself, if it is there. ``epochs`` and ``records`` may then
        differ, where the schedule does not depend on them; a run that is done is returned.
    on_progress
        Called with the epoch and log(1/L) of its batches after each.
    mixed_precision
        Forward passes in bfloat16.

    Returns
    -------
    Run
        ``s`` are epochs, ``log_time`` log of the steps summed, L the mean loss without decays,
        ``speed`` the change of θ in the last epoch over its norm (NaN at the start); observations are
        the metrics, NaN where undefined, ``accuracy``, ``loss`` and ``value``, which has the decays.
        Snapshots are features and classifier at the start and the end, ``parameters`` the state of
        the model at the end. A loss or parameters that stop being finite end it (`End.DIVERGED`) at
        the last epoch where they were, an interrupt at the last that was finished.

    Raises
    ------
    ValueError
        Data that are not what is listed, labels and logits that do not fit, a recipe that does not
        fit the network, a device that is not there, a checkpoint that is damaged or of another
        recipe, network or data, fewer epochs than its own.
    OSError
        A checkpoint that cannot be written; the last one stays.
    """
    recipe = recipe if epochs is None else replace(recipe, epochs=epochs)
    device = _usable(device)
    samples = Samples(data, device, dtype)
    objective = Objective(model.to(device, dtype), recipe, samples, head)
    kept_in = None if checkpoint is None else Path(checkpoint)
    if kept_in is not None:
        prepare_folder(kept_in.parent)
    if resume is True:
        resume = kept_in if kept_in is not None and kept_in.exists() else False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        training = Training(objective, seed, mixed_precision)
        names = preset_names(preset)
        fitting = _Fitting(training, names, kept_in, on_progress)
        fitting.setup = _setup(training, seed, names, {"records": records, "grid": grid})
        if resume is False:
            fitting.begin()
        else:
            fitting.resume(Path(resume), device)
        return fitting.run(epoch_grid(recipe.epochs, records, grid))


def epoch_grid(epochs: int, records: int, grid: Grid = "log") -> list[int]:
    """At most ``records`` epochs from 1 to ``epochs``, even in log(epoch) or in log(log(epoch)).

    Epoch 1 has no place on the second grid and comes besides. Raises ``ValueError`` for fewer than
    two records or another grid.
    """
    if records < 2:
        raise ValueError(f"records must be at least 2, but it is {records}")
    if grid not in ("log", "loglog"):
        raise ValueError(f"grid must be log or loglog, but it is {grid!r}")
    if grid == "log" or epochs < 3:
        marks = np.geomspace(1, epochs, records)
    else:
        marks = np.exp(np.geomspace(math.log(2), math.log(epochs), records - 1))
        marks = np.concatenate([[1.0], marks])
    return sorted({round(float(mark)) for mark in marks})


class _Fitting:
    """One run: what it recorded, the last good state, and where that is kept."""

    setup: Setup

    def __init__(
        self,
        training: Training,
        names: tuple[str, ...],
        checkpoint: Path | None,
        on_progress: Progress | None,
    ) -> None:
        self.training, self.objective = training, training.objective
        self.names, self.checkpoint, self.on_progress = names, checkpoint, on_progress
        self.records: list[dict[str, Any]] = []
        self.began = self.written = time.perf_counter()
        self.spent = 0.0

    def begin(self) -> None:
        self.kept = self.recorded = {**self.training.state(), "moved": math.nan}
        if not self.record(math.nan):
            raise ValueError("model gives a loss that is not finite before any training")
        self.start = self.end

    def resume(self, path: Path, device: torch.device) -> None:
        found = read_checkpoint(path, self.setup, device, without=_FREE)
        self.training.load(found["state"])
        self.kept = self.recorded = found["state"]
        done, epochs = self.training.done, self.objective.recipe.epochs
        if epochs < done:
            raise ValueError(f"epochs must be at least {done}, but it is {epochs}")
        self.records, self.spent = found["records"], found["seconds"]
        self.start = {name: part.cpu().numpy() for name, part in found["start"].items()}

    def run(self, marks: list[int]) -> Run:
        training, last = self.training, marks[-1]
        end = End.EPOCHS, f"Did {last} epochs."
        try:
            if training.done == last:
                self.record(self.kept["moved"])
            while training.done < last:
                loss = training.epoch()
                if not math.isfinite(loss) or not self._keep(training.done in marks):
                    end = End.DIVERGED, self._go_back(training.done)
                    break
                if self.on_progress is not None:
                    self.on_progress(float(training.done), _log_inverse(loss))
        except KeyboardInterrupt:
            if not self.kept["epochs"]:
                raise
            training.load(self.kept)
            self.record(self.kept["moved"])
            end = End.INTERRUPTED, f"Interrupted after epoch {training.done}, which is kept."
        self._write()
        return self._run(end)

    def _keep(self, wanted: bool) -> bool:
        """Take the state as the last good one; False if it is wanted and cannot be recorded."""
        before = self.kept["model"]
        moved = _norm(
            parameter.detach() - before[name]
            for name, parameter in self.objective.model.named_parameters()
        )
        if wanted and not self.record(moved):
            return False
        self.kept = {**self.training.state(), "moved": moved}
        if wanted:
            self.recorded = self.kept
        if wanted or time.perf_counter() - self.written > SECONDS_BETWEEN:
            self._write()
        return True

    def _go_back(self, lost: int) -> str:
        """Load the last state with a finite loss, and name it."""
        for state in (self.kept, self.recorded):
            self.training.load(state)
            if self.record(state["moved"]):
                break
        self.kept = state
        kept, rate = self.training.done, self.objective.recipe.rate_at(lost - 1)
        return (
            f"The loss or a parameter is not finite any more in epoch {lost}: learning_rate {rate:g} "
            f"is too large. Kept is epoch {kept}, where the loss is {self.records[-1]['loss']:.6g}."
        )

    def record(self, moved: float) -> bool:
        """Measure the network as it is now, unless this epoch has been; False without a finite loss.

        ``moved`` is how far the last epoch brought it. Records of later epochs are dropped.
        """
        done = self.training.done
        features, loss, accuracy = self.objective.evaluate()
        if not (math.isfinite(loss) and np.isfinite(features).all()):
            return False
        weight, bias = self.objective.last_layer()
        self.end: Snapshot = {"features": features, "weight": weight}
        if bias is not None:
            self.end["bias"] = bias
        self.records = [row for row in self.records if row["s"] <= done]
        if self.records and self.records[-1]["s"] == done:
            return True
        labels = self.training.samples.labels.cpu().numpy()
        measured = measure(features, labels, weight=weight, bias=bias, preset=self.names).metrics
        decay = (
            self.objective.recipe.feature_decay / 2.0 * float(np.sum(features.astype(float) ** 2))
        )
        with torch.no_grad():
            decay += float(self.objective.weight_decay())
        norm, passed = _norm(self.objective.model.parameters()), self.training.time()
        self.records.append(
            {
                "s": float(done),
                "log_time": math.log(passed) if passed else math.nan,
                "log_inverse_loss": _log_inverse(loss),
                "norm": norm,
                "speed": moved / norm if norm else 0.0,
                "drift": 0.0,
                **{name: float(measured.get(name, math.nan)) for name in self.names},
                "accuracy": accuracy,
                "loss": loss,
                "value": loss + decay,
            }
        )
        return True

    def _write(self) -> None:
        if self.checkpoint is None:
            return
        content = {
            "setup": self.setup.to_dict(),
            "state": self.kept,
            "start": {name: torch.from_numpy(part) for name, part in self.start.items()},
            "records": self.records,
            "seconds": self._seconds(),
        }
        write_checkpoint(self.checkpoint, content)
        self.written = time.perf_counter()

    def _seconds(self) -> float:
        return self.spent + time.perf_counter() - self.began

    def _run(self, end: tuple[End, str]) -> Run:
        rows = self.records
        series = {name: np.array([row[name] for row in rows]) for name in _SERIES}
        observations = {
            name: np.array([row[name] for row in rows]) for name in rows[0] if name not in _SERIES
        }
        done = self.training.done
        model = self.objective.model.eval()
        return Run(
            setup=self.setup,
            end=end[0],
            stopped=end[1],
            **series,
            observations=observations,
            snapshot_s=np.array([0.0, float(done)]),
            snapshots={name: np.stack([part, self.end[name]]) for name, part in self.start.items()},
            parameters={
                name: part.cpu().numpy().copy() for name, part in model.state_dict().items()
            },
            steps=done * self.training.batches,
            rejected=0,
            evaluations=done * self.training.batches,
            seconds=self._seconds(),
            compile_seconds=0.0,
            state=(),
            model=LastLayer(self.training.samples.labels.cpu().numpy()),
        )


def _usable(device: torch.device | str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (AssertionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!s} cannot be used here: {reason}") from error


def _setup(training: Training, seed: int, names: tuple[str, ...], free: dict[str, Any]) -> Setup:
    objective, samples = training.objective, training.samples
    recipe, model, head = objective.recipe, objective.model, objective.head
    options = recipe.to_dict()
    for name in ("loss", "optimiser", "weight_decay", "feature_decay"):
        del options[name]
    options |= free | {
        "drops": recipe.drop_epochs(),
        "cosine_epochs": recipe.epochs if recipe.schedule == "cosine" else None,
        "layer_decays": list(recipe.layer_decays),
        "precision": str(samples.inputs.dtype).removeprefix("torch."),
        "mixed_precision": training.mixed_precision,
        "network": _digest(str(model).encode()),
        "data": _digest(
            samples.inputs.cpu().numpy().tobytes(), samples.labels.cpu().numpy().tobytes()
        ),
        "metrics": list(names),
    }
    return Setup(
        model=getattr(model, "name", type(model).__name__),
        loss=recipe.loss,
        counts=tuple(samples.counts.tolist()),
        dim=head.weight.shape[1],
        input_dim=samples.input_dim,
        weight_decay=recipe.head_decay,
        feature_decay=recipe.feature_decay,
        bias=head.bias is not None,
        depth=sum(parameter.ndim >= 2 for parameter in model.parameters()),
        normalisation="batch" if any(isinstance(m, BATCH_NORMS) for m in model.modules()) else None,
        seed=seed,
        method=recipe.optimiser,
        options=options,
    )


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:16]


def _norm(parts: Iterable[torch.Tensor]) -> float:
    return math.sqrt(sum(float(part.detach().double().square().sum()) for part in parts))


def _log_inverse(loss: float) -> float:
    return -math.log(loss) if loss > 0 else math.inf
