"""``ncollapse report``: one page for a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console

from ncollapse._extras import need
from ncollapse.cli._output import check_writable_file, flow_progress, pass_progress, print_json
from ncollapse.cli._runs import Json, Seed

if TYPE_CHECKING:
    from ncollapse.certify import Survey
    from ncollapse.data import Dataset
    from ncollapse.runs import Run
    from ncollapse.theory.imbalance import Prediction

FLOW_SAMPLES = 240
FLOW_WIDTH = 64
FLOW_STEPS = 2_000
FLOW_LEVEL = 10.0
"""A flow of a few seconds: where it ends matters less than what it does to the classes."""


def report(
    data: Annotated[
        str, typer.Argument(help="File of inputs and labels, or iris, wine, digits, mnist.")
    ],
    html: Annotated[
        Path | None, typer.Option(help="HTML page to write, complete in one file.")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Decay of the network to predict.")] = 5e-4,
    flow: Annotated[bool, typer.Option(help="Follow a gradient flow on it too.")] = True,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Report on a data set: what is proven, predicted and seen, in plain words first."""
    from ncollapse.certify import survey
    from ncollapse.data import load_dataset
    from ncollapse.theory.predict import predict

    dataset = load_dataset(data)
    if html is not None:
        check_writable_file("--html", html)
        need("matplotlib", "jinja2")
    with pass_progress() as progress:
        surveyed = survey(dataset, seed=seed, progress=progress)
    prediction = predict(dataset.counts, weight_decay=weight_decay, normalisation="batch")
    run, flowing = _flow(dataset, seed) if flow and html is not None else (None, None)
    if html is not None:
        from ncollapse.report.data_set import data_set_page, write_data_set

        write_data_set(data_set_page(surveyed, prediction, run, flowing), html)
    if json:
        arguments = {"data": data, "html": html, "weight_decay": weight_decay, "seed": seed}
        record = surveyed.to_dict() | {"prediction": _predicted(prediction)}
        print_json(record, arguments | {"flow": flow})
    else:
        _say(surveyed, prediction, dataset, html)


def _flow(dataset: Dataset, seed: int) -> tuple[Run, Dataset]:
    """A flow on a few samples of each class, standardised and with a constant input."""
    need("jax", "diffrax")
    from ncollapse.flow import gradient_flow
    from ncollapse.models import ReLUNetwork

    few = _few_of_each(dataset, seed)
    spread = few.inputs.std(axis=0)
    used = spread > 0
    rows = (few.inputs[:, used] - few.inputs[:, used].mean(axis=0)) / spread[used]
    rows = np.column_stack([rows / np.sqrt(rows.shape[1]), np.ones(len(rows))])
    flowing = replace(few, inputs=rows, name=f"{len(rows):,} standardised samples of {few.name}")
    model = ReLUNetwork.on(flowing)
    width = max(FLOW_WIDTH, 2 * dataset.num_classes)
    with flow_progress("flow") as on_progress:
        run = gradient_flow(
            model,
            model.start(width, 1e-2, seed),
            log_inverse_loss=FLOW_LEVEL,
            rtol=1e-3,
            max_steps=FLOW_STEPS,
            on_progress=on_progress,
        )
    return run, flowing


def _few_of_each(dataset: Dataset, seed: int) -> Dataset:
    order = np.random.default_rng(seed).permutation(len(dataset.labels))
    place = np.empty(len(order), dtype=int)
    for k in range(dataset.num_classes):
        inside = order[dataset.labels[order] == k]
        place[inside] = np.arange(len(inside))
    kept = place < max(2, FLOW_SAMPLES // dataset.num_classes)
    return replace(dataset, inputs=dataset.inputs[kept], labels=dataset.labels[kept])


def _predicted(prediction: Prediction) -> dict[str, Any]:
    return {
        "theory": prediction.theory,
        "margins": prediction.margins,
        "merged": prediction.merged,
        "nc2_etf_means": prediction.metrics.get("nc2_etf_means"),
    }


def _say(surveyed: Survey, prediction: Prediction, data: Dataset, html: Path | None) -> None:
    console = Console(highlight=False, markup=False)
    size = f"{len(data.labels):,} samples of {data.num_classes} classes"
    console.print(f"{data.name}: {size} in {data.inputs.shape[1]:,} dimensions\n")
    console.print("Proven")
    for sentence in surveyed.sentences():
        console.print(f"- {sentence}")
    console.print("\nPredicted of a deep network with batch norm and weight decay")
    merged = [", ".join(str(data.classes[k]) for k in group) for group in prediction.merged]
    distance = prediction.metrics.get("nc2_etf_means")
    shape = "" if distance is None else f" (distance {distance:.2g} from the balanced simplex)"
    ends = f"the means of {'; and of '.join(merged)} coincide" if merged else "no classes merge"
    console.print(f"- {ends}{shape}.")
    console.print("\nNext")
    for advice in surveyed.advice():
        console.print(f"- {advice}")
    console.print(f"\n{html}" if html else "\nFigures and the flow: --html PAGE")
