"""``ncollapse demo``: real digits in, a report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ncollapse.cli._output import INTERRUPTED, flow_progress, print_facts, print_verdicts
from ncollapse.cli._runs import Html, Json, Rtol, Save, Seed, Until, Width, check_outputs, finish


def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("demo-report"),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of IDX files; the packaged digits if not given.")
    ] = None,
    classes: Annotated[str, typer.Option(help="Labels to use, with commas.")] = "0,1,2",
    per_class: Annotated[int, typer.Option(min=2, help="Images of each class.")] = 60,
    width: Width = 48,
    init: Annotated[float, typer.Option(help="Norm of the initial input weights.")] = 1e-3,
    seed: Seed = 0,
    until: Until = 300.0,
    rtol: Rtol = 2e-3,
    html: Html = None,
    save: Save = None,
    json: Json = False,
) -> int:
    """Real digits in three acts: where theory is true, where it is bent, and all of them."""
    from ncollapse.papers.min2025.story import tell

    labels = _labels(classes)
    check_outputs(context.params)
    with flow_progress("demo") as on_progress:
        story = tell(
            labels=labels,
            per_class=per_class,
            data_dir=data_dir,
            width=width,
            scale=init,
            seed=seed,
            until=until,
            rtol=rtol,
            on_progress=on_progress,
        )

    def make_page():
        from ncollapse.papers.min2025.story_page import build_story

        return build_story(story)

    def show() -> None:
        for run, title in ((story.held, "chosen"), (story.every, "all")):
            if run is not None:
                print_facts(f"{run.data.name}, classes {classes}: {title}", run.facts())
                print_verdicts(run.verdicts)

    status = finish(context, story.every.trajectory, story.to_dict(), make_page, show)
    return INTERRUPTED if story.interrupted else status


def _labels(text: str) -> tuple[int, ...]:
    try:
        labels = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--classes must be integers with commas, but it is {text!r}") from error
    if len(set(labels)) != len(labels):
        raise ValueError(f"--classes must differ from each other, but it is {text!r}")
    return labels
