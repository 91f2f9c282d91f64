"""Certificates: can a two-layer ReLU network collapse on this data set, with the proof attached."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.certify._scaling import scale_rows, shared_row
from ncollapse.certify._types import Candidate, Direction, Multipliers
from ncollapse.certify.feasibility import candidates
from ncollapse.certify.separation import meeting_hulls
from ncollapse.certify.verify import smallest_singular_value_at_least, verify
from ncollapse.data import Dataset
from ncollapse.data._dataset import load_arrays
from ncollapse.geometry import row_norms

FEASIBLE, INFEASIBLE, UNDECIDED = "feasible", "infeasible", "undecided"


@dataclass(frozen=True, eq=False)
class ClassCertificate:
    """The answer about one class.

    Attributes
    ----------
    label
        The class's original label value.
    verdict
        ``feasible``, ``infeasible`` or ``undecided``.
    verified
        Proven by `ncollapse.certify.verify`, so that no rounding error can overturn the verdict.
    slack
        min_j −⟨x_j, β⟩ over the other classes, for a feasible class.
    norm
        ‖β‖, for a feasible class: the least possible up to the small slack that is asked for.
    seconds
        Time taken, verification included.
    reason
        Why, in a sentence; which theorem where one applies.
    answer
        β, or Farkas multipliers in the row order of the class and of the rest; None if undecided.
    """

    label: Any
    verdict: str
    verified: bool
    slack: float | None
    norm: float | None
    seconds: float
    reason: str
    answer: Candidate | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "verdict": self.verdict,
            "verified": self.verified,
            "slack": self.slack,
            "norm": self.norm,
            "seconds": self.seconds,
            "reason": self.reason,
        }


@dataclass(frozen=True, eq=False)
class Certificate:
    """Collapse at the global minimiser exists iff every class is feasible (hong2025 (2.12)).

    ``classes`` holds one `ClassCertificate` for each class asked for; ``indices`` their indices
    among all classes of the data set. ``orthogonally_separable`` is None in a certificate that was
    loaded and not yet compared with data.
    """

    verdict: str
    reason: str
    classes: tuple[ClassCertificate, ...]
    indices: tuple[int, ...]
    orthogonally_separable: bool | None

    @property
    def verified(self) -> bool:
        """Whether the verdict itself is proven: one proven obstacle, or all classes proven."""
        if self.verdict == INFEASIBLE:
            return any(c.verified and c.verdict == INFEASIBLE for c in self.classes)
        return all(c.verified for c in self.classes)

    def to_dict(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "verified": self.verified,
            "classes": [c.to_dict() for c in self.classes],
            "reason": self.reason,
            "orthogonally_separable": self.orthogonally_separable,
            "version": version("ncollapse"),
        }

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` with ``beta_k``, or ``free_k`` and ``nonneg_k``, for class index k.

        ``labels`` and ``indices`` say which classes were asked for. Undecided ones have no arrays.
        """
        arrays: dict[str, np.ndarray] = {
            "labels": np.array([c.label for c in self.classes]),
            "indices": np.array(self.indices),
        }
        for index, entry in zip(self.indices, self.classes, strict=True):
            if isinstance(entry.answer, Direction):
                arrays[f"beta_{index}"] = entry.answer.beta
            elif isinstance(entry.answer, Multipliers):
                arrays[f"free_{index}"] = entry.answer.free
                arrays[f"nonneg_{index}"] = entry.answer.nonneg
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Certificate:
        """Read what `save` wrote. Nothing in it is verified until `verify_certificate` says so.

        Raises
        ------
        ValueError
            Not such an archive, pickled objects, or a class with both β and multipliers.
        """
        arrays = load_arrays(path, ("labels", "indices"))
        labels, indices = arrays["labels"], arrays["indices"]
        if labels.ndim != 1 or labels.shape != indices.shape or indices.dtype.kind not in "iu":
            raise ValueError(
                f"{path}: labels and indices must be vectors of one length, indices of integers, "
                f"but their shapes are {labels.shape} and {indices.shape}"
            )
        entries = [
            _claim(label, _read_answer(path, arrays, index))
            for label, index in zip(labels.tolist(), indices.tolist(), strict=True)
        ]
        return _summarise(entries, [int(index) for index in indices], None)


