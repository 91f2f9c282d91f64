"""``ncollapse flow``: follow a model to the end of time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ncollapse.cli._output import (
    INTERRUPTED,
    flow_progress,
    print_facts,
    print_json,
    print_verdicts,
)

app = typer.Typer(help="Follow gradient flow to the end of time.", no_args_is_help=True)


@app.command("relu2")
def relu2(
    data: Annotated[Path, typer.Option(help="npz file with inputs (N, d) and labels (N,).")],
    width: Annotated[int, typer.Option(help="Neurons.")] = 48,
    init: Annotated[float, typer.Option(help="Norm of the initial input weights.")] = 1e-6,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initialisation.")] = 0,
    until: Annotated[float, typer.Option(help="Stop at this log(1/L).")] = 300.0,
    centre: Annotated[bool, typer.Option(help="Subtract the mean of the inputs first.")] = False,
    rtol: Annotated[float, typer.Option(help="Tolerance of the integrator.")] = 1e-5,
    max_steps: Annotated[int, typer.Option(min=1, help="Most integrator steps.")] = 100_000,
    save: Annotated[Path | None, typer.Option(help="npz file to write the path to.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Two-layer ReLU network on labelled data, against what min2025 predicts for it."""
    from ncollapse.data import load_npz
    from ncollapse.papers import min2025

    dataset = load_npz(data, least_per_class=2)
    dataset = dataset.centred() if centre else dataset
    with flow_progress("relu2") as on_progress:
        run = min2025.run(
            dataset,
            width=width,
            scale=init,
            seed=seed,
            log_inverse_loss=until,
            rtol=rtol,
            max_steps=max_steps,
            on_progress=on_progress,
        )
    interrupted = run.trajectory.interrupted
    if interrupted and save is None:
        save = Path(f"interrupted-relu2-seed-{seed}.npz")
    if save is not None:
        run.trajectory.save(save)
    if json:
        arguments = {
            "data": str(data),
            "width": width,
            "init": init,
            "seed": seed,
            "until": until,
            "centre": centre,
            "rtol": rtol,
            "max_steps": max_steps,
        }
        print_json(run.to_dict(), arguments)
    else:
        print_facts(f"relu2 on {dataset.name}", run.facts())
        print_verdicts(run.verdicts)
    if interrupted:
        typer.echo(f"ncollapse: {run.trajectory.stopped} The path is in {save}.", err=True)
    return INTERRUPTED if interrupted else 0
