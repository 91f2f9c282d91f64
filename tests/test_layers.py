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
    "verdict",
    "unconstrained",
    "sweep",
    "papers",
    "report",
    "torch",
    "cli",
]
FREE = {"__init__", "__main__"}  # the map of the package and its entry point see everything
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
