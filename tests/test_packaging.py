"""The wheel and the source archive: complete, and each extra does what it promises on its own."""

import ast
import json
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ncollapse._extras import EXTRAS
from promises import PROMISES

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
TOOLS = {"all", "demo", "test", "lint", "docs", "bench", "mutation"}


def build(kind, folder):
    program = f"import sys; from hatchling.build import build_{kind} as b; print(b(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked where an installer would put it."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(build("wheel", folder)) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    with tarfile.open(build("sdist", folder)) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


def metadata(wheel):
    (file,) = wheel.glob("*.dist-info/METADATA")
    return HeaderParser().parsestr(file.read_text(encoding="utf-8"))


def test_the_wheel_holds_the_package_whole(wheel):
    here, there = ROOT / "src" / "ncollapse", wheel / "ncollapse"
    expected = {
        path.relative_to(here)
        for path in here.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert expected == {path.relative_to(there) for path in there.rglob("*") if path.is_file()}
    assert "ncollapse = ncollapse.cli:main" in next(wheel.glob("*/entry_points.txt")).read_text()


def test_the_metadata_name_the_papers_and_what_extras_there_are(wheel):
    fields = metadata(wheel)
    urls = dict(entry.split(", ") for entry in fields.get_all("Project-URL"))
    assert urls == PROJECT["urls"]
    assert set(fields.get_all("Provides-Extra")) == {*EXTRAS, *TOOLS}
    assert fields["License-Expression"] == "Apache-2.0"


def test_addresses_agree_and_every_paper_has_one():
    cited = re.findall(r"^    doi: (?:10\.48550/arXiv\.)?(\S+)$", CITATION, flags=re.MULTILINE)
    assert len(cited) == CITATION.count("  - type: ")
    papers = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    assert [number for number in cited if number not in papers] == []
    rows = re.findall(r"^\| \w+\d{4} \|.*$", papers, flags=re.MULTILINE)
    assert len(rows) == 6
    assert [row for row in rows if "https://" not in row] == []
    addresses = dict(re.findall(r"^\| (\w+\d{4}) \|.*\]\((https://\S+?)\)", papers, re.MULTILINE))
    assert PROJECT["urls"] == addresses
    for text in (CITATION, (ROOT / "mkdocs.yml").read_text(encoding="utf-8")):
        assert "github.com" not in text


def test_the_table_of_extras_is_that_of_the_package():
    """Names differ from what is imported for a few packages only."""
    imports = {"python-flint": "flint", "pillow": "PIL", "scikit-learn": "sklearn"}
    for extra, packages in EXTRAS.items():
        required = PROJECT["optional-dependencies"][extra]
        names = [re.split(r"[\[>=]", line)[0] for line in required if "ncollapse" not in line]
        assert {imports.get(name, name) for name in names} <= set(packages), extra


def test_whatever_is_required_is_in_the_table_of_extras():
    known = {package for packages in EXTRAS.values() for package in packages}
    calls = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("require", "need"):
                words = [word.value for word in node.args if isinstance(word, ast.Constant)]
                calls += [(path.name, word) for word in words]
    assert len(calls) > 10
    assert [call for call in calls if call[1].partition(".")[0] not in known] == []


def closure(requirements, extra):
    """Names of the installed distributions that an installer would bring, `ncollapse` aside."""
    todo = [(Requirement(line), extra) for line in requirements]
    done = set()
    while todo:
        requirement, wanted = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted}):
            continue
        for inner in {"", *requirement.extras}:
            key = (requirement.name.lower(), inner)
            if key in done:
                continue
            done.add(key)
            if requirement.name == "ncollapse":
                todo += [(Requirement(line), inner) for line in requirements]
                continue
            found = distribution(requirement.name)
            todo += [(Requirement(line), inner) for line in found.requires or ()]
    return {name for name, _ in done} - {"ncollapse"}


def site_of(extra, wheel, folder):
    """A folder of packages as after ``pip install 'WHEEL[extra]'``, made of links."""
    folder.mkdir()
    for path in wheel.iterdir():
        (folder / path.name).symlink_to(path)
    for name in closure(metadata(wheel).get_all("Requires-Dist"), extra):
        found = distribution(name)
        for top in {file.parts[0] for file in found.files if file.parts[0] != ".."}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
    return folder


def run(site, program, folder):
    """Run ``program`` where nothing but the standard library and ``site`` can be imported."""
    start = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + program],
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_every_extra_promises_something():
    assert set(PROMISES) - {""} == set(EXTRAS)


@pytest.mark.parametrize("extra", PROMISES)
def test_each_extra_alone_does_what_it_promises(wheel, tmp_path, extra):
    site = site_of(extra, wheel, tmp_path / "site")
    done = run(site, PROMISES[extra], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    return site_of("", wheel, tmp_path_factory.mktemp("bare") / "site")


COMMAND = "from ncollapse.cli import main; main({!r})"


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        (COMMAND.format(["flow", "ulpm"]), "flow"),
        (COMMAND.format(["flow", "ufm"]), "flow"),
        (COMMAND.format(["reproduce", "hong2025.figure1"]), "sweep"),
        (COMMAND.format(["demo"]), "flow"),
    ],
)
def test_a_command_without_its_extra_says_which_to_install(bare, tmp_path, program, extra):
    done = run(bare, program, tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"is not installed: pip install 'ncollapse[{extra}]'\n")


def test_an_experiment_of_numpy_alone_is_judged_without_any_extra_and_says_that_it_is_not_drawn(
    bare, tmp_path
):
    done = run(bare, COMMAND.format(["reproduce", "ji2022.example31", "--json"]), tmp_path)
    assert done.returncode == 0, done.stderr
    assert '"ji2022.example31.kkt-point"' in done.stdout
    assert "matplotlib is needed" in json.loads(done.stdout)["undrawn"]


def test_the_sources_hold_what_the_tests_read(sources):
    """Among them: what the README links to, examples, benchmarks and docs."""
    tests = ["tests/test_readme.py", "tests/test_layers.py", "tests/test_docs.py"]
    select = [
        "-k",
        "not python_lines and not examples",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    program = "import sys, pytest; sys.path.insert(0, 'src'); sys.exit(pytest.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *tests, *select],
        cwd=sources,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    named = set()
    for path in (ROOT / "tests").rglob("*.py"):
        named |= set(re.findall(r'parents\[\d\] / "(\w[\w.]*)"', path.read_text(encoding="utf-8")))
    assert {"README.md", "docs", "examples", "benchmarks"} <= named
    assert [name for name in named if not (sources / name).exists()] == []
