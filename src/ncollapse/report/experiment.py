"""The page of an experiment that has none of its own: its figures, its claims and its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ncollapse.claims import Verdict
from ncollapse.report._page import Illustration, Page, Section
from ncollapse.report.images import shown_width


def experiment_page(
    title: str,
    description: str,
    source: str,
    drawn: Iterable[Path],
    verdicts: Sequence[Verdict],
    record: Mapping[str, Any],
) -> Page:
    """A page of the PNG files that were ``drawn``, the same in light and in dark."""
    figures = []
    for path in drawn:
        if path.suffix == ".png":
            png = path.read_bytes()
            figures.append(
                Illustration(
                    path.stem, title, f"{description}.", description, png, png, shown_width(png)
                )
            )
    sections = [Section("Figures", "Drawn from the numbers below.", figures)] if figures else []
    lead = f"{description[:1].upper()}{description[1:]}."
    return Page(title, lead, (), verdicts, sections, record, source)
