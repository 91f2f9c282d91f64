"""The page of a run of `ncollapse.train.fit`: loss, accuracy and the metrics on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ncollapse.metrics import METRICS
from ncollapse.report._page import Fact, Illustration, Page, Section, Table, number
from ncollapse.report.images import illustrate
from ncollapse.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OF_TRAINING = ("loss", "value", "accuracy")


def network_page(run: Run, data: str) -> Page:
    """Everything that the page of ``run`` on ``data`` says, with its figure drawn.

    Raises ``ModuleNotFoundError`` where a library that the page needs is not installed.
    """
    setup = run.setup
    last = {name: float(values[-1]) for name, values in run.observations.items()}
    perfect = np.flatnonzero(run.observations["accuracy"] == 1.0)
    zero = f"first at epoch {run.s[perfect[0]]:.0f}" if perfect.size else "not zero yet"
    facts = [
        Fact("loss at the end", number(last["loss"]), "mean over the training samples"),
        Fact("training error", number(1.0 - last["accuracy"]), f"as recorded, {zero}"),
        Fact("objective", number(last["value"]), "the loss and all decays"),
    ]
    lead = (
        f"{setup.model} with {setup.dim} last-layer features on {setup.num_samples} samples of "
        f"{setup.num_classes} classes of {data}, by {setup.method}, weight decay "
        f"{setup.weight_decay:g}. {run.stopped}"
    )
    names = [name for name in last if name not in _OF_TRAINING]
    falling = [name for name in names if METRICS[name].collapsed == 0.0]
    rows = [(name, number(last[name], 4)) for name in names]
    sections = [
        Section("How it went", "Lower is closer to collapse.", [_curves(run, falling)]),
        Section("Where it ended", "", tables=[Table(("metric", "value"), rows)]),
    ]
    return Page(f"{setup.model} on {data}", lead, facts, (), sections, run.to_dict(), "papyan2020")


def _curves(run: Run, names: list[str]) -> Illustration:
    def draw(figure: Figure) -> None:
        axis, beside = figure.subplots(1, 2)
        later = run.s >= 1
        epochs, curves = run.s[later], {k: v[later] for k, v in run.observations.items()}
        for name in names:
            axis.loglog(epochs, curves[name], marker=".", label=name)
        axis.set_title("metrics of collapse")
        beside.loglog(epochs, curves["loss"], "C3", label="loss")
        beside.loglog(epochs, 1.0 - curves["accuracy"], "C0", label="training error")
        beside.set_title("training")
        for one in (axis, beside):
            one.set_xlabel("epoch")
            one.grid(True)
            one.legend(fontsize="x-small")

    return illustrate(
        "metrics",
        "Metrics of collapse, loss and training error",
        "Measured in evaluation mode over all training samples.",
        "Curves on logarithmic axes over the epochs, one a metric, and loss and error beside them.",
        (9.6, 4.2),
        draw,
    )
