"""``ncollapse flow {ulpm,ufm,upfm-ce,upfm-l2}`` and ``ncollapse minimiser``: free features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncollapse.cli._output import (
    INTERRUPTED,
    check_writable_file,
    flow_progress,
    print_facts,
    print_json,
)

if TYPE_CHECKING:
    from ncollapse.runs import Run

Classes = Annotated[int, typer.Option(help="Number of classes K.")]
PerClass = Annotated[int, typer.Option(help="Samples of each class n.")]
Dim = Annotated[int, typer.Option(help="Feature dimension D.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the start.")]
Init = Annotated[float, typer.Option(help="Norm of the weights and of the features at the start.")]
Until = Annotated[float, typer.Option(help="Stop at this log(1/L).")]
LambdaW = Annotated[float, typer.Option(help="Regularisation of the weights.")]
LambdaH = Annotated[float, typer.Option(help="Regularisation of the features.")]
Html = Annotated[Path | None, typer.Option(help="HTML page to write, for 3 or 4 classes.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def ulpm(
    classes: Classes = 5,
    per_class: PerClass = 10,
    dim: Dim = 20,
    seed: Seed = 0,
    init: Init = 1.0,
    until: Until = 400.0,
    html: Html = None,
    json: Json = False,
) -> int:
    """Layer-peeled model with cross-entropy (ji2022), to the end of time."""
    from ncollapse.unconstrained import flow_ulpm

    _check_page(html, classes)
    with flow_progress("ulpm") as progress:
        run = flow_ulpm(
            num_classes=classes,
            per_class=per_class,
            dim=dim,
            seed=seed,
            init=init,
            until=until,
            on_progress=progress,
        )
    return _show(run, html, json)


def ufm(
    classes: Classes = 3,
    per_class: PerClass = 3,
    dim: Dim = 15,
    seed: Seed = 0,
    init: Init = 1e-2,
    until: Until = 32.0,
    html: Html = None,
    json: Json = False,
) -> int:
    """Unconstrained features with squared loss and bias (mixon2022)."""
    from ncollapse.unconstrained import flow_ufm

    _check_page(html, classes)
    with flow_progress("ufm") as progress:
        run = flow_ufm(
            num_classes=classes,
            per_class=per_class,
            dim=dim,
            seed=seed,
            init=init,
            until=until,
            on_progress=progress,
        )
    return _show(run, html, json)


def upfm(name: str) -> Any:
    """The command of one positive-feature model."""

    def command(
        lambda_w: LambdaW,
        lambda_h: LambdaH,
        classes: Classes = 3,
        per_class: PerClass = 4,
        dim: Dim = 9,
        seed: Seed = 0,
        init: Init = 1.0,
        until: Annotated[float | None, typer.Option(help="Stop at this time.")] = None,
        html: Html = None,
        json: Json = False,
    ) -> int:
        from ncollapse.unconstrained import flow_upfm

        _check_page(html, classes)
        with flow_progress(name) as progress:
            run = flow_upfm(
                name,
                num_classes=classes,
                per_class=per_class,
                dim=dim,
                lambda_w=lambda_w,
                lambda_h=lambda_h,
                seed=seed,
                init=init,
                until=until,
                on_progress=progress,
            )
        return _show(run, html, json)

    command.__doc__ = f"Positive features, {name} (hong2025 Theorem 2), beside its minimiser."
    return command


def minimiser(
    model: Annotated[str, typer.Argument(help="upfm-ce or upfm-l2.")],
    lambda_w: LambdaW,
    lambda_h: LambdaH,
    classes: Classes = 3,
    per_class: PerClass = 4,
    json: Json = False,
) -> None:
    """Global minimiser of positive features in closed form (hong2025 Theorem 2)."""
    from ncollapse.theory.minimisers import minimiser as closed_form

    arguments = {"classes": classes, "per_class": per_class}
    arguments |= {"lambda_w": lambda_w, "lambda_h": lambda_h, "model": model}
    found = closed_form(
        model, num_classes=classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    ).to_dict()
    if json:
        print_json(found, arguments)
    else:
        print_facts(f"Global minimiser of {model}", _rows(found))


def _check_page(html: Path | None, classes: int) -> None:
    if html is not None:
        from ncollapse.report.free_features import check_page

        check_page(classes)
        check_writable_file("--html", html)


def _show(run: Run, html: Path | None, json: bool) -> int:
    if html is not None:
        from ncollapse.report.free_features import write_free_features

        write_free_features(run, html)
    from ncollapse.unconstrained import end_record

    record = end_record(run)
    if json:
        print_json(record, record["setup"])
    else:
        print_facts(f"{run.setup.model}, seed {run.setup.seed}", _rows(record))
    if run.interrupted:
        typer.echo(f"ncollapse: {run.stopped}", err=True)
        return INTERRUPTED
    return 0


def _rows(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Numbers one a line, those of an inner dictionary below its own name."""
    rows = []
    for name, value in record.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {inner}", text) for inner, text in _rows(value)]
        elif isinstance(value, float):
            rows.append((name, f"{value:.6g}"))
        else:
            rows.append((name, "none" if value is None else str(value)))
    return rows
