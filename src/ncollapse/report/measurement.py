"""The page of a measurement: every metric with how to read it, and which classes lag behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ncollapse.metrics import Measurement, breakdown, headline
from ncollapse.report._page import Fact, Page, Section, Table, number
from ncollapse.report._render import render

_HEADLINES = {
    "nc1_pinv": "variability within classes",
    "nc2_etf_means": "distance of the means from a simplex",
    "nc3_alignment": "distance of the classifier from the means",
    "nc4_agreement": "agreement with the nearest class mean",
}


def measurement_page(measured: Measurement, name: str) -> Page:
    """What ``measured`` says of the features called ``name``."""
    readings = {metric: reading for metric, _, reading in measured.rows()}
    facts = [
        Fact(label, number(measured.metrics[metric]), readings[metric])
        for metric, label in _HEADLINES.items()
        if metric in measured.metrics
    ]
    values = Table(
        ("metric", "value", "how to read it"),
        [(metric, number(value, 4), reading) for metric, value, reading in measured.rows()],
        words=(2,),
    )
    missing = Table(("metric", "why there is none"), sorted(measured.undefined.items()), words=(1,))
    classes = breakdown(measured.summary)
    lagging = Table(
        ("class", *(key.replace("_", " ") for key in list(classes[0])[1:])),
        [(str(first), *(number(v, 4) for v in rest)) for first, *rest in map(_values, classes)],
    )
    sections = [
        Section("Every metric", f"Conventions of the preset {measured.preset}.", tables=[values]),
        Section("Class by class", "Which class is least collapsed.", tables=[lagging]),
    ]
    if measured.undefined:
        sections.append(Section("Not defined here", "", tables=[missing]))
    lead = (
        f"{measured.num_samples:,} samples of {measured.num_classes} classes, "
        f"with {measured.summary.num_features} features each. {' '.join(headline(measured))}"
    )
    return Page(f"How collapsed is {name}?", lead, facts, (), sections, record=measured.to_dict())


def write_measurement(measured: Measurement, name: str, path: str | Path) -> None:
    """Write the page of ``measured`` to ``path`` as one self-contained HTML file."""
    Path(path).write_text(render(measurement_page(measured, name)), encoding="utf-8")


def _values(row: dict[str, Any]) -> list[Any]:
    return list(row.values())
