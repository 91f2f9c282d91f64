"""A run, whatever moved it: the path of gradient flow, of an optimiser or of training.

Files of runs are data: npz without pickles, with a header that names the format and the version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.data import load_arrays
from ncollapse.setup import Setup

FORMAT = 1
"""Format of the files that `Run.save` writes, the only one that `Run.load` reads."""

Tree = Any
"""An array, or a nested dict, list or tuple of trees."""

_SERIES = ("s", "log_time", "log_inverse_loss", "norm", "speed", "drift")
_GROUPS = ("observations", "snapshots", "parameters")
_NUMBERS = ("steps", "rejected", "evaluations", "seconds", "compile_seconds")


class End(Enum):
    """Why a run ended; the value is the sentence for it."""

    GOAL = "It reached the log(1/L) asked for."
    TIME = "It reached the s asked for."
    EPOCHS = "It did the epochs asked for."
    STALLED = "Nothing changes any more."
    STEPS = "Its steps were used up."
    KINKS = "Its steps were used up while it slid along kinks."
    STEP_SIZE = "The integrator failed: its step size fell to zero."
    DIVERGED = "The integrator failed: the loss rose, or time stopped being finite."
    INTERRUPTED = "It was interrupted."

    @property
    def reached(self) -> bool:
        """Whether this is an end that was asked for."""
        return self in (End.GOAL, End.TIME, End.EPOCHS)


@dataclass(frozen=True, eq=False)
class Run:
    """A path through parameter space, recorded T times.

    Attributes
    ----------
    setup, end, stopped
        What the run is of; why it ended; the same as a full sentence with its numbers.
    s
        ``(T,)``: the clock of the run. Rescaled time of a flow on the clock ``"log_loss"``, time
        of one on ``"time"``, epochs of an optimiser.
    log_time
        ``(T,)``: log of physical time; of an optimiser, log of its steps' sizes summed.
    log_inverse_loss, norm, speed, drift
        ``(T,)``: log(1/L), L what the model calls its loss; ‖θ‖; ‖dθ/ds‖/‖θ‖ of the flow;
        the largest change of a conserved quantity so far, relative to ‖θ‖².
    observations
        What the model records at each of the T times, each with leading dimension T.
    snapshots
        Parameters, as the flow holds them, at the M values ``snapshot_s`` of s, leading dimension
        M ≤ 256. The first is the start and the last the end; early ones are the densest.
    parameters
        The final parameters as the user knows them (`ncollapse.models.Model.lift`).
    steps, rejected, evaluations, seconds, compile_seconds
        What it cost, in all.
    state
        Arrays that a resumed run starts from besides the last snapshot.
    model
        What was run; None for a run loaded without it.
    """

    setup: Setup
    end: End
    stopped: str
    s: np.ndarray
    log_time: np.ndarray
    log_inverse_loss: np.ndarray
    norm: np.ndarray
    speed: np.ndarray
    drift: np.ndarray
    observations: dict[str, np.ndarray]
    snapshot_s: np.ndarray
    snapshots: Tree
    parameters: Tree
    steps: int
    rejected: int
    evaluations: int
    seconds: float
    compile_seconds: float
    state: tuple[np.ndarray, ...] = ()
    model: Any = None

    @property
    def reached(self) -> bool:
        """Whether the run ended where it was asked to."""
        return self.end.reached

    @property
    def interrupted(self) -> bool:
        """Whether an interrupt ended the run."""
        return self.end is End.INTERRUPTED

    @property
    def epochs(self) -> np.ndarray:
        """``(T,)`` integers, of an optimiser or of training; a flow has none (``ValueError``)."""
        if self.setup.method == "flow":
            raise ValueError("a flow has no epochs: its clock is s")
        return self.s.astype(int)

    def at(self, snapshot: int) -> Tree:
        """The parameters at a snapshot, as the flow holds them."""
        return map_tree(lambda values: values[snapshot], self.snapshots)

    def features_at(self, snapshot: int = -1) -> np.ndarray:
        """Last-layer features ``(N, D)`` at a snapshot."""
        return self._model().last_layer(self.at(snapshot))[0]

    def classifier_at(self, snapshot: int = -1) -> tuple[np.ndarray, np.ndarray | None]:
        """Classifier weight ``(K, D)`` and bias ``(K,)`` or None at a snapshot."""
        _, weight, bias = self._model().last_layer(self.at(snapshot))
        return weight, bias

    def _model(self) -> Any:
        if self.model is None:
            raise ValueError(
                "this run was loaded without its model: say how to make it, as in "
                "Run.load(path, restore=ncollapse.models.restore)"
            )
        return self.model

    def to_dict(self) -> dict[str, Any]:
        """The end of the run and how it went, ready for JSON; what is not finite is None."""
        last = {name: float(getattr(self, name)[-1]) for name in _SERIES}
        last["conserved_drift"] = last.pop("drift")
        del last["speed"]
        return {
            **{name: value if np.isfinite(value) else None for name, value in last.items()},
            "end": self.end.name.lower(),
            "reached": self.reached,
            "stopped": self.stopped,
            **{name: getattr(self, name) for name in _NUMBERS},
            "setup": self.setup.to_dict(),
        }

    def save(self, path: str | Path) -> None:
        """Write the run to an npz file, its model's arrays included, for `load`.

        Series are under their names; observations, snapshots, final parameters, state and the model's
        arrays under those of their group.

        Raises
        ------
        TypeError
            Parameters are a tree of something else than dicts, lists, tuples and arrays.
        OSError
            The file cannot be written, as on a full disk: the one that was there stays.
        """
        arrays: dict[str, np.ndarray] = {name: getattr(self, name) for name in _SERIES}
        arrays["snapshot_s"] = self.snapshot_s
        own = {} if self.model is None else self.model.arrays()
        trees = {name: getattr(self, name) for name in _GROUPS}
        trees |= {"state": self.state, "model": own}
        header = {
            "format": FORMAT,
            "version": version("ncollapse"),
            "setup": self.setup.to_dict(),
            "end": self.end.name,
            "stopped": self.stopped,
            "numbers": {name: getattr(self, name) for name in _NUMBERS},
            "trees": {name: _packed(name, tree, arrays) for name, tree in trees.items()},
        }
        arrays["header"] = np.array(json.dumps(header))
        _write_whole(Path(path).resolve(), arrays)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        restore: Callable[[Setup, dict[str, np.ndarray]], Any] | None = None,
    ) -> Run:
        """The run that `save` wrote.

        Parameters
        ----------
        restore
            Makes the model from its set-up and arrays: `ncollapse.models.restore` for the models
            of this package, ``lambda setup, arrays: model`` for one's own. Without it the run
            has everything but `features_at` and `classifier_at`.

        Raises
        ------
        ValueError
            The file is damaged, is no file of a run, or is of another format.
        """
        header, arrays = _read(Path(path))
        try:
            trees = {name: _unpacked(tree, arrays) for name, tree in header["trees"].items()}
            own = trees.pop("model")
            setup = Setup.from_dict(header["setup"])
            run = cls(
                setup=setup,
                end=End[header["end"]],
                stopped=str(header["stopped"]),
                **{name: arrays[name] for name in (*_SERIES, "snapshot_s")},
                **{name: header["numbers"][name] for name in _NUMBERS},
                **trees,
            )
            _check_lengths(run)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged: it does not hold a whole run ({error})"
            ) from error
        if restore is None or not own:
            return run
        return cls(**{**vars(run), "model": restore(setup, own)})


def map_tree(function: Callable[[Any], Any], tree: Tree) -> Tree:
    """``function`` of each array of a tree of dicts, lists and tuples, or of any tree of JAX."""
    if isinstance(tree, dict):
        return {name: map_tree(function, branch) for name, branch in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(map_tree(function, branch) for branch in tree)
    if tree is None or hasattr(tree, "shape"):
        return None if tree is None else function(tree)
    import jax

    return jax.tree.map(function, tree)


def _packed(name: str, tree: Tree, arrays: dict[str, np.ndarray]) -> Any:
    """The structure of ``tree`` for JSON, its arrays put into ``arrays``."""
    if tree is None:
        return None
    if isinstance(tree, Mapping) and all(isinstance(key, str) for key in tree):
        return {key: _packed(f"{name}.{key}", branch, arrays) for key, branch in tree.items()}
    if type(tree) in (list, tuple):
        parts = [_packed(f"{name}.{index}", part, arrays) for index, part in enumerate(tree)]
        return [type(tree).__name__, *parts]
    array = np.asarray(tree)
    if array.dtype == object:
        raise TypeError(
            f"{name} must be arrays in dicts with names, lists and tuples to be saved, but it holds "
            f"a {type(tree).__name__}"
        )
    arrays[name] = array
    return name


def _unpacked(structure: Any, arrays: Mapping[str, np.ndarray]) -> Tree:
    if structure is None:
        return None
    if isinstance(structure, dict):
        return {key: _unpacked(part, arrays) for key, part in structure.items()}
    if isinstance(structure, list):
        parts = [_unpacked(part, arrays) for part in structure[1:]]
        return tuple(parts) if structure[0] == "tuple" else parts
    return arrays[structure]


def _write_whole(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """At any moment ``path`` is the old file or the new one, entire; what is no file stays in place."""
    replaces = path.is_file() or not path.exists()
    target = path.with_name(f"{path.name}.part") if replaces else path
    try:
        with open(target, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        if replaces:
            os.replace(target, path)
    except OSError as error:
        kept = "the file that was there is kept" if path.is_file() else "nothing is kept"
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"{path} could not be written ({reason}); {kept}") from error
    finally:
        if replaces:
            target.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        arrays = load_arrays(path, ("header",))
        header = json.loads(str(arrays.pop("header")))
        written = header["format"], header["version"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise ValueError(f"{path} is damaged or is not the file of a run: {error}") from error
    if written[0] != FORMAT:
        raise ValueError(
            f"{path} is of format {written[0]!r}, written by ncollapse {written[1]}; "
            f"ncollapse {version('ncollapse')} reads format {FORMAT}"
        )
    return header, arrays


def _check_lengths(run: Run) -> None:
    series = {name: getattr(run, name) for name in _SERIES} | run.observations
    for name, values in series.items():
        if values.ndim < 1 or len(values) != len(run.s) or not len(run.s):
            raise ValueError(f"{name} has shape {values.shape} for {len(run.s)} records")

    def check(values: np.ndarray) -> None:
        if values.ndim < 1 or len(values) != len(run.snapshot_s) or not len(values):
            raise ValueError(
                f"a snapshot has shape {values.shape} for {len(run.snapshot_s)} snapshots"
            )

    map_tree(check, run.snapshots)
