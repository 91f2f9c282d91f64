"""``ncollapse ledger``: every claim of every paper, with a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from ncollapse._checks import prepare_folder
from ncollapse._extras import require
from ncollapse.cli._output import INTERRUPTED, check_writable_file, print_facts, print_json
from ncollapse.cli._runs import Html, Json

if TYPE_CHECKING:
    from ncollapse.claims import Ledger, Row


def ledger(
    context: typer.Context,
    paper: Annotated[str | None, typer.Option(help="One paper, such as hong2025.")] = None,
    claim: Annotated[str | None, typer.Option(help="The id of one claim.")] = None,
    scale: Annotated[str, typer.Option(help="quick, or paper for its own settings.")] = "quick",
    out: Annotated[
        Path | None, typer.Option(help="Folder to store results in; the user's cache if not given.")
    ] = None,
    html: Html = None,
    json: Json = False,
) -> int:
    """Judge every claim of the papers, running only what has no stored result."""
    from ncollapse import papers

    folder = prepare_folder(papers.cache_folder() if out is None else out)
    if html is not None:
        check_writable_file("--html", html)
        require("jinja2")
    try:
        made = papers.ledger(scale, paper, claim, folder, _tell)
    except KeyboardInterrupt:
        typer.echo(f"ncollapse: interrupted; what is done is in {folder}", err=True)
        return INTERRUPTED
    if html is not None:
        from ncollapse.report.ledger import write_ledger

        write_ledger(made, html)
    if json:
        print_json(made.to_dict(), context.params | {"out": folder})
    elif claim is not None:
        print_facts(claim, _facts(made.rows[0]))
    else:
        _print(made)
    if html is not None and not json:
        typer.echo(html)
    return 0


def _tell(name: str, place: int, total: int, state: str) -> None:
    typer.echo(f"{place}/{total} {name}: {state}", err=True)


def _print(made: Ledger) -> None:
    for paper in made.statements:
        table = Table(title=paper, title_justify="left")
        for heading in ("claim", "verdict", "measured", "expected", "resolution", "s"):
            table.add_column(heading, overflow="fold")
        for row in made.rows:
            if row.paper == paper:
                name, verdict = row.verdict.id.partition(".")[2], row.verdict
                table.add_row(f"{name}\n{verdict.statement}", verdict.status, *_numbers(row))
        Console().print(table)
    for status, count in made.counts.items():
        typer.echo(f"{count:5d} {status}")
    typer.echo(f"{made.num_judged} of {made.num_statements} statements have a verdict.")
    typer.echo(f"One claim alone: ncollapse ledger --claim ID --scale {made.scale}")


def _numbers(row: Row) -> list[str]:
    """Measured, expected, resolution and seconds as text."""
    verdict = row.verdict
    numbers = (
        (verdict.measured, ".5g"),
        (verdict.expected, ".5g"),
        (verdict.resolution, ".2g"),
        (row.seconds, ".1f"),
    )
    return ["–" if value is None else format(value, form) for value, form in numbers]


def _facts(row: Row) -> list[tuple[str, str]]:
    measured, expected, resolution, seconds = _numbers(row)
    verdict = row.verdict
    facts = [
        ("paper", row.paper),
        ("statement", verdict.statement),
        ("measured is", verdict.says),
        ("verdict", verdict.status),
        ("broken", verdict.assumption or "–"),
        ("why", verdict.reason),
        ("measured", measured),
        ("expected", f"{verdict.relation} {expected}"),
        ("resolution", resolution),
        ("refutes", verdict.wrong or "–"),
        ("corrected by", row.corrected or "–"),
        ("source", verdict.source),
        ("seconds", seconds),
        ("command", row.command),
    ]
    return [(name, value) for name, value in facts if value != "–"]
