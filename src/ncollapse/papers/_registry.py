"""What a reproducible experiment is, and what it hands back."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ncollapse.verdict import Verdict

SCALES = ("quick", "paper")


@dataclass(frozen=True)
class Reproduction:
    """Files written by one experiment at one scale, and the verdict on each of its claims.

    ``settings`` is what was run, ``figures`` are further numbers that the experiment reports.
    """

    name: str
    title: str
    scale: str
    files: tuple[str, ...]
    claims: tuple[Verdict, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether all claims hold."""
        return all(claim.status == "holds" for claim in self.claims)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "scale": self.scale,
            "files": list(self.files),
            "claims": [claim.to_dict() for claim in self.claims],
            "holds": self.holds,
            "settings": dict(self.settings),
            "figures": dict(self.figures),
            "seconds": self.seconds,
            "version": version("ncollapse"),
        }


@dataclass(frozen=True)
class Findings:
    """What the function behind an experiment returns; `Reproduction` says what the parts are."""

    files: Sequence[Path]
    claims: Sequence[Verdict]
    settings: Mapping[str, Any]
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A figure or table that can be reproduced by name.

    ``function`` in ``module`` is called as ``function(scale=…, out=…, scheduler=…)`` and returns
    `Findings`; the module is imported only then, so that listing experiments stays cheap.
    """

    name: str
    title: str
    description: str
    module: str
    function: str
    scales: tuple[str, ...] = SCALES

    def run(
        self, scale: str = "quick", out: str | Path | None = None, scheduler: str | None = None
    ) -> Reproduction:
        """Compute and draw the experiment.

        Parameters
        ----------
        scale
            One of ``scales``: ``paper`` uses the paper's own settings.
        out
            Folder for its files, by default one named after the experiment and the scale here.
        scheduler
            Address of a Dask scheduler; a local cluster otherwise.

        Raises ``ValueError`` for an unknown scale, and what the experiment raises.
        """
        if scale not in self.scales:
            raise ValueError(
                f"scale of {self.name} must be one of {', '.join(self.scales)}, but it is {scale!r}"
            )
        folder = Path(f"{self.name}-{scale}" if out is None else out)
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        function = getattr(importlib.import_module(self.module), self.function)
        found: Findings = function(scale=scale, out=folder, scheduler=scheduler)
        return Reproduction(
            self.name,
            self.title,
            scale,
            tuple(str(path) for path in found.files),
            tuple(found.claims),
            found.settings,
            found.figures,
            time.perf_counter() - start,
        )
