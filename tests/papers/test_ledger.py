"""The ledger: resumed, never stopped by one failure, the same every time; and all papers in it."""

import json
import os
import signal
import subprocess
import sys

import pytest

import ncollapse.papers as papers
from ncollapse.cli import main
from ncollapse.papers._ledger import cache_folder

EXPERIMENTS = '''
"""Experiments that count how often they run, and do as a file beside the count tells them."""
import os, signal
from pathlib import Path
from ncollapse.papers import experiment

HERE = Path(__file__).parent

class Number:
    def __init__(self, value):
        self.value = value
    def to_dict(self):
        return {"value": self.value}

def follow(name, value):
    order = HERE / f"{name}.order"
    told = order.read_text() if order.exists() else ""
    if told == "raise":
        raise RuntimeError("the grid is\\nempty")
    if told == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if told == "interrupt":
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            return Number(-1.0)
    with open(HERE / f"{name}.count", "a") as file:
        file.write("x")
    return Number(value)

@experiment("one", "one", quick={"value": 1.0}, paper={})
def first(*, value=float("inf")):
    return follow("first", value)

@experiment("two", "two", quick={}, paper={})
def second(*, value=2.0):
    return follow("second", value)
'''
CLAIMS = """
from ncollapse.claims import Claim, Relation, Wrong

def row(name, experiment, expected, measure=lambda result: result.value, **more):
    return Claim(id=f"fake2000.{name}", experiment=f"fake2000.{experiment}", statement="Lemma 1",
        says="the value", source="here", relation=Relation.EQUAL, expected=expected,
        tolerance=0.1, measure=measure, wrong=Wrong("0", expected=lambda _: 0.0), **more)

CLAIMS = (
    row("first.value", "first", lambda result: result.value),
    row("first.printed", "first", 3.0, corrected="fake2000.first.value"),
    row("second.value", "second", 2.0),
    row("second.broken", "second", 2.0, lambda result: result.nothing),
)
"""
STATEMENTS = """
from ncollapse.claims import Statement

STATEMENTS = (
    Statement("Lemma 1", "the value is 1", ("fake2000.first.value", "fake2000.first.printed")),
    Statement("Lemma 2", "the value <b>is</b> 2", ("fake2000.second.value",)),
    Statement("Remark 1", "values are fine", reason="a remark"),
)
"""
PROGRAM = """
import sys
import ncollapse.papers as papers
papers.__path__.append(sys.argv[1])
papers.PAPERS = ("fake2000",)
from ncollapse.cli import main
main(["ledger", "--out", sys.argv[2], "--json"])
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The folder of a paper of two experiments, the only one there is."""
    package = tmp_path / "papers" / "fake2000"
    package.mkdir(parents=True)
    for name, text in (
        ("__init__", ""),
        ("experiments", EXPERIMENTS),
        ("claims", CLAIMS.replace("result.nothing", "result.value")),
        ("statements", STATEMENTS),
    ):
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr(papers, "__path__", [*papers.__path__, str(package.parent)])
    monkeypatch.setattr(papers, "PAPERS", ("fake2000",))
    forget()
    yield package
    forget()


def forget():
    for name in [name for name in sys.modules if "fake2000" in name]:
        del sys.modules[name]
    vars(papers).pop("fake2000", None)


def counts(package):
    """How often each experiment was run to its end."""
    files = [package / f"{name}.count" for name in ("first", "second")]
    return tuple(len(file.read_text()) if file.exists() else 0 for file in files)


def statuses(ledger):
    return {row.verdict.id.partition(".")[2]: row.verdict.status for row in ledger.rows}


