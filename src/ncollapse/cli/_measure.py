"""``ncollapse measure``: how collapsed are these features?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ncollapse.cli._output import check_writable_file, pass_progress, print_json
from ncollapse.metrics import Measurement, headline, measure_file


def measure(
    file: Annotated[Path, typer.Argument(help=".npz, .npy, .csv, .parquet, .safetensors or .pt.")],
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
        measurement = measure_file(file, labels=labels, head=head, preset=preset, progress=progress)
    if html is not None:
        from ncollapse.report.measurement import write_measurement

        write_measurement(measurement, file.name, html)
    if json:
        arguments = {"file": str(file), "preset": preset}
        arguments |= {"labels": labels and str(labels), "head": head and str(head)}
        print_json(measurement.to_dict(), arguments)
    else:
        _print_table(measurement, file.name)


def _print_table(measurement: Measurement, name: str) -> None:
    size = f"{measurement.num_samples} samples, {measurement.num_classes} classes"
    title = f"{name}: {size}, {measurement.preset}"
    table = Table(title=title, title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("how to read it", overflow="fold")
    for metric, value, reading in measurement.rows():
        table.add_row(metric, f"{value:.6g}", reading)
    console = Console(highlight=False)
    console.print("\n".join(headline(measurement)), markup=False)
    console.print()
    console.print(table)
    for metric, reason in sorted(measurement.undefined.items()):
        console.print(f"[bold]{metric}[/bold]: none, {reason}", highlight=False)
