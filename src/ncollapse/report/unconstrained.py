"""The page of a run of unconstrained features: where it ended, and how it moved there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ncollapse._extras import need
from ncollapse.report._motion import check_drawable, clock_of
from ncollapse.report._page import Fact, Illustration, Page, Section, Table, number
from ncollapse.report._render import render
from ncollapse.report.animation import build_animation
from ncollapse.report.images import illustrate
from ncollapse.report.panels import PANELS
from ncollapse.runs import Run
from ncollapse.theory.ends import end_record, measure_end, theory_at_end

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MODELS = {
    "ulpm": ("The layer-peeled model", "ji2022"),
    "ufm": ("Unconstrained features with squared loss", "mixon2022"),
    "upfm-ce": ("Positive features with cross-entropy", "hong2025"),
    "upfm-l2": ("Positive features with squared loss", "hong2025"),
}
_HEADLINES = {
    "within_variation": (
        "variation within classes",
        "average distance to the class mean over that to the global mean",
    ),
    "nc2_equiangular_means": (
        "angles between means",
        "average distance of their cosines from −1/(K−1)",
    ),
    "nc3_average": (
        "classifier against means",
        "average distance of unit rows of W from unit centred means",
    ),
}


def check_page(num_classes: int) -> None:
    """Find out before a run whether its page can be made.

    Raises
    ------
    ValueError
        A simplex of ``num_classes`` points cannot be drawn.
    ModuleNotFoundError
        A library that the page needs is not installed.
    """
    check_drawable(num_classes)
    need("plotly.offline", "jinja2")


def unconstrained_page(run: Run) -> Page:
    """Everything that the page of ``run`` says, with its figures drawn; errors as `motion`."""
    setup, metrics = run.setup, measure_end(run).metrics
    title, source = _MODELS[setup.model]
    classes, per_class = setup.num_classes, setup.per_class
    level = number(float(run.log_inverse_loss[-1]))
    facts = [
        Fact("the run ended at log t", number(float(run.log_time[-1])), f"log(1/L) is {level}"),
        *(
            Fact(label, number(metrics[metric]), meaning)
            for metric, (label, meaning) in _HEADLINES.items()
            if metric in metrics
        ),
    ]
    theory = Table(
        ("theory", "value"),
        [(name, number(value, 4)) for name, value in theory_at_end(run).items()],
    )
    lead = (
        f"{per_class} features for each of {classes} classes in {setup.dim} dimensions, free "
        f"to move, and a linear classifier, followed by gradient flow from a random start. "
        f"{run.stopped}"
    )
    sections = [
        Section(
            "How it moved",
            "Collapse is three things at once: features of a class meet in one point, the points "
            "become a simplex, and the classifier's rows lie on them.",
            [_curves(run)],
            animations=[build_animation(run)],
        ),
        Section("What theory says of the end", f"As in {source}.", tables=[theory]),
    ]
    return Page(f"{title}: {classes} classes", lead, facts, (), sections, end_record(run), source)


def write_unconstrained(run: Run, path: str | Path) -> None:
    """Write the page of ``run`` to ``path`` as one self-contained HTML file."""
    Path(path).write_text(render(unconstrained_page(run)), encoding="utf-8")


def _curves(run: Run) -> Illustration:
    clock = clock_of(run.log_time)

    def draw(figure: Figure) -> None:
        for axis, (title, names) in zip(figure.subplots(1, 4).flat, PANELS, strict=True):
            for name in names:
                of = name.rpartition("_")[2] if len(names) > 1 else None
                axis.semilogy(clock, run.observations[name], label=of)
            axis.set_title(title)
            axis.set_xlabel("log(1 + log(1 + t))")
            axis.grid(True)
            if len(names) > 1:
                axis.legend()

    return illustrate(
        "metrics",
        "Distances from collapse",
        "The four measures of ji2022 Figure 2 on the animation's clock; lower is closer.",
        "Four curves over log log time: norms, variation within classes, cosines, self-duality.",
        (12.0, 3.2),
        draw,
    )
