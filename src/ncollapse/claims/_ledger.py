"""A ledger as data: every claim with its verdict, beside every statement of the papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ncollapse.claims._statement import Statement
from ncollapse.claims._verdict import STATUSES, Status, Verdict


@dataclass(frozen=True)
class Row:
    """One claim in the ledger.

    Attributes
    ----------
    paper, experiment
        Whose claim it is, and whose result it is measured on.
    verdict
        The claim and its measurement.
    corrected
        Id of the claim that holds in place of one that fails as printed, or nothing.
    seconds
        What the experiment took, all its claims together; None where it failed.
    command
        The command that gives this row alone.
    """

    paper: str
    experiment: str
    verdict: Verdict
    corrected: str
    seconds: float | None
    command: str

    def to_dict(self) -> dict[str, Any]:
        """One flat JSON-ready object: ``verdict`` is the status, all else as in `Verdict`."""
        judged = self.verdict.to_dict()
        status = judged.pop("status")
        return {
            **judged,
            "verdict": status,
            "paper": self.paper,
            "experiment": self.experiment,
            "corrected": self.corrected,
            "seconds": self.seconds,
            "command": self.command,
        }


@dataclass(frozen=True)
class Ledger:
    """All rows at one scale, and the numbered statements by paper."""

    scale: str
    rows: tuple[Row, ...]
    statements: Mapping[str, tuple[Statement, ...]]

    @property
    def counts(self) -> dict[Status, int]:
        """How many claims have each status."""
        return {name: sum(row.verdict.status == name for row in self.rows) for name in STATUSES}

    @property
    def num_statements(self) -> int:
        return sum(map(len, self.statements.values()))

    @property
    def num_judged(self) -> int:
        """Statements of which at least one claim was measured."""
        measured = {row.verdict.id for row in self.rows if row.verdict.status != "not measured"}
        listed = (statement for rows in self.statements.values() for statement in rows)
        return sum(not measured.isdisjoint(statement.claims) for statement in listed)

    def to_dict(self) -> dict[str, Any]:
        return {
            "scale": self.scale,
            "claims": [row.to_dict() for row in self.rows],
            "counts": dict(self.counts),
            "judged_statements": self.num_judged,
            "statements": [
                {
                    "paper": paper,
                    "statement": statement.name,
                    "says": statement.says,
                    "claims": list(statement.claims),
                    "reason": statement.reason,
                }
                for paper, rows in self.statements.items()
                for statement in rows
            ],
        }
