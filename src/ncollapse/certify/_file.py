"""Certificates as files of plain arrays: floats, and fractions written in base 16."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.certify._types import Candidate, Direction, Multipliers

FRACTION = re.compile(r"(-?[0-9a-f]+)/([0-9a-f]*[1-9a-f][0-9a-f]*)")


def answer_arrays(index: int, answer: Candidate | None) -> dict[str, np.ndarray]:
    """``beta_k``, or ``free_k`` and ``nonneg_k``, for class index k."""
    if answer is None:
        return {}
    if isinstance(answer, Direction):
        return {f"beta_{index}": _written(answer.beta)}
    return {
        f"free_{index}": _written(answer.free),
        f"nonneg_{index}": _written(answer.nonneg),
    }


def read_answer(path: str | Path, arrays: Mapping[str, np.ndarray], index: int) -> Candidate | None:
    """What `answer_arrays` wrote; ``ValueError`` for anything else."""
    names = {f"beta_{index}", f"free_{index}", f"nonneg_{index}"} & set(arrays)
    values = {name: _read(path, name, arrays[name]) for name in names}
    if names == {f"beta_{index}"}:
        return Direction(values[f"beta_{index}"])
    if names == {f"free_{index}", f"nonneg_{index}"}:
        return Multipliers(values[f"free_{index}"], values[f"nonneg_{index}"])
    if not names:
        return None
    raise ValueError(
        f"{path} must hold for class index {index} either beta_{index}, or free_{index} and "
        f"nonneg_{index}, but it holds {', '.join(sorted(names))}"
    )


def read_vector(path: str | Path, arrays: Mapping[str, Any], name: str, kinds: str) -> np.ndarray:
    """A vector whose dtype is of one of ``kinds``; ``ValueError`` naming it otherwise."""
    values = arrays[name]
    if values.ndim != 1 or values.dtype.kind not in kinds:
        names = {"f": "floating-point numbers", "i": "integers", "U": "text"}
        raise ValueError(
            f"{path}: {name} must be a vector of {' or '.join(names[k] for k in kinds if k in names)}"
            f", but its shape is {values.shape} and its dtype {values.dtype}"
        )
    return values


def _written(values: np.ndarray) -> np.ndarray:
    if values.dtype != object:
        return values
    return np.array([f"{value.numerator:x}/{value.denominator:x}" for value in values])


def _read(path: str | Path, name: str, array: np.ndarray) -> np.ndarray:
    if read_vector(path, {name: array}, name, "fU").dtype.kind == "f":
        return array.astype(np.float64)
    values = np.empty(array.shape, dtype=object)
    for place, text in enumerate(array.tolist()):
        match = FRACTION.fullmatch(text)
        if match is None:
            raise ValueError(f"{path}: {name}[{place}] is no fraction in base 16: {text[:40]!r}")
        values[place] = Fraction(int(match[1], 16), int(match[2], 16))
    return values