def test_every_claim_has_a_row_and_every_statement_its_claims(fake, tmp_path):
    ledger = papers.ledger(folder=tmp_path / "store")
    record = json.loads(json.dumps(ledger.to_dict(), allow_nan=False))
    rows = {row["id"]: row for row in record["claims"]}
    assert list(rows) == list(papers.claims())
    printed = rows["fake2000.first.printed"]
    assert (printed["verdict"], printed["corrected"]) == (
        "fails as printed",
        "fake2000.first.value",
    )
    assert (printed["measured"], printed["expected"], printed["resolution"]) == (1.0, 3.0, 0.0)
    assert (printed["paper"], printed["statement"]) == ("fake2000", "Lemma 1")
    assert printed["command"] == "ncollapse ledger --claim fake2000.first.printed --scale quick"
    assert printed["seconds"] >= 0
    assert "status" not in printed
    assert [row["claims"] for row in record["statements"]] == [
        ["fake2000.first.value", "fake2000.first.printed"],
        ["fake2000.second.value"],
        [],
    ]
    assert record["statements"][2]["reason"] == "a remark"
    assert record["counts"] == {
        "holds": 3,
        "fails": 0,
        "fails as printed": 1,
        "assumption violated": 0,
        "not measured": 0,
    }
    assert record["judged_statements"] == 2


def test_what_is_stored_is_not_run_again(fake, tmp_path):
    first = papers.ledger(folder=tmp_path / "store")
    assert papers.ledger(folder=tmp_path / "store") == first
    assert counts(fake) == (1, 1)
    papers.ledger("paper", folder=tmp_path / "store")
    assert counts(fake) == (2, 2)


def test_an_infinity_is_stored_as_it_was(fake, tmp_path):
    first = papers.ledger("paper", folder=tmp_path / "store")
    assert first.rows[0].verdict.measured == float("inf")
    assert papers.ledger("paper", folder=tmp_path / "store") == first


def test_new_code_runs_again_and_new_words_do_not(fake, tmp_path):
    papers.ledger(folder=tmp_path / "store")
    statements = fake / "statements.py"
    statements.write_text(STATEMENTS + "# more\n")
    papers.ledger(folder=tmp_path / "store")
    assert counts(fake) == (1, 1)
    (fake / "claims.py").write_text(CLAIMS + "# more\n")
    papers.ledger(folder=tmp_path / "store")
    assert counts(fake) == (2, 2)


def test_other_settings_run_again(fake, tmp_path, monkeypatch):
    papers.ledger(folder=tmp_path / "store")
    scales = papers.experiments()["fake2000.second"].scales
    monkeypatch.setitem(scales["quick"], "value", 2.05)
    ledger = papers.ledger(folder=tmp_path / "store")
    assert counts(fake) == (1, 2)
    assert ledger.rows[2].verdict.measured == 2.05


@pytest.mark.parametrize("torn", ["", '{"verdicts": [', '{"verdicts": [], "seconds": 1.0}', "[]"])
def test_a_torn_file_is_no_result(fake, tmp_path, torn):
    first = papers.ledger(folder=tmp_path / "store")
    for file in (tmp_path / "store").glob("fake2000.first-quick-*/verdicts.json"):
        file.write_text(torn)
    again = papers.ledger(folder=tmp_path / "store")
    assert [row.verdict for row in again.rows] == [row.verdict for row in first.rows]
    assert counts(fake) == (2, 1)


def test_one_failing_experiment_stops_no_other_and_is_tried_again(fake, tmp_path):
    (fake / "first.order").write_text("raise")
    states = []
    ledger = papers.ledger(folder=tmp_path / "store", on_progress=lambda *told: states.append(told))
    assert statuses(ledger) == {
        "first.value": "not measured",
        "first.printed": "not measured",
        "second.value": "holds",
        "second.broken": "holds",
    }
    reason = "RuntimeError: the grid is empty"
    assert ledger.rows[0].verdict.reason == reason
    assert ledger.rows[0].seconds is None
    assert ledger.num_judged == 1
    assert states[:2] == [
        ("fake2000.first", 1, 2, "running"),
        ("fake2000.first", 1, 2, f"failed: {reason}"),
    ]
    (fake / "first.order").unlink()
    assert statuses(papers.ledger(folder=tmp_path / "store"))["first.value"] == "holds"
    assert counts(fake) == (1, 1)


