"""The results of a sweep on disk: one zarr group, written chunk by chunk, each chunk atomically.

``FOLDER/cells.zarr`` holds one array for each output, the coordinates, and the mask ``done``. Only
the process that holds the lock on ``FOLDER/lock`` writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import os
import shutil
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from ncollapse.sweep._grid import Grid

try:
    import fcntl
except ImportError:  # Windows has no flock: there, two runs on one folder are not kept apart
    fcntl = None

CELLS = "cells.zarr"
LAYOUT = 1
MAX_CELLS_PER_CHUNK = 1024


class DurableStore(LocalStore):
    """zarr's local store renames a finished temporary file into place but leaves it in the page
    cache; here the bytes are on the disk before the name is, so that a power cut cannot tear one.
    """

    async def set(self, key: str, value: Buffer) -> None:
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        write_durably(self.root / key, value.to_bytes())


def write_durably(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``: at any moment it is the old file or the new one, entire."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make ``folder`` if need be and hold it for this process; a killed process lets go of it.

    Raises
    ------
    OSError
        The folder cannot be made or written to.
    BlockingIOError
        Another process is writing to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("ab")
    except OSError as error:
        raise type(error)(
            error.errno, f"cannot write a sweep to this folder: {error.strerror}", str(folder)
        ) from error
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BlockingIOError(
                    errno.EWOULDBLOCK,
                    "another process is running a sweep in this folder",
                    str(folder),
                ) from error
        yield


class CellStore:
    """The outputs of every cell, in memory and on disk. Use it while holding `locked`."""

    def __init__(self, folder: Path, grid: Grid) -> None:
        self.folder, self.grid = folder, grid
        self._group = zarr.open_group(
            DurableStore(folder / CELLS), mode="r+", use_consolidated=False
        )
        dataset = read(folder)
        self.outputs = {str(name): dataset[name].values.copy() for name in dataset.data_vars}
        self.done = self.outputs.pop("done")
        self._chunks = self._array("done").chunks

    def missing(self) -> list[int]:
        """Numbers of the cells that are not on disk yet."""
        return np.flatnonzero(~self.done.ravel()).tolist()

    def write(self, results: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """Put these cells on disk: their outputs first, then, as the seal, the mask ``done``.

        A crash in between leaves cells that are not marked and will be computed again, to the same
        values.
        """
        dirty = set()
        cells = []
        for number, values in results:
            index = np.unravel_index(number, self.grid.shape)
            for name, value in values.items():
                self.outputs[name][index] = value
            cells.append(index)
            dirty.add(tuple(int(i) // c for i, c in zip(index, self._chunks, strict=True)))
        for name, values in self.outputs.items():
            self._write_chunks(name, values, dirty)
        marked = self.done.copy()
        for index in cells:
            marked[index] = True
        self._write_chunks("done", marked, dirty)
        self.done = marked

    def _write_chunks(self, name: str, values: np.ndarray, chunks: set[tuple[int, ...]]) -> None:
        array = self._array(name)
        for chunk in sorted(chunks):
            # exactly one chunk a write, which zarr stores as one file without reading the old one
            box = tuple(
                slice(i * c, min((i + 1) * c, size))
                for i, c, size in zip(chunk, self._chunks, values.shape, strict=True)
            )
            array[box] = values[box]

    def _array(self, name: str) -> zarr.Array:
        array = self._group[name]
        if not isinstance(array, zarr.Array):
            raise ValueError(f"{self.folder / CELLS / name} is not an array")
        return array


def create(
    folder: Path, grid: Grid, outputs: Mapping[str, np.dtype], record: Mapping[str, Any]
) -> None:
    """Write the empty results: complete under another name first, then renamed into place."""
    chunks = chunk_shape(grid.shape)
    dims = tuple(grid.dims)
    variables: dict[str, Any] = {
        name: (dims, np.full(grid.shape, np.nan if dtype.kind == "f" else 0, dtype))
        for name, dtype in outputs.items()
    }
    variables["done"] = (dims, np.zeros(grid.shape, dtype=bool))
    coords = {
        # zarr has a specification for strings of any length, not for NumPy's fixed-length ones
        name: np.array(values, dtype=object if isinstance(values[0], str) else None)
        for name, values in grid.dims.items()
    }
    template = xr.Dataset(variables, coords=coords, attrs=dict(record))
    partial = folder / f"{CELLS}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with warnings.catch_warnings():
        # without consolidated metadata a plain xarray.open_zarr warns; zarr warns that other
        # libraries may ignore it, which is harmless
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        template.to_zarr(
            DurableStore(partial),
            mode="w-",
            zarr_format=3,
            consolidated=True,
            encoding={name: {"chunks": chunks} for name in variables},
        )
    os.replace(partial, folder / CELLS)
    _sync_folder(folder)


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Whole dimensions from the last one on, as long as a chunk stays within 1024 cells."""
    chunks = [1] * len(shape)
    for axis in reversed(range(len(shape))):
        room = MAX_CELLS_PER_CHUNK // math.prod(chunks)
        chunks[axis] = min(shape[axis], room)
        if chunks[axis] < shape[axis]:
            break
    return tuple(chunks)


def read(folder: Path) -> xr.Dataset:
    """All results in memory, as plain ``xarray.open_zarr`` reads them."""
    path = folder / CELLS
    if not path.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"no sweep in this folder: it has no {CELLS}", str(folder)
        )
    try:
        with xr.open_zarr(path) as dataset:
            return dataset.load()
    except Exception as error:
        raise ValueError(f"{path} cannot be read as the results of a sweep: {error}") from error


def differences(
    folder: Path, grid: Grid, outputs: Mapping[str, np.dtype], record: Mapping[str, Any]
) -> list[str]:
    """How the sweep in ``folder`` differs from this one, a sentence each; none when it does not."""
    dataset = read(folder)
    found = [
        f"{key} is {_brief(value)} here and {_brief(dataset.attrs.get(key))} in the folder"
        for key, value in record.items()
        if dataset.attrs.get(key) != value
    ]
    there = [str(name) for name in dataset["done"].dims]
    if there != list(grid.dims):
        found.append(f"the dimensions are {list(grid.dims)} here and {there} in the folder")
    else:
        for name, values in grid.dims.items():
            found += _differing_values(name, list(values), dataset[name].values.tolist())
    types = {str(name): dataset[name].dtype.str for name in dataset.data_vars if name != "done"}
    wanted = {name: dtype.str for name, dtype in outputs.items()}
    if types != wanted:
        found.append(f"the outputs are {wanted} here and {types} in the folder")
    return found


def _differing_values(name: str, here: list[Any], there: list[Any]) -> list[str]:
    if here == there:
        return []
    if len(here) != len(there):
        return [f"{name} has {len(here)} values here and {len(there)} in the folder"]
    at = next(i for i, (a, b) in enumerate(zip(here, there, strict=True)) if a != b)
    return [f"{name}[{at}] is {here[at]!r} here and {there[at]!r} in the folder"]


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
