"""Files of features and labels, read in batches: larger than memory, and as data, never as code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse._extras import require
from ncollapse._labels import label_vector
from ncollapse.data.files import (
    array_names,
    load_array,
    open_array,
    read_header,
    refusal,
    require_names,
)

BATCH_BYTES = 1 << 26
NEEDED = ("features", "labels")
HEAD_NAMES = ("weight", "bias")
FORMATS = ".npz, .npy, .safetensors or .parquet"


@dataclass(frozen=True)
class FeatureFile:
    """``features`` (N, D) in batches, and in memory ``labels`` (N,), ``weight`` (K, D),
    ``bias`` (K,).

    ``batches()`` goes through the file from its start each time it is called.
    """

    path: Path
    num_samples: int
    num_features: int
    labels: np.ndarray = field(repr=False)
    weight: np.ndarray | None = field(repr=False)
    bias: np.ndarray | None = field(repr=False)
    _blocks: Callable[[int], Iterator[np.ndarray]] = field(repr=False)

    def batches(self, batch_bytes: int = BATCH_BYTES) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pairs of features (B, D) and labels (B,), in the order of the file."""
        rows = max(1, batch_bytes // (8 * self.num_features))
        start = 0
        for block in self._blocks(rows):
            yield block, self.labels[start : start + len(block)]
            start += len(block)
        if start != self.num_samples:
            raise ValueError(f"{self.path} is truncated: {start} of {self.num_samples} rows read")


def open_features(
    path: str | Path, *, labels: str | Path | None = None, head: str | Path | None = None
) -> FeatureFile:
    """Open ``features``, ``labels`` and, where present, ``weight`` and ``bias``.

    Parameters
    ----------
    path
        ``.npz`` or ``.safetensors`` with these names; ``.parquet`` with a list column
        ``features`` and a column ``labels``; or ``.npy`` with the features alone.
    labels
        ``.npy`` with the labels, for a ``.npy`` of features. By default the file beside it with
        "features" replaced by "labels" in its name.
    head
        ``.npz`` or ``.safetensors`` with ``weight`` and optionally ``bias``, instead of those
        in ``path``.

    Raises
    ------
    ValueError
        Unknown format, missing names or columns, pickled objects, truncated files, shapes that
        disagree.
    TypeError
        Features that are not floating-point, labels that are no integers, booleans or strings.
    FileNotFoundError
        A file that is not there.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    suffix = path.suffix.lower()
    openers = {
        ".npz": _open_npz,
        ".safetensors": _open_safetensors,
        ".parquet": _open_parquet,
    }
    if suffix == ".npy":
        file = _open_npy(path, _labels_beside(path) if labels is None else Path(labels))
    elif suffix not in openers:
        raise ValueError(f"{path} must be {FORMATS}, but it ends in {suffix or 'nothing'}")
    elif labels is not None:
        raise ValueError(f"labels is for .npy features only; {path} holds its own")
    else:
        file = openers[suffix](path)
    if head is None:
        return file
    classifier = load_head(head)
    return replace(file, weight=classifier["weight"], bias=classifier.get("bias"))


def load_head(path: str | Path) -> dict[str, np.ndarray]:
    """``weight`` and, where present, ``bias`` of an ``.npz`` or ``.safetensors`` file."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        present = [name for name in HEAD_NAMES if name in array_names(path)]
        classifier = {name: load_array(path, name) for name in present}
    elif suffix == ".safetensors":
        with _safetensors(path) as file:
            present = [name for name in HEAD_NAMES if name in set(file.keys())]
            classifier = {name: _tensor(file, path, name) for name in present}
    else:
        raise ValueError(f"head must be .npz or .safetensors, but it is {path}")
    if "weight" not in classifier:
        raise ValueError(f"{path} lacks weight")
    return classifier


def _checked(
    path: Path,
    shape: tuple[int, ...],
    dtype: Any,
    labels: np.ndarray,
    head: dict[str, np.ndarray],
    blocks: Callable[[int], Iterator[np.ndarray]],
) -> FeatureFile:
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"features in {path} must be (samples, features), but their shape is {shape}"
        )
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"features in {path} must be floating-point, but their dtype is {dtype}")
    values = label_vector(labels, shape[0])
    return FeatureFile(
        path, shape[0], shape[1], values, head.get("weight"), head.get("bias"), blocks
    )


def _labels_beside(path: Path) -> Path:
    beside = path.with_name(path.name.replace("features", "labels"))
    if beside == path or not beside.exists():
        raise ValueError(
            f"labels are needed beside {path}: name their .npy file, "
            "or call the two …features….npy and …labels….npy"
        )
    return beside