def certify(
    inputs: Any,
    labels: Any,
    *,
    classes: Sequence[Any] | None = None,
    stop_at_obstacle: bool = False,
) -> Certificate:
    """Decide for each class k: is there β with ⟨x_i, β⟩ = 1 on it and ⟨x_j, β⟩ ≤ 0 off it?

    A two-layer ReLU network of any width can collapse on the data iff all classes say yes
    (hong2025 (2.12) and Theorem 3).

    Parameters
    ----------
    inputs, labels
        ``(N, d)`` and ``(N,)``, any integer label values.
    classes
        Label values to decide, in this order; all by default. The verdict is about these alone.
    stop_at_obstacle
        Leave out the classes after the first that is proven infeasible: it settles the verdict.

    Returns
    -------
    Certificate
        Each class carries β or Farkas multipliers, and whether they are proven.

    Raises
    ------
    ValueError, TypeError
        As `ncollapse.data.Dataset.from_arrays`; ``classes`` that are empty or not in ``labels``.
    """
    data = Dataset.from_arrays(inputs, labels)
    indices = _asked_indices(data, classes)
    independent = _all_rows_independent(data)
    entries: list[ClassCertificate] = []
    for index in indices:
        entries.append(_certify_class(data, index, independent))
        if stop_at_obstacle and entries[-1].verdict == INFEASIBLE:
            break
    return _summarise(entries, indices[: len(entries)], is_orthogonally_separable(data))


def verify_certificate(certificate: Certificate, data: Dataset) -> Certificate:
    """Check every answer of ``certificate`` on ``data`` from scratch; unproven ones are undecided.

    Raises
    ------
    ValueError
        The certificate names class indices or labels that the data do not have.
    """
    entries = []
    for index, claimed in zip(certificate.indices, certificate.classes, strict=True):
        if not 0 <= index < data.num_classes or data.classes[index] != claimed.label:
            raise ValueError(
                f"the certificate speaks of class {claimed.label!r} at index {index}, "
                f"but the classes of the data are {data.classes.tolist()}"
            )
        own, rest = _split(data, index)
        entries.append(_judge(data, index, own, rest, claimed.answer, time.perf_counter()))
    return _summarise(entries, list(certificate.indices), is_orthogonally_separable(data))


def is_orthogonally_separable(data: Dataset) -> bool:
    """⟨x_i, x_j⟩ > 0 within every class and < 0 across classes (min2025), over all pairs i ≠ j.

    Stops at the first block of rows with a violation. A zero vector violates it.
    """
    rows, _ = scale_rows(data.inputs)
    start, block = 0, 1
    while start < len(rows):
        part = slice(start, min(start + block, len(rows)))
        products = rows[part] @ rows.T
        own = data.labels[part]
        sign = np.where(own[:, None] == data.labels, 1.0, -1.0)
        if not (products * sign > 0).all():
            return False
        start, block = start + block, min(2 * block, 256)
    return True


def _asked_indices(data: Dataset, classes: Sequence[Any] | None) -> list[int]:
    if classes is None:
        return list(range(data.num_classes))
    known = {label: index for index, label in enumerate(data.classes.tolist())}
    unknown = [label for label in classes if label not in known]
    if unknown or len(classes) == 0:
        raise ValueError(f"classes must be some of {list(known)}, but it is {list(classes)}")
    return [known[label] for label in classes]


def _split(data: Dataset, index: int) -> tuple[np.ndarray, np.ndarray]:
    inside = data.labels == index
    return data.inputs[inside], data.inputs[~inside]


def _all_rows_independent(data: Dataset) -> bool:
    rows, dim = data.inputs.shape
    return rows <= dim and smallest_singular_value_at_least(scale_rows(data.inputs)[0], 0.0)


def _certify_class(data: Dataset, index: int, independent: bool) -> ClassCertificate:
    start = time.perf_counter()
    own, rest = _split(data, index)
    entry = _claim(data.classes[index].item(), None)
    for candidate in candidates(own, rest):
        entry = _judge(data, index, own, rest, candidate, start)
        if entry.verified:
            break
    if entry.verdict == INFEASIBLE and "Theorem" not in entry.reason:
        hulls = meeting_hulls(own, rest)
        if hulls is not None:
            entry = replace(
                entry,
                answer=hulls,
                seconds=time.perf_counter() - start,
                reason="a convex combination of the class is one of the rest: "
                "not linearly separable (hong2025 Theorem 3a)",
            )
    if independent and entry.verdict == FEASIBLE:
        entry = replace(
            entry, reason="all samples are linearly independent, rank N (hong2025 Theorem 3b)"
        )
    return entry


