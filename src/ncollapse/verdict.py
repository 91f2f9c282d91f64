"""Measured against predicted: what a theorem claims, what came out, and whether they agree."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["holds", "fails", "assumption violated"]


@dataclass(frozen=True)
class Assumption:
    """What a theorem asks of the data, and the share of cases that break it (0 when it holds)."""

    name: str
    violated_share: float


@dataclass(frozen=True)
class Verdict:
    """One claim: ``measured`` should be within ``tolerance`` of ``predicted``.

    A claim whose assumption is violated is never said to hold; the reason tells by how much the
    assumption fails and how far off the measurement is all the same.
    """

    claim: str
    statement: str
    measured: float | None
    predicted: float
    tolerance: float
    status: Status
    reason: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge(
    claim: str,
    statement: str,
    *,
    measured: float | None,
    predicted: float,
    tolerance: float,
    source: str,
    assumption: Assumption | None = None,
    missing: str = "it could not be measured",
) -> Verdict:
    """Compare |measured − predicted| with ``tolerance``.

    ``measured`` is None where the quantity does not exist in this run; ``missing`` says why, and
    the claim fails.
    """
    if measured is None:
        status: Status = "fails"
        finding = missing
    else:
        gap = abs(measured - predicted)
        within = gap <= tolerance
        status = "holds" if within else "fails"
        finding = f"off by {gap:.2g}, {'within' if within else 'beyond'} {tolerance:g}"
    if assumption is not None and assumption.violated_share > 0:
        status = "assumption violated"
        share = f"{100 * assumption.violated_share:.3g} %"
        finding = f"{assumption.name}: assumption violated by {share}; {finding}"
    return Verdict(claim, statement, measured, predicted, tolerance, status, finding, source)
