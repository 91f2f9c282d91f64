"""The page of an explanation: every theory beside the network, and which assumptions are met."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncollapse.report._page import Fact, Page, Section, Table, number
from ncollapse.report._render import render
from ncollapse.report.last_layer import MATRICES, margins_figure, matrix_figure, means_figure
from ncollapse.theory.imbalance import Explanation, TheoryFit

SHAPES = ("balanced", "orthogonal", "seli")
"""Theories that say nothing of size."""
_MET = {True: "met", False: "violated", None: "unknown"}


def explanation_page(explanation: Explanation, name: str) -> Page:
    """What ``explanation`` says of the last layer called ``name``.

    Measured matrices stand beside those of the best theory, or of the nearest where none is best.
    """
    layer, gap = explanation.layer, explanation.gap
    shown = _shown(explanation)
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
    if shown is not None and shown.matrices is not None:
        theirs = dict(zip(MATRICES, shown.matrices, strict=True))
        label = _title(shown.name)
        figures = [
            matrix_figure(part, {"measured": measured[part], label: theirs[part]}, True)
            for part in MATRICES
        ]
        grams = {"measured,": measured["means"], f"those of {label}": theirs["means"]}
        figures.append(means_figure(layer.counts, grams, unit=True))
        words = f"The network beside {label}, {'the best theory' if explanation.best else 'the nearest'}."
        sections.append(Section("Measured and predicted", words, figures))
    margins = {"measured": layer.margins}
    if shown is not None and shown.matrices is not None and shown.name not in SHAPES:
        margins[_title(shown.name)] = _margins(shown.matrices[2])
    sections.append(Section("Margins", "", [margins_figure(layer.counts, margins)]))
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


def _shown(explanation: Explanation) -> TheoryFit | None:
    if explanation.best is not None:
        return explanation.theory(explanation.best)
    computed = [row for row in explanation.theories if row.matrices is not None]
    return min(computed, key=lambda row: row.largest, default=None)


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
            number(row.weight_distance),
            number(row.means_distance),
            number(row.logits_distance),
            "yes" if row.applies else "no",
            ", ".join(check.name for check in row.assumptions if check.met is False) or "–",
        )
        for row in explanation.theories
    ]
    header = ("theory", "weight", "means", "logits", "applies", "violated")
    return Table(header, rows, words=(4, 5))


def _assumptions(explanation: Explanation) -> Table:
    rows = [
        (_title(row.name), check.name, _MET[check.met], number(check.measured), check.limit)
        for row in explanation.theories
        for check in row.assumptions
    ]
    header = ("theory", "assumption", "", "measured", "limit")
    return Table(header, rows, words=(1, 2, 4))
