"""Where cells are computed: in this process, on a local cluster, or on any Dask cluster."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from ncollapse._extras import require
from ncollapse.sweep._grid import Cell, name_cells

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """What a worker needs beside the cells."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    outputs: Mapping[str, np.dtype]
    on_error: Literal["raise", "skip"] = "raise"


@dataclass(frozen=True)
class Task:
    """Cells to compute together: their numbers, their coordinates and their seeds."""

    numbers: Sequence[int]
    cells: Sequence[Cell]
    seeds: Sequence[int | None]

    def split(self) -> list[Task]:
        """The same cells, each in a task of its own."""
        parts = zip(self.numbers, self.cells, self.seeds, strict=True)
        return [Task([number], [cell], [seed]) for number, cell, seed in parts]


@dataclass(frozen=True)
class Failure:
    """A cell without a result: its number, what went wrong, and the traceback if there is one."""

    number: int
    message: str
    details: str = ""


@dataclass(frozen=True)
class Outcome:
    """The cells of a task that were computed, the seconds taken, and the cells that failed."""

    results: Sequence[tuple[int, Mapping[str, Any]]]
    seconds: float
    failures: Sequence[Failure] = ()


class CellError(RuntimeError):
    """The function of a sweep failed in a cell. All cells computed before are on disk."""


class Pool(Protocol):
    def slots(self) -> int:
        """How many tasks may be in flight."""
        ...

    def submit(self, task: Task) -> None: ...

    def busy(self) -> int:
        """How many tasks are in flight."""
        ...

    def collect(self) -> list[Outcome]:
        """Wait for at least one task, and return all that have finished."""
        ...


def run_task(job: Job, task: Task) -> Outcome:
    """Compute the cells of a task with one BLAS thread; a failure ends it unless it is skipped."""
    start = time.perf_counter()
    results: list[tuple[int, Mapping[str, Any]]] = []
    failures = []
    with one_thread():
        for number, cell, seed in zip(task.numbers, task.cells, task.seeds, strict=True):
            seeded = {} if seed is None else {"seed": seed}
            try:
                values = job.function(**cell, **job.arguments, **seeded)
                results.append((number, check_values(values, job.outputs)))
            except Exception as error:
                message = f"the cell {cell} failed: {type(error).__name__}: {error}"
                failures.append(Failure(number, message, traceback.format_exc()))
                if job.on_error == "raise":
                    break
    return Outcome(results, time.perf_counter() - start, failures)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread in the BLAS libraries that are loaded, and in those loaded meanwhile.

    Workers then do not compete for cores, and sums come out in the same order everywhere.
    """
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def check_values(values: Any, outputs: Mapping[str, np.dtype]) -> dict[str, Any]:
    """One scalar for each output, each safely convertible to its declared type."""
    if not isinstance(values, Mapping):
        values = dict.fromkeys(outputs, values) if len(outputs) == 1 else values
    if not isinstance(values, Mapping) or set(values) != set(outputs):
        got = sorted(values) if isinstance(values, Mapping) else type(values).__name__
        raise TypeError(f"the function must return {sorted(outputs)}, but it returned {got}")
    checked = {}
    for name, dtype in outputs.items():
        value = np.asarray(values[name])
        if value.shape != () or not np.can_cast(value.dtype, dtype, casting="same_kind"):
            raise TypeError(
                f"output {name} must be a scalar of type {dtype}, "
                f"but it has shape {value.shape} and type {value.dtype}"
            )
        checked[name] = value.astype(dtype)[()]
    return checked


class InProcess:
    """One task at a time, here."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.waiting: list[Task] = []

    def slots(self) -> int:
        return 1

    def submit(self, task: Task) -> None:
        self.waiting.append(task)

    def busy(self) -> int:
        return len(self.waiting)

    def collect(self) -> list[Outcome]:
        return [run_task(self.job, self.waiting.pop(0))]


