"""Running a sweep: hand out the missing cells, write what comes back, show how long it takes."""

from __future__ import annotations

import errno
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ncollapse._checks import check_positive
from ncollapse.sweep import _store
from ncollapse.sweep._grid import RESERVED, Grid, cell_seed, name_cells
from ncollapse.sweep._workers import CellError, Failure, Job, Outcome, Pool, Task, open_pool

SECONDS_PER_TASK = 0.25


def run_sweep(
    function: Callable[..., Any],
    dims: Mapping[str, Iterable[Any]],
    folder: str | Path,
    *,
    outputs: Mapping[str, Any],
    arguments: Mapping[str, Any] | None = None,
    seed: int | None = 0,
    seed_dims: Sequence[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    timeout: float = 30.0,
    on_error: Literal["raise", "skip"] = "raise",
) -> xr.Dataset:
    """Evaluate ``function(**cell, **arguments, seed=…)`` in every cell of a grid, once.

    Results go to ``folder/cells.zarr`` as they come; a run that was interrupted, even by kill -9,
    goes on where it stopped when it is called again in the same way. What a cell gets depends on
    its own coordinates alone, so results do not depend on order, workers or interruptions.

    Parameters
    ----------
    function
        A function with a name, importable where the workers run. Returns a mapping with one scalar
        for each output, or the scalar itself when there is one output.
    dims
        ``{dimension: values}``; the values are numbers, strings or booleans.
    folder
        Made when it does not exist.
    outputs
        ``{output: NumPy dtype}``: floating, integer or boolean.
    arguments
        Further arguments of ``function``, the same in every cell. JSON values: they are recorded.
    seed
        Root of the cells' seeds; None for a function without a ``seed`` argument.
    seed_dims
        The dimensions that a cell's seed depends on, all by default. Cells that differ only in the
        others share their seed, hence their random numbers.
    workers
        Processes of a local cluster, by default one a core. 0 or 1: compute in this process.
    scheduler
        Address of a Dask scheduler to use instead of a local cluster.
    timeout
        Seconds to wait for the scheduler and for its first worker.
    on_error
        What a cell does whose function raises or whose workers die: ``"raise"`` ends the sweep
        with a `CellError`; ``"skip"`` goes on without it, and warns at the end. Either way it is
        marked in the variable ``failed``, and tried again by the next run.

    Returns
    -------
    xarray.Dataset
        The outputs over ``dims``, as ``open_sweep(folder)`` gives.

    Raises
    ------
    ValueError, TypeError
        A grid with duplicate coordinates or other bad arguments; a folder that holds another sweep
        (the differences are named) or other files.
    CellError
        The function raised, returned something else than its outputs, or killed every worker that
        it ran on; the cell is named.
    ConnectionError, TimeoutError
        The scheduler does not answer, or has no workers.
    OSError
        The folder is unwritable, in use by another run, or its disk is full.

    Notes
    -----
    Whatever the error, the cells computed before it are on disk and readable. Finished cells that
    were lost or damaged on disk since are named in a warning and computed again.
    """
    grid = Grid.from_values(dims)
    given = dict(arguments or {})
    types = _output_types(outputs, grid, given)
    record = _record(function, grid, given, seed, seed_dims)
    if workers is not None and (workers < 0 or scheduler is not None):
        raise ValueError(
            f"workers is {workers!r}: it must be at least 0, and None when a scheduler is given"
        )
    timeout = check_positive("timeout", timeout)
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', but it is {on_error!r}")
    folder = Path(folder)
    with _store.locked(folder):
        _prepare(folder, grid, types, record)
        store = _store.CellStore(folder, grid)
        missing = store.missing()
        if missing:
            job = Job(function, given, types, on_error)
            seeded = list(record["seed_dims"])

            def task(numbers: Sequence[int]) -> Task:
                cells = [grid.cell(number) for number in numbers]
                seeds = [None if seed is None else cell_seed(seed, cell, seeded) for cell in cells]
                return Task(numbers, cells, seeds)

            with open_pool(job, workers, scheduler, timeout) as pool, _progress() as progress:
                _drive(store, pool, missing, task, progress, on_error)
    return _store.read(folder)


def open_sweep(folder: str | Path) -> xr.Dataset:
    """The results in ``folder``, finished or not: the variable ``done`` says which cells are there.

    Raises
    ------
    FileNotFoundError
        There is no sweep in it.
    ValueError
        It is damaged; the finished cells whose values are lost are named.
    """
    return _store.read(Path(folder))


def _drive(
    store: _store.CellStore,
    pool: Pool,
    missing: Sequence[int],
    make_task: Callable[[Sequence[int]], Task],
    progress: Progress,
    on_error: str,
) -> None:
    total = store.grid.size
    bar = progress.add_task("cells", total=total, completed=total - len(missing))
    size, position = 1, 0
    failures: list[Failure] = []
    while position < len(missing) or pool.busy():
        while position < len(missing) and pool.busy() < pool.slots():
            pool.submit(make_task(missing[position : position + size]))
            position += size
        outcomes = pool.collect()
        results = [result for outcome in outcomes for result in outcome.results]
        failed = [failure for outcome in outcomes for failure in outcome.failures]
        _write(store, results, [failure.number for failure in failed])
        progress.advance(bar, len(results) + len(failed))
        failures += failed
        size = _next_size(outcomes, size, len(missing) - position, max(1, pool.slots()))
        if failures and on_error == "raise":
            position = len(missing)
    if failures and on_error == "raise":
        raise _cell_error(failures[0], store)
    if failures:
        cells = [store.grid.cell(failure.number) for failure in failures]
        warnings.warn(
            f"{name_cells(cells)} skipped and marked in 'failed'; the first: {failures[0].message}",
            stacklevel=3,
        )


def _next_size(outcomes: Sequence[Outcome], size: int, left: int, slots: int) -> int:
    """Cells in the next task: enough to outweigh its overhead, few enough to share out the rest."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    cells = sum(len(outcome.results) for outcome in outcomes)
    fitting = int(SECONDS_PER_TASK * cells / max(seconds, 1e-9))
    return max(1, min(fitting, 4 * size, -(-left // (2 * slots))))


def _write(
    store: _store.CellStore, results: Sequence[tuple[int, Mapping[str, Any]]], failed: Sequence[int]
) -> None:
    try:
        store.write(results, failed)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"the disk is full; {int(store.done.sum())} of {store.grid.size} cells are safe: free "
            "some space and run the sweep again for the rest",
            str(store.folder),
        ) from error


def _cell_error(failure: Failure, store: _store.CellStore) -> CellError:
    error = CellError(
        f"{failure.message} ({int(store.done.sum())} of {store.grid.size} cells are on disk)"
    )
    if failure.details:
        error.add_note(failure.details)
    return error


def _prepare(
    folder: Path, grid: Grid, types: Mapping[str, np.dtype], record: Mapping[str, Any]
) -> None:
    if (folder / _store.CELLS).exists():
        differences = _store.differences(folder, grid, types, record)
        if differences:
            raise ValueError(
                f"{folder} holds another sweep and is left as it is: {'; '.join(differences)}"
            )
        return
    _store.create(folder, grid, types, record)


def _record(
    function: Callable[..., Any],
    grid: Grid,
    arguments: Mapping[str, Any],
    seed: int | None,
    seed_dims: Sequence[str] | None,
) -> dict[str, Any]:
    name = getattr(function, "__qualname__", None)
    if name is None or "<lambda>" in name:
        raise TypeError(
            "function must be a function with a name, by which a later run can tell it from "
            f"another, but it is {function!r}: use def, and arguments= for fixed arguments"
        )
    try:
        text = json.dumps(arguments, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"arguments must be JSON values, which are recorded: {error}") from error
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or seed < 0):
        raise ValueError(f"seed must be a nonnegative integer or None, but it is {seed!r}")
    seeded = sorted(grid.dims if seed_dims is None else seed_dims)
    unknown = [name for name in seeded if name not in grid.dims]
    if unknown:
        raise ValueError(f"seed_dims names {unknown}; the dimensions are {list(grid.dims)}")
    return {
        "ncollapse_version": version("ncollapse"),
        "layout": _store.LAYOUT,
        "function": f"{function.__module__}.{name}",
        "arguments": text,
        "seed": "none" if seed is None else seed,
        "seed_dims": seeded,
    }


def _output_types(
    outputs: Mapping[str, Any], grid: Grid, arguments: Mapping[str, Any]
) -> dict[str, np.dtype]:
    if not outputs:
        raise ValueError("outputs must name at least one output, but it is empty")
    types = {}
    for name, dtype in outputs.items():
        if not str(name).isidentifier() or name in RESERVED or name in grid.dims:
            raise ValueError(
                f"outputs has {name!r}: a name must be a Python identifier, and neither a "
                f"dimension nor {' nor '.join(RESERVED)}"
            )
        types[name] = np.dtype(dtype)
        if types[name].kind not in "fiub":
            raise TypeError(
                f"outputs[{name!r}] must be floating, integer or boolean, but it is {types[name]}"
            )
    clash = [name for name in arguments if name in grid.dims or name in RESERVED]
    if clash:
        raise ValueError(f"arguments names {clash}, which the grid or the seed already gives")
    return types


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )
