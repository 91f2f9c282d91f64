"""The papers' experiments and claims: ``experiments()["hong2025.figure1"].run("quick")``.

Each paper has one layout: ``experiments`` declares and computes, ``claims`` holds a row for each
claim, ``statements`` lists what the paper numbers, ``figures`` draws, ``page`` is its report; here
they are only collected, and `ledger` judges them all.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from ncollapse.claims import Claim, Ledger, Statement
from ncollapse.papers._experiment import Experiment, Reproduction, Result, experiment
from ncollapse.papers._ledger import Progress, build_ledger, cache_folder

__all__ = [
    "PAPERS",
    "SCALES",
    "Experiment",
    "Reproduction",
    "Result",
    "cache_folder",
    "claims",
    "experiment",
    "experiments",
    "ledger",
    "reproduce",
    "statements",
]

PAPERS = ("hong2025", "ji2022", "min2025", "mixon2022", "papyan2020", "imbalance")
SCALES = ("quick", "paper")


def experiments() -> dict[str, Experiment]:
    """All experiments by name. Listing them imports nothing heavy."""
    modules = [import_module(f"ncollapse.papers.{paper}.experiments") for paper in PAPERS]
    declared = [value for module in modules for value in vars(module).values()]
    return {value.name: value for value in declared if isinstance(value, Experiment)}


def claims() -> dict[str, Claim]:
    """All claims by id, in the order of the papers."""
    modules = [import_module(f"ncollapse.papers.{paper}.claims") for paper in PAPERS]
    return {claim.id: claim for module in modules for claim in module.CLAIMS}


def statements() -> dict[str, tuple[Statement, ...]]:
    """The numbered statements and figures of each paper, with the ids of their claims."""
    return {
        paper: import_module(f"ncollapse.papers.{paper}.statements").STATEMENTS for paper in PAPERS
    }


def ledger(
    scale: str = "quick",
    paper: str | None = None,
    claim: str | None = None,
    folder: str | Path | None = None,
    on_progress: Progress | None = None,
) -> Ledger:
    """Judge every claim: of all papers, of one paper, or one claim alone.

    What was judged before, by the same code and on the same settings, is taken from ``folder``;
    the rest is run and stored there experiment by experiment, so a run that was killed goes on
    where it stopped. An experiment that fails does not stop the others: its claims are "not
    measured", with the error as the reason, and the next call tries it again.

    Parameters
    ----------
    scale
        ``"quick"``, or ``"paper"`` for the papers' own settings.
    paper, claim
        One of `PAPERS`; one of the ids of `claims`.
    folder
        Where results are stored; `cache_folder` unless given.
    on_progress
        Called with the name of an experiment, its place, how many there are, and what it does.

    Raises
    ------
    ValueError
        An unknown scale, paper or claim, or a claim of another paper.
    OSError
        The folder cannot be made or written to; the message names it.
    """
    for name, value, known in (("scale", scale, SCALES), ("paper", paper, PAPERS)):
        if value is not None and value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, but it is {value!r}")
    chosen, stated = list(experiments().values()), statements()
    if claim is not None:
        row = _known_claim(claim)
        if paper is not None and not claim.startswith(f"{paper}."):
            raise ValueError(f"claim must be one of {paper}, but it is {claim!r}")
        chosen = [experiment for experiment in chosen if experiment.name == row.experiment]
        stated = {
            name: tuple(statement for statement in rows if claim in statement.claims)
            for name, rows in stated.items()
        }
    if paper is not None:
        chosen = [experiment for experiment in chosen if experiment.name.startswith(f"{paper}.")]
        stated = {paper: stated[paper]}
    made = build_ledger(
        chosen, stated, scale, cache_folder() if folder is None else Path(folder), on_progress
    )
    if claim is None:
        return made
    return replace(made, rows=tuple(row for row in made.rows if row.verdict.id == claim))


def _known_claim(name: str) -> Claim:
    known = claims()
    if name not in known:
        near = get_close_matches(name, known, cutoff=0.4)
        hint = f"; the nearest are {', '.join(near)}" if near else ""
        raise ValueError(f"claim must be the id of one, but it is {name!r}{hint}")
    return known[name]


def reproduce(
    name: str,
    scale: str = "quick",
    out: str | Path | None = None,
    scheduler: str | None = None,
    **options: Any,
) -> Reproduction:
    """Run the experiment called ``name``: see `Experiment.run`, which takes the same ``options``.

    Raises ``ValueError`` naming the known experiments when there is none of that name.
    """
    known = experiments()
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}, but it is {name!r}")
    return known[name].run(scale, out, scheduler, **options)
