"""What a claim is: a statement of a paper as a relation between a measurement and a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

Number = float | np.ndarray
Measured = Number | None | str
"""What a measurement gives: numbers, None for a thing that does not exist, or `Missing`."""


class Relation(StrEnum):
    """How a measurement m must stand to what is expected, e, within the tolerance τ.

    EQUAL, AT_MOST and AT_LEAST hold entry by entry for arrays: abs(m − e) ≤ τ, m ≤ e + τ,
    m ≥ e − τ. TENDS_TO: the last entry of a run is within τ of e, and no farther from it than
    the middle one. MONOTONE: no entry lies below an earlier one by more than τ times the largest;
    nothing is expected. EXISTS: there is such a thing, whose size m > 0 is reported.
    """

    EQUAL = "equal"
    AT_MOST = "at most"
    AT_LEAST = "at least"
    MONOTONE = "nondecreasing"
    TENDS_TO = "tends to"
    EXISTS = "exists"


class Missing(str):
    """The reason why a quantity could not be measured in this run."""


@dataclass(frozen=True)
class Assumption:
    """What a theorem asks and the run does not give; ``detail`` says what exactly is broken."""

    name: str
    detail: str


@dataclass(frozen=True)
class Wrong:
    """A wrong theory by name: what it measures or expects in place of the claim's own.

    One of ``measure`` and ``expected`` suffices; the claim, judged with it, must fail.
    """

    theory: str
    measure: Callable[[Any], Measured] | None = None
    expected: Callable[[Any], Number] | None = None


@dataclass(frozen=True)
class Claim:
    """One statement as a row: known before anything runs, and able to measure itself.

    Attributes
    ----------
    id
        Paper, experiment or statement, and quantity, such as ``"hong2025.theorem7.best-error"``.
    experiment
        Name of the experiment whose result ``measure`` takes.
    statement
        Where the paper makes it, such as ``"Theorem 7(a)"``; ``"ours"`` for a result of ours.
    says
        What is measured, in a sentence without a verb: ``"largest gap between …"``.
    source
        What the expectation or the tolerance is taken from.
    relation, expected, tolerance
        See `Relation`. The last two may depend on the settings of the result.
    measure
        The measurement, from the experiment's result.
    wrong
        A theory that this claim refutes. Only a claim that fails as printed needs none.
    assumption
        What the theorem asks and this result breaks, or None.
    corrected
        Id of the claim that holds in place of this one, which fails as the paper prints it.
    """

    id: str
    experiment: str
    statement: str
    says: str
    source: str
    relation: Relation
    measure: Callable[[Any], Measured]
    expected: Number | Callable[[Any], Number] | None = None
    tolerance: Number | Callable[[Any], Number] = 0.0
    wrong: Wrong | None = None
    assumption: Callable[[Any], Assumption | None] | None = None
    corrected: str = ""


def rows_of(experiment: str, prefix: str = "", **shared: Any) -> Callable[..., Claim]:
    """A function ``(name, statement, says, source, **rest)`` that gives a `Claim` of ``experiment``.

    Its id is that of the experiment, or ``prefix``, and ``name``; its source is the paper's statement
    and its relation EQUAL unless they are given, here for all rows or there for one.
    """

    def row(name: str, statement: str, says: str, source: str = "", **rest: Any) -> Claim:
        given: dict[str, Any] = {"relation": Relation.EQUAL} | shared | rest
        source = source or f"{experiment.partition('.')[0]} {statement}"
        return Claim(f"{prefix or experiment}.{name}", experiment, statement, says, source, **given)

    return row
