"""``ncollapse flow {ulpm,ufm,upfm-ce,upfm-l2}`` and ``ncollapse minimiser``: unconstrained features."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
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


UntilTime = Annotated[float | None, typer.Option(help="Stop at this time.")]

_OUTPUTS = {"out": Out, "html": Html, "save": Save, "json": Json}
_OPTIONS = {
    "lambda_w": LambdaW,
    "lambda_h": LambdaH,
    "classes": Classes,
    "per_class": PerClass,
    "dim": Dim,
    "seed": Seed,
    "init": Init,
    "until": Until,
    "rtol": Rtol,
    **_OUTPUTS,
}
_COMMON = {"seed": 0, "init": 1.0, "rtol": 1e-7, "out": None, "html": None, "save": None}


def _follow(function: str, *model: str, doc: str, **defaults: Any) -> Callable[..., int]:
    """The command that calls a function of `ncollapse.flow`; what has no default has to be given."""
    defaults = {**_COMMON, "json": False, **defaults}

    def command(context: typer.Context, **options: Any) -> int:
        from ncollapse import flow

        _check_outputs(context, options["classes"])
        given = {name: value for name, value in options.items() if name not in _OUTPUTS}
        given["num_classes"] = given.pop("classes")
        with flow_progress(str(context.info_name)) as progress:
            run = getattr(flow, function)(*model, **given, on_progress=progress)
        return _finish(context, run)

    annotations = _OPTIONS if defaults["until"] is not None else {**_OPTIONS, "until": UntilTime}
    parameters = [Parameter("context", Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    for name, annotation in annotations.items():
        if name in defaults:
            default = Parameter.empty if defaults[name] is ... else defaults[name]
            parameters.append(
                Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )
    command.__signature__ = Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__doc__ = doc
    return command


COMMANDS = {
    "ulpm": _follow(
        "flow_ulpm",
        doc="Layer-peeled model with cross-entropy (ji2022), to the end of time.",
        classes=5,
        per_class=10,
        dim=20,
        until=400.0,
    ),
    "ufm": _follow(
        "flow_ufm",
        doc="Unconstrained features with squared loss and bias (mixon2022).",
        classes=3,
        per_class=3,
        dim=15,
        init=1e-2,
        until=32.0,
        rtol=1e-9,
    ),
    **{
        name: _follow(
            "flow_upfm",
            name,
            doc=f"Positive features, {name} (hong2025 Theorem 2), beside its minimiser.",
            lambda_w=...,
            lambda_h=...,
            classes=3,
            per_class=4,
            dim=9,
            until=None,
        )
        for name in ("upfm-ce", "upfm-l2")
    },
}
"""The commands of ``ncollapse flow`` by name."""


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
