"""The ledger: every experiment run once, every claim judged, what is done kept on the disk."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ncollapse._checks import prepare_folder
from ncollapse._extras import explain_missing
from ncollapse.claims import Claim, Ledger, Missing, Row, Statement, Verdict, judge
from ncollapse.data import FOLDER_VARIABLE
from ncollapse.papers._experiment import Experiment

Progress = Callable[[str, int, int, str], None]
"""Told the experiment, its place among how many, and what it does."""

_ROOT = Path(__file__).parents[1]
_NO_PART_OF_A_RESULT = {"cli", "papers", "report"}
_WORDS = {"figures.py", "page.py", "statements.py"}


def cache_folder() -> Path:
    """Where ledgers are kept unless told otherwise: the user's cache, ``$XDG_CACHE_HOME`` if set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ncollapse" / "ledger"


def build_ledger(
    experiments: Sequence[Experiment],
    statements: Mapping[str, tuple[Statement, ...]],
    scale: str,
    folder: Path,
    on_progress: Progress | None = None,
) -> Ledger:
    """Every claim of ``experiments``: those without a stored result in ``folder`` are run."""
    prepare_folder(folder)
    # digests first: a file that is changed while experiments run belongs to none of them
    stores = [
        folder / f"{experiment.name}-{scale}-{_digest(experiment, scale)[:16]}"
        for experiment in experiments
    ]
    rows = []
    for place, (experiment, store) in enumerate(zip(experiments, stores, strict=True), start=1):

        def tell(state: str, name: str = experiment.name, place: int = place) -> None:
            if on_progress is not None:
                on_progress(name, place, len(experiments), state)

        with _whole_or_interrupted():
            judged = _judge(experiment, scale, store, tell)
        rows += [
            Row(
                experiment.name.partition(".")[0],
                experiment.name,
                verdict,
                claim.corrected,
                judged.seconds,
                f"ncollapse ledger --claim {claim.id} --scale {scale}",
            )
            for claim, verdict in zip(experiment.claims, judged.verdicts, strict=True)
        ]
    return Ledger(scale, tuple(rows), statements)


@dataclass(frozen=True)
class _Judged:
    """The verdicts of one experiment, in the order of its claims, and how long it took."""

    verdicts: tuple[Verdict, ...]
    seconds: float | None = None


def _judge(experiment: Experiment, scale: str, store: Path, tell: Callable[[str], None]) -> _Judged:
    """From the store, or by running the experiment; what went wrong in it is not stored."""
    kept = _read(store, experiment.claims)
    if kept is not None:
        tell("stored")
        return kept
    tell("running")
    store.mkdir(exist_ok=True)
    start = time.perf_counter()
    try:
        result = experiment.at(scale, store)
    except Exception as error:
        reason = _sentence(error)
        tell(f"failed: {reason}")
        return _Judged(tuple(_unmeasured(claim, reason) for claim in experiment.claims))
    errors: list[str] = []
    verdicts = tuple(_attempt(claim, result, errors) for claim in experiment.claims)
    judged = _Judged(verdicts, time.perf_counter() - start)
    if not errors:
        _write(store, judged)
    tell(f"{judged.seconds:.1f} s" + "".join(f"; {error}" for error in errors))
    return judged


class _Interrupt(BaseException):
    """Stands for KeyboardInterrupt, on which a flow ends early and returns as if it were done."""


@contextmanager
def _whole_or_interrupted() -> Iterator[None]:
    """Inside, an interrupt leaves no result; outside it is a KeyboardInterrupt again."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def stop(*_: Any) -> None:
        raise _Interrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    except _Interrupt:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _attempt(claim: Claim, result: Any, errors: list[str]) -> Verdict:
    try:
        return judge(claim, result)
    except Exception as error:
        reason = _sentence(error)
        errors.append(f"{claim.id} failed: {reason}")
        return _unmeasured(claim, reason)


def _unmeasured(claim: Claim, reason: str) -> Verdict:
    return judge(replace(claim, measure=lambda _: Missing(reason), assumption=None), None)


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return explain_missing(error)
    return " ".join(f"{type(error).__name__}: {error}".split())


def _digest(experiment: Experiment, scale: str) -> str:
    """Of all that a result depends on: settings, the folder of data, version and source code."""
    home = Path(inspect.getfile(experiment.compute)).parent
    library = [
        path
        for path in _ROOT.rglob("*.py")
        if path.relative_to(_ROOT).parts[0] not in _NO_PART_OF_A_RESULT
    ]
    own = [path for path in home.glob("*.py") if path.name not in _WORDS]
    asked = {
        "experiment": experiment.name,
        "settings": experiment.scales[scale],
        "data": os.environ.get(FOLDER_VARIABLE, ""),
        "version": version("ncollapse"),
        "sources": {
            str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for root, paths in ((_ROOT, library), (home, own))
            for path in paths
        },
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _read(store: Path, claims: Sequence[Claim]) -> _Judged | None:
    """What `_write` left; None where there is nothing, or a file that is not whole."""
    try:
        record = json.loads((store / "verdicts.json").read_text(encoding="utf-8"))
        judged = _Judged(
            tuple(Verdict(**verdict) for verdict in record["verdicts"]), record["seconds"]
        )
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    ids = [verdict.id for verdict in judged.verdicts]
    return judged if ids == [claim.id for claim in claims] else None


def _write(store: Path, judged: _Judged) -> None:
    """Complete under another name first: at any moment there is all of it or nothing."""
    unfinished = store / f"verdicts.{uuid.uuid4().hex}.part"
    unfinished.write_text(json.dumps(asdict(judged)), encoding="utf-8")
    os.replace(unfinished, store / "verdicts.json")
