"""The page of an explanation: every theory beside the network, and which assumptions are met."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncollapse.report._page import Fact, Page, Section, Table, number
from ncollapse.report._render import render
from ncollapse.report.last_layer import MATRICES, margins_figure, matrix_figure, means_figure
from ncollapse.theory.imbalance import AssumptionCheck, Explanation, TheoryFit

SHAPES = ("balanced", "orthogonal", "seli")
"""Theories that say nothing of size."""
_MET = {True: "met", False: "violated", None: "unknown"}


def explanation_page(explanation: Explanation, name: str) -> Page:
    """What ``explanation`` says of the last layer called ``name``.

    Measured matrices stand beside those of the best theory, or of the nearest where none is best.
    """
    layer, gap = explanation.layer, explanation.gap
    shown, matrices = _shown(explanation)
    label = _title(shown.name)
    facts = [
        Fact("best theory", _title(explanation.best or "none"), _why(explanation)),
        Fact(
            "proven gap",
            "none" if gap is None else number(gap),
            "the decay is not known"
            if gap is None
            else "of the last layer, relative to its optimum",
        ),
        Fact(
            "feature decay over weight decay",
            number(explanation.decay_ratio),
            "‖W‖²/Σ‖h‖², right for a stationary layer",
        ),
        Fact(
            "from proportional",
            number(explanation.disproportion),
            "distance of WᵀW and Σhhᵀ: near 0 where decay acts on W and features alone",
        ),
    ]
    measured = dict(zip(MATRICES, (layer.weight_gram, layer.means_gram, layer.logits), strict=True))
    sections = [Section("Every theory", _table_words(explanation), tables=[_table(explanation)])]
    theirs = dict(zip(MATRICES, matrices, strict=True))
    figures = [
        matrix_figure(part, {"measured": measured[part], label: theirs[part]}, True)
        for part in MATRICES
    ]
    grams = {"measured,": measured["means"], f"those of {label}": theirs["means"]}
    figures.append(means_figure(layer.counts, grams, unit=True))
    margins = {"measured": layer.margins}
    if shown.name not in SHAPES:
        margins[label] = _margins(theirs["logits"])
    figures.append(margins_figure(layer.counts, margins))
    words = (
        f"The network beside {label}, {'the best theory' if explanation.best else 'the nearest'}."
    )
    sections.append(Section("Measured and predicted", words, figures))
    sections.append(Section("Assumptions", "", tables=[_assumptions(explanation)]))
    lead = (
        f"{int(layer.counts.sum()):,} samples of {len(layer.counts)} classes, {int(layer.counts.max()):,} "
        f"of the largest and {int(layer.counts.min()):,} of the smallest."
    )
    return Page(f"Which theory explains {name}?", lead, facts, (), sections, explanation.to_dict())


def write_explanation(explanation: Explanation, name: str, path: str | Path) -> None:
    """Write the page of ``explanation`` to ``path`` as one self-contained HTML file."""
    Path(path).write_text(render(explanation_page(explanation, name)), encoding="utf-8")


def _margins(logits: np.ndarray) -> np.ndarray:
    """Own logit less the mean of the others, of each column."""
    own = np.diag(logits)
    return own - (logits.sum(axis=0) - own) / (len(own) - 1)


def _title(name: str) -> str:
    return name.replace("_", " ")


def _shown(explanation: Explanation) -> tuple[TheoryFit, tuple[np.ndarray, ...]]:
    """The best theory with its matrices, or the nearest; the shapes are always computed."""
    rows = [(row, row.matrices) for row in explanation.theories if row.matrices is not None]
    return min(rows, key=lambda row: (row[0].name != explanation.best, row[0].largest))


def _why(explanation: Explanation) -> str:
    if explanation.best is None:
        return "no theory whose assumptions are met comes near"
    return f"largest distance {number(explanation.theory(explanation.best).largest)}"


def _table_words(explanation: Explanation) -> str:
    words = (
        "Distances between matrices of unit norm: inner products of the rows of W and of the class "
        "means, and logits. A theory applies while none of its assumptions is violated."
    )
    return " ".join([words, *(f"Note: {note}." for note in explanation.notes)])


def _table(explanation: Explanation) -> Table:
    rows = [
        (
            _title(row.name),
            _applies(row),
            number(row.weight_distance),
            number(row.means_distance),
            number(row.logits_distance),
        )
        for row in explanation.theories
    ]
    return Table(("theory", "applies", "weight", "means", "logits"), rows, words=(1,))


def _applies(row: TheoryFit) -> str:
    if row.applies:
        return "yes"
    violated = sum(check.met is False for check in row.assumptions)
    return f"no, {violated} violated" if violated else "no"


def _assumptions(explanation: Explanation) -> Table:
    rows = [
        (_title(row.name), check.name, _finding(check))
        for row in explanation.theories
        for check in row.assumptions
    ]
    return Table(("theory", "assumption", "finding"), rows, words=(1, 2))


def _finding(check: AssumptionCheck) -> str:
    if check.measured is None:
        return _MET[check.met]
    limit = f", {check.limit}" if check.limit else ""
    return f"{_MET[check.met]}: {number(check.measured)}{limit}"
