"""What a run of gradient flow leaves behind, and the recorder that collects it chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ncollapse.flow.steppers import MatrixFree
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
    """Collects the records of successive chunks of steps and decides when a run is over.

    ``begin`` is the survey of the start: its invariants, its loss and rate, and ``kinds``, a number
    of the type of each observation.
    """

    def __init__(self, model: Model, begin: dict[str, Any], start: Parameters) -> None:
        self.model = model
        self.begin = begin
        self.steps: list[dict[str, Any]] = []
        self.snapshots: list[dict[str, Any]] = [{"s": np.zeros(1), "parameters": _leading(start)}]
        self.taken = 0
        self.rejected = 0
        self.counted = 0

    def add(self, record: dict[str, Any], end: Parameters) -> None:
        """Keep one chunk: its accepted steps, its snapshots and where it ended."""
        count = int(record["stats"]["num_accepted_steps"])
        self.taken += count
        self.rejected += int(record["stats"]["num_rejected_steps"])
        self.counted += int(record["evaluations"])
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

    def evaluations(self, solver: Any) -> int:
        """Evaluations of the field or its derivative.

        A solver without a fixed number of stages counts those of accepted steps; rejected ones
        are taken to cost as much on average.
        """
        tried = self.taken + self.rejected
        if isinstance(solver, MatrixFree):
            return round(self.counted * tried / max(self.taken, 1))
        return tried * solver.tableau.num_stages

    def stalled(self, share: float) -> bool:
        """Speed below ``share`` of its largest, and log(1/L) up by less than 1e-2 since s/2."""
        s, level, speed = (self._joined(name) for name in ("s", "log_inverse_loss", "speed"))
        middle = np.searchsorted(s, s[-1] / 2)
        return bool(speed[-1] < share * speed.max() and level[-1] - level[middle] < 1e-2)

    def _joined(self, name: str) -> np.ndarray:
        return np.concatenate([chunk[name] for chunk in self.steps])

    def trajectory(self, *, quadrature: bool = False, **outcome: Any) -> Trajectory:
        """Everything recorded, with ``outcome`` (why it ended, what it cost) beside it.

        With ``quadrature``, physical time is integrated from the record.
        """
        if not self.steps:
            raise ValueError("the integrator could not take a first step from start")
        steps = jax.tree.map(lambda *leaves: np.concatenate(leaves), *self.steps)
        snapshots = jax.tree.map(lambda *leaves: np.concatenate(leaves), *self.snapshots)
        kept = _kept_snapshots(len(snapshots["s"]))
        snapshots = jax.tree.map(lambda leaf: leaf[kept], snapshots)
        change = steps["invariants"] - self.begin["invariants"]
        drift = (
            np.abs(change).reshape(len(change), -1).max(axis=1, initial=0.0) / steps["norm"] ** 2
        )
        log_time = _integrated_log_time(steps, self.begin) if quadrature else steps["log_time"]
        kinds = self.begin["kinds"]
        observations = {
            name: values.astype(kinds[name].dtype) for name, values in steps["observations"].items()
        }
        final = {name: leaf[-1] for name, leaf in snapshots["parameters"].items()}
        return Trajectory(
            model=self.model,
            s=steps["s"],
            log_time=log_time,
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


def _integrated_log_time(steps: dict[str, Any], begin: dict[str, Any]) -> np.ndarray:
    """log t = log ∫ e^φ ds, φ = log(1/L), from φ and dφ/ds = ‖∇ log L‖² at the recorded steps.

    Over a step on which φ rises by little, φ is the cubic through both ends and slopes, and
    Gauss–Legendre quadrature does the rest. Where it rises by much only the end counts: there
    ∫ e^φ (ds/dφ) dφ with ds/dφ linear in φ is known exactly.
    """
    level = np.concatenate([[-float(begin["log_loss"])], steps["log_inverse_loss"]])
    rate = np.concatenate([[float(begin["rate"])], (steps["speed"] * steps["norm"]) ** 2])
    width = np.diff(np.concatenate([[0.0], steps["s"]]))
    rise, end = np.diff(level), level[1:]
    nodes, weights = np.polynomial.legendre.leggauss(12)
    u = 0.5 * (nodes[:, None] + 1.0)
    below = (  # Hermite cubic minus its value at the end
        -(2 * u**3 - 3 * u**2 + 1) * rise
        + (u**3 - 2 * u**2 + u) * width * rate[:-1]
        + (u**3 - u**2) * width * rate[1:]
    )
    small = rise < 4.0
    gauss = width * (0.5 * weights @ np.exp(np.where(small, below, 0.0)))
    jump = np.where(small, 1.0, rise)
    slope = (1.0 / rate[1:] - 1.0 / rate[:-1]) / jump
    tail = np.exp(-jump)
    linear = (1.0 - tail) / rate[1:] - slope * (1.0 - tail * (1.0 + jump))
    return np.logaddexp.accumulate(end + np.log(np.where(small, gauss, linear)))


def _kept_snapshots(count: int, early: int = 64, most: int = 256) -> np.ndarray:
    """Rows of at most ``most`` snapshots: the first ``early`` ones, then evenly to the last."""
    if count <= most:
        return np.arange(count)
    late = np.linspace(early, count - 1, most - early).round().astype(int)
    return np.concatenate([np.arange(early), late])


def _leading(tree: Parameters) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf)[None] for name, leaf in tree.items()}
