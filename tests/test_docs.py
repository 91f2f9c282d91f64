"""Docs and docstrings come out as they are meant: no formula eaten, every section a list."""

import ast
import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path

import markdown
import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PACKAGE = ROOT / "src" / "ncollapse"
SOURCES = sorted(PACKAGE.rglob("*.py"))
LISTED = re.findall(r"::: ncollapse\.(\w+)", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"))

NAMES = r"\*{0,2}\w+(, \*{0,2}\w+)*( : .+)?"
TYPE = r"[\w.]+(\[.*\])?( or [\w.]+)*"
SECTIONS = {
    "Parameters": NAMES,
    "Attributes": NAMES,
    "Raises": r"\w+(, \w+)*",
    "Warns": r"\w+(, \w+)*",
    "Returns": TYPE,
    "Yields": TYPE,
    "Notes": None,
    "Examples": None,
    "References": None,
}


def docstrings(path):
    """Where and what: every docstring of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield getattr(node, "name", "module"), inspect.cleandoc(text)


def eaten(text):
    """Emphasis that Markdown finds inside a formula or a name: it takes the stars or underscores.

    Emphasis of prose stands after a space, a bracket or a tag, and before a space, a mark or a tag.
    """
    html = markdown.markdown(text, extensions=["tables", "fenced_code", "admonition"])
    found = []
    for match in re.finditer(r"<(em|strong)>(.*?)</\1>", html, flags=re.DOTALL):
        before, after = html[: match.start()][-1:], html[match.end() :][:1]
        if re.match(r"[^\s(>]", before) or re.match(r"[^\s<.,;:)?!]", after):
            found.append(html[max(0, match.start() - 20) : match.end() + 5])
    return found


def misshapen(text):
    """Sections of a docstring whose lines are not the list that their heading announces."""
    lines = text.splitlines()
    found, section = [], ""
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if line and set(line) == {"-"}:
            section = lines[number - 1]
            if section not in SECTIONS:
                found.append(section)
            continue
        heading = bool(following) and set(following) == {"-"}
        if heading or not line or line.startswith(" "):
            continue
        entry = following.startswith("    ") and not line.endswith(":")
        pattern = SECTIONS.get(section)
        if pattern is None:
            if entry and re.fullmatch(NAMES, line):
                found.append(f"{line}: an entry outside a section")
        elif not (re.fullmatch(pattern, line) and (entry or section in ("Returns", "Yields"))):
            found.append(f"{section}: {line}")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_formula_of_a_page_is_eaten(path):
    assert eaten(path.read_text(encoding="utf-8")) == []


def test_no_formula_of_a_docstring_is_eaten():
    found = {(p.name, name): eaten(text) for p in SOURCES for name, text in docstrings(p)}
    assert {place: what for place, what in found.items() if what} == {}


def test_every_section_of_a_docstring_is_the_list_it_should_be():
    """In the packages that docs/api.md lists, which the site takes sections from."""
    sources = [p for p in SOURCES if p.relative_to(PACKAGE).with_suffix("").parts[0] in LISTED]
    assert len(sources) > 30
    found = {(p.name, name): misshapen(text) for p in sources for name, text in docstrings(p)}
    assert {place: what for place, what in found.items() if what} == {}


EXAMPLES = [
    path for path in SOURCES if re.search(r">>> (?!.*\+SKIP)", path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_in_docstrings_run(path):
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    outcome = doctest.testmod(import_module(".".join(parts)))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_checks_see_what_they_are_for():
    assert eaten("iff δ > δ*, and infeasible iff δ < δ*, with") != []
    assert eaten("‖W‖_F of the means (hong2025 NC_{2,W}).") != []
    assert eaten("A *word*, (*another*) and `a*b*c`, ‖G‖_F.") == []
    assert misshapen("Do.\n\nReturns\n-------\nDataset of the outputs, as it is.") != []
    assert misshapen("Do.\n\nRaises\n------\nValueError, TypeError\n    It is bad.") == []
    assert misshapen("Do.\n\nwidth\n    Neurons.") != []
    assert misshapen("Do.\n\nErrors\n------\nValueError\n    It is bad.") != []
