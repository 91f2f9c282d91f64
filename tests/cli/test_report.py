"""The page of a data set, from the command line."""

import json

import numpy as np
import pytest

from ncollapse.cli import main


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A text table of two named classes that overlap in three dimensions."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "birds.csv"
    lines = [",".join(map(repr, row)) for row in rng.standard_normal((16, 3)).tolist()]
    names = ["crow", "owl"] * 8
    path.write_text("a,b,c,species\n" + "\n".join(map(",".join, zip(lines, names, strict=True))))
    return path


def test_words_first(capsys, table):
    status, out, err = call(capsys, "report", table)
    text = " ".join(out.split())
    assert (status, err) == (0, "")
    assert text.startswith("birds: 16 samples of 2 classes in 3 dimensions")
    assert "class crow has 8 samples in 3 dimensions" in text
    assert "no classes merge" in text
    assert all(len(line) <= 80 for line in out.splitlines())


def test_json_is_the_record(capsys, table):
    status, out, _ = call(capsys, "report", table, "--json")
    record = json.loads(out)
    assert status == 0
    assert [view["name"] for view in record["views"]] == ["raw", "centred", "with a bias"]
    assert record["prediction"]["merged"] == []
    assert record["counts"] == {"crow": 8, "owl": 8}


def test_the_page_holds_proofs_prediction_and_flow(capsys, table, tmp_path):
    page = tmp_path / "birds.html"
    status, out, _ = call(capsys, "report", table, "--html", page)
    text = page.read_text()
    assert status == 0
    assert str(page) in out.replace("\n", "")
    for heading in ("is proven", "is predicted", "the flow does", "to try next"):
        assert f"What {heading}" in text
    assert "16 standardised samples of birds" in text
    assert text.count("<picture") == 4 or text.count("<img") >= 4


def test_data_sets_by_name(capsys):
    status, out, _ = call(capsys, "report", "iris", "--json")
    record = json.loads(out)
    assert status == 0
    assert record["counts"] == {"setosa": 50, "versicolor": 50, "virginica": 50}
    assert not any(view["verdict"] == "feasible" for view in record["views"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npz"], "nowhere.npz does not exist"),
        (["iris", "--html", "/nowhere/x.html"], "--html /nowhere/x.html cannot be written"),
        (["iris", "--weight-decay", "-1"], "--weight-decay must be"),
    ],
)
def test_bad_input_gets_one_line(capsys, arguments, message):
    status, out, err = call(capsys, "report", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
