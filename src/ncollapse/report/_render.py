"""Rendering a page as one self-contained HTML file, and writing it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ncollapse._checks import prepare_folder
from ncollapse._extras import require
from ncollapse.report._page import Page, closeness, number

HTML_NAME = "report.html"
_MARKS = {
    "holds": "✓",
    "fails": "✗",
    "fails as printed": "✎",
    "assumption violated": "△",
    "not measured": "–",
}


_SIGNS = {
    "equal": "",
    "at most": "≤ ",
    "at least": "≥ ",
    "tends to": "→ ",
    "nondecreasing": "fall ",
}


def render(page: Page, *, pictures_beside: bool = False) -> str:
    """The page as HTML that needs nothing else: pictures and styles are inside.

    Every text is escaped, so a data set's name cannot bring markup or scripts with it. Scripts are
    there only where something moves: plotly once and the page's own, which the page's security
    policy names by their hashes; no others run, and nothing is loaded.
    """
    record = json.dumps(page.record, indent=2, sort_keys=True, ensure_ascii=False)
    counts = {
        status: sum(verdict.status == status for verdict in page.verdicts) for status in _MARKS
    }
    environment = template_environment()
    scripts = _scripts(environment) if page.animations else []
    return environment.get_template("page.html.j2").render(
        page=page,
        counts=counts,
        record=record if page.record else "",
        record_uri=_data_uri("application/json", record.encode()),
        scripts=scripts,
        script_hashes=[_hash(script) for script in scripts],
        pictures_beside=pictures_beside and bool(page.figures),
        version=version("ncollapse"),
    )


def write_page(page: Page, out: str | Path) -> list[Path]:
    """Write ``report.html`` and each figure's light PNG into ``out``; return the paths.

    A file is complete or absent: it is written beside its place and moved there.

    Raises
    ------
    OSError
        ``out`` cannot be made or written to; the message names it.
    """
    folder = prepare_folder(out)
    contents = {HTML_NAME: render(page, pictures_beside=True).encode()}
    contents |= {f"{figure.name}.png": figure.light for figure in page.figures}
    paths = []
    for name, content in contents.items():
        path = folder / name
        unfinished = folder / f".{name}.part"
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
        paths.append(path)
    return paths


def template_environment() -> Any:
    """The templates, with what all of them use."""
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ncollapse.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"marks": _MARKS, "signs": _SIGNS}
    environment.filters["number"] = number
    environment.filters["closeness"] = closeness
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    environment.filters["png_uri"] = lambda png: _data_uri("image/png", png)
    return environment


def _scripts(environment: Any) -> list[str]:
    """plotly.js, as the installed plotly brings it, and what puts it to use."""
    plotly = require("plotly.offline").get_plotlyjs()
    return [plotly, environment.get_template("animation.js").render()]


def _hash(script: str) -> str:
    """A script's name in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