def _judge(
    data: Dataset,
    index: int,
    own: np.ndarray,
    rest: np.ndarray,
    answer: Candidate | None,
    start: float,
) -> ClassCertificate:
    """What an answer proves about one class."""
    entry = _claim(data.classes[index].item(), answer)
    if answer is None:
        return entry
    found = verify(own, rest, answer)
    if not found.verified:
        return replace(
            entry,
            verdict=UNDECIDED,
            answer=None,
            seconds=time.perf_counter() - start,
            reason=f"claimed {entry.verdict}, but not proven: {found.detail}",
        )
    if isinstance(answer, Direction):
        slack = -float((rest @ answer.beta).max())
        norm = float(row_norms(answer.beta[None])[0])
        return replace(
            entry,
            verified=True,
            slack=slack,
            norm=norm,
            seconds=time.perf_counter() - start,
            reason=f"a direction exists; proven by {found.method} ({found.detail})",
        )
    return replace(
        entry,
        verified=True,
        seconds=time.perf_counter() - start,
        reason=_obstacle(data, index, own, rest, answer),
    )


def _obstacle(
    data: Dataset, index: int, own: np.ndarray, rest: np.ndarray, answer: Multipliers
) -> str:
    inside = np.flatnonzero(data.labels == index)
    outside = np.flatnonzero(data.labels != index)
    zero = np.flatnonzero(~own.any(axis=1))
    if zero.size:
        return f"sample {inside[zero[0]]} is the zero vector, which no direction maps to 1"
    if np.count_nonzero(answer.free) == 1 == np.count_nonzero(answer.nonneg):
        pair = shared_row(own, rest)
        if pair is not None:
            i, j = inside[pair[0]], outside[pair[1]]
            return (
                f"samples {i} and {j} are the same point in classes {data.classes[index]} and "
                f"{data.classes[data.labels[j]]}: not linearly separable (hong2025 Theorem 3a)"
            )
    if not answer.nonneg.any():
        return "the vector of ones is not in the range of the class's samples (hong2025 Theorem 3c)"
    return "the samples of the class and the rest contradict each other (Farkas multipliers)"


def _claim(label: Any, answer: Candidate | None) -> ClassCertificate:
    if answer is None:
        verdict, reason = UNDECIDED, "no answer"
    elif isinstance(answer, Direction):
        verdict, reason = FEASIBLE, "claimed, not verified"
    else:
        verdict, reason = INFEASIBLE, "claimed, not verified"
    return ClassCertificate(label, verdict, False, None, None, 0.0, reason, answer)


def _summarise(
    entries: list[ClassCertificate], indices: list[int], orthogonally_separable: bool | None
) -> Certificate:
    verdicts = {entry.verdict for entry in entries}
    verdict = next(v for v in (INFEASIBLE, UNDECIDED, FEASIBLE) if v in verdicts)
    deciding = [entry for entry in entries if entry.verdict == verdict]
    if verdict == FEASIBLE:
        reason = "every class has a direction that maps it to 1 and the others below 0"
        if all("Theorem 3b" in entry.reason for entry in entries):
            reason = deciding[0].reason
    else:
        reason = f"class {deciding[0].label}: {deciding[0].reason}"
    return Certificate(verdict, reason, tuple(entries), tuple(indices), orthogonally_separable)


def _read_answer(path: str | Path, arrays: Any, index: int) -> Candidate | None:
    names = {f"beta_{index}", f"free_{index}", f"nonneg_{index}"} & set(arrays)
    for name in names:
        if arrays[name].ndim != 1 or arrays[name].dtype.kind != "f":
            raise ValueError(
                f"{path}: {name} must be a vector of floating-point numbers, "
                f"but its shape is {arrays[name].shape} and its dtype {arrays[name].dtype}"
            )
    if names == {f"beta_{index}"}:
        return Direction(arrays[f"beta_{index}"].astype(np.float64))
    if names == {f"free_{index}", f"nonneg_{index}"}:
        return Multipliers(
            arrays[f"free_{index}"].astype(np.float64), arrays[f"nonneg_{index}"].astype(np.float64)
        )
    if not names:
        return None
    raise ValueError(
        f"{path} must hold for class index {index} either beta_{index}, or free_{index} and "
        f"nonneg_{index}, but it holds {', '.join(sorted(names))}"
    )
