"""What `explain` returns."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ncollapse.theory.imbalance.measured import MeasuredLayer


@dataclass(frozen=True)
class AssumptionCheck:
    """``name`` of an assumption, whether it is ``met`` (None where nothing tells), and the
    ``measured`` number that was compared with ``limit``.
    """

    name: str
    met: bool | None
    measured: float | None = None
    limit: str = ""


@dataclass(frozen=True, eq=False)
class TheoryFit:
    """One theory against the network.

    ``weight_distance``, ``means_distance`` and ``logits_distance`` of Gram matrices and logits, each
    of unit Frobenius norm, None where the theory could not be computed; ``applies`` is False as soon
    as one assumption is violated; ``matrices`` are the predicted CWWᵀC, M̄ᵀM̄ and CZ.
    """

    name: str
    weight_distance: float | None
    means_distance: float | None
    logits_distance: float | None
    assumptions: tuple[AssumptionCheck, ...]
    matrices: tuple[np.ndarray, np.ndarray, np.ndarray] | None = field(repr=False)

    @property
    def applies(self) -> bool:
        return self.matrices is not None and all(
            check.met is not False for check in self.assumptions
        )

    @property
    def largest(self) -> float:
        """The largest of the three distances, infinite where there are none."""
        parts = (self.weight_distance, self.means_distance, self.logits_distance)
        return max(math.inf if part is None else part for part in parts)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "weight_distance": self.weight_distance,
            "means_distance": self.means_distance,
            "logits_distance": self.logits_distance,
            "assumptions": [asdict(check) for check in self.assumptions],
            "applies": self.applies,
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """The table of theories for one network.

    Attributes
    ----------
    theories
        "balanced", "orthogonal", "seli", "peeled", "nonnegative", "depth", "batch_norm".
    best
        The theory that applies and is nearest in its largest distance; of several within 0.01 the
        one that takes the fewest numbers from the network. None where none applies or none comes
        within 0.1.
    gap
        Proven relative optimality gap of the last layer, among those with nonnegative features where
        the network's are; None where the decay is not known.
    feature_decay
        λ_H = λ_W‖W‖²/Σ‖h‖²; None where λ_W is not known, ``decay_ratio`` λ_H/λ_W always is.
    disproportion
        How far WᵀW and Σhhᵀ are from proportional.
    weight_decay, decay_given
        λ_W, and whether it was given or is what stationarity of W shows.
    layer
        What was measured.
    remarks
        What could not be read from a network, and other sentences for the notes.
    """

    theories: tuple[TheoryFit, ...]
    best: str | None
    gap: float | None
    feature_decay: float | None
    decay_ratio: float
    disproportion: float
    weight_decay: float
    decay_given: bool
    layer: MeasuredLayer = field(repr=False)
    remarks: tuple[str, ...] = ()

    def theory(self, name: str) -> TheoryFit:
        """The row of ``name``."""
        return next(row for row in self.theories if row.name == name)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know of how it was measured."""
        if self.decay_given:
            return self.remarks
        return (
            *self.remarks,
            "weight_decay is not known: theories use the one that stationarity of the weight shows, "
            "and feature_decay only as a ratio to it",
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "best": self.best,
            "counts": self.layer.counts.astype(int).tolist(),
            "decay_given": self.decay_given,
            "decay_ratio": self.decay_ratio,
            "disproportion": self.disproportion,
            "feature_decay": self.feature_decay,
            "gap": self.gap,
            "margins": self.layer.margins.tolist(),
            "notes": list(self.notes),
            "theories": [theory.to_dict() for theory in self.theories],
            "weight_decay": self.weight_decay,
        }
