"""The recorder of a flow: takes its chunks of steps and makes a run of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ncollapse.flow.steppers import capabilities
from ncollapse.models import Model, Parameters
from ncollapse.runs import End, Run
from ncollapse.setup import Setup

_SWITCHES = 4  # in one chunk; a path that crosses a kink once or twice is not sliding along it
_RISE = 12.0
"""On φ = eˢ from 10, 10² and 10⁴ the cubic errs by 1e-3, 6e-6 and 7e-12 up to here and the linear slope by
5e-2, 9e-4 and 1e-7; from 10⁶ on the linear slope is the better one, and beyond 40 everywhere."""
_SERIES = ("s", "log_time", "log_inverse_loss", "norm", "speed", "drift")


@dataclass(frozen=True, eq=False)
class Chunk:
    """Accepted steps of one call of the integrator, and the state that the next one starts from."""

    steps: dict[str, Any]
    snapshots: dict[str, Any]
    state: Any
    now: np.ndarray
    step: np.ndarray
    taken: int
    rejected: int
    evaluations: int


class Recorder:
    """Collects successive chunks of steps of one flow.

    ``begin`` is the survey of the start: its invariants, its loss and rate, the first step's size
    and ``kinds``, a number of the type of each observation. A ``resumed`` run is the first chunk.
    """

    def __init__(
        self, model: Model, start: Parameters, begin: dict[str, Any], resumed: Run | None
    ) -> None:
        self.model = model
        self.begin = begin
        self.resumed = resumed
        if resumed is None:
            first = {"s": np.zeros(1), "parameters": _leading(start)}
            state = (start, np.zeros(()))
            self.chunks = [Chunk({}, first, state, np.zeros(()), begin["first_step"], 0, 0, 0)]
        else:
            self.chunks = [_as_chunk(resumed)]

    @property
    def last(self) -> Chunk:
        return self.chunks[-1]

    @property
    def tried(self) -> int:
        """Steps accepted and rejected."""
        return sum(chunk.taken + chunk.rejected for chunk in self.chunks)

    @property
    def level(self) -> float:
        """log(1/L) at the last step."""
        last = next((chunk.steps for chunk in reversed(self.chunks) if chunk.steps), None)
        return (
            -float(self.begin["log_loss"]) if last is None else float(last["log_inverse_loss"][-1])
        )

    @property
    def started(self) -> bool:
        """Whether a step has been accepted."""
        return any(chunk.taken for chunk in self.chunks)

    def add(self, record: dict[str, Any], state: Any, now: Any, step: Any) -> None:
        """Keep one chunk: its accepted steps, its snapshots and where it ended."""
        count = int(record["stats"]["num_accepted_steps"])
        steps = jax.tree.map(lambda leaf: np.asarray(leaf)[:count], record["steps"])
        steps["drift"] = drift(steps.pop("invariants"), self.begin["invariants"], steps["norm"])
        snapshots = jax.tree.map(np.asarray, record["snapshots"])
        inside = np.isfinite(snapshots["s"]) & (snapshots["s"] < float(now))
        end = {"s": np.asarray(now)[None], "parameters": _leading(state[0])}
        snapshots = jax.tree.map(
            lambda rows, row: np.concatenate([rows[inside], row]), snapshots, end
        )
        self.chunks.append(
            Chunk(
                steps=steps if count else {},
                snapshots=snapshots if count else jax.tree.map(lambda leaf: leaf[:0], snapshots),
                state=jax.tree.map(np.asarray, state),
                now=np.asarray(now),
                step=np.asarray(step),
                taken=count,
                rejected=int(record["stats"]["num_rejected_steps"]),
                evaluations=int(record["evaluations"]),
            )
        )

    def stalled(self, share: float) -> bool:
        """Speed below ``share`` of its largest, and log(1/L) up by less than 1e-2 since s/2."""
        s, level, speed = (self._joined(name) for name in ("s", "log_inverse_loss", "speed"))
        middle = np.searchsorted(s, s[-1] / 2)
        return bool(speed[-1] < share * speed.max() and level[-1] - level[middle] < 1e-2)

    def failed(self, rtol: float, *, timed: bool) -> bool:
        """Whether the loss rose beyond its error, or time stopped being finite.

        A step errs by rtol·‖θ‖, which is 2 rtol·log(1/L) in the log of the loss late in a flow;
        √rtol·log(1/L) is that of many steps.
        """
        level = self._joined("log_inverse_loss")
        fall = np.maximum.accumulate(level) - level
        rose = not np.isfinite(level).all() or np.any(
            fall > np.sqrt(rtol) * np.maximum(1.0, np.abs(level))
        )
        return bool(rose or (timed and not np.isfinite(self._joined("log_time")).all()))

    def sliding(self) -> list[tuple[int, int]]:
        """Samples and neurons whose kink the last chunk crossed again and again."""
        kinks = np.asarray(jax.vmap(self.model.kinks)(self.last.snapshots["parameters"]))
        switches = np.sum(np.diff(np.sign(kinks), axis=0) != 0, axis=0)
        return [(int(i), int(j)) for i, j in np.argwhere(switches >= _SWITCHES)]

    def evaluations(self, solver: Any) -> int:
        """Evaluations of the field or its derivative.

        A solver without a fixed number of stages counts those of accepted steps; rejected ones
        are taken to cost as much on average.
        """
        own = self.chunks[1:] if self.resumed is not None else self.chunks
        taken, rejected = (sum(getattr(c, n) for c in own) for n in ("taken", "rejected"))
        before = 0 if self.resumed is None else self.resumed.evaluations
        if capabilities(solver).counts:
            counted = sum(chunk.evaluations for chunk in own)
            return before + round(counted * (taken + rejected) / max(taken, 1))
        return before + (taken + rejected) * solver.tableau.num_stages

    def _joined(self, name: str) -> np.ndarray:
        return np.concatenate([chunk.steps[name] for chunk in self.chunks if chunk.steps])

    def run(
        self,
        setup: Setup,
        end: tuple[End, str],
        *,
        solver: Any,
        quadrature: bool,
        seconds: float,
        compile_seconds: float,
    ) -> Run:
        """Everything recorded. With ``quadrature``, physical time is integrated from it."""
        kept = [chunk.steps for chunk in self.chunks if chunk.steps]
        steps = jax.tree.map(lambda *leaves: np.concatenate(leaves), *kept)
        steps["drift"] = np.maximum.accumulate(steps["drift"])
        if quadrature:
            steps["log_time"] = integrated_log_time(steps, self.begin)
        snapshots = jax.tree.map(
            lambda *leaves: np.concatenate(leaves), *(chunk.snapshots for chunk in self.chunks)
        )
        rows = kept_snapshots(len(snapshots["s"]))
        snapshots = jax.tree.map(lambda leaf: leaf[rows], snapshots)
        kinds = self.begin["kinds"]
        spent = (0.0, 0.0)
        if self.resumed is not None:
            spent = self.resumed.seconds, self.resumed.compile_seconds
        return Run(
            setup=setup,
            end=end[0],
            stopped=end[1],
            **{name: steps[name] for name in _SERIES},
            observations={
                name: values.astype(kinds[name].dtype)
                for name, values in steps["observations"].items()
            },
            snapshot_s=snapshots["s"],
            snapshots=snapshots["parameters"],
            parameters=self.model.lift(self.last.state[0]),
            steps=sum(chunk.taken for chunk in self.chunks),
            rejected=sum(chunk.rejected for chunk in self.chunks),
            evaluations=self.evaluations(solver),
            seconds=spent[0] + seconds,
            compile_seconds=spent[1] + compile_seconds,
            state=(np.asarray(self.last.state[1]), self.last.step),
            model=self.model,
        )


def drift(invariants: np.ndarray, start: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """Largest change of a conserved quantity from its ``start``, relative to ‖θ‖², ``(T,)``."""
    change = np.abs(invariants - start)
    return change.max(axis=tuple(range(1, change.ndim)), initial=0.0) / norm**2


def integrated_log_time(steps: dict[str, Any], begin: dict[str, Any]) -> np.ndarray:
    """log t = log ∫ e^φ ds, φ = log(1/L), from φ and dφ/ds = ‖∇ log L‖² at the recorded steps.

    Over a step on which φ rises by less than 12, φ is the cubic through both ends and slopes, and
    Gauss–Legendre quadrature does the rest. Where it rises by more only the end counts: there
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
    small = rise < _RISE
    gauss = width * (0.5 * weights @ np.exp(np.where(small, below, 0.0)))
    jump = np.where(small, 1.0, rise)
    slope = (1.0 / rate[1:] - 1.0 / rate[:-1]) / jump
    tail = np.exp(-jump)
    linear = (1.0 - tail) / rate[1:] - slope * (1.0 - tail * (1.0 + jump))
    return np.logaddexp.accumulate(end + np.log(np.where(small, gauss, linear)))


def kept_snapshots(count: int, early: int = 64, most: int = 256) -> np.ndarray:
    """Rows of at most ``most`` snapshots: the first ``early`` ones, then evenly to the last."""
    if count <= most:
        return np.arange(count)
    late = np.linspace(early, count - 1, most - early).round().astype(int)
    return np.concatenate([np.arange(early), late])


def _as_chunk(run: Run) -> Chunk:
    steps = {name: getattr(run, name) for name in _SERIES}
    steps["observations"] = run.observations
    snapshots = {"s": run.snapshot_s, "parameters": run.snapshots}
    scaled_time, step = run.state
    state = (run.at(-1), scaled_time)
    return Chunk(steps, snapshots, state, run.s[-1], step, run.steps, run.rejected, 0)


def _leading(tree: Parameters) -> Parameters:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], tree)
