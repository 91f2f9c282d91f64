"""Reports: one self-contained HTML page, and its figures as PNG files."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ncollapse._checks import prepare_folder
from ncollapse.report._page import Animation, Fact, Illustration, Page, Section, Table
from ncollapse.report._render import render, write_page

if TYPE_CHECKING:
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


def __getattr__(name: str) -> Any:
    """The report of min2025's experiment needs JAX: no other page should."""
    if name in ("build_page", "write_report"):
        return getattr(import_module("ncollapse.report.min2025"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
