"""min2025 in three acts: digits on which it is true, its assumption bent, and all the digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse.certify import Certificate, certify
from ncollapse.data import Dataset, load_images
from ncollapse.papers.min2025.experiments import centred_by_class_means, digits, separable_choice
from ncollapse.papers.min2025.network import Progress, Run, run
from ncollapse.papers.min2025.panels import output_groups

SHARES = (0.05, 0.2, 0.5)
"""Shares of the chosen digits that are exchanged for others in the second act."""
_STEPS = 500
_SMALL, _FINE = 1e-6, 1e-4
"""Largest start and tolerance of the first act, where the theorem is to be seen exactly."""

DISTANCES = {
    "directional collapse": "directional_collapse",
    "means off orthogonal": "nc2_orthogonal_directions",
    "classifier off self-dual": "nc3_projected_directions",
}
"""Claims whose distance is a metric of the run; `distances` adds masses and directions."""


@dataclass(frozen=True, eq=False)
class Story:
    """The three acts.

    Attributes
    ----------
    held
        A run on digits chosen so that the assumption holds, or None; ``why_not`` says why.
    bent
        Runs in which a growing share of them is exchanged for other digits.
    every
        The run on all the digits asked for.
    certificate
        Whether collapse was possible on the digits of ``every``.
    interrupted
        Whether an interrupt ended the story.
    """

    held: Run | None
    bent: tuple[Run, ...]
    every: Run
    certificate: Certificate | None
    why_not: str = ""
    interrupted: bool = False

    @property
    def curve(self) -> tuple[Run, ...]:
        """All the runs by how many pairs violate the assumption."""
        runs = (
            (*self.bent, self.every) if self.held is None else (self.held, *self.bent, self.every)
        )
        return tuple(sorted(runs, key=lambda run: run.separability.violating_share))

    def to_dict(self) -> dict[str, Any]:
        """The record of ``every``, with the other acts under ``acts``."""
        acts = {
            "separable": None if self.held is None else self.held.to_dict(),
            "why_not_separable": self.why_not or None,
            "bent": [
                {"violating_share": run.separability.violating_share, "distances": distances(run)}
                for run in self.curve
            ],
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
        }
        return {**self.every.to_dict(), "acts": acts}


def tell(
    *,
    labels: tuple[int, ...] = (0, 1, 2),
    per_class: int = 60,
    data_dir: Path | None = None,
    width: int = 48,
    scale: float = 1e-3,
    seed: int = 0,
    until: float = 300.0,
    rtol: float = 2e-3,
    on_progress: Progress | None = None,
) -> Story:
    """Run the three acts; settings as in `digits`, whose run is the third.

    The first takes `separable_choice` of all digits of these classes, ``per_class`` of each at most.
    """
    shared: dict[str, Any] = {"width": width, "seed": seed, "on_progress": on_progress}
    every = digits(
        labels=labels,
        per_class=per_class,
        data_dir=data_dir,
        scale=scale,
        until=until,
        rtol=rtol,
        **shared,
    )
    shared |= {"log_inverse_loss": until}
    if every.trajectory.interrupted:
        return Story(None, (), every, None, "the run was interrupted", True)
    certificate = certify(every.data)
    whole = centred_by_class_means(load_images(labels, folder=data_dir))
    try:
        subset, chosen = separable_choice(whole, per_class)
    except ValueError as error:
        return Story(None, (), every, certificate, str(error))
    fine = {"scale": min(scale, _SMALL), "rtol": min(rtol, _FINE)}
    held = run(chosen, **fine, **shared)
    if held.trajectory.interrupted:
        return Story(None, (), every, certificate, "its run was interrupted", True)
    bent: list[Run] = []
    for share in SHARES:
        mixed = _exchange(whole, subset.indices, len(chosen.labels) // len(labels), share)
        bent_run = run(mixed, scale=scale, rtol=rtol, max_steps=_STEPS, **shared)
        if bent_run.trajectory.interrupted:
            return Story(held, tuple(bent), every, certificate, interrupted=True)
        bent.append(bent_run)
    return Story(held, tuple(bent), every, certificate)


def distances(run: Run) -> dict[str, float | None]:
    """How far each claim is from true at the end of ``run``; None where it is undefined.

    Masses and directions are those of neurons grouped by their output weights, as exact groups
    are empty once the assumption is bent.
    """
    distance: dict[str, float | None] = {}
    for name, metric in DISTANCES.items():
        value = float(run.metrics[metric][-1]) if metric in run.metrics else np.nan
        distance[name] = None if np.isnan(value) else value
    _, masses, cosines = output_groups(run)
    known = [value for value in cosines if value is not None]
    distance["weights off max margin"] = 1.0 - min(known) if known else None
    limit = run.limit
    distance["masses off by"] = (
        None if limit is None else float(np.abs(masses - limit.masses).max())
    )
    return distance


def _exchange(data: Dataset, kept: np.ndarray, size: int, share: float) -> Dataset:
    """``size`` of each class: those ``kept``, but for a ``share`` that is taken from the others."""
    rows = []
    for k in range(data.num_classes):
        own = np.flatnonzero(data.labels == k)
        others = np.setdiff1d(own, kept)
        count = min(round(share * size), len(others))
        rows += [kept[data.labels[kept] == k][: size - count], others[:count]]
    chosen = np.concatenate(rows)
    return Dataset(data.inputs[chosen], data.labels[chosen], data.classes, data.name)
