"""``ncollapse reproduce``: the papers' figures, with exact predictions drawn over them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ncollapse._checks import prepare_folder
from ncollapse.cli._output import INTERRUPTED, print_json, print_verdicts
from ncollapse.cli._runs import Html, Json, Out, Save, check_outputs


def reproduce(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Such as hong2025.figure1.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List what there is.")] = False,
    scale: Annotated[
        str, typer.Option(help="quick, paper-cpu if there is one, or paper.")
    ] = "quick",
    out: Out = None,
    html: Html = None,
    save: Save = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Another seed.")] = None,
    rtol: Annotated[float | None, typer.Option(help="Tolerance of the integrator.")] = None,
    until: Annotated[float | None, typer.Option(help="Another end of the flow.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler.")] = None,
    json: Json = False,
) -> int:
    """Reproduce a figure of a paper and judge its claims; each experiment says what it takes."""
    from ncollapse import papers

    if show or name is None:
        _print_list(json)
        return 0
    known = papers.experiments()
    if name not in known:
        raise ValueError(f"there is no experiment {name!r}; there are {', '.join(known)}")
    options = {"html": html, "save": save, "seed": seed, "rtol": rtol, "until": until}
    known[name].check(scale, scheduler=scheduler, **options)
    check_outputs({"out": None, "html": html, "save": save})
    folder = prepare_folder(Path(f"{name}-{scale}") if out is None else out)
    result = known[name].run(scale, folder, scheduler, **options)
    if json:
        print_json(result.to_dict(), context.params | {"out": folder})
    else:
        print_verdicts(result.claims)
        for file in result.files:
            typer.echo(file)
        if result.undrawn:
            typer.echo(f"ncollapse: not drawn: {result.undrawn}", err=True)
    if result.interrupted:
        typer.echo(f"ncollapse: {result.interrupted} The run is in {result.files[-1]}.", err=True)
    return INTERRUPTED if result.interrupted else 0


def _print_list(json: bool) -> None:
    from ncollapse import papers

    known = papers.experiments().values()
    if json:
        rows = [
            {"name": e.name, "title": e.title, "scales": list(e.scales), "options": list(e.options)}
            for e in known
        ]
        print_json({"experiments": rows}, {})
        return
    table = Table(show_header=False, box=None)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for experiment in known:
        table.add_row(experiment.name, f"{experiment.title}: {experiment.description}")
    Console().print(table)
