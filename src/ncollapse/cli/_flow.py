"""``ncollapse flow``: follow a model to the end of time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ncollapse.cli import _unconstrained
from ncollapse.cli._command import Command, Group
from ncollapse.cli._output import flow_progress, print_facts, print_verdicts
from ncollapse.cli._runs import (
    Html,
    Json,
    Out,
    Rtol,
    Save,
    Seed,
    Until,
    Width,
    check_outputs,
    finish,
)

if TYPE_CHECKING:
    from ncollapse.papers.min2025 import Run

app = typer.Typer(help="Follow gradient flow to the end of time.", cls=Group, add_completion=False)


@app.command("relu2", cls=Command)
def relu2(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="File of inputs (N, d) and labels (N,).")],
    width: Width = 48,
    init: Annotated[float, typer.Option(help="Norm of the initial input weights.")] = 1e-6,
    seed: Seed = 0,
    until: Until = 300.0,
    centre: Annotated[bool, typer.Option(help="Subtract the mean of the inputs first.")] = False,
    rtol: Rtol = 1e-5,
    max_steps: Annotated[int, typer.Option(min=1, help="Most integrator steps.")] = 100_000,
    out: Out = None,
    html: Html = None,
    save: Save = None,
    json: Json = False,
) -> int:
    """Two-layer ReLU network on labelled data, against what min2025 predicts for it."""
    from ncollapse.data import load_dataset
    from ncollapse.papers import min2025

    dataset = load_dataset(data, least_per_class=2)
    dataset = dataset.centred() if centre else dataset
    check_outputs(context.params)
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
    return finish_relu2(context, run, f"relu2 on {dataset.name}")


def finish_relu2(context: typer.Context, run: Run, title: str) -> int:
    """`finish` for a run of min2025: its facts, its verdicts and its page."""

    def make_page():
        from ncollapse.papers.min2025.page import build_page

        return build_page(run)

    def show() -> None:
        print_facts(title, run.facts())
        print_verdicts(run.verdicts)

    return finish(context, run.trajectory, run.to_dict(), make_page, show)


for _name, _command in _unconstrained.COMMANDS.items():
    app.command(_name, cls=Command)(_command)