def _open_npy(path: Path, labels: Path) -> FeatureFile:
    features = _load_npy(path, "r")

    def blocks(rows: int) -> Iterator[np.ndarray]:
        for start in range(0, len(features), rows):
            yield np.array(features[start : start + rows])

    return _checked(path, features.shape, features.dtype, _load_npy(labels), {}, blocks)


def _load_npy(path: Path, mode: Any = None) -> np.ndarray:
    with open(path, "rb") as stream:
        read_header(path, stream, path.stat().st_size)
    return np.load(path, mmap_mode=mode, allow_pickle=False)


def _open_npz(path: Path) -> FeatureFile:
    names = array_names(path)
    require_names(path, names, NEEDED, "the array ")
    with open_array(path, "features") as (_, header):
        shape, fortran, dtype = header

    def blocks(rows: int) -> Iterator[np.ndarray]:
        if fortran:
            # Columns come first in the file, so that no block of rows lies together.
            whole = load_array(path, "features")
            for start in range(0, len(whole), rows):
                yield np.ascontiguousarray(whole[start : start + rows])
            return
        with open_array(path, "features") as (stream, _):
            for start in range(0, shape[0], rows):
                count = min(rows, shape[0] - start)
                data = stream.read(count * shape[1] * dtype.itemsize)
                yield np.frombuffer(data, dtype=dtype).reshape(count, shape[1])

    head = {name: load_array(path, name) for name in HEAD_NAMES if name in names}
    return _checked(path, shape, dtype, load_array(path, "labels"), head, blocks)


def _safetensors(path: Path) -> AbstractContextManager[Any]:
    library = require("safetensors")
    try:
        return library.safe_open(path, framework="numpy")
    except library.SafetensorError as error:
        raise refusal(path, error) from error


def _tensor(file: Any, path: Path, name: str, rows: slice = slice(None)) -> np.ndarray:
    part = file.get_slice(name)
    if part.get_dtype() == "BF16":
        raise TypeError(f"{name} in {path} is bfloat16, which NumPy lacks: save it as float32")
    return file.get_tensor(name) if rows == slice(None) else part[rows.start : rows.stop]


def _open_safetensors(path: Path) -> FeatureFile:
    with _safetensors(path) as file:
        names = list(file.keys())
        require_names(path, names, NEEDED, "the array ")
        shape = tuple(file.get_slice("features").get_shape())
        dtype = _tensor(file, path, "features", slice(0, 1)).dtype
        labels = _tensor(file, path, "labels")
        head = {name: _tensor(file, path, name) for name in HEAD_NAMES if name in names}

    def blocks(rows: int) -> Iterator[np.ndarray]:
        with _safetensors(path) as file:
            for start in range(0, shape[0], rows):
                yield _tensor(file, path, "features", slice(start, min(start + rows, shape[0])))

    return _checked(path, shape, dtype, labels, head, blocks)


def _open_parquet(path: Path) -> FeatureFile:
    parquet = require("pyarrow.parquet")
    arrow = require("pyarrow")
    try:
        with parquet.ParquetFile(path) as file:
            require_names(path, file.schema_arrow.names, NEEDED, "the column ")
            labels = file.read(columns=["labels"]).column("labels")
            total = file.metadata.num_rows
            first = next(file.iter_batches(batch_size=1, columns=["features"]), None)
    except arrow.ArrowInvalid as error:
        raise refusal(path, error) from error
    if first is None:
        raise ValueError(f"{path} holds no samples")
    if labels.null_count:
        raise ValueError(f"labels in {path} must not be null, but {labels.null_count} are")
    example = _list_block(path, first.column(0))

    def blocks(rows: int) -> Iterator[np.ndarray]:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=["features"]):
                yield _list_block(path, batch.column(0), example.shape[1])

    shape = (total, example.shape[1])
    return _checked(path, shape, example.dtype, labels.to_numpy(), {}, blocks)


def _list_block(path: Path, column: Any, dim: int | None = None) -> np.ndarray:
    """A list column as a matrix: every row must have the same number of entries."""
    if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
        raise ValueError(f"column features in {path} must hold lists, but it holds {column.type}")
    values = column.flatten()
    dim = len(values) // max(len(column), 1) if dim is None else dim
    lengths = column.value_lengths().to_numpy(zero_copy_only=False) if len(column) else np.zeros(0)
    if column.null_count or values.null_count or not np.all(lengths == dim):
        raise ValueError(f"column features in {path} must hold lists of {dim} numbers in every row")
    return values.to_numpy(zero_copy_only=False).reshape(len(column), dim)
