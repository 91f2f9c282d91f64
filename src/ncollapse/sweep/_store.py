"""The results of a sweep on disk: one zarr group, written chunk by chunk, each chunk atomically.

``FOLDER/cells.zarr`` holds one array for each output, the coordinates, and the masks ``done`` and
``failed``. Every chunk carries a checksum. Only the process that holds the lock on ``FOLDER/lock``
writes.
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
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from ncollapse.sweep._grid import Grid, name_cells

try:
    import fcntl
except ImportError:  # Windows has no flock: there, two runs on one folder are not kept apart
    fcntl = None

CELLS = "cells.zarr"
LAYOUT = 2
MAX_CELLS_PER_CHUNK = 1024
MASKS = ("done", "failed")
Chunk = tuple[int, ...]


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
    """The outputs of every cell, in memory and on disk. Use it while holding `locked`.

    Finished cells whose values on disk are lost or damaged become missing, with a warning that
    names them.
    """

    def __init__(self, folder: Path, grid: Grid) -> None:
        self.folder, self.grid = folder, grid
        self._group = zarr.open_group(
            DurableStore(folder / CELLS), mode="r+", use_consolidated=False
        )
        dataset, damaged = _load(folder)
        self.outputs = {str(name): dataset[name].values for name in dataset.data_vars}
        self.done, self.failed = (self.outputs.pop(name) for name in MASKS)
        self._chunks = self._array("done").chunks
        if damaged.any():
            # first of all, so that no crash leaves a repaired chunk under the old mask
            self._write_chunks("done", self.done, self._chunks_of(np.argwhere(damaged)))
            warnings.warn(f"{_damage(dataset, damaged)}: computed again", stacklevel=3)

    def missing(self) -> list[int]:
        """Numbers of the cells that are not on disk yet."""
        return np.flatnonzero(~self.done.ravel()).tolist()

    def write(
        self, results: Iterable[tuple[int, Mapping[str, Any]]], failed: Iterable[int] = ()
    ) -> None:
        """Put these cells on disk: their outputs first, then, as the seal, the mask ``done``.

        A crash in between leaves cells that are not marked and will be computed again, to the same
        values. The cells numbered ``failed`` are marked as such.
        """
        done, marks = self.done.copy(), self.failed.copy()
        cells = []
        for number, values in results:
            index = np.unravel_index(number, self.grid.shape)
            for name, value in values.items():
                self.outputs[name][index] = value
            done[index], marks[index] = True, False
            cells.append(index)
        for number in failed:
            index = np.unravel_index(number, self.grid.shape)
            marks[index] = True
            cells.append(index)
        chunks = self._chunks_of(cells)
        for name, values in (self.outputs | {"failed": marks, "done": done}).items():
            self._write_chunks(name, values, chunks)
        self.done, self.failed = done, marks

    def _chunks_of(self, cells: Iterable[Iterable[int]]) -> set[Chunk]:
        return {
            tuple(int(i) // c for i, c in zip(cell, self._chunks, strict=True)) for cell in cells
        }

    def _write_chunks(self, name: str, values: np.ndarray, chunks: set[Chunk]) -> None:
        array = self._array(name)
        for chunk in sorted(chunks):
            # exactly one chunk a write, which zarr stores as one file without reading the old one
            box = _box(array, chunk)
            array[box] = values[box]

    def _array(self, name: str) -> zarr.Array:
        # a chunk of values that all equal the fill value is a file too: none means lost
        with zarr.config.set({"array.write_empty_chunks": True}):
            return _array(self._group, name)


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
    variables |= {name: (dims, np.zeros(grid.shape, dtype=bool)) for name in MASKS}
    coords = {
        # zarr has a specification for strings of any length, not for NumPy's fixed-length ones
        name: np.array(values, dtype=object if isinstance(values[0], str) else None)
        for name, values in grid.dims.items()
    }
    template = xr.Dataset(variables, coords=coords, attrs=dict(record))
    compressors = ZstdCodec(), Crc32cCodec()
    encoding: dict[str, dict[str, Any]] = {
        name: {"compressors": compressors, "chunks": chunks} for name in variables
    }
    encoding |= {name: {"compressors": compressors, "write_empty_chunks": True} for name in coords}
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
            encoding=encoding,
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
    """All results in memory, as plain ``xarray.open_zarr`` reads them; damage is an error."""
    dataset, damaged = _load(folder)
    if damaged.any():
        raise ValueError(
            f"{_damage(dataset, damaged)}: running the sweep again computes them again"
        )
    return dataset


def _load(folder: Path) -> tuple[xr.Dataset, np.ndarray]:
    """All results in memory, and the mask of finished cells that are lost or damaged on disk.

    Those count as not done; their outputs hold whatever is left.
    """
    path = folder / CELLS
    if not path.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"no sweep in this folder: it has no {CELLS}", str(folder)
        )
    try:
        with xr.open_zarr(path) as lazy:
            dataset = lazy.drop_vars(lazy.data_vars).load()
            dims = lazy["done"].dims
            names = [str(name) for name in lazy.data_vars if name not in MASKS]
        group = zarr.open_group(path, mode="r")
        for name in dims:
            coordinate = _array(group, str(name))
            for chunk in np.ndindex(coordinate.cdata_shape):
                _check_stored(path, coordinate, chunk)
        done, torn = _read_chunks(path, _array(group, "done"))
        failed, _ = _read_chunks(path, _array(group, "failed"))
        damaged, values = torn, {}
        for name in names:
            values[name], torn = _read_chunks(path, _array(group, name), done)
            damaged = damaged | torn
    except Exception as error:
        raise ValueError(f"{path} cannot be read as the results of a sweep: {error}") from error
    values |= {"failed": failed, "done": done & ~damaged}
    return dataset.assign({name: (dims, array) for name, array in values.items()}), damaged


def _read_chunks(
    path: Path, array: zarr.Array, needed: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Values of an array, and the mask of cells whose chunk fails its checksum or does not exist.

    Only cells in ``needed`` are expected to exist; without it a chunk may be absent.
    """
    values = np.full(array.shape, array.fill_value, array.dtype)
    damaged = np.zeros(array.shape, dtype=bool)
    for chunk in np.ndindex(array.cdata_shape):
        box = _box(array, chunk)
        try:
            values[box] = array[box]
            if needed is not None and needed[box].any():
                _check_stored(path, array, chunk)
        except (ValueError, RuntimeError, OSError):  # what zarr's codecs raise on damaged bytes
            damaged[box] = True if needed is None else needed[box]
    return values, damaged


