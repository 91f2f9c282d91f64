"""``ncollapse train net``: train a network of the papers by a recipe."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncollapse.cli._output import flow_progress, print_facts
from ncollapse.cli._runs import Html, Json, Save, Seed, Width, check_outputs, finish

if TYPE_CHECKING:
    from ncollapse.data import Dataset

_IN_RECIPE = ("epochs", "batch", "learning_rate", "momentum", "weight_decay", "feature_decay")


class Model(StrEnum):
    """Networks by name."""

    mlp = "mlp"
    resnet18 = "resnet18"
    vgg13 = "vgg13"


def net(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Option(
            help="mnist, fashion-mnist, kmnist or cifar10; a folder of images; or an npz file with "
            "inputs (N, d) and labels (N,)."
        ),
    ],
    model: Annotated[Model, typer.Option(help="The network.")] = Model.resnet18,
    images: Annotated[int | None, typer.Option(help="Samples, equally many a class.")] = None,
    width_multiplier: Annotated[
        float, typer.Option(help="Scales the channels of resnet18 and vgg13.")
    ] = 1.0,
    width: Width = 64,
    depth: Annotated[int, typer.Option(help="Weight layers of mlp.")] = 3,
    recipe: Annotated[str, typer.Option(help="ji2022, papyan2020 or stationary.")] = "ji2022",
    epochs: Annotated[int | None, typer.Option(help="In place of the recipe's.")] = None,
    batch: Annotated[int | None, typer.Option(help="In place of the recipe's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="In place of the recipe's.")] = None,
    momentum: Annotated[float | None, typer.Option(help="In place of the recipe's.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="In place of the recipe's.")] = None,
    feature_decay: Annotated[float | None, typer.Option(help="In place of the recipe's.")] = None,
    preset: Annotated[str, typer.Option(help="Metrics to record.")] = "papyan2020",
    records: Annotated[int, typer.Option(help="Epochs to record, about.")] = 40,
    device: Annotated[str, typer.Option(help="Such as cpu or cuda.")] = "cpu",
    mixed_precision: Annotated[
        bool, typer.Option("--mixed-precision", help="Forward passes in bfloat16.")
    ] = False,
    seed: Seed = 0,
    resume: Annotated[
        Path | None, typer.Option(help="What --save named in the run to go on with.")
    ] = None,
    html: Html = None,
    save: Save = None,
    json: Json = False,
) -> int:
    """Train a network by a recipe; with --save it can be killed and resumed."""
    from ncollapse.train import RECIPES, fit

    options = context.params
    options["out"] = None
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, but it is {recipe!r}")
    given = {name: options[name] for name in _IN_RECIPE if options[name] is not None}
    chosen = replace(RECIPES[recipe], **given)
    check_outputs(options)
    dataset = _data(data, images)
    with flow_progress(str(model)) as on_progress:
        run = fit(
            _model(options, dataset),
            dataset,
            chosen,
            seed=seed,
            preset=preset,
            records=records,
            checkpoint=None if save is None else _checkpoint(save),
            resume=False if resume is None else _checkpoint(resume),
            on_progress=on_progress,
            device=device,
            mixed_precision=mixed_precision,
        )
    last = {name: float(values[-1]) for name, values in run.observations.items()}
    ends = {name: last.pop(name) for name in ("loss", "value", "accuracy")}
    record = {**ends, "metrics": last, "recipe": chosen.to_dict(), "run": run.to_dict()}
    record["data"] = dataset.name

    def make_page():
        from ncollapse.report.network import network_page

        return network_page(run, dataset.name)

    facts = [(name, f"{value:.6g}") for name, value in {**ends, **last}.items()]
    facts.append(("stopped", run.stopped))
    title = f"{model} on {dataset.name}, {recipe}"
    return finish(context, run, record, make_page, lambda: print_facts(title, facts))


def _checkpoint(save: Path) -> Path:
    return save.with_name(f"{save.name}.checkpoint")


def _data(source: str, images: int | None) -> Dataset:
    from ncollapse.data import IMAGE_SETS, images_at_hand, load_dataset, load_images

    if Path(source).is_dir():
        data = load_images(folder=source)
    elif Path(source).is_file():
        data = load_dataset(source)
    elif source not in IMAGE_SETS:
        raise ValueError(
            f"data must be {', '.join(IMAGE_SETS)}, a folder or a file, but it is {source!r}"
        )
    else:
        try:
            data = images_at_hand(source)
        except FileNotFoundError:
            data = load_images(dataset=source)
    return data if images is None else data.first(images)


def _model(options: dict[str, Any], data: Dataset) -> Any:
    from ncollapse.train import mlp, resnet18, vgg13

    kind, seed = options["model"], options["seed"]
    if kind is Model.mlp:
        size = {"depth": options["depth"], "width": options["width"]}
        return mlp(data.inputs.shape[1], data.num_classes, seed=seed, **size)
    *channels, height, width = data.images.shape[1:]
    if height != width:
        raise ValueError(f"data must be square images, but they are {height} by {width}")
    make = resnet18 if kind is Model.resnet18 else vgg13
    return make(
        data.num_classes,
        width_multiplier=options["width_multiplier"],
        channels=channels[0] if channels else 1,
        pixels=height,
        seed=seed,
    )
