"""The page of a ledger: by paper and statement, every claim with its verdict."""

from __future__ import annotations

import math
from importlib.metadata import version
from pathlib import Path

from ncollapse.claims import Ledger, Row
from ncollapse.report._page import number, percent
from ncollapse.report._render import template_environment


def render_ledger(ledger: Ledger) -> str:
    """The page as HTML that needs nothing else: one part a paper, a block a statement.

    A claim is shown where its first statement is; claims of no statement are results of ours.
    """
    template = template_environment().get_template("ledger.html.j2")
    rows = {row.verdict.id: row for row in ledger.rows}
    listed = {
        name for paper in ledger.statements.values() for part in paper for name in part.claims
    }
    others = {
        paper: [row for name, row in rows.items() if row.paper == paper and name not in listed]
        for paper in ledger.statements
    }
    slips = [
        (row, rows.get(row.corrected))
        for row in ledger.rows
        if row.verdict.status == "fails as printed"
    ]
    return template.render(
        ledger=ledger,
        rows=rows,
        others=others,
        slips=slips,
        sharpness=_sharpness,
        version=version("ncollapse"),
    )


def write_ledger(ledger: Ledger, path: str | Path) -> None:
    """Write the page of ``ledger`` to ``path`` as one self-contained HTML file."""
    Path(path).write_text(render_ledger(ledger), encoding="utf-8")


def _sharpness(row: Row) -> str:
    """`Verdict.resolution` in words."""
    verdict = row.verdict
    if verdict.resolution is None or not math.isfinite(verdict.resolution):
        return ""
    if verdict.resolution == 0:
        exact = verdict.status == "holds"
        return f"{'any change of the prediction' if exact else 'the prediction itself'} is refuted"
    size = percent(verdict.resolution, 2) if verdict.expected else number(verdict.resolution, 2)
    return f"a change of {size} would have been refuted"
