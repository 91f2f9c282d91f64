"""The report of min2025's experiment."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ncollapse._checks import prepare_folder
from ncollapse.papers.min2025 import figures, timelines
from ncollapse.papers.min2025.claims import assumption
from ncollapse.papers.min2025.network import Run
from ncollapse.papers.min2025.panels import Panels, compute_panels
from ncollapse.report import Fact, Page, Section, Table, number, percent, write_page
from ncollapse.report.images import illustrate

_MOST_SHOWN = 6
"""Dead samples that are drawn; the others are listed by row."""


def write_report(run: Run, out: str | Path) -> list[Path]:
    """Write the report of ``run`` into the folder ``out``: report.html and the figures as PNG.

    Returns the paths, the HTML page first.

    Raises
    ------
    OSError
        ``out`` cannot be made or written to; the message names it. `prepare_folder` finds out
        before a run.
    """
    prepare_folder(out)
    return write_page(build_page(run), out)


def build_page(run: Run) -> Page:
    """Everything that the report of ``run`` says, with its figures drawn."""
    panels = compute_panels(run)
    sections = [_poster(run, panels), _watched(run, panels), _predicted(run, panels)]
    if len(run.alignment.dead_samples):
        sections.append(_dead(run))
    sections.append(_made(run))
    names = ", ".join(str(name) for name in run.data.classes)
    return Page(
        title=f"Neural collapse on {run.data.name}: classes {names}",
        lead=_lead(run),
        facts=_facts(run, panels),
        verdicts=run.verdicts,
        sections=sections,
        record={**run.to_dict(), "version": version("ncollapse")},
        source="min2025 (Min, Zhu and Vidal, 2025)",
    )


separable = digits = separable_digits = build_page


def _lead(run: Run) -> str:
    width = run.trajectory.parameters["hidden"].shape[0]
    opening = (
        f"A two-layer ReLU network of {width} neurons was trained by exact gradient flow from "
        f"almost zero, up to log(1/L) = {number(run.trajectory.log_inverse_loss[-1])}. The "
        "theory says where it must end before it starts: one group of neurons a class, all "
        "features of a class in one direction, different classes at right angles. "
    )
    broken = assumption(run)
    if broken is None:
        return opening + "These data satisfy its assumption, so every claim can be checked."
    if run.separability.separable:
        return (
            opening
            + f"These data would do, but the theorem asks for {broken.name}: {broken.detail}."
        )
    return opening + (
        f"It assumes that inputs point together within a class and apart across classes; here "
        f"{percent(run.separability.violating_share)} of all pairs do not, so no claim that needs "
        "this is said to hold, and the distances show how much survives."
    )


def _facts(run: Run, panels: Panels) -> list[Fact]:
    count = run.data.num_classes
    cosines = [value for value in panels.groups.cosines if value is not None]
    facts = [
        Fact(
            f"outside {count} dimensions",
            f"{percent(panels.inputs.error, 2)} → {percent(panels.features_aligned.error, 2)}",
            "of the squared norm: inputs, then features once neurons are aligned "
            f"({percent(panels.features_end.error, 2)} at the end)",
        ),
        Fact(
            "pairs that break the assumption",
            percent(run.separability.violating_share),
            "of inputs point apart within a class or together across classes",
        ),
    ]
    if cosines:
        facts.append(
            Fact(
                "weights resemble class averages",
                f"{min(cosines):.2f} to {max(cosines):.2f}",
                "cosine between a group's average input weight and its class's average input",
            )
        )
    if run.limit is not None:
        gap = float(np.abs(panels.masses - run.limit.masses).max())
        facts.append(
            Fact(
                "masses off by",
                number(gap, 2),
                "largest gap between a group's share of ‖θ‖² and its prediction, neurons grouped by "
                "their output weights; the verdict below groups them by exact sign patterns",
            )
        )
    return facts


def _poster(run: Run, panels: Panels) -> Section:
    data, trajectory = run.data, run.trajectory
    count, classes = data.num_classes, data.classes

    def weights(figure: Figure) -> None:
        parts: Any = figure.subfigures(1, 2, width_ratios=(max(1.55, 0.5 * count), 1))
        left, right = parts
        figures.neuron_weights(left, panels, classes)
        ax = right.subplots()
        figures.output_directions(ax, panels, classes)
        ax.set_title("output weights and ETF directions", loc="center", fontsize=10)

    shown = (
        ("inputs", panels.inputs),
        (f"features at s = {trajectory.snapshot_s[panels.aligned]:.3g}", panels.features_aligned),
        ("features at the end", panels.features_end),
    )

    def components(figure: Figure) -> None:
        solid = all(projection.coordinates.shape[1] == 3 for _, projection in shown)
        kind = {"projection": "3d"} if solid else {}
        axes = figure.subplots(1, 3, squeeze=False, subplot_kw=kind)[0]
        for ax, (name, projection) in zip(axes, shown, strict=True):
            figures.principal_components(ax, projection, data, hollow=run.alignment.dead_samples)
            ax.set_title(
                f"{name}\nrank-{count} error {percent(projection.error)}", loc="center", y=0.0
            )
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))

    return Section(
        "What the network made of the data",
        "Training sorts the neurons by class, and the neurons sort the data: what was a cloud in "
        "many dimensions becomes one ray a class.",
        [
            illustrate(
                "digit-correlation",
                "Which inputs point the same way",
                "Cosine of every pair of inputs, sorted by class. The theorem asks for orange "
                "blocks on the diagonal and blue elsewhere; "
                f"{percent(run.separability.violating_share)} of pairs have the wrong sign.",
                "Matrix of pairwise cosines of the inputs, in one block for each pair of classes.",
                (7.6, 6.0),
                lambda figure: figures.digit_correlation(
                    figure.subplots(), panels.correlation, classes
                ),
            ),
            illustrate(
                "neuron-weights",
                "What each group of neurons looks for",
                "Above, the average input weight of the neurons of each class; below, the average "
                "input of that class (orange positive, blue negative). Right, every neuron's "
                "output weight against the directions of a simplex ETF (dashed). A neuron is "
                "counted to the class whose direction its output weight is nearest to: the "
                "exact groups of the theorem can be empty on data that are not orthogonally "
                "separable.",
                "Average input weights beside average inputs, and output weights along the "
                "directions of a simplex.",
                (max(11.0, 1.6 * count + 5), 4.8),
                weights,
            ),
            illustrate(
                "principal-components",
                f"From {percent(panels.inputs.error)} outside {count} dimensions "
                f"to {percent(panels.features_aligned.error)}",
                "First three principal components, uncentred. The middle panel is the snapshot at "
                "which the most activations are what the alignment theorem asks for "
                f"({percent(panels.agreement[panels.aligned])} of sample–neuron pairs). The rank "
                "error is the share of the squared norm that no subspace of as many dimensions as "
                "there are classes can hold.",
                "Scatter plots of the inputs, of the features at alignment and of the features at "
                "the end, coloured by class.",
                (12.0, 5.0),
                components,
            ),
        ],
    )


def _watched(run: Run, panels: Panels) -> Section:
    trajectory = run.trajectory

    def progress(figure: Figure) -> None:
        axes = figure.subplots(1, 3)
        timelines.loss(axes[0], run)
        timelines.norms(axes[1], trajectory)
        timelines.margins(axes[2], run)
        for ax in axes:
            timelines.time_axis(ax, trajectory)

    def alignment(figure: Figure) -> None:
        axes = figure.subplots(2, 2)
        timelines.neuron_shares(axes[0, 0], run)
        timelines.agreement(axes[0, 1], run, panels)
        timelines.collapse(axes[1, 0], run)
        timelines.feature_rank(axes[1, 1], run, panels)
        for ax in axes.flat:
            timelines.time_axis(ax, trajectory)

    settled = run.alignment
    if settled.s is None:
        when = "Not every neuron ever settles in an exact group: mixed ones remain at the end."
    else:
        when = (
            f"From T* (s = {number(settled.s)}, log t = {number(settled.log_time)}) on, every "
            "surviving neuron stays in one group."
        )
    return Section(
        "How it got there",
        "Time runs on a clock that keeps moving when the loss is astronomically small: s grows "
        "like log log t, so the end of the axis is a time no ordinary training reaches.",
        [
            illustrate(
                "loss-and-norms",
                "Loss, norm and margins",
                "log(1/L), L the summed loss; the norm of all weights; the smallest margin of each "
                "class, which the theory sends to one common value (dashed). The upper axis gives "
                "log t, t the time of ordinary gradient flow; equal steps of s multiply log t once "
                "t is large.",
                "Three curves over rescaled time: log inverse loss, norm, margins.",
                (12.0, 4.1),
                progress,
            ),
            illustrate(
                "alignment",
                "Alignment and collapse",
                "Top left, neurons whose sign pattern is exactly one class, another set of "
                "samples, or empty. Top right, the share of activations that are what alignment "
                "asks for, and how closely output weights follow the simplex; the ring marks the "
                "snapshot of the figure above. Bottom, distances from collapse (lower is closer). "
                + when,
                "Shares of neurons, agreement with alignment, collapse metrics and rank error over "
                "rescaled time.",
                (12.0, 8.0),
                alignment,
            ),
        ],
    )


def _predicted(run: Run, panels: Panels) -> Section:
    predicted = None if run.limit is None else run.limit.masses

    def compare(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        figures.group_masses(left, panels, predicted, run.data.classes)
        figures.margin_cosines(right, panels, run.data.classes)

    rows = []
    for k, name in enumerate(run.data.classes):
        rows.append(
            [
                f"class {name}",
                str(run.data.counts[k]),
                percent(run.separability.violating_share_per_class[k]),
                number(None if run.limit is None else float(run.limit.margins[k]), 4),
                number(None if predicted is None else float(predicted[k]), 4),
                number(float(panels.masses[k]), 4),
                number(panels.cos_to_max_margin[k], 4),
                str(panels.groups.sizes[k]),
                str(run.alignment.group_sizes[k]),
            ]
        )
    header = [
        "",
        "samples",
        "violating pairs",
        "max margin γ",
        "mass predicted",
        "measured",
        "cos to u",
        "neurons",
        "exact",
    ]
    text = (
        "From the data alone: uₖ is the direction that classifies class k with the largest margin "
        "γₖ, and the input weights of its neurons should end along it with mass "
        "sₖ² = γₖ⁻¹ / (2 Σⱼ γⱼ⁻¹)."
    )
    if run.no_limit is not None:
        text += f" No prediction exists for these data: {run.no_limit}."
    return Section(
        "Predicted before training",
        text,
        [
            illustrate(
                "masses",
                "Masses and directions, class by class",
                "Left, the share of ‖θ‖² in the input weights of each group: bars measured, "
                "diamonds predicted. Right, how closely those weights follow the max-margin "
                "direction. Groups are taken by output weights, as above.",
                "Bars of measured masses with predicted masses, and cosines to the max-margin "
                "directions.",
                (11.0, 4.0),
                compare,
            )
        ],
        [Table(header, rows)],
    )


def _dead(run: Run) -> Section:
    rows = [int(row) for row in run.alignment.dead_samples]
    shown = rows[:_MOST_SHOWN]
    classes = run.data.classes[run.data.labels[rows]]
    listed = ", ".join(f"{row} (class {name})" for row, name in zip(rows, classes, strict=True))
    lost = len(rows) * np.log(run.data.num_classes)
    opening, holding, label = (
        ("On one sample", "It holds", "Row")
        if len(rows) == 1
        else (f"On each of {len(rows)} samples", "Together they hold", "Rows")
    )
    return Section(
        "Samples the network gave up on",
        f"{opening} every neuron is off: the output is zero, so is the gradient, and the loss "
        f"stays at log {run.data.num_classes}. {holding} L above {number(lost)} for ever, "
        f"and log(1/L) below {number(-float(np.log(lost)))}. {label}: {listed}.",
        [
            illustrate(
                "dead-samples",
                "Dead samples" if len(rows) > 1 else "The dead sample",
                "As the network is given it (orange above the average of all inputs, blue below)."
                + (f" The first {len(shown)} of {len(rows)}." if len(rows) > len(shown) else ""),
                "Inputs on which every neuron is off.",
                (2.2 * len(shown) + 0.4, 2.7),
                lambda figure: figures.dead_samples(figure, run, shown),
            )
        ],
    )


def _made(run: Run) -> Section:
    trajectory = run.trajectory
    rows = [
        ["data", run.data.name],
        ["samples × dimensions", " × ".join(map(str, run.data.inputs.shape))],
        ["neurons", str(trajectory.parameters["hidden"].shape[0])],
        ["seed", str(run.seed)],
        ["steps accepted / rejected", f"{trajectory.steps} / {trajectory.rejected}"],
        ["relative drift of conserved quantities", number(float(trajectory.drift[-1]))],
        [
            "seconds (and to compile)",
            f"{trajectory.seconds:.1f} ({trajectory.compile_seconds:.1f})",
        ],
        ["the run ended", trajectory.stopped],
    ]
    return Section(
        "How this was computed",
        "Adaptive Runge–Kutta in float64 along dθ/ds = −∇ log L, on gradient flow's own path.",
        tables=[Table(["", "value"], rows)],
    )
