"""A module imports only from modules above it: the order of the layers is the architecture."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "ncollapse"
ORDER = [
    "_checks",
    "_arrays",
    "_labels",
    "_extras",
    "geometry",
    "cross_entropy",
    "least_distance",
    "setup",
    "data",
    "stats",
    "metrics",
    "runs",
    "models",
    "flow",
    "theory",
    "certify",
    "torch",
    "train",
    "sweep",
    "claims",
    "report",
    "papers",
    "cli",
]
FREE = {"__init__", "__main__"}  # the map of the package and its entry point see everything
OUTSIDE = sorted(
    path
    for folder in ("benchmarks", "examples")
    for path in (ROOT.parents[1] / folder).glob("*.py")
)
FILES = sorted(path for path in ROOT.rglob("*.py") if path.stem not in FREE or path.parent != ROOT)


def layer(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_layers(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("ncollapse.")}
    return found & set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_has_a_layer_and_imports_only_from_above(path):
    own = layer(path)
    assert own in ORDER
    below = {
        name for name in imported_layers(path.read_text()) if ORDER.index(name) > ORDER.index(own)
    }
    assert not below


def test_the_check_sees_an_import_from_below():
    assert imported_layers("from ncollapse import cli\nimport ncollapse.report.html") == {
        "cli",
        "report",
    }


def private_imports(folder: str, source: str) -> set[str]:
    """Modules or names with a leading underscore that ``source`` takes from another folder."""
    private = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("ncollapse."):
            continue
        parts = node.module.split(".")[1:]
        names = [".".join(parts)] + [".".join([*parts, alias.name]) for alias in node.names]
        if parts[0] != folder:
            private |= {
                name for name in names if any(p.startswith("_") for p in name.split(".")[1:])
            }
    return private


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.name)
def test_no_program_outside_imports_a_private_name(path):
    assert not private_imports("", path.read_text())
    assert "ncollapse._" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_private_name_of_another_folder(path):
    assert not private_imports(layer(path), path.read_text())


@pytest.mark.parametrize(
    "paper", ["hong2025", "imbalance", "ji2022", "min2025", "mixon2022", "papyan2020"]
)
def test_a_paper_imports_nothing_private_and_no_other_paper(paper):
    for path in sorted((ROOT / "papers" / paper).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ncollapse."):
                parts = node.module.split(".")[1:]
                assert parts[0] != "papers" or len(parts) == 1 or parts[1] == paper, path
                private = [part for part in parts[1:] if part.startswith("_")]
                private += [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private or parts[:2] == ["papers", paper], path


def test_the_check_sees_a_private_import():
    source = "from ncollapse.stats._arrays import exact\nfrom ncollapse.data import _fetch, load"
    assert private_imports("cli", source) == {
        "stats._arrays",
        "stats._arrays.exact",
        "data._fetch",
    }
    assert private_imports("stats", "from ncollapse.stats._arrays import exact") == set()
