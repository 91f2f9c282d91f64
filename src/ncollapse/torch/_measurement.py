"""What measuring a model leaves behind, and the law of layerwise separation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ncollapse.metrics import Measurement, UndefinedMetricError, separation
from ncollapse.theory.imbalance import Explanation
from ncollapse.torch._architecture import Architecture
from ncollapse.torch._explaining import LastLayerReading


@dataclass(frozen=True)
class SeparationLaw:
    """He and Su's separation D = Tr(SS_W SS_B†) of every layer, and how evenly it falls.

    ``values`` are D in the order in which the layers run; ``decay`` is ρ of the least-squares fit
    log D_l = log D_0 + l log ρ; ``correlation`` is that of log D_l with l: −1 is the exact law.
    """

    layers: tuple[str, ...]
    values: tuple[float, ...]
    decay: float
    correlation: float

    @classmethod
    def fit(cls, values: dict[str, float]) -> SeparationLaw:
        """The law through at least two layers.

        Raises `UndefinedMetricError` when D is zero somewhere or the same everywhere.
        """
        if len(values) < 2:
            raise ValueError(f"layers must be at least two, but there are {len(values)}")
        separations = np.asarray(list(values.values()), dtype=float)
        if not np.all(separations > 0):
            raise UndefinedMetricError("the separation of a layer is zero and has no logarithm")
        depth = np.arange(len(separations)) - (len(separations) - 1) / 2
        logs = np.log(separations) - np.log(separations).mean()
        if not np.any(logs != 0):
            raise UndefinedMetricError("the separation is the same in every layer")
        product = float(depth @ logs)
        return cls(
            layers=tuple(values),
            values=tuple(float(value) for value in separations),
            decay=float(np.exp(product / float(depth @ depth))),
            correlation=product / float(np.linalg.norm(depth) * np.linalg.norm(logs)),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "layers": list(self.layers),
            "values": list(self.values),
            "decay": self.decay,
            "correlation": self.correlation,
        }


@dataclass(frozen=True, eq=False)
class ModelMeasurement:
    """What `measure_model` returns.

    ``head`` the name of the classifier; ``features`` the measurement of what enters it, with its
    weight and bias; ``layers`` those of the layers asked for, in the order in which they run;
    ``forward_passes`` how often the model was called; ``last_layer`` what `explain` needs, where it
    was asked for.
    """

    head: str
    features: Measurement
    layers: dict[str, Measurement]
    forward_passes: int
    last_layer: LastLayerReading | None = field(default=None, repr=False)

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the features that enter the head."""
        return self.features.metrics

    @property
    def architecture(self) -> Architecture | None:
        """Depth, normalisation and last activation, where ``explain=True`` had them read."""
        return None if self.last_layer is None else self.last_layer.architecture

    def explain(
        self,
        optimizer: Any = None,
        *,
        weight_decay: float | None = None,
        depth: int | None = None,
        normalisation: str | None = None,
        inputs: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ) -> Explanation:
        """Compare the last layer with every theory of where it is heading, as `ncollapse.explain`.

        Number of layers and batch norm before the last activation are read from the network, the
        decays of layers, γ and β from ``optimizer``. What rules a theory out (residual paths, shared
        weights, biases, frozen layers, decoupled decay, ...) is a violated assumption of it and a
        sentence in the notes.

        Parameters
        ----------
        optimizer
            A `torch.optim.Optimizer` that holds the model's parameters; its groups may differ.
        weight_decay, depth, normalisation
            In the place of what is read; ``weight_decay`` is one number for all of the network.
        inputs, labels
            ``(N, d)`` and 0 … K−1, for the depth law, as in `ncollapse.explain`.

        Raises
        ------
        ValueError, TypeError
            The model was measured without ``explain=True``; its head is not linear; a class without
            samples; an optimizer of another model.
        """
        if self.last_layer is None:
            raise ValueError(
                "the model must be measured with explain=True, and its head must compute W h + b"
            )
        return self.last_layer.explain(
            optimizer, weight_decay, depth, normalisation, inputs, labels
        )

    def separation_law(self) -> SeparationLaw:
        """He–Su separation of every layer and of the input of the head, which comes last.

        A layer that changes no feature (the one whose output enters the head, or dropout, which
        does nothing in evaluation) is no step of the law: it is left out.
        """
        measured = {**self.layers, f"{self.head} (input)": self.features}
        values: dict[str, float] = {}
        before: Measurement | None = None
        for name, measurement in measured.items():
            if before is None or not _same_features(before, measurement):
                values[name] = separation(measurement.summary)
            before = measurement
        return SeparationLaw.fit(values)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the statistics."""
        return {
            **self.features.to_dict(),
            "head": self.head,
            "layers": {name: measured.to_dict() for name, measured in self.layers.items()},
            "forward_passes": self.forward_passes,
        }


def _same_features(one: Measurement, other: Measurement) -> bool:
    return all(
        np.array_equal(np.asarray(getattr(one.summary, name)), getattr(other.summary, name))
        for name in ("counts", "means", "within_scatter")
    )
