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
_FREE = "ncollapse.papers._free_features"

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
    Experiment(
        "hong2025.theorem2",
        "Minimisers of positive features",
        "where flows end across the collapse threshold, against the closed forms",
        _FREE,
        "theorem2",
    ),
    Experiment(
        "ji2022.example31",
        "A critical point that is not optimal",
        "the loss along the direction of most negative curvature, and along the paper's curve",
        _FREE,
        "ji_example31",
    ),
    Experiment(
        "ji2022.figure2",
        "The layer-peeled model to the end of time",
        "four metrics over log log t, with 10⁵ epochs of gradient descent beside the flow",
        _FREE,
        "ji_figure2",
    ),
    Experiment(
        "mixon2022.figure1",
        "Strong collapse from small starts",
        "errors in SNC1, SNC2 and SNC3 over time, with the exact flow on the invariant subspace",
        _FREE,
        "mixon_figure1",
    ),
    Experiment(
        "mixon2022.figure2",
        "How near the invariant subspace",
        "relative distance to the subspace on which the flow is exactly solvable",
        _FREE,
        "mixon_figure2",
    ),
    Experiment(
        "mixon2022.final_errors",
        "Where trajectories end",
        "final errors against the size ε of the start, for the flow, gradient descent, momentum "
        "and Adam, with fitted powers",
        _FREE,
        "mixon_final_errors",
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
