"""``ncollapse measure``: how collapsed are these features?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ncollapse.cli._output import check_writable_file, pass_progress, print_json
from ncollapse.metrics import Measurement, measure_file


def measure(
    file: Annotated[Path, typer.Argument(help=".npz, .npy, .safetensors or .parquet.")],
    labels: Annotated[Path | None, typer.Option(help=".npy of labels, for .npy features.")] = None,
    head: Annotated[Path | None, typer.Option(help="File with weight and bias.")] = None,
    preset: Annotated[str, typer.Option(help="Whose metrics: a paper's name, or all.")] = "all",
    html: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure collapse in a file of features and labels, by every convention."""
    if html is not None:
        check_writable_file("--html", html)
    with pass_progress() as progress:
        found = measure_file(file, labels=labels, head=head, preset=preset, progress=progress)
    if html is not None:
        from ncollapse.report.measurement import write_measurement

        write_measurement(found, file.name, html)
    if json:
        arguments = {"file": str(file), "preset": preset}
        arguments |= {"labels": labels and str(labels), "head": head and str(head)}
        print_json(found.to_dict(), arguments)
    else:
        _print_table(found, file.name)


def _print_table(found: Measurement, name: str) -> None:
    title = f"{name}: {found.num_samples} samples, {found.num_classes} classes, {found.preset}"
    table = Table(title=title, title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("how to read it", overflow="fold")
    for metric, value, reading in found.rows():
        table.add_row(metric, f"{value:.6g}", reading)
    console = Console()
    console.print(table)
    for metric, reason in sorted(found.undefined.items()):
        console.print(f"[bold]{metric}[/bold]: none, {reason}", highlight=False)
