"""What all commands share: stable JSON, tables, progress on stderr, files that can be written."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ncollapse import __version__

if TYPE_CHECKING:
    from ncollapse.claims import Verdict

INTERRUPTED = 130
VOLATILE = ("compile_seconds", "seconds")
"""Names of facts that differ from run to run, wherever they stand in a result."""


def print_json(result: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """One sorted JSON object: the result with the version and the arguments in it.

    What differs from run to run stands apart in ``volatile``, under the place that it was taken
    from, such as ``claims.0.seconds``; all else is the same whenever the command is. A NaN becomes
    null and an infinity the string ``Infinity`` or ``-Infinity``, since JSON has neither.
    """
    volatile: dict[str, Any] = {}
    _json_ready(result.get("volatile", {}), "", volatile)
    lasting = {name: value for name, value in result.items() if name != "volatile"}
    asked = {name: value for name, value in arguments.items() if name != "json"}
    record = {
        **_json_ready(lasting, "", volatile),
        "arguments": _json_ready(asked, "", {}),
        "version": __version__,
        "volatile": volatile,
    }
    json.dump(record, sys.stdout, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    print()


def _json_ready(value: Any, place: str, volatile: dict[str, Any]) -> Any:
    if isinstance(value, Mapping):
        kept = {}
        for key, inner in value.items():
            ready = _json_ready(inner, f"{place}{key}.", volatile)
            if key in VOLATILE:
                volatile[f"{place}{key}"] = ready
            else:
                kept[str(key)] = ready
        return kept
    if isinstance(value, (list, tuple)):
        return [_json_ready(inner, f"{place}{i}.", volatile) for i, inner in enumerate(value)]
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return None if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if hasattr(value, "tolist"):  # an array or a scalar of NumPy
        return _json_ready(value.tolist(), place, volatile)
    return str(value) if isinstance(value, Path) else value


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value)
    Console().print(table)


def print_verdicts(verdicts: Iterable[Verdict]) -> None:
    """A table, and below it, once, each assumption that is violated."""
    verdicts = list(verdicts)
    table = Table(title="Claims, measured against expected", title_justify="left")
    for heading in ("claim", "measured", "expected", "verdict", "why"):
        table.add_column(heading, overflow="fold")
    for verdict in verdicts:
        measured, expected = (
            "none" if value is None else f"{value:.6g}"
            for value in (verdict.measured, verdict.expected)
        )
        table.add_row(verdict.id, measured, expected, verdict.status, verdict.reason)
    console = Console()
    console.print(table)
    for assumption in dict.fromkeys(verdict.assumption for verdict in verdicts):
        if assumption:
            console.print(f"Assumption violated: {assumption}.")


@contextmanager
def flow_progress(what: str) -> Iterator[Callable[[float, float], None]]:
    """A line on stderr that follows s and log(1/L); silent where stderr is not a terminal."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(f"{what}: compiling")

        def update(s: float, level: float) -> None:
            progress.update(task, description=f"{what}: s = {s:.4g}, log(1/L) = {level:.6g}")

        yield update


@contextmanager
def pass_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for each pass, with the time left; silent where stderr is not a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("reading")

        def update(stage: str, done: int, total: int) -> None:
            progress.update(task, description=stage, completed=done, total=total)

        yield update


def check_writable_file(option: str, path: Path) -> None:
    """Raise ``OSError`` naming ``option`` unless a file can be written at ``path``."""
    existed = path.exists()
    try:
        with open(path, "ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise OSError(f"{option} {path} cannot be written: {error.strerror}") from error
