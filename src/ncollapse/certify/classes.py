"""Class by class: decide all or some of a data set, or check what a certificate claims of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ncollapse.certify._exact import integer_rows
from ncollapse.certify._scaling import scale_rows, shared_row
from ncollapse.certify._types import Candidate, Direction, Multipliers
from ncollapse.certify.certificate import (
    FEASIBLE,
    INFEASIBLE,
    Certificate,
    ClassCertificate,
    DataIdentity,
)
from ncollapse.certify.decide import decide
from ncollapse.certify.separation import meeting_hulls
from ncollapse.certify.verify import Verification, smallest_singular_value_at_least, verify
from ncollapse.data import Dataset, as_dataset
from ncollapse.geometry import row_norms

THEOREM = "hong2025 Theorem 3"


def certify(
    inputs: Any,
    labels: Any = None,
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
        ``(N, d)`` and ``(N,)``, any integer label values; or a `Dataset` alone.
    classes
        Label values to decide, in this order; all by default. Where some are left out the verdict
        may be ``infeasible``, never ``feasible``.
    stop_at_obstacle
        Leave out the classes after the first that is proven infeasible: it settles the verdict.

    Returns
    -------
    Certificate
        Each class carries β or Farkas multipliers, and whether they are proven.

    Raises
    ------
    ValueError, TypeError
        As `ncollapse.data.Dataset.from_arrays`; ``classes`` that are empty, named twice or not in
        ``labels``.
    """
    data = as_dataset(inputs, labels)
    return Certificate.of(data, decide_classes(data, classes, stop_at_obstacle=stop_at_obstacle))


def verify_certificate(certificate: Certificate, inputs: Any, labels: Any = None) -> Certificate:
    """Check every answer of ``certificate`` on the data from scratch; unproven ones are undecided.

    ``inputs`` and ``labels`` as in `certify`.

    Raises
    ------
    ValueError
        The certificate is about other data, or names classes that the data do not have.
    """
    data = as_dataset(inputs, labels)
    return Certificate.of(data, verify_classes(certificate, data))


def decide_classes(
    data: Dataset, classes: Sequence[Any] | None = None, *, stop_at_obstacle: bool = False
) -> Iterator[ClassCertificate]:
    """The classes of `certify` as they are decided; `Certificate.of` puts them together."""
    indices = _asked_indices(data, classes)
    independent = _all_rows_independent(data)
    for index in indices:
        entry = _decided(data, index, independent)
        yield entry
        if stop_at_obstacle and entry.verdict == INFEASIBLE:
            return


def verify_classes(certificate: Certificate, data: Dataset) -> Iterator[ClassCertificate]:
    """The classes of `verify_certificate` as they are checked."""
    identity = DataIdentity.of(data)
    if certificate.data != identity:
        raise ValueError(
            f"the certificate is about other data ({certificate.data}), "
            f"not about {data.name} ({identity})"
        )
    for claimed in certificate.classes:
        if not 0 <= claimed.index < data.num_classes or (
            data.classes[claimed.index] != claimed.label
        ):
            raise ValueError(
                f"the certificate speaks of class {claimed.label!r} at index {claimed.index}, "
                f"but the classes of the data are {data.classes.tolist()}"
            )
        start = time.perf_counter()
        own, rest = _split(data, claimed.index)
        entry, answer = ClassCertificate.claimed(claimed.label, claimed.index, None), claimed.answer
        if answer is not None:
            verification = verify(own, rest, answer)
            if verification.verified:
                entry = _proven(data, claimed.index, answer, verification)
            else:
                verdict = ClassCertificate.claimed(claimed.label, claimed.index, answer).verdict
                reason = f"claimed {verdict}, but not proven: {verification.detail}"
                entry = replace(entry, reason=reason)
        yield replace(entry, seconds=time.perf_counter() - start)


def _asked_indices(data: Dataset, classes: Sequence[Any] | None) -> list[int]:
    if classes is None:
        return list(range(data.num_classes))
    known = {label: index for index, label in enumerate(data.classes.tolist())}
    asked = list(classes)
    if not asked or len(set(asked)) < len(asked) or not known.keys() >= set(asked):
        raise ValueError(f"classes must be some of {list(known)}, each once, but it is {asked}")
    return [known[label] for label in asked]


