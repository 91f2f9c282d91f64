"""Checks of what callers pass in: each names the argument, what was wrong and what is accepted.

They take arrays of any library that array-api-compat knows and return the caller's own type.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

Array = Any
"""An array of NumPy, PyTorch, JAX or any other array-API library."""


def check_matrix(
    name: str, value: Array, *, rows: str = "samples", columns: str = "features"
) -> Array:
    """Return ``value`` if it is a finite real floating matrix with at least one row and column.

    The first row that holds a NaN or an infinity is named in the error.
    """
    xp = array_namespace(value)
    if value.ndim != 2:
        raise ValueError(
            f"{name} must be a matrix ({rows}, {columns}), but its shape is {tuple(value.shape)}"
        )
    if 0 in value.shape:
        raise ValueError(
            f"{name} must hold at least one of {rows} and {columns}, "
            f"but its shape is {tuple(value.shape)}"
        )
    if not xp.isdtype(value.dtype, "real floating"):
        raise TypeError(
            f"{name} must hold real floating-point numbers, but its dtype is {value.dtype}"
        )
    check_finite(name, value)
    return value


def check_finite(name: str, value: Array) -> None:
    """Raise ``ValueError`` naming the first row of ``value`` with a NaN or an infinity."""
    xp = array_namespace(value)
    finite = xp.isfinite(value)
    if bool(xp.all(finite)):
        return
    bad = xp.logical_not(xp.all(xp.reshape(finite, (value.shape[0], -1)), axis=1))
    row = int(xp.argmax(xp.astype(bad, xp.int8)))
    count = int(xp.sum(xp.astype(bad, xp.int64)))
    raise ValueError(
        f"{name} must be finite, but row {row} holds a NaN or an infinity ({count} such rows)"
    )


def check_features(value: Any, name: str = "features") -> None:
    """Raise unless ``value`` is a real floating matrix, half precision included, of any size."""
    refuse_masked(name, value)
    if not is_array(value):
        raise TypeError(
            f"{name} must be an array of NumPy, PyTorch, JAX or another array-API library, "
            f"but it is a {type(value).__name__}"
        )
    if value.ndim != 2:
        raise ValueError(
            f"{name} must be a matrix (samples, features), but its shape is {tuple(value.shape)}"
        )
    if not is_half(value) and not array_namespace(value).isdtype(value.dtype, "real floating"):
        raise TypeError(
            f"{name} must hold real floating-point numbers, but its dtype is {value.dtype}"
        )


def is_array(value: Any) -> bool:
    return is_array_api_obj(value)


def is_half(value: Array) -> bool:
    """Whether the numbers are float16 or bfloat16."""
    return str(value.dtype).rpartition(".")[2] in ("float16", "bfloat16")


def refuse_masked(name: str, value: Any) -> None:
    """Raise ``TypeError`` for a masked array, whose masked entries would be read as numbers."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be masked: drop the masked rows and pass the plain array")


def check_labels(name: str, value: Array, num_samples: int) -> Array:
    """Return ``value`` if it is an integer vector with one entry a sample."""
    xp = array_namespace(value)
    if value.ndim != 1:
        raise ValueError(
            f"{name} must be a vector of {num_samples} integers, "
            f"but its shape is {tuple(value.shape)}"
        )
    if value.shape[0] != num_samples:
        raise ValueError(f"{name} has {value.shape[0]} entries for {num_samples} samples")
    if not xp.isdtype(value.dtype, "integral"):
        raise TypeError(f"{name} must hold integers, but its dtype is {value.dtype}")
    return value


def check_positive(name: str, value: float) -> float:
    """Return ``value`` as a float if it is finite and above zero."""
    number = float(value)
    if not 0.0 < number < float("inf"):
        raise ValueError(f"{name} must be a positive finite number, but it is {value!r}")
    return number


def prepare_folder(out: str | Path) -> Path:
    """Make ``out`` and check that files can be written there: call it before a long run.

    Raises
    ------
    NotADirectoryError
        ``out`` or one of its parents is a file.
    OSError
        It cannot be made or written to; the message names it.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(f"{folder} cannot be a folder: a file is in the way") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(error.errno, f"{folder} cannot be written to: {reason}") from error
    return folder