def test_one_failing_claim_stops_no_other_and_is_tried_again(fake, tmp_path):
    (fake / "claims.py").write_text(CLAIMS)
    for _ in range(2):
        ledger = papers.ledger(folder=tmp_path / "store")
        assert statuses(ledger)["second.value"] == "holds"
        broken = ledger.rows[-1].verdict
        assert (broken.status, broken.reason[:14]) == ("not measured", "AttributeError")
    assert counts(fake) == (1, 2)


def test_a_killed_ledger_goes_on_where_it_stopped(fake, tmp_path):
    def run():
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(fake.parent), str(tmp_path / "store")],
            capture_output=True,
            text=True,
        )

    (fake / "second.order").write_text("kill")
    assert run().returncode == -signal.SIGKILL
    assert counts(fake) == (1, 0)
    (fake / "second.order").unlink()
    resumed, again = run(), run()
    assert counts(fake) == (1, 1)
    assert "1/2 fake2000.first: stored" in resumed.stderr
    assert resumed.stdout == again.stdout
    whole = papers.ledger(folder=tmp_path / "other")
    record = json.loads(resumed.stdout)
    assert record["volatile"].keys() == {f"claims.{place}.seconds" for place in range(4)}
    kept = [dict(row.to_dict()) for row in whole.rows]
    assert record["claims"] == [{k: v for k, v in row.items() if k != "seconds"} for row in kept]


@pytest.fixture
def interruptible():
    """Interrupts arrive, even where the tests were started with them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stores_nothing_half_done(fake, tmp_path, capsys):
    """A flow that is interrupted returns what it has; that must not be judged."""
    (fake / "second.order").write_text("interrupt")
    with pytest.raises(SystemExit) as exit_info:
        main(["ledger", "--out", str(tmp_path / "store")])
    assert exit_info.value.code == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("ncollapse: interrupted; what is done is in ")
    (fake / "second.order").unlink()
    assert statuses(papers.ledger(folder=tmp_path / "store"))["second.value"] == "holds"
    assert counts(fake) == (1, 1)


def test_one_claim_alone(fake, tmp_path):
    ledger = papers.ledger(claim="fake2000.second.value", folder=tmp_path / "store")
    assert statuses(ledger) == {"second.value": "holds"}
    assert [row.name for row in ledger.statements["fake2000"]] == ["Lemma 2"]
    assert counts(fake) == (0, 1)


def test_the_command_prints_a_row_a_claim(fake, tmp_path, capsys):
    for arguments, words in (
        ([], ["first.printed", "fails as printed", "2 of 3 statements have a verdict."]),
        (["--claim", "fake2000.first.value"], ["command", "refutes", "off by 0"]),
    ):
        with pytest.raises(SystemExit) as exit_info:
            main(["ledger", "--out", str(tmp_path / "store"), *arguments])
        out = capsys.readouterr().out
        assert exit_info.value.code == 0
        assert all(word in out for word in words), out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale", "huge"], "--scale must be one of quick, paper, but it is 'huge'"),
        (["--paper", "hong"], "--paper must be one of fake2000, but it is 'hong'"),
        (
            ["--claim", "fake2000.second.valu"],
            "--claim must be the id of one, but it is 'fake2000.second.valu'; "
            "the nearest are fake2000.second.value",
        ),
        (["--html", "nowhere/page.html"], "--html nowhere/page.html cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_runs_nothing(fake, tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_info:
        main(["ledger", "--out", str(tmp_path / "store"), *arguments])
    captured = capsys.readouterr()
    assert (exit_info.value.code, captured.out) == (2, "")
    assert captured.err.startswith(f"ncollapse: {message}")
    assert captured.err.count("\n") == 1
    assert counts(fake) == (0, 0)


def test_results_are_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ncollapse" / "ledger"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ncollapse" / "ledger"


def test_every_statement_has_claims_that_exist_or_a_reason():
    known = papers.claims()
    for paper, rows in papers.statements().items():
        names = [row.name for row in rows]
        assert names, paper
        assert len(set(names)) == len(names), paper
        for row in rows:
            assert set(row.claims) <= set(known), (paper, row.name)
