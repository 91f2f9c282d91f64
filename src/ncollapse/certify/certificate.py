"""Certificates: can a two-layer ReLU network collapse on this data set, with the proof attached."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.certify._file import answer_arrays, read_answer, read_vector
from ncollapse.certify._types import Candidate, Direction
from ncollapse.data import Dataset, is_orthogonally_separable, load_arrays

FEASIBLE, INFEASIBLE, UNDECIDED = "feasible", "infeasible", "undecided"
FORMAT = 1
NAMED = 10
"""Labels that a sentence lists before it counts them."""


@dataclass(frozen=True, eq=False)
class ClassCertificate:
    """The answer about one class.

    Attributes
    ----------
    label
        The class's original label value.
    index
        Its index among all classes of the data set.
    verdict
        ``feasible``, ``infeasible`` or ``undecided``.
    verified
        Proven by `ncollapse.certify.verify`, so that no rounding error can overturn the verdict.
    slack
        min_j −⟨x_j, β⟩ over the other classes, for a feasible class; None where it leaves the range
        of floating-point numbers.
    norm
        ‖β‖, for a feasible class: the least possible up to the small slack that is asked for, unless
        only exact arithmetic found β. None as for ``slack``.
    seconds
        Time taken, verification included.
    reason
        Why, in a sentence.
    theorem
        ``3a``, ``3b`` or ``3c`` where that part of hong2025 Theorem 3 applies.
    answer
        β, or Farkas multipliers in the row order of the class and of the rest; None if undecided.
    """

    label: Any
    index: int
    verdict: str
    verified: bool
    slack: float | None
    norm: float | None
    seconds: float
    reason: str
    theorem: str | None
    answer: Candidate | None

    @classmethod
    def claimed(cls, label: Any, index: int, answer: Candidate | None) -> ClassCertificate:
        """What an answer says, before it is verified."""
        if answer is None:
            verdict, reason = UNDECIDED, "no answer"
        else:
            verdict = FEASIBLE if isinstance(answer, Direction) else INFEASIBLE
            reason = "claimed, not verified"
        return cls(label, index, verdict, False, None, None, 0.0, reason, None, answer)

    def to_dict(self) -> dict[str, Any]:
        """What two runs agree on: all but ``seconds`` and the answer itself."""
        return {
            "label": self.label,
            "verdict": self.verdict,
            "verified": self.verified,
            "slack": self.slack,
            "norm": self.norm,
            "reason": self.reason,
            "theorem": self.theorem,
        }


@dataclass(frozen=True)
class DataIdentity:
    """Which data set a certificate is about.

    ``digest`` is the SHA-256 of the inputs, the class indices and the labels; ``labels`` are the
    label values of all classes, ascending.
    """

    digest: str
    num_samples: int
    labels: tuple[Any, ...]

    @classmethod
    def of(cls, data: Dataset) -> DataIdentity:
        labels = data.classes.tolist()
        digest = hashlib.sha256(repr((data.inputs.shape, labels)).encode())
        for array, dtype in ((data.inputs, "<f8"), (data.labels, "<i8")):
            digest.update(np.ascontiguousarray(array, dtype).data.cast("B"))
        return cls(digest.hexdigest(), len(data.labels), tuple(labels))

    def __str__(self) -> str:
        return f"N = {self.num_samples}, K = {len(self.labels)}, SHA-256 {self.digest[:12]}…"


@dataclass(frozen=True, eq=False)
class Certificate:
    """Collapse at the global minimiser exists iff every class is feasible (hong2025 (2.12)).

    One infeasible class settles the question. ``feasible`` is said only where every class of the
    data set is covered; otherwise the verdict is ``undecided``, and the reason names the classes
    that are not.

    ``classes`` holds one `ClassCertificate` for each class covered, ``data`` says of which data set.
    ``orthogonally_separable`` is None in a certificate that was loaded and not yet compared with
    data.
    """

    verdict: str
    reason: str
    classes: tuple[ClassCertificate, ...]
    data: DataIdentity
    orthogonally_separable: bool | None

    @classmethod
    def of(cls, data: Dataset, classes: Iterable[ClassCertificate]) -> Certificate:
        """What the certificates of some classes say about ``data``."""
        return cls._of(DataIdentity.of(data), tuple(classes), is_orthogonally_separable(data))

    @classmethod
    def _of(
        cls,
        data: DataIdentity,
        classes: tuple[ClassCertificate, ...],
        orthogonally_separable: bool | None,
    ) -> Certificate:
        missing = _missing(data, classes)
        first = {entry.verdict: entry for entry in reversed(classes)}
        verdict = next((v for v in (INFEASIBLE, UNDECIDED) if v in first), FEASIBLE)
        if verdict != FEASIBLE:
            reasons = [f"class {first[verdict].label}: {first[verdict].reason}"]
        elif missing:
            verdict, reasons = UNDECIDED, []
        elif all(entry.theorem == "3b" for entry in classes):
            reasons = [first[verdict].reason]
        else:
            reasons = ["every class has a direction that maps it to 1 and the others below 0"]
        if missing:
            reasons.append(f"{listed(missing)} not covered")
        return cls(verdict, "; ".join(reasons), classes, data, orthogonally_separable)

    @property
    def verified(self) -> bool:
        """Whether the verdict itself is proven: one proven obstacle, or all classes proven."""
        if self.verdict == INFEASIBLE:
            return any(c.verified and c.verdict == INFEASIBLE for c in self.classes)
        return self.verdict == FEASIBLE and all(c.verified for c in self.classes)

    @property
    def covered(self) -> tuple[Any, ...]:
        """Labels of the classes that the certificate speaks of."""
        return tuple(entry.label for entry in self.classes)

    @property
    def missing(self) -> tuple[Any, ...]:
        """Labels of the other classes of the data set."""
        return _missing(self.data, self.classes)

    def to_dict(self) -> dict[str, Any]:
        """A JSON record; what differs from run to run is under ``volatile``."""
        return {
            "verdict": self.verdict,
            "verified": self.verified,
            "classes": [entry.to_dict() for entry in self.classes],
            "covered": list(self.covered),
            "missing": list(self.missing),
            "data": {
                "digest": self.data.digest,
                "num_samples": self.data.num_samples,
                "num_classes": len(self.data.labels),
            },
            "reason": self.reason,
            "orthogonally_separable": self.orthogonally_separable,
            "version": version("ncollapse"),
            "volatile": {"seconds": [entry.seconds for entry in self.classes]},
        }

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` with ``beta_k``, or ``free_k`` and ``nonneg_k``, for class index k.

        Fractions are written in base 16. ``labels`` and ``indices`` say which classes are covered;
        undecided ones have no arrays. ``digest``, ``num_samples`` and ``data_labels`` say of which
        data set, ``version`` which ncollapse wrote it.
        """
        arrays: dict[str, np.ndarray] = {
            "format": np.array([FORMAT]),
            "version": np.array([version("ncollapse")]),
            "digest": np.array([self.data.digest]),
            "num_samples": np.array([self.data.num_samples]),
            "data_labels": np.array(self.data.labels),
            "labels": np.array([self.data.labels[entry.index] for entry in self.classes]),
            "indices": np.array([entry.index for entry in self.classes]),
        }
        for entry in self.classes:
            arrays |= answer_arrays(entry.index, entry.answer)
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> Certificate:
        """Read what `save` wrote. Nothing in it is verified until `verify_certificate` says so.

        Raises
        ------
        ValueError
            Not such an archive or one of another format, pickled objects, no class or one twice, a
            class with both β and multipliers.
        """
        kinds = {
            "format": "iu",
            "version": "U",
            "digest": "U",
            "num_samples": "iu",
            "data_labels": "iuU",
            "labels": "iuU",
            "indices": "iu",
        }
        arrays = load_arrays(path, tuple(kinds))
        written, writer, digest, count, known, labels, indices = (
            read_vector(path, arrays, name, kind).tolist() for name, kind in kinds.items()
        )
        if written != [FORMAT]:
            raise ValueError(
                f"{path} is a certificate of format {written} by ncollapse {writer}; "
                f"this version reads format {FORMAT}"
            )
        if len(digest) != 1 or len(count) != 1:
            raise ValueError(f"{path} must hold one digest and one num_samples")
        if not labels or len(labels) != len(indices) or len(set(indices)) < len(indices):
            raise ValueError(
                f"{path} must hold one label for each index of at least one class, no index twice, "
                f"but labels is {labels} and indices {indices}"
            )
        entries = [
            ClassCertificate.claimed(label, index, read_answer(path, arrays, index))
            for label, index in zip(labels, indices, strict=True)
        ]
        return cls._of(DataIdentity(digest[0], count[0], tuple(known)), tuple(entries), None)


def _missing(data: DataIdentity, classes: Iterable[ClassCertificate]) -> tuple[Any, ...]:
    covered = {entry.label for entry in classes}
    return tuple(label for label in data.labels if label not in covered)


def listed(labels: Sequence[Any]) -> str:
    """Labels as a sentence names them: "class 3", "classes 1, 2", and no more than ``NAMED``."""
    names = ", ".join(str(label) for label in labels[:NAMED])
    if len(labels) > NAMED:
        names += f", … ({len(labels)} in all)"
    return f"class {names}" if len(labels) == 1 else f"classes {names}"
