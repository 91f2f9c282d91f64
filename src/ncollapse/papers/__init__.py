"""The papers' experiments and claims: ``experiments()["hong2025.figure1"].run("quick")``.

Each paper has one layout: ``experiments`` declares and computes, ``claims`` holds a row for each
statement, ``figures`` draws, ``page`` is its report; here they are only collected.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ncollapse.claims import Claim
from ncollapse.papers._experiment import Experiment, Reproduction, Result, experiment

__all__ = [
    "PAPERS",
    "Experiment",
    "Reproduction",
    "Result",
    "claims",
    "experiment",
    "experiments",
    "reproduce",
]

PAPERS = ("hong2025", "ji2022", "min2025", "mixon2022", "imbalance")


def experiments() -> dict[str, Experiment]:
    """All experiments by name. Listing them imports nothing heavy."""
    modules = [import_module(f"ncollapse.papers.{paper}.experiments") for paper in PAPERS]
    declared = [value for module in modules for value in vars(module).values()]
    return {value.name: value for value in declared if isinstance(value, Experiment)}


def claims() -> dict[str, Claim]:
    """All claims by id, in the order of the papers."""
    modules = [import_module(f"ncollapse.papers.{paper}.claims") for paper in PAPERS]
    return {claim.id: claim for module in modules for claim in module.CLAIMS}


def reproduce(
    name: str,
    scale: str = "quick",
    out: str | Path | None = None,
    scheduler: str | None = None,
) -> Reproduction:
    """Run the experiment called ``name``: see `Experiment.run`.

    Raises ``ValueError`` naming the known experiments when there is none of that name.
    """
    known = experiments()
    if name not in known:
        raise ValueError(f"name must be one of {', '.join(known)}, but it is {name!r}")
    return known[name].run(scale, out, scheduler)
