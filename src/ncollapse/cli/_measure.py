"""``ncollapse measure``: how collapsed are these features?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ncollapse.cli._output import batch_progress, check_writable_file, print_json
from ncollapse.data import FeatureFile, open_features
from ncollapse.metrics import METRICS, Measurement
from ncollapse.metrics import measure as measure_batches
from ncollapse.metrics.registry import preset_names


def measure(
    file: Annotated[Path, typer.Argument(help=".npz, .npy, .safetensors or .parquet.")],
    labels: Annotated[Path | None, typer.Option(help=".npy of labels, for .npy features.")] = None,
    head: Annotated[Path | None, typer.Option(help="File with weight and bias.")] = None,
    preset: Annotated[str, typer.Option(help="Whose metrics: a paper's name, or all.")] = "all",
    html: Annotated[Path | None, typer.Option(help="HTML page to write.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure collapse in a file of features and labels, by every convention."""
    names = preset_names(preset)
    source = open_features(file, labels=labels, head=head)
    if html is not None:
        check_writable_file("--html", html)
    passes = 2 if any(METRICS[name].needs_samples for name in names) else 1
    with batch_progress("measuring", passes * source.num_samples) as advance:
        found = measure_batches(
            lambda: _counted(source, advance),
            weight=source.weight,
            bias=source.bias,
            preset=preset,
        )
    if html is not None:
        from ncollapse.report import write_measurement

        write_measurement(found, file.name, html)
    if json:
        arguments = {"file": str(file), "preset": preset}
        arguments |= {"labels": labels and str(labels), "head": head and str(head)}
        print_json(found.to_dict(), arguments)
    else:
        _print_table(found, file.name)


def _counted(source: FeatureFile, advance: Any) -> Iterator[tuple[Any, Any]]:
    for features, labels in source.batches():
        yield features, labels
        advance(len(labels))


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
