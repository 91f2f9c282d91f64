"""``ncollapse reproduce``: the papers' figures, with exact predictions drawn over them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ncollapse._checks import prepare_folder
from ncollapse.cli._output import print_json, print_verdicts


def reproduce(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Such as hong2025.figure1.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List what there is.")] = False,
    scale: Annotated[
        str, typer.Option(help="quick, paper-cpu if there is one, or paper.")
    ] = "quick",
    out: Annotated[Path | None, typer.Option(help="Folder for the files.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Reproduce a figure of a paper and judge its claims."""
    from ncollapse import papers

    if show or name is None:
        _print_list(json)
        return
    known = papers.experiments()
    if name not in known:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(known)}")
    folder = prepare_folder(Path(f"{name}-{scale}") if out is None else out)
    result = known[name].run(scale, folder, scheduler)
    if json:
        print_json(result.to_dict(), context.params | {"out": folder})
        return
    print_verdicts(result.claims)
    for file in result.files:
        typer.echo(file)
    if result.undrawn:
        typer.echo(f"ncollapse: not drawn: {result.undrawn}", err=True)


def _print_list(json: bool) -> None:
    from ncollapse import papers

    known = papers.experiments().values()
    if json:
        rows = [{"name": e.name, "title": e.title, "scales": list(e.scales)} for e in known]
        print_json({"experiments": rows}, {})
        return
    table = Table(show_header=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for experiment in known:
        table.add_row(experiment.name, f"{experiment.title}: {experiment.description}")
    Console().print(table)
