"""The page of a data set: can a network collapse on it, what is predicted, what the flow does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.certify import INFEASIBLE, Survey
from ncollapse.data import Dataset
from ncollapse.metrics import measure
from ncollapse.report._page import Fact, Illustration, Page, Section, Table, number, percent
from ncollapse.report._render import render
from ncollapse.report.images import illustrate
from ncollapse.report.last_layer import means_figure
from ncollapse.report.prediction import class_table
from ncollapse.report.style import class_colours, class_markers, faint
from ncollapse.runs import Run
from ncollapse.theory.imbalance import Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_DRAWN = 400
"""Samples that a scatter plot shows."""
_MOST_CLASSES = 10
_METRICS = ("nc1_quotient", "nc2_etf_means", "nc3_alignment")
_VERDICTS = {"feasible": "it can", "infeasible": "it cannot", "undecided": "not settled"}


def data_set_page(
    survey: Survey, prediction: Prediction, run: Run | None, flowing: Dataset | None
) -> Page:
    """What is proven, predicted and seen of ``survey.data``; ``run`` is a flow on ``flowing``."""
    data = survey.data
    size = f"{len(data.labels):,} samples of {data.num_classes} classes"
    sections = [
        _proven(survey),
        _predicted(prediction, data),
    ]
    if run is not None and flowing is not None:
        sections.append(_flow(run, flowing))
    sections.append(
        Section(
            "What to try next",
            "",
            tables=[Table(("in this order",), [(line,) for line in survey.advice()])],
        )
    )
    return Page(
        f"Can a network collapse on {data.name}?",
        f"{size} in {data.inputs.shape[1]:,} dimensions. {survey.sentences()[0]}",
        _facts(survey, prediction),
        (),
        sections,
        survey.to_dict(),
    )


def write_data_set(page: Page, path: str | Path) -> None:
    """Write ``page`` to ``path`` as one self-contained HTML file."""
    Path(path).write_text(render(page), encoding="utf-8")


def _facts(survey: Survey, prediction: Prediction) -> list[Fact]:
    sizes = [view.limit.size for view in survey.views if view.limit is not None]
    verdict = "yes" if survey.feasible else "no"
    if not survey.feasible and any(v.certificate.verdict != INFEASIBLE for v in survey.views):
        verdict = "not settled"
    merged = "; ".join(" = ".join(_names(group, survey.data)) for group in prediction.merged)
    return [
        Fact("two layers, all samples", verdict, "whether they collapse at their optimum"),
        Fact(
            "samples a class that could",
            "all" if survey.feasible else f"{max(sizes):,}",
            f"of {_range(survey.data.counts)}",
        ),
        Fact("classes that would merge", merged or "none", "in a deep network with batch norm"),
    ]


def _range(counts: np.ndarray) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _names(classes: Any, data: Dataset) -> list[str]:
    return [str(data.classes[k]) for k in classes]


def _proven(survey: Survey) -> Section:
    rows, reasons = [], []
    for view in survey.views:
        limit, certificate = view.limit, view.certificate
        first = next((e for e in certificate.classes if e.verdict == INFEASIBLE), None)
        rows.append(
            (
                view.name,
                _VERDICTS[certificate.verdict],
                "yes" if certificate.verified else "no",
                "all" if limit is None else f"{limit.size:,}",
                "–" if limit is None or limit.next_size is None else f"{limit.next_size:,}",
            )
        )
        if first is not None:
            reasons.append((view.name, f"class {first.label}: {first.reason}"))
    tables = [
        Table(("inputs", "collapse", "proven", "could, a class", "could not"), rows, words=(1, 2))
    ]
    if reasons:
        tables.append(Table(("inputs", "why not"), reasons, words=(1,)))
    return Section(
        "What is proven of two layers",
        survey.sentences()[-1],
        [_limits_figure(survey)],
        tables,
    )


def _limits_figure(survey: Survey) -> Illustration:
    counts = survey.data.counts

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        names = [view.name for view in survey.views]
        sizes = [int(counts.min()) if v.limit is None else v.limit.size for v in survey.views]
        bars = axis.barh(names, sizes, height=0.55)
        axis.bar_label(bars, [f"{size:,}" for size in sizes], padding=4)
        axis.axvline(float(counts.min()), color=faint(), linestyle="--")
        axis.set_xlim(0, 1.12 * max(float(counts.min()), *sizes))
        axis.set_xlabel("samples a class on which collapse is possible; dashed: the smallest class")
        axis.invert_yaxis()

    return illustrate(
        "limits",
        "How many samples a class could",
        "Each bar carries a proof. With more samples in as many dimensions no direction fits all.",
        "Three bars: raw, centred, with a bias.",
        (7.2, 2.4),
        draw,
    )


def _predicted(prediction: Prediction, data: Dataset) -> Section:
    simplex = prediction.metrics.get("nc2_etf_means")
    shape = (
        "the balanced simplex"
        if simplex is not None and simplex < 1e-3
        else f"a tilted simplex (distance from the balanced one {number(simplex, 2)})"
    )
    merged = [", ".join(_names(group, data)) for group in prediction.merged]
    text = (
        f"A network that fits these classes, with batch norm before its last activation and with "
        f"weight decay, ends near {shape}, whatever its body: {prediction.source}. "
        + (f"The means of {'; and of '.join(merged)} would coincide." if merged else "")
    )
    return Section(
        "What is predicted of deep networks",
        text,
        [means_figure(prediction.counts, {"predicted means": prediction.means_gram})],
        [class_table(prediction, _names(range(data.num_classes), data))],
    )


def _flow(run: Run, data: Dataset) -> Section:
    features, (weight, _) = run.features_at(), run.classifier_at()
    correct = float((np.argmax(features @ weight.T, axis=1) == data.labels).mean())
    measured = measure(features, data.labels, weight=weight, preset=list(_METRICS)).metrics
    rows = [(name, number(value, 3)) for name, value in measured.items()]
    text = (
        f"Gradient flow of {weight.shape[1]} ReLU neurons from a small start on {data.name}, until "
        f"log(1/L) = {number(float(run.log_inverse_loss[-1]))}. {percent(correct)} of the samples "
        f"are classified correctly. {run.stopped}"
    )
    return Section(
        "What the flow does",
        text,
        [_scatter_figure(data, features), _curves_figure(run, data)],
        [Table(("metric at the end", "value"), rows)],
    )


def _scatter_figure(data: Dataset, features: np.ndarray) -> Illustration:
    def draw(figure: Figure) -> None:
        axes = figure.subplots(1, 2)
        colours, markers = class_colours(data.num_classes), class_markers(data.num_classes)
        for axis, values, title in zip(
            axes, (data.inputs, features), ("inputs", "features at the end"), strict=True
        ):
            plane = _principal_plane(values)[:_MOST_DRAWN]
            labels = data.labels[:_MOST_DRAWN]
            for k in range(data.num_classes):
                inside = labels == k
                style = {"color": colours[k], "marker": markers[k], "label": str(data.classes[k])}
                axis.scatter(*plane[inside].T, s=14, alpha=0.75, **style)
            axis.set_title(title)
            axis.set_xticks([])
            axis.set_yticks([])
        if data.num_classes <= _MOST_CLASSES:
            axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))

    return illustrate(
        "scatter",
        "From the inputs to the last layer",
        "The two directions of largest variance of each. Collapse is one point a class.",
        "Two scatter plots of the samples, coloured by class.",
        (8.2, 3.6),
        draw,
    )


def _principal_plane(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    plane = left[:, :2] * singular[:2]
    return plane if plane.shape[1] == 2 else np.column_stack([plane, np.zeros(len(plane))])


def _curves_figure(run: Run, data: Dataset) -> Illustration:
    snapshots = np.unique(np.linspace(0, len(run.snapshot_s) - 1, 40).astype(int))
    levels = np.interp(run.snapshot_s[snapshots], run.s, run.log_inverse_loss)
    values: dict[str, list[float]] = {name: [] for name in _METRICS}
    for snapshot in snapshots:
        weight, _ = run.classifier_at(snapshot)
        measured = measure(
            run.features_at(snapshot), data.labels, weight=weight, preset=list(_METRICS)
        ).metrics
        for name in _METRICS:
            values[name].append(measured.get(name, np.nan))

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        for name, series in values.items():
            axis.semilogy(levels, series, marker=".", label=name)
        axis.set_xlabel("log(1/L)")
        axis.grid(True)
        axis.legend()

    return illustrate(
        "flow",
        "Metrics of collapse along the flow",
        "Lower is closer to collapse; the loss falls to the right.",
        "Three curves over log(1/L).",
        (7.2, 3.4),
        draw,
    )
