"""Named arrays in files of any format, whole or in blocks of rows: as data, never as code."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse._extras import require
from ncollapse.data.files import (
    array_names,
    load_array,
    open_array,
    read_header,
    refusal,
)

FORMATS = ".npz, .npy, .csv, .parquet, .safetensors or .pt"
FEATURE_NAMES = ("features", "embeddings", "inputs", "x", "data", "images")
INPUT_NAMES = ("inputs", "x", "data", "images", "features", "embeddings")
LABEL_NAMES = ("labels", "label", "y", "targets", "target", "class", "species")
"""What files call them, in lower case; the first name that is there counts."""
IDENTIFIERS = ("", "id", "index", "unnamed: 0", "__index_level_0__")
"""Columns of a table that number its rows, in lower case: they are left out."""
DELIMITERS = ",;\t"
WITHOUT_HEADER = "column {}"


class Source:
    """Arrays in memory by name, and what the sources of every format answer."""

    def __init__(self, path: Path, arrays: dict[str, np.ndarray]) -> None:
        self.path, self._arrays = path, arrays

    @property
    def names(self) -> list[str]:
        return list(self._arrays)

    def describe(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """Shape and dtype, without reading the array where the format allows that."""
        array = self.array(name)
        return array.shape, array.dtype

    def array(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def blocks(self, name: str, rows: int) -> Iterator[np.ndarray]:
        """``rows`` rows at a time; each call starts from the first."""
        array = self.array(name)
        for start in range(0, len(array), rows):
            yield np.array(array[start : start + rows])


class NpzSource(Source):
    """An ``.npz``, of which a block of rows is read as a stream."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        self._names = array_names(path)

    @property
    def names(self) -> list[str]:
        return self._names

    def describe(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with open_array(self.path, name) as (_, (shape, _, dtype)):
            return shape, dtype

    def array(self, name: str) -> np.ndarray:
        return load_array(self.path, name)

    def blocks(self, name: str, rows: int) -> Iterator[np.ndarray]:
        with open_array(self.path, name) as (stream, (shape, fortran, dtype)):
            if not fortran:
                size = int(np.prod(shape[1:]))
                for start in range(0, shape[0], rows):
                    count = min(rows, shape[0] - start)
                    data = stream.read(count * size * dtype.itemsize)
                    yield np.frombuffer(data, dtype=dtype).reshape(count, *shape[1:])
                return
        # Columns come first in the file, so that no block of rows lies together.
        whole = load_array(self.path, name)
        for start in range(0, len(whole), rows):
            yield np.ascontiguousarray(whole[start : start + rows])


class SafetensorsSource(Source):
    """A ``.safetensors``; bfloat16 is widened to float32."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        with self._open() as file:
            self._names = list(file.keys())

    @property
    def names(self) -> list[str]:
        return self._names

    def describe(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        with self._open() as file:
            shape = tuple(file.get_slice(name).get_shape())
        return shape, self._rows(name, 0, 1).dtype if shape else self.array(name).dtype

    def array(self, name: str) -> np.ndarray:
        with self._open() as file:
            if file.get_slice(name).get_dtype() != "BF16":
                return file.get_tensor(name)
        return self._widened(name)[:]

    def blocks(self, name: str, rows: int) -> Iterator[np.ndarray]:
        length = self.describe(name)[0][0]
        for start in range(0, length, rows):
            yield self._rows(name, start, min(start + rows, length))

    def _open(self) -> AbstractContextManager[Any]:
        library = require("safetensors")
        try:
            return library.safe_open(self.path, framework="numpy")
        except library.SafetensorError as error:
            raise refusal(self.path, error) from error

    def _rows(self, name: str, start: int, stop: int) -> np.ndarray:
        with self._open() as file:
            part = file.get_slice(name)
            if part.get_dtype() != "BF16":
                return part[start:stop]
        return self._widened(name)[start:stop]

    def _widened(self, name: str) -> Any:
        return _BFloat16(self.path, name)


class _BFloat16:
    """One bfloat16 tensor of a safetensors file, which NumPy has no type for."""

    def __init__(self, path: Path, name: str) -> None:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            entry = json.loads(file.read(length))[name]
        begin = 8 + length + entry["data_offsets"][0]
        shape = tuple(entry["shape"])
        self._halves = np.memmap(path, "<u2", mode="r", offset=begin, shape=shape)

    def __getitem__(self, rows: slice) -> np.ndarray:
        # A bfloat16 is the upper half of a float32.
        return (self._halves[rows].astype(np.uint32) << 16).view(np.float32)


def _table_columns(path: Path, columns: list[str], texts: list[str]) -> tuple[str, list[str]]:
    """The column of labels of a table and those of its features; ``texts`` are columns of text."""
    labels = first_of(columns, LABEL_NAMES)
    if labels is None:
        if len(texts) != 1:
            raise lacking(path, "the column labels", LABEL_NAMES, columns)
        labels = texts[0]
    features = [c for c in columns if c != labels and c.casefold() not in IDENTIFIERS]
    if not features:
        raise ValueError(f"{path} holds no column of features beside {labels}")
    return labels, features


def _csv_source(path: Path) -> Source:
    """A text table, with a header or without, its cells apart by a comma, semicolon or tab."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        try:
            first = file.readline()
            delimiter = max(DELIMITERS, key=first.count)
            file.seek(0)
            rows = csv.reader(file, delimiter=delimiter)
            head, example = next(rows, []), next(rows, [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise refusal(path, error) from error
    header = not any(map(_is_number, head))
    if not header:
        head, example = [WITHOUT_HEADER.format(i) for i in range(len(head))], head
    if not example:
        raise ValueError(f"{path} holds no samples")
    if len(set(head)) < len(head) or len(head) != len(example):
        raise ValueError(
            f"{path} must give each of its {len(example)} columns a name of its own in its "
            f"first line, but that is {', '.join(head)}"
        )
    texts = [name for name, cell in zip(head, example, strict=True) if not _is_number(cell)]
    labels, features = _table_columns(path, head, texts)

    def read(columns: list[str], dtype: Any) -> np.ndarray:
        return np.loadtxt(
            path,
            dtype=dtype,
            delimiter=delimiter,
            skiprows=int(header),
            usecols=[head.index(name) for name in columns],
            ndmin=2,
            quotechar='"',
            comments=None,
            encoding="utf-8-sig",
        )

    try:
        matrix, values = read(features, np.float64), read([labels], str)[:, 0]
    except ValueError as error:
        raise ValueError(f"{path} must hold numbers beside {labels}: {error}") from error
    with contextlib.suppress(ValueError):  # names of classes stay text
        values = values.astype(np.int64)
    return Source(path, {"features": matrix, "labels": values})


class ParquetSource(Source):
    """A ``.parquet`` table: it answers to ``features`` and ``labels``, whatever its columns are called."""

    def __init__(self, path: Path) -> None:
        self._parquet = require("pyarrow.parquet")
        self._invalid = require("pyarrow").ArrowInvalid
        try:
            with self._parquet.ParquetFile(path) as file:
                schema, self._count = file.schema_arrow, file.metadata.num_rows
        except self._invalid as error:
            raise refusal(path, error) from error
        if not self._count:
            raise ValueError(f"{path} holds no samples")
        texts = [field.name for field in schema if str(field.type) in ("string", "large_string")]
        super().__init__(path, {})
        self._labels, self._features = _table_columns(path, schema.names, texts)
        lists = [name for name in self._features if hasattr(schema.field(name).type, "value_type")]
        if lists:
            self._features = [first_of(lists, FEATURE_NAMES) or lists[0]]
        self._read_block = self._rows_of_lists if lists else self._rows_of_columns
        self._dim = None
        self._dim = next(self.blocks("features", 1)).shape[1]

    @property
    def names(self) -> list[str]:
        return ["features", "labels"]

    def describe(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        example = next(self.blocks(name, 1))
        return (self._count, *example.shape[1:]), example.dtype

    def blocks(self, name: str, rows: int) -> Iterator[np.ndarray]:
        try:
            with self._parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=rows, columns=self._features):
                    yield self._read_block(batch)
        except self._invalid as error:
            raise refusal(self.path, error) from error

    def array(self, name: str) -> np.ndarray:
        if name == "features":
            return np.concatenate(list(self.blocks(name, 1 << 16)))
        with self._parquet.ParquetFile(self.path) as file:
            column = file.read(columns=[self._labels]).column(self._labels)
        self._refuse_nulls(self._labels, column)
        return column.to_numpy()

    def _rows_of_columns(self, batch: Any) -> np.ndarray:
        columns = [batch.column(name) for name in self._features]
        for name, column in zip(self._features, columns, strict=True):
            self._refuse_nulls(name, column)
        return np.column_stack([column.to_numpy(zero_copy_only=False) for column in columns])

    def _rows_of_lists(self, batch: Any) -> np.ndarray:
        """Every row must have the same number of entries."""
        column = batch.column(0)
        values = column.flatten()
        dim = len(values) // max(len(column), 1) if self._dim is None else self._dim
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        if column.null_count or values.null_count or not np.all(lengths == dim):
            raise ValueError(
                f"column {self._features[0]} in {self.path} must hold lists of {dim} numbers in "
                "every row"
            )
        return values.to_numpy(zero_copy_only=False).reshape(len(column), dim)

    def _refuse_nulls(self, name: str, column: Any) -> None:
        if column.null_count:
            raise ValueError(f"{name} in {self.path} must not be null, but {column.null_count} are")


def first_of(present: list[str], names: tuple[str, ...]) -> str | None:
    """The one ``present`` that comes first in ``names``, which are in lower case."""
    lower = {name.casefold(): name for name in reversed(present)}
    return next((lower[name] for name in names if name in lower), None)


def lacking(path: Path, what: str, names: tuple[str, ...], present: list[str]) -> ValueError:
    """That ``path`` has nothing called ``what``, and which other ``names`` would do."""
    return ValueError(
        f"{path} lacks {what} ({', '.join(names[1:])} would do); "
        f"it holds {', '.join(present) or 'nothing'}"
    )


def open_source(path: str | Path, labels: str | Path | None = None) -> Source:
    """The arrays of a file, told apart by the ending of its name.

    ``labels`` is the ``.npy`` of labels for a ``.npy`` of features.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        beside = _labels_beside(path) if labels is None else Path(labels)
        return Source(path, {"features": _memory_map(path), "labels": _memory_map(beside)})
    openers: dict[str, Callable[[Path], Source]] = {
        ".npz": NpzSource,
        ".csv": _csv_source,
        ".parquet": ParquetSource,
        ".safetensors": SafetensorsSource,
        ".pt": _torch_source,
    }
    if suffix not in openers:
        raise ValueError(f"{path} must be {FORMATS}, but it ends in {suffix or 'nothing'}")
    if labels is not None:
        raise ValueError(f"labels is for .npy features only; {path} holds its own")
    return openers[suffix](path)


def _memory_map(path: Path) -> np.ndarray:
    with open(path, "rb") as stream:
        read_header(path, stream, path.stat().st_size)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _labels_beside(path: Path) -> Path:
    for ours, theirs in (("features", "labels"), ("inputs", "labels"), ("X", "y"), ("x", "y")):
        beside = path.with_name(path.name.replace(ours, theirs))
        if beside != path and beside.exists():
            return beside
    raise ValueError(
        f"labels are needed beside {path}: name their .npy file, "
        "or call the two …features….npy and …labels….npy"
    )


def _torch_source(path: Path) -> Source:
    """A dictionary of tensors, loaded without running any code that the file may hold."""
    torch = require("torch")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch raises errors of many kinds here; which one says nothing more to a reader.
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path} cannot be read as plain tensors: {reason}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold tensors by name, but it is a {type(content).__name__}")
    arrays = {}
    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            value = value.float() if value.dtype == torch.bfloat16 else value
            arrays[str(name)] = value.numpy()
        elif isinstance(value, list):
            arrays[str(name)] = np.asarray(value)
    return Source(path, arrays)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
