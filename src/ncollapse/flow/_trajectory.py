"""What a run of gradient flow leaves behind, and the recorder that collects it chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ncollapse.models import Model, Parameters

INTERRUPTED = "Interrupted"


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A path of gradient flow, recorded at each of its T accepted steps.

    Attributes
    ----------
    s, log_time, log_inverse_loss, norm, speed, drift
        ``(T,)``: rescaled time; log of physical time; log(1/L), L the summed loss; ‖θ‖;
        ‖dθ/ds‖/‖θ‖; the largest change of a conserved quantity so far, relative to ‖θ‖².
    observations
        What the model records at each step, each with leading dimension T.
    snapshots
        Parameters (as the flow holds them) at the M values ``snapshot_s`` of s, leading dimension
        M ≤ 256. The first is the start and the last the end; early ones are the densest.
    parameters
        The final parameters as the user knows them.
    stopped
        Why the run ended, a full sentence; ``reached`` says whether it was the goal asked for.
    """

    model: Model
    s: np.ndarray
    log_time: np.ndarray
    log_inverse_loss: np.ndarray
    norm: np.ndarray
    speed: np.ndarray
    drift: np.ndarray
    observations: dict[str, np.ndarray]
    snapshot_s: np.ndarray
    snapshots: dict[str, np.ndarray]
    parameters: dict[str, np.ndarray]
    reached: bool
    stopped: str
    steps: int
    rejected: int
    evaluations: int
    seconds: float
    compile_seconds: float

    @property
    def interrupted(self) -> bool:
        """Whether an interrupt ended the run."""
        return self.stopped.startswith(INTERRUPTED)

    def save(self, path: str | Path) -> None:
        """Write the path to an npz file: every array of this record, and why it ended.

        Observations, snapshots and final parameters are prefixed with their group's name.
        """
        arrays = {
            name: getattr(self, name)
            for name in (
                "s",
                "log_time",
                "log_inverse_loss",
                "norm",
                "speed",
                "drift",
                "snapshot_s",
            )
        }
        for group in ("observations", "snapshots", "parameters"):
            arrays |= {f"{group}.{name}": leaf for name, leaf in getattr(self, group).items()}
        with open(path, "wb") as file:
            np.savez_compressed(file, stopped=np.array(self.stopped), **arrays)

    def features_at(self, snapshot: int = -1) -> np.ndarray:
        """Last-layer features ``(N, D)`` at a snapshot."""
        with jax.enable_x64(True):
            return np.asarray(self.model.features(self._at(snapshot)))

    def classifier_at(self, snapshot: int = -1) -> tuple[np.ndarray, np.ndarray | None]:
        """Classifier weight ``(K, D)`` and bias ``(K,)`` or None at a snapshot."""
        weight, bias = self.model.classifier(self._at(snapshot))
        return np.asarray(weight), None if bias is None else np.asarray(bias)

    def _at(self, snapshot: int) -> Parameters:
        return {name: values[snapshot] for name, values in self.snapshots.items()}

    def to_dict(self) -> dict[str, Any]:
        """The end of the run and how it went, ready for JSON."""
        return {
            "log_inverse_loss": float(self.log_inverse_loss[-1]),
            "log_time": float(self.log_time[-1]),
            "s": float(self.s[-1]),
            "norm": float(self.norm[-1]),
            "conserved_drift": float(self.drift[-1]),
            "reached": self.reached,
            "stopped": self.stopped,
            "steps": self.steps,
            "rejected": self.rejected,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "compile_seconds": self.compile_seconds,
        }


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Ends of S runs of one model, integrated together; arrays have leading dimension S."""

    model: Model
    s: np.ndarray
    log_time: np.ndarray
    log_inverse_loss: np.ndarray
    drift: np.ndarray
    parameters: dict[str, np.ndarray]
    """Final parameters as the flow holds them; `Model.lift` takes one member's."""
    reached: np.ndarray
    steps: np.ndarray
    seconds: float
    compile_seconds: float

    def member(self, index: int) -> Parameters:
        return {name: values[index] for name, values in self.parameters.items()}


