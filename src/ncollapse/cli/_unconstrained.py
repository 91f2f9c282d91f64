"""``ncollapse flow {ulpm,ufm,upfm-ce,upfm-l2}`` and ``ncollapse minimiser``: unconstrained features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncollapse.cli._output import flow_progress, print_facts, print_json
from ncollapse.cli._runs import Html, Json, Out, Rtol, Save, Seed, Until, check_outputs, finish

if TYPE_CHECKING:
    from ncollapse.runs import Run

Classes = Annotated[int, typer.Option(help="Number of classes K.")]
PerClass = Annotated[int, typer.Option(help="Samples of each class n.")]
Dim = Annotated[int, typer.Option(help="Feature dimension D.")]
Init = Annotated[float, typer.Option(help="Norm of the weights and of the features at the start.")]
LambdaW = Annotated[float, typer.Option(help="Regularisation of the weights.")]
LambdaH = Annotated[float, typer.Option(help="Regularisation of the features.")]


def ulpm(
    context: typer.Context,
    classes: Classes = 5,
    per_class: PerClass = 10,
    dim: Dim = 20,
    seed: Seed = 0,
    init: Init = 1.0,
    until: Until = 400.0,
    rtol: Rtol = 1e-7,
    out: Out = None,
    html: Html = None,
    save: Save = None,
    json: Json = False,
) -> int:
    """Layer-peeled model with cross-entropy (ji2022), to the end of time."""
    from ncollapse.flow import flow_ulpm

    _check_outputs(context, classes)
    with flow_progress("ulpm") as progress:
        run = flow_ulpm(
            num_classes=classes,
            per_class=per_class,
            dim=dim,
            seed=seed,
            init=init,
            until=until,
            rtol=rtol,
            on_progress=progress,
        )
    return _finish(context, run)


def ufm(
    context: typer.Context,
    classes: Classes = 3,
    per_class: PerClass = 3,
    dim: Dim = 15,
    seed: Seed = 0,
    init: Init = 1e-2,
    until: Until = 32.0,
    rtol: Rtol = 1e-9,
    out: Out = None,
    html: Html = None,
    save: Save = None,
    json: Json = False,
) -> int:
    """Unconstrained features with squared loss and bias (mixon2022)."""
    from ncollapse.flow import flow_ufm

    _check_outputs(context, classes)
    with flow_progress("ufm") as progress:
        run = flow_ufm(
            num_classes=classes,
            per_class=per_class,
            dim=dim,
            seed=seed,
            init=init,
            until=until,
            rtol=rtol,
            on_progress=progress,
        )
    return _finish(context, run)


def upfm(name: str) -> Any:
    """The command of one positive-feature model."""

    def command(
        context: typer.Context,
        lambda_w: LambdaW,
        lambda_h: LambdaH,
        classes: Classes = 3,
        per_class: PerClass = 4,
        dim: Dim = 9,
        seed: Seed = 0,
        init: Init = 1.0,
        until: Annotated[float | None, typer.Option(help="Stop at this time.")] = None,
        rtol: Rtol = 1e-7,
        out: Out = None,
        html: Html = None,
        save: Save = None,
        json: Json = False,
    ) -> int:
        from ncollapse.flow import flow_upfm

        _check_outputs(context, classes)
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
                rtol=rtol,
                on_progress=progress,
            )
        return _finish(context, run)

    command.__doc__ = f"Positive features, {name} (hong2025 Theorem 2), beside its minimiser."
    return command


def minimiser(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="upfm-ce or upfm-l2.")],
    lambda_w: LambdaW,
    lambda_h: LambdaH,
    classes: Classes = 3,
    per_class: PerClass = 4,
    json: Json = False,
) -> None:
    """Global minimiser of positive features in closed form (hong2025 Theorem 2)."""
    from ncollapse.theory.minimisers import minimiser as closed_form

    predicted = closed_form(
        model, num_classes=classes, per_class=per_class, lambda_w=lambda_w, lambda_h=lambda_h
    ).to_dict()
    if json:
        print_json(predicted, context.params)
    else:
        print_facts(f"Global minimiser of {model}", _rows(predicted))


def _check_outputs(context: typer.Context, classes: int) -> None:
    if context.params["html"] is not None or context.params["out"] is not None:
        from ncollapse.report.unconstrained import check_page

        check_page(classes)
    check_outputs(context.params)


def _finish(context: typer.Context, run: Run) -> int:
    from ncollapse.theory.ends import end_record

    def make_page():
        from ncollapse.report.unconstrained import unconstrained_page

        return unconstrained_page(run)

    record = end_record(run)
    title = f"{context.info_name}, seed {run.setup.seed}"
    return finish(context, run, record, make_page, lambda: print_facts(title, _rows(record)))


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
