"""``ncollapse predict`` and ``ncollapse explain``: where training is heading, and by which theory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ncollapse._extras import require
from ncollapse.cli._output import check_writable_file, print_facts, print_json

if TYPE_CHECKING:
    from ncollapse.theory.imbalance import AssumptionCheck, Explanation, Prediction

Normalisation = Annotated[
    str | None, typer.Option(help="batch: batch norm before the last activation.")
]
Html = Annotated[Path | None, typer.Option(help="HTML page to write, complete in one file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def predict(
    context: typer.Context,
    counts: Annotated[str, typer.Option(help="Samples of each class, with commas.")],
    weight_decay: Annotated[
        str, typer.Option(help="Decay of the weight; with --depth one number or one a layer.")
    ],
    feature_decay: Annotated[
        float | None, typer.Option(help="Decay of the features, of γ and β for batch norm.")
    ] = None,
    loss: Annotated[str, typer.Option(help="cross_entropy or squared.")] = "cross_entropy",
    features: Annotated[str, typer.Option(help="signed or nonnegative.")] = "signed",
    normalisation: Normalisation = None,
    depth: Annotated[
        int | None, typer.Option(help="Number of layers, all decayed: the depth law.")
    ] = None,
    input_norms: Annotated[
        str | None, typer.Option(help="Norm of each class's input, with commas.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="File of inputs and labels, for the margin of each class.")
    ] = None,
    bias: Annotated[bool, typer.Option("--bias", help="A free bias.")] = False,
    html: Html = None,
    json: Json = False,
) -> None:
    """Predict the last layer that training on classes of these sizes is heading for."""
    from ncollapse.theory.predict import predict as compute

    numbers = _numbers("--counts", counts, int)
    decays = _numbers("--weight-decay", weight_decay, float)
    if depth is None and len(decays) > 1:
        raise ValueError("--weight-decay must be one number without --depth")
    if depth is None and (data is not None or input_norms is not None):
        raise ValueError("--data and --input-norms are for the depth law: give --depth too")
    if data is not None and input_norms is not None:
        raise ValueError("--data gives the input norms: leave --input-norms out")
    if bias and (depth is not None or features == "nonnegative"):
        raise ValueError("--bias is for signed features without --depth: no other theory covers it")
    if feature_decay is None and depth is None and normalisation is None:
        raise ValueError("--feature-decay is needed without --depth or --normalisation batch")
    _check_page(html)
    options: dict[str, Any] = {
        "weight_decay": decays[0] if len(decays) == 1 else decays,
        "feature_decay": feature_decay,
        "loss": loss,
        "features": features,
        "bias": bias,
        "depth": depth,
        "normalisation": normalisation,
    }
    if input_norms is not None:
        options["input_norms"] = _numbers("--input-norms", input_norms, float)
    if data is not None:
        options["input_norms"] = _margins_of(data, numbers)
    prediction = compute(numbers, **options)
    if html is not None:
        from ncollapse.report.prediction import write_prediction
        from ncollapse.theory.curve import imbalance_curve

        write_prediction(prediction, imbalance_curve(numbers, **options), html)
    if json:
        print_json(prediction.to_dict(), context.params)
    else:
        _print_prediction(prediction)


def explain(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help=".npz, .npy, .csv, .parquet, .safetensors or .pt.")],
    labels: Annotated[Path | None, typer.Option(help=".npy of labels, for .npy features.")] = None,
    head: Annotated[Path | None, typer.Option(help="File with weight and bias.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decay of the weight.")] = None,
    depth: Annotated[
        int | None, typer.Option(help="Number of layers that are all decayed.")
    ] = None,
    normalisation: Normalisation = None,
    html: Html = None,
    json: Json = False,
) -> None:
    """Explain a last layer: which theory it follows, and whether its assumptions are met."""
    from ncollapse.theory.explain import explain_file

    _check_page(html)
    explanation = explain_file(
        file,
        labels=labels,
        head=head,
        weight_decay=weight_decay,
        depth=depth,
        normalisation=normalisation,
    )
    if html is not None:
        from ncollapse.report.explanation import write_explanation

        write_explanation(explanation, file.name, html)
    if json:
        print_json(explanation.to_dict(), context.params)
    else:
        _print_explanation(explanation, file.name)


def _margins_of(data: Path, counts: list[int]) -> Any:
    """γ_k of each class in a file that has these counts."""
    from ncollapse.data import load_dataset
    from ncollapse.theory.imbalance import class_margins

    inputs = load_dataset(data)
    if inputs.counts.tolist() != counts:
        raise ValueError(f"--counts must be those of {data}, which are {inputs.counts.tolist()}")
    return class_margins(inputs.inputs, inputs.labels)


def _check_page(html: Path | None) -> None:
    if html is not None:
        check_writable_file("--html", html)
        for module in ("matplotlib", "jinja2"):
            require(module)


def _numbers(option: str, text: str, kind: Callable[[str], Any]) -> list[Any]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        what = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{option} must be {what} with commas, but it is {text!r}") from error


def _print_prediction(prediction: Prediction) -> None:
    means, rows = prediction.means_gram, prediction.weight_gram
    merged = {k: i for i, group in enumerate(prediction.merged, 1) for k in group}
    table = Table(title="Class by class", title_justify="left")
    for heading in ("class", "samples", "margin", "‖mean‖", "‖row of W‖", "fate"):
        table.add_column(heading, justify="left" if heading == "fate" else "right")
    for k, count in enumerate(prediction.counts.astype(int)):
        fate = f"merged, group {merged[k]}" if k in merged else "apart"
        table.add_row(
            str(k),
            f"{count:,}",
            f"{prediction.margins[k]:.4g}",
            f"{np.sqrt(means[k, k]):.4g}",
            f"{np.sqrt(rows[k, k]):.4g}",
            "dead: its features are zero" if k in prediction.dead else fate,
        )
    gap = "none: nothing is proven" if prediction.gap is None else f"{max(prediction.gap, 0):.1e}"
    print_facts(
        "Where training is heading",
        [
            ("theory", f"{prediction.theory}: {prediction.source}"),
            ("objective", f"{prediction.risk:.6g}"),
            ("proven gap", gap),
            *(("assumption", sentence) for sentence in prediction.assumptions),
        ],
    )
    Console().print(table)


def _print_explanation(explanation: Explanation, name: str) -> None:
    gap, decay = explanation.gap, explanation.feature_decay
    print_facts(
        name,
        [
            (
                "best theory",
                explanation.best or "none: no theory whose assumptions are met is near",
            ),
            ("proven gap", "none" if gap is None else f"{gap:.4g}"),
            ("feature decay", "none" if decay is None else f"{decay:.4g}"),
            ("feature decay over weight decay", f"{explanation.decay_ratio:.4g}"),
            ("WᵀW from proportional to Σhhᵀ", f"{explanation.disproportion:.4g}"),
            *(("note", note) for note in explanation.notes),
        ],
    )
    table = Table(title="Distances of unit matrices, and assumptions", title_justify="left")
    for heading in ("theory", "weight", "means", "logits", "applies", "assumptions"):
        table.add_column(heading, overflow="fold")
    for row in explanation.theories:
        distances = (row.weight_distance, row.means_distance, row.logits_distance)
        table.add_row(
            row.name,
            *("" if part is None else f"{part:.3f}" for part in distances),
            "yes" if row.applies else "no",
            "\n".join(_sentence(check) for check in row.assumptions),
        )
    Console().print(table)


def _sentence(check: AssumptionCheck) -> str:
    met = {True: "met", False: "violated", None: "unknown"}[check.met]
    if check.measured is None:
        return f"{check.name}: {met}"
    limit = f", {check.limit}" if check.limit else ""
    return f"{check.name}: {met} ({check.measured:.3g}{limit})"