class Recorder:
    """Collects the records of successive chunks of steps and decides when a run is over."""

    def __init__(self, model: Model, invariants: np.ndarray, start: Parameters) -> None:
        self.model = model
        self.invariants = invariants
        self.start = start
        self.steps: list[dict[str, Any]] = []
        self.snapshots: list[dict[str, Any]] = [{"s": np.zeros(1), "parameters": _leading(start)}]
        self.taken = 0
        self.rejected = 0

    def add(self, record: dict[str, Any], end: Parameters) -> None:
        """Keep one chunk: its accepted steps, its snapshots and where it ended."""
        count = int(record["stats"]["num_accepted_steps"])
        self.taken += count
        self.rejected += int(record["stats"]["num_rejected_steps"])
        if count == 0:
            return
        kept = jax.tree.map(lambda leaf: np.asarray(leaf)[:count], record["steps"])
        self.steps.append(kept)
        inside = np.isfinite(record["snapshots"]["s"]) & (record["snapshots"]["s"] < kept["s"][-1])
        self.snapshots.append(
            jax.tree.map(lambda leaf: np.asarray(leaf)[inside], record["snapshots"])
        )
        self.snapshots.append({"s": kept["s"][-1:], "parameters": _leading(end)})

    @property
    def log_inverse_loss(self) -> float:
        return float(self.steps[-1]["log_inverse_loss"][-1])

    def stalled(self, share: float) -> bool:
        """Speed below ``share`` of its largest, and log(1/L) up by less than 1e-2 since s/2."""
        s, level, speed = (self._joined(name) for name in ("s", "log_inverse_loss", "speed"))
        middle = np.searchsorted(s, s[-1] / 2)
        return bool(speed[-1] < share * speed.max() and level[-1] - level[middle] < 1e-2)

    def _joined(self, name: str) -> np.ndarray:
        return np.concatenate([chunk[name] for chunk in self.steps])

    def trajectory(self, **outcome: Any) -> Trajectory:
        """Everything recorded, with ``outcome`` (why it ended, what it cost) beside it."""
        if not self.steps:
            raise ValueError("the integrator could not take a first step from start")
        steps = jax.tree.map(lambda *leaves: np.concatenate(leaves), *self.steps)
        snapshots = jax.tree.map(lambda *leaves: np.concatenate(leaves), *self.snapshots)
        kept = _kept_snapshots(len(snapshots["s"]))
        snapshots = jax.tree.map(lambda leaf: leaf[kept], snapshots)
        change = steps["invariants"] - self.invariants
        drift = np.abs(change).reshape(len(change), -1).max(axis=1) / steps["norm"] ** 2
        kinds = jax.eval_shape(self.model.observe, self.start)
        observations = {
            name: values.astype(kinds[name].dtype) for name, values in steps["observations"].items()
        }
        final = {name: leaf[-1] for name, leaf in snapshots["parameters"].items()}
        return Trajectory(
            model=self.model,
            s=steps["s"],
            log_time=steps["log_time"],
            log_inverse_loss=steps["log_inverse_loss"],
            norm=steps["norm"],
            speed=steps["speed"],
            drift=np.maximum.accumulate(drift),
            observations=observations,
            snapshot_s=snapshots["s"],
            snapshots=snapshots["parameters"],
            parameters=self.model.lift(final),
            steps=self.taken,
            rejected=self.rejected,
            **outcome,
        )


def _kept_snapshots(count: int, early: int = 64, most: int = 256) -> np.ndarray:
    """Rows of at most ``most`` snapshots: the first ``early`` ones, then evenly to the last."""
    if count <= most:
        return np.arange(count)
    late = np.linspace(early, count - 1, most - early).round().astype(int)
    return np.concatenate([np.arange(early), late])


def _leading(tree: Parameters) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf)[None] for name, leaf in tree.items()}
