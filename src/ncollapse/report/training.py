"""The page of a run of training: how far from optimal it ended, and its metrics on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncollapse.report._page import Fact, Illustration, Page, Section, Table, number
from ncollapse.report.images import illustrate
from ncollapse.runs import Run
from ncollapse.train import METRIC_NAMES, Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CLOCK = {
    "descent": "epoch",
    "optimum": "evaluations of the risk",
    "built": "nothing moves: it was built",
}


def training_page(run: Run, end: Outcome) -> Page:
    """Everything that the page of ``run`` says, with its figure drawn.

    Raises ``ModuleNotFoundError`` where a library that the page needs is not installed.
    """
    setup = run.setup
    gap = "unknown" if end.gap is None else number(end.gap)
    facts = [
        Fact("risk at the end", number(end.risk), f"no network is below {number(end.lower_bound)}"),
        Fact("above the least risk by", gap, "known where collapse is certified feasible"),
        Fact(
            "neurons off on samples of their class",
            number(end.dead_share),
            "share of pairs of a sample and a neuron for its class",
        ),
    ]
    rows = [(name, number(value, 4)) for name, value in end.metrics.items()]
    lead = (
        f"{setup.dim} ReLU neurons on {setup.num_samples} samples of {setup.num_classes} classes, "
        f"weight decay {setup.weight_decay:g} on the classifier and {setup.feature_decay:g} on the "
        f"features. {run.stopped}"
    )
    sections = [
        Section("How it went", "Lower is closer to collapse.", [_curves(run)]),
        Section("Where it ended", "As in hong2025.", tables=[Table(("metric", "value"), rows)]),
    ]
    title = f"Two-layer network: {setup.method}"
    return Page(title, lead, facts, (), sections, end.to_dict(), "hong2025")


def _curves(run: Run) -> Illustration:
    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for name in METRIC_NAMES:
            axis.loglog(run.s, run.observations[name], marker=".", label=name)
        axis.set_xlabel(_CLOCK[run.setup.method])
        axis.grid(True)
        axis.legend()

    return illustrate(
        "metrics",
        "Metrics of collapse",
        "hong2025 (3.2) and (3.3), and the quotient of the traces beside (3.2).",
        "Five curves on logarithmic axes, one a metric.",
        (8.0, 4.2),
        draw,
    )