class OnCluster:
    """Tasks on a Dask cluster. Tasks of a lost worker run again on another one.

    A task is given up when workers keep dying around it. It may only have waited beside the one
    that kills them, and of its cells at most one has killed: so each is then computed alone, with
    nothing else in flight, and a cell that is given up once more is the one.
    """

    def __init__(self, job: Job, client: Any, timeout: float) -> None:
        self.distributed = require("distributed")
        self.job, self.client, self.timeout = job, client, timeout
        self.futures: dict[Any, Task] = {}
        self.suspects: list[Task] = []
        self.known_slots = 2 * max(1, sum(client.nthreads().values()))

    def slots(self) -> int:
        return 0 if self.suspects else self.known_slots

    def submit(self, task: Task) -> None:
        self.futures[self.client.submit(run_task, self.job, task, pure=False)] = task

    def busy(self) -> int:
        return len(self.futures) + len(self.suspects)

    def collect(self) -> list[Outcome]:
        alone = not self.futures
        if alone:
            self.submit(self.suspects.pop(0))
        try:
            finished = self._wait()
            if any(future.cancelled() for future in finished):
                raise ConnectionError("its tasks were cancelled")
            good = [future for future in finished if future.status == "finished"]
            outcomes = list(self.client.gather(good))
        except (OSError, self.distributed.CancelledError) as error:
            raise ConnectionError(
                "the cluster went away; the cells computed before are on disk, and running the "
                f"sweep again computes the rest ({error})"
            ) from error
        for future in finished:
            task = self.futures.pop(future)
            if future.status == "error":
                outcomes += self._given_up(task, future.exception(), alone)
        return outcomes

    def _given_up(self, task: Task, error: BaseException | None, alone: bool) -> list[Outcome]:
        if not isinstance(error, self.distributed.KilledWorker):
            reason = f"failed on the cluster: {type(error).__name__}: {error}"
        elif not alone:
            self.suspects += task.split()
            return []
        else:
            reason = "failed: every worker that computed it died, as when memory runs out"
        failures = [
            Failure(number, f"the cell {cell} {reason}")
            for number, cell in zip(task.numbers, task.cells, strict=True)
        ]
        return [Outcome([], 0.0, failures)]

    def _wait(self) -> list[Any]:
        idle_since = None
        while True:
            with contextlib.suppress(TimeoutError, self.distributed.CancelledError):
                self.distributed.wait(
                    list(self.futures), timeout=1.0, return_when="FIRST_COMPLETED"
                )
            finished = [future for future in self.futures if future.done()]
            if finished:
                return finished
            workers = self.client.nthreads()
            self.known_slots = 2 * max(1, sum(workers.values()))
            idle_since = None if workers else (idle_since or time.monotonic())
            if idle_since is not None and time.monotonic() - idle_since > self.timeout:
                raise ConnectionError(
                    f"it has had no workers for {self.timeout:g} s{self._blamed()}"
                )

    def _blamed(self) -> str:
        """The cells around which workers died most often, as the scheduler counts it."""

        def deaths(dask_scheduler: Any) -> dict[str, int]:
            return {str(key): task.suspicious for key, task in dask_scheduler.tasks.items()}

        counts = self.client.run_on_scheduler(deaths)
        most = max((counts.get(future.key, 0) for future in self.futures), default=0)
        if most == 0:
            return ""
        cells = [
            cell
            for future, task in self.futures.items()
            if counts.get(future.key) == most
            for cell in task.cells
        ]
        return f"; they died computing one of these: {name_cells(cells)} suspect"


@contextlib.contextmanager
def open_pool(
    job: Job, workers: int | None, scheduler: str | None, timeout: float
) -> Iterator[Pool]:
    """The pool that ``workers`` or ``scheduler`` ask for, closed at the end.

    Raises
    ------
    ConnectionError
        No scheduler answers at ``scheduler`` within ``timeout`` seconds.
    TimeoutError
        It answers but has no workers within ``timeout`` seconds.
    """
    if scheduler is None and workers is not None and workers <= 1:
        yield InProcess(job)
        return
    distributed = require("distributed")
    if scheduler is not None:
        with _connect(distributed, scheduler, timeout) as client:
            yield OnCluster(job, client, timeout)
        return
    import dask.config
    import dask.system

    count = dask.system.CPU_COUNT if workers is None else workers
    if count == 1:
        yield InProcess(job)
        return
    settings = {
        "distributed.comm.timeouts.connect": f"{timeout}s",
        "distributed.scheduler.allowed-failures": 1,
        # without Dask's malloc setting, which gives every large array back to the system: on
        # matrices of 600 rows a third of the time went into that
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREAD_VARIABLES, 1),
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            # The sweep tells of cells that fail; a worker that outlives the scheduler is none.
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield OnCluster(job, client, timeout)


@contextlib.contextmanager
def _connect(distributed: Any, scheduler: str, timeout: float) -> Iterator[Any]:
    try:
        client = distributed.Client(scheduler, timeout=timeout)
    except (OSError, TimeoutError) as error:
        raise ConnectionError(
            f"no scheduler answered at {scheduler} within {timeout:g} s: {error}"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise TimeoutError(
                f"the scheduler at {scheduler} has no workers after {timeout:g} s"
            ) from error
        yield client
