"""Arrays in .npy and .npz files, read as data, never as code, and only as far as they are there."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

DEFLATE = 1032
"""What DEFLATE can make of one byte at most (zlib's "Technical details")."""

DAMAGE = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def load_arrays(path: str | Path, names: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` file by name.

    Raises
    ------
    ValueError
        Not an npz, truncated, holding pickled objects, lacking one of ``names``, or announcing an
        array that is larger than the file.
    OSError
        The file cannot be opened.
    """
    path = Path(path)
    present = array_names(path)
    require_names(path, present, names)
    return {name: load_array(path, name) for name in present}


def array_names(path: Path) -> list[str]:
    """Names of the arrays in an ``.npz`` file."""
    with _archive(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def require_names(path: Path, present: list[str], names: tuple[str, ...], kind: str = "") -> None:
    """Raise ``ValueError`` unless ``names`` are all ``present`` in the file."""
    missing = [name for name in names if name not in present]
    if missing:
        raise ValueError(
            f"{path} lacks {kind}{', '.join(missing)}; it holds {', '.join(present) or 'nothing'}"
        )


def load_array(path: Path, name: str) -> np.ndarray:
    """One array of an ``.npz`` file."""
    with open_array(path, name) as (stream, (shape, fortran, dtype)):
        values = np.frombuffer(stream.read(), dtype=dtype)
        return values.reshape(shape, order="F" if fortran else "C").copy()


@contextmanager
def open_array(
    path: Path, name: str
) -> Iterator[tuple[IO[bytes], tuple[tuple[int, ...], bool, np.dtype]]]:
    """The numbers of one array of an ``.npz`` file as a stream, after its header was checked."""
    with _archive(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.compress_size > path.stat().st_size or (
            info.file_size > DEFLATE * info.compress_size + DEFLATE
        ):
            raise ValueError(f"{path} announces {info.file_size} bytes for {name}, too many for it")
        try:
            with archive.open(info) as stream:
                yield stream, read_header(path, stream, info.file_size)
        except DAMAGE as error:
            raise refusal(path, error) from error


def read_header(path: Path, stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of the npy array of ``size`` bytes in all."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        if version not in readers:
            raise ValueError(f"npy version {version} is not known")
        shape, fortran, dtype = readers[version](stream)
    except DAMAGE as error:
        raise refusal(path, error) from error
    if dtype.hasobject:
        raise ValueError(f"{path} holds pickled objects, which are refused: save plain numbers")
    if any(length < 0 for length in shape):
        raise ValueError(f"{path} holds an array of negative length, its shape is {shape}")
    needed = dtype.itemsize
    for length in shape:
        needed *= length
    if needed != size - stream.tell():
        raise ValueError(
            f"{path} is truncated, damaged or not what its name says: an array of shape {shape} takes "
            f"{needed} bytes, but it has {size - stream.tell()}"
        )
    return shape, fortran, dtype


def refusal(path: Path, error: Exception) -> ValueError:
    """What is wrong with a file that a library could not read."""
    if isinstance(error, ValueError) and str(error).startswith(str(path)):
        return error
    return ValueError(f"{path} is truncated, damaged or not what its name says: {error}")


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with open(path, "rb") as file:
        try:
            archive: Any = zipfile.ZipFile(file)
        except DAMAGE as error:
            raise ValueError(f"{path} is truncated or not an .npz archive: {error}") from error
        with archive:
            yield archive
