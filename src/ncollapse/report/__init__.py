"""Reports: one self-contained HTML page, and its figures as PNG files. No paper is known here.

Drawing needs Matplotlib: `ncollapse.report.style` for the colours, `ncollapse.report.images` to draw.
"""

from ncollapse._checks import prepare_folder
from ncollapse.report._page import (
    Animation,
    Fact,
    Illustration,
    Page,
    Section,
    Table,
    closeness,
    number,
    percent,
)
from ncollapse.report._render import render, write_page

__all__ = [
    "Animation",
    "Fact",
    "Illustration",
    "Page",
    "Section",
    "Table",
    "closeness",
    "number",
    "percent",
    "prepare_folder",
    "render",
    "write_page",
]