def _check_stored(path: Path, array: zarr.Array, chunk: Chunk) -> None:
    key = array.metadata.encode_chunk_key(chunk)
    if not (path / array.basename / key).is_file():
        raise ValueError(f"chunk {key} of {array.basename} is missing")


def _box(array: zarr.Array, chunk: Chunk) -> tuple[slice, ...]:
    return tuple(
        slice(i * c, min((i + 1) * c, size))
        for i, c, size in zip(chunk, array.chunks, array.shape, strict=True)
    )


def _array(group: zarr.Group, name: str) -> zarr.Array:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise ValueError(f"{name} is not an array")
    return array


def _damage(dataset: xr.Dataset, damaged: np.ndarray) -> str:
    values = {str(name): dataset[name].values.tolist() for name in dataset["done"].dims}
    cells = [
        {name: values[name][i] for name, i in zip(values, index, strict=True)}
        for index in np.argwhere(damaged)
    ]
    return f"{name_cells(cells)} lost or damaged on disk"


def differences(
    folder: Path, grid: Grid, outputs: Mapping[str, np.dtype], record: Mapping[str, Any]
) -> list[str]:
    """How the sweep in ``folder`` differs from this one, a sentence each; none when it does not."""
    dataset, _ = _load(folder)
    differences = [
        f"{key} is {_brief(value)} here and {_brief(dataset.attrs.get(key))} in the folder"
        for key, value in record.items()
        if dataset.attrs.get(key) != value
    ]
    there = [str(name) for name in dataset["done"].dims]
    if there != list(grid.dims):
        differences.append(f"the dimensions are {list(grid.dims)} here and {there} in the folder")
    else:
        for name, values in grid.dims.items():
            differences += _differing_values(name, list(values), dataset[name].values.tolist())
    types = {str(name): dataset[name].dtype.str for name in dataset.data_vars if name not in MASKS}
    wanted = {name: dtype.str for name, dtype in outputs.items()}
    if types != wanted:
        differences.append(f"the outputs are {wanted} here and {types} in the folder")
    return differences


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
