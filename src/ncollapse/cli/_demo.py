"""``ncollapse demo``: real digits in, a report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ncollapse._checks import prepare_folder
from ncollapse.cli._output import (
    INTERRUPTED,
    flow_progress,
    print_facts,
    print_json,
    print_verdicts,
)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("demo-report"),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of IDX files; the packaged digits if not given.")
    ] = None,
    classes: Annotated[str, typer.Option(help="Labels to use, with commas.")] = "0,1,2",
    per_class: Annotated[int, typer.Option(min=2, help="Images of each class.")] = 60,
    width: Annotated[int, typer.Option(help="Neurons.")] = 48,
    init: Annotated[float, typer.Option(help="Norm of the initial input weights.")] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initialisation.")] = 0,
    until: Annotated[float, typer.Option(help="Stop at this log(1/L).")] = 300.0,
    rtol: Annotated[float, typer.Option(help="Tolerance of the integrator.")] = 2e-3,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Predict, watch, measure and judge a shallow ReLU network on real digits."""
    from ncollapse.papers import min2025
    from ncollapse.papers.min2025.page import write_report

    labels = _labels(classes)
    prepare_folder(out)
    with flow_progress("demo") as on_progress:
        run = min2025.digits(
            labels=labels,
            per_class=per_class,
            data_dir=data_dir,
            width=width,
            scale=init,
            seed=seed,
            log_inverse_loss=until,
            rtol=rtol,
            on_progress=on_progress,
        )
    files = write_report(run, out)
    if json:
        arguments = {
            "out": str(out),
            "data_dir": None if data_dir is None else str(data_dir),
            "classes": labels,
            "per_class": per_class,
            "width": width,
            "init": init,
            "seed": seed,
            "until": until,
            "rtol": rtol,
        }
        print_json({**run.to_dict(), "files": [str(file) for file in files]}, arguments)
    else:
        print_facts(f"{run.data.name}, classes {classes}", run.facts())
        print_verdicts(run.verdicts)
        typer.echo(f"Report: {files[0]}")
    if run.trajectory.interrupted:
        typer.echo(f"ncollapse: {run.trajectory.stopped} The report shows it.", err=True)
        return INTERRUPTED
    return 0


def _labels(text: str) -> list[int]:
    try:
        labels = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--classes must be integers with commas, but it is {text!r}") from error
    if len(set(labels)) != len(labels):
        raise ValueError(f"--classes must differ from each other, but it is {text!r}")
    return labels
