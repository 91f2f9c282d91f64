"""Reports: one self-contained HTML page, and its figures as PNG files."""

from ncollapse._checks import prepare_folder
from ncollapse.report._page import Animation, Fact, Illustration, Page, Section, Table
from ncollapse.report._render import render, write_page
from ncollapse.report.min2025 import build_page, write_report

__all__ = [
    "Animation",
    "Fact",
    "Illustration",
    "Page",
    "Section",
    "Table",
    "build_page",
    "prepare_folder",
    "render",
    "write_page",
    "write_report",
]