def _split(data: Dataset, index: int) -> tuple[np.ndarray, np.ndarray]:
    inside = data.labels == index
    return data.inputs[inside], data.inputs[~inside]


def _all_rows_independent(data: Dataset) -> bool:
    rows, dim = data.inputs.shape
    return rows <= dim and smallest_singular_value_at_least(scale_rows(data.inputs)[0], 0.0)


def _decided(data: Dataset, index: int, independent: bool) -> ClassCertificate:
    start = time.perf_counter()
    own, rest = _split(data, index)
    decision = decide(own, rest)
    if decision.answer is None:
        entry = ClassCertificate.claimed(data.classes[index].item(), index, None)
        entry = replace(entry, reason=decision.verification.detail)
    else:
        entry = _proven(data, index, decision.answer, decision.verification)
    if entry.verdict == INFEASIBLE and entry.theorem is None:
        hulls = meeting_hulls(own, rest)
        if hulls is not None:
            reason = (
                "a mixture of its samples is a mixture of other samples, so no hyperplane separates "
                f"them: not linearly separable ({THEOREM}a)"
            )
            entry = replace(entry, answer=hulls, theorem="3a", reason=reason)
    if independent and entry.verdict == FEASIBLE:
        reason = f"all {len(data.labels)} samples are linearly independent, rank N ({THEOREM}b)"
        entry = replace(entry, theorem="3b", reason=reason)
    return replace(entry, seconds=time.perf_counter() - start)


def _proven(
    data: Dataset, index: int, answer: Candidate, verification: Verification
) -> ClassCertificate:
    """What a verified answer says about one class."""
    own, rest = _split(data, index)
    entry = ClassCertificate.claimed(data.classes[index].item(), index, answer)
    if isinstance(answer, Multipliers):
        theorem, reason = _obstacle(data, index, own, rest, answer)
        return replace(entry, verified=True, theorem=theorem, reason=reason)
    return replace(
        entry,
        verified=True,
        slack=_slack(rest, answer),
        norm=_norm(answer),
        reason="a direction maps its samples to 1 and all others to 0 or below; proven by "
        f"{verification.method} ({verification.detail})",
    )


def _slack(rest: np.ndarray, answer: Direction) -> float | None:
    if answer.beta.dtype == object:
        rows, units = integer_rows(rest)
        return _float_or_none(-max(rows @ answer.beta / units))
    with np.errstate(all="ignore"):
        return _float_or_none(-(rest @ answer.beta).max())


def _norm(answer: Direction) -> float | None:
    beta = [_float_or_none(value) for value in answer.beta]
    if None in beta:
        return None
    return _float_or_none(row_norms(np.array([beta]))[0])


def _float_or_none(value: Any) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if np.isfinite(number) else None


def _obstacle(
    data: Dataset, index: int, own: np.ndarray, rest: np.ndarray, answer: Multipliers
) -> tuple[str | None, str]:
    """Which part of the theorem rules the class out, and why."""
    inside = np.flatnonzero(data.labels == index)
    outside = np.flatnonzero(data.labels != index)
    zero = np.flatnonzero(~own.any(axis=1))
    if zero.size:
        return None, f"sample {inside[zero[0]]} is the zero vector, which no direction maps to 1"
    if np.count_nonzero(answer.free) == 1 == np.count_nonzero(answer.nonneg):
        pair = shared_row(own, rest)
        if pair is not None:
            i, j = inside[pair[0]], outside[pair[1]]
            return "3a", (
                f"samples {i} and {j} are the same point in classes {data.classes[index]} and "
                f"{data.classes[data.labels[j]]}: not linearly separable ({THEOREM}a)"
            )
    if not answer.nonneg.any():
        return "3c", (
            "no direction maps all its samples to one value, the rule with more samples than "
            f"dimensions: the vector of ones is not in the range of the class's samples ({THEOREM}c)"
        )
    return None, (
        "each direction that maps its samples to 1 leaves one of another class above 0 "
        "(Farkas multipliers)"
    )
