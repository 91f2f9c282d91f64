"""What commands that follow a model share: their options, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncollapse._checks import prepare_folder
from ncollapse._extras import need
from ncollapse.cli._output import INTERRUPTED, check_writable_file, print_json

if TYPE_CHECKING:
    from ncollapse.report import Page
    from ncollapse.runs import Run

Width = Annotated[int, typer.Option(help="Neurons.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the start.")]
Until = Annotated[float, typer.Option(help="Stop at this log(1/L).")]
Rtol = Annotated[float, typer.Option(help="Tolerance of the integrator.")]
Out = Annotated[Path | None, typer.Option(help="Folder for the page and its figures.")]
Html = Annotated[Path | None, typer.Option(help="HTML page to write, complete in one file.")]
Save = Annotated[Path | None, typer.Option(help="npz file to write the run to.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check_outputs(options: Mapping[str, Any]) -> None:
    """Find out before a run whether its files can be written."""
    for name in ("html", "save"):
        if options[name] is not None:
            check_writable_file(f"--{name}", options[name])
    if options["out"] is not None:
        prepare_folder(options["out"])
    if options["out"] is not None or options["html"] is not None:
        need("matplotlib", "jinja2")


def finish(
    context: typer.Context,
    run: Run,
    record: dict[str, Any],
    make_page: Callable[[], Page],
    show: Callable[[], None],
) -> int:
    """Write the files that were asked for, print the result, and return the exit status.

    An interrupted run is saved even where that was not asked for.
    """
    options = context.params
    out, html, save = options["out"], options["html"], options["save"]
    if run.interrupted and save is None:
        save = Path(f"interrupted-{context.info_name}-seed-{options['seed']}.npz")
    files = []
    if save is not None:
        run.save(save)
        files.append(save)
    if out is not None or html is not None:
        files += _write_page(make_page(), out, html)
    if options["json"]:
        print_json({**record, "files": files}, options)
    else:
        show()
        for file in files:
            typer.echo(file)
    if run.interrupted:
        typer.echo(f"ncollapse: {run.stopped} The run is in {save}.", err=True)
    return INTERRUPTED if run.interrupted else 0


def _write_page(page: Page, out: Path | None, html: Path | None) -> list[Path]:
    from ncollapse.report import render, write_page

    files = [] if out is None else write_page(page, out)
    if html is not None:
        html.write_text(render(page), encoding="utf-8")
        files.append(html)
    return files
