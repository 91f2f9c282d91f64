"""``ncollapse train``: a network as hong2025 does, to its optimum, or built there; or by a recipe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncollapse.cli._command import Command, Group
from ncollapse.cli._output import flow_progress, print_facts
from ncollapse.cli._runs import Html, Json, Save, Seed, Width, check_outputs, finish
from ncollapse.cli._train_net import net

if TYPE_CHECKING:
    from ncollapse.certify import Certificate
    from ncollapse.data import Dataset
    from ncollapse.runs import Run

app = typer.Typer(help="Train a network.", cls=Group, add_completion=False)
app.command("net", cls=Command)(net)


class Method(StrEnum):
    """How the network is found."""

    descent = "descent"
    optimum = "optimum"
    built = "built"


@app.callback()
def _group() -> None:
    """Train a network as its paper does, by a recipe, to its optimum, or build it there."""


@app.command("relu2", cls=Command)
def relu2(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="File of inputs (N, d) and labels (N,).")],
    width: Width = 64,
    weight_decay: Annotated[float, typer.Option(help="Decay of the classifier.")] = 1e-3,
    feature_decay: Annotated[float, typer.Option(help="Decay of the features.")] = 1e-6,
    method: Annotated[Method, typer.Option(help="How.")] = Method.descent,
    epochs: Annotated[int, typer.Option(help="Epochs of descent.")] = 10_000,
    learning_rate: Annotated[float, typer.Option(help="Divided by 10 twice.")] = 0.1,
    init: Annotated[float, typer.Option(help="Size of the start; 1 is PyTorch's.")] = 1.0,
    seed: Seed = 0,
    resume: Annotated[Path | None, typer.Option(help="Run of descent to go on with.")] = None,
    html: Html = None,
    save: Save = None,
    json: Json = False,
) -> int:
    """Two-layer ReLU network with decay on classifier and features (hong2025 (2.4))."""
    from ncollapse.certify import certify
    from ncollapse.data import load_dataset
    from ncollapse.runs import Run
    from ncollapse.train import TwoLayer, outcome, restore

    context.params["out"] = None
    dataset = load_dataset(data)
    problem = TwoLayer.on(dataset, weight_decay=weight_decay, feature_decay=feature_decay)
    _ = problem.lower_bound
    if resume is not None and method is not Method.descent:
        raise ValueError(f"resume is for descent, but method is {method.value}")
    check_outputs(context.params)
    earlier = None if resume is None else Run.load(resume, restore=restore)
    certificate = certify(dataset)
    with flow_progress("relu2") as on_progress:
        run = _run(context.params, problem, dataset, certificate, earlier, on_progress)
    end = outcome(run, certificate)
    record = {**end.to_dict(), "run": run.to_dict(), "certificate": certificate.reason}

    def make_page():
        from ncollapse.report.training import training_page

        return training_page(run, end)

    facts = [
        ("risk", f"{end.risk:.6g}"),
        ("least risk", "unknown" if end.optimal_risk is None else f"{end.optimal_risk:.6g}"),
        ("no network is below", f"{end.lower_bound:.6g}"),
        ("gap", "unknown" if end.gap is None else f"{end.gap:.3g}"),
        ("collapse is feasible", {True: "yes", False: "no", None: "undecided"}[end.feasible]),
        *((name, f"{value:.4g}") for name, value in end.metrics.items()),
        ("dead share", f"{end.dead_share:.3g}"),
        ("stopped", run.stopped),
    ]
    title = f"relu2 on {dataset.name}, {method.value}"
    return finish(context, run, record, make_page, lambda: print_facts(title, facts))


def _run(
    options: dict[str, Any],
    problem: Any,
    data: Dataset,
    certificate: Certificate,
    earlier: Run | None,
    on_progress: Any,
) -> Run:
    from ncollapse.train import collapsed_network, descend, to_optimum

    start = {name: options[name] for name in ("width", "init", "seed")}
    if options["method"] is Method.built:
        return collapsed_network(
            certificate,
            data,
            width=options["width"],
            weight_decay=problem.weight_decay,
            feature_decay=problem.feature_decay,
        )
    if options["method"] is Method.optimum:
        return to_optimum(problem, **start, on_progress=on_progress)
    return descend(
        problem,
        **start,
        epochs=options["epochs"],
        learning_rate=options["learning_rate"],
        resume=earlier,
        on_progress=on_progress,
    )
