"""`measure` for a file: what the command line calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.data import BATCH_BYTES, FeatureFile, open_features
from ncollapse.metrics._frame import check_weight_shape, weight_rows
from ncollapse.metrics._measure import Measurement, measure

Progress = Callable[[str, int, int], None]


def measure_file(
    path: str | Path,
    *,
    labels: str | Path | None = None,
    head: str | Path | None = None,
    preset: str | Iterable[str] = "all",
    batch_bytes: int = BATCH_BYTES,
    progress: Progress | None = None,
) -> Measurement:
    """Measure the features in a file, a batch at a time.

    Parameters
    ----------
    path, labels, head
        As for `open_features`.
    preset
        A name in `PRESETS` or names in `METRICS`.
    batch_bytes
        Memory for one batch.
    progress
        Called with ("first pass" or "second pass", rows done, rows in all) after each batch.

    Notes
    -----
    The labels are row numbers of the weight when they all are 0 … K−1. Otherwise there must be
    as many distinct labels as rows, and they are taken in ascending order.

    Raises as `open_features` and `measure` do.
    """
    file = open_features(path, labels=labels, head=head)
    passes = iter(("first pass", "second pass"))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        stage, done = next(passes), 0
        for features, batch_labels in file.batches(batch_bytes):
            yield features, batch_labels
            done += len(features)
            if progress is not None:
                progress(stage, done, file.num_samples)

    return measure(
        batches,
        weight=file.weight,
        bias=file.bias,
        preset=preset,
        classes=file_classes(file),
    )


def file_classes(file: FeatureFile) -> tuple[Any, ...]:
    """Label values in the order of the rows of the weight, as `measure_file` takes them."""
    values = np.unique(file.labels).tolist()
    if file.weight is None:
        return tuple(values)
    rows = weight_rows(file.weight)
    if rows.dim != file.num_features:
        check_weight_shape(rows, len(values), file.num_features)
    if not isinstance(values[0], str) and values[0] >= 0 and values[-1] < rows.count:
        return tuple(range(rows.count))
    if len(values) != rows.count:
        raise ValueError(
            f"labels have {len(values)} distinct values from {values[0]} to {values[-1]}, "
            f"which are not the {rows.count} rows of weight"
        )
    return tuple(values)
