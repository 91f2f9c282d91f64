"""Experiments as such: listed without cost, run by name, refused with a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ncollapse.papers as papers
from ncollapse.papers.ji2022 import example31


def test_listing_imports_nothing_heavy():
    heavy = "{'jax', 'diffrax', 'dask', 'distributed', 'xarray', 'zarr', 'matplotlib', 'torch'}"
    program = (
        "import sys; from ncollapse.papers import claims, experiments;"
        f"print(len(experiments()) > 10, len(claims()) > 30, sorted({heavy} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "True True []"


@pytest.mark.parametrize("missing", ["matplotlib", "diffrax", "xarray"])
def test_an_experiment_of_numpy_alone_needs_nothing_else(tmp_path, missing):
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from ncollapse.papers import reproduce\n"
        f"found = reproduce('ji2022.example31', 'quick', {str(tmp_path / 'out')!r})\n"
        "print(found.holds, len(found.claims), found.undrawn)"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    holds, count, *undrawn = out.stdout.split()
    assert (holds, count) == ("True", "4")
    assert ("ncollapse[report]" in " ".join(undrawn)) == (missing == "matplotlib")
    assert (tmp_path / "out" / "example31.json").exists()


def test_a_reproduction_says_what_was_run_and_what_came_out(tmp_path):
    found = papers.reproduce("ji2022.example31", "quick", tmp_path / "out")
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert record["name"] == "ji2022.example31"
    assert record["holds"] is True
    assert [claim["id"] for claim in record["claims"]] == [row.id for row in example31.claims]
    assert {Path(file).name for file in record["files"]} == {"example31.png", "example31.json"}
    assert all(Path(file).exists() for file in record["files"])
    assert record["result"] == json.loads((tmp_path / "out" / "example31.json").read_text())


def test_names_scales_and_schedulers_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"name must be one of hong2025\.figure1, .*'figure9'"):
        papers.reproduce("figure9")
    with pytest.raises(ValueError, match=r"scale of hong2025\.figure1 must be one of quick, paper"):
        papers.reproduce("hong2025.figure1", "huge", tmp_path / "out")
    with pytest.raises(ValueError, match=r"scheduler is no option of ji2022\.example31, which"):
        papers.reproduce("ji2022.example31", "quick", tmp_path / "out", "tcp://nowhere:1")
    with pytest.raises(
        ValueError, match=r"^width is no option of min2025\.digits, which takes out, "
    ):
        papers.reproduce("min2025.digits", "quick", tmp_path / "out", width=8)
    assert not (tmp_path / "out").exists()


def test_only_sweeps_take_a_scheduler():
    swept = {name for name, experiment in papers.experiments().items() if experiment.sweeps}
    names = (*(f"figure{n}" for n in range(1, 7)), "theorem7", "images", "choices")
    assert swept == {f"hong2025.{name}" for name in names}
