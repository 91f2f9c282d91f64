"""The papers' experiments by name: ``experiments()["hong2025.figure1"].run("quick")``."""

from __future__ import annotations

from pathlib import Path

from ncollapse.papers._registry import SCALES, Experiment, Findings, Reproduction

__all__ = [
    "SCALES",
    "Experiment",
    "Findings",
    "Reproduction",
    "experiments",
    "reproduce",
]

_HONG = "ncollapse.papers.hong2025"

_EXPERIMENTS = (
    Experiment(
        "hong2025.figure1",
        "Where two Gaussian classes can collapse",
        "success rate over d/n and σ at five angles, the exact boundary and the paper's bounds",
        f"{_HONG}.phase",
        "figure1",
    ),
    Experiment(
        "hong2025.figure2",
        "Where four Gaussian classes can collapse",
        "success rate over d/n and σ with means e_k, the exact boundary and the paper's bounds",
        f"{_HONG}.phase",
        "figure2",
    ),
    Experiment(
        "hong2025.theorem7",
        "The best test error that collapse allows",
        "error against σ: measured, the exact curve, and the two bounds of Theorems 7 and 8",
        f"{_HONG}.generalisation",
        "theorem7",
    ),
    Experiment(
        "hong2025.images",
        "How many images per class can still collapse",
        "the largest n per class that is feasible, on real digits and clothing, with certificates",
        f"{_HONG}.images",
        "largest_counts",
    ),
)


def experiments() -> dict[str, Experiment]:
    """All experiments by name. Listing them imports nothing heavy."""
    return {experiment.name: experiment for experiment in _EXPERIMENTS}


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
