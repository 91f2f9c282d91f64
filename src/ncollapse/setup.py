"""What a run is of: its model, data, start and rule, as plain values that a file can hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Loss = Literal["cross_entropy", "squared"]


@dataclass(frozen=True)
class Setup:
    """The set-up of a run of gradient flow, of an optimiser or of training.

    Attributes
    ----------
    model
        Its name: ``"relu2"``, ``"ulpm"``, ``"ufm"``, ``"upfm-ce"``, ``"upfm-l2"`` or a user's own.
    loss
        ``"cross_entropy"`` or ``"squared"``; None for a loss of the model's own.
    counts
        Samples of each class, ``(K,)``; empty where the model does not say.
    dim, input_dim
        Features D and inputs d; None where there are none or the model does not say.
    weight_decay, feature_decay
        λ of λ/2 ‖W‖² and λ/2 ‖H‖².
    bias, depth, normalisation
        Whether the classifier has a bias; layers with weights, the classifier included; how
        layers or features are normalised, if at all.
    init, seed
        Size and seed of the start, where one number says it.
    method
        ``"flow"``, or the name of an optimiser.
    options
        What else determines the run (tolerance, goal, learning rate …), as JSON values.

    Raises
    ------
    ValueError
        An unknown loss, a class without samples, a negative decay, options that are no JSON.
    """

    model: str
    loss: Loss | None = None
    counts: tuple[int, ...] = ()
    dim: int | None = None
    input_dim: int | None = None
    weight_decay: float = 0.0
    feature_decay: float = 0.0
    bias: bool = False
    depth: int = 1
    normalisation: str | None = None
    init: float | None = None
    seed: int | None = None
    method: str = "flow"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.loss is not None and self.loss not in get_args(Loss):
            raise ValueError(
                f"loss must be one of {', '.join(get_args(Loss))}, or None, not {self.loss!r}"
            )
        if any(count < 1 for count in self.counts):
            raise ValueError(
                f"counts must be at least 1 for each class, but they are {self.counts}"
            )
        for name in ("weight_decay", "feature_decay"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be finite and not negative, but it is {getattr(self, name)!r}"
                )
        try:
            json.dumps(dict(self.options), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"options must be JSON values, but they are not: {error}") from error

    @property
    def num_classes(self) -> int:
        """K; ``ValueError`` where the set-up does not name its classes."""
        if not self.counts:
            raise ValueError(f"the set-up of {self.model!r} does not say how many classes it has")
        return len(self.counts)

    @property
    def num_samples(self) -> int:
        return sum(self.counts)

    @property
    def per_class(self) -> int:
        """n, samples of each class; ``ValueError`` where classes differ in size."""
        if len(set(self.counts)) != 1:
            raise ValueError(f"classes do not have equally many samples: {list(self.counts)}")
        return self.counts[0]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, sorted."""
        values = {**asdict(self), "counts": list(self.counts)}
        return {**dict(sorted(values.items())), "options": dict(sorted(self.options.items()))}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Setup:
        """The set-up that `to_dict` wrote; ``ValueError`` for other fields or values."""
        known = {entry.name for entry in fields(cls)}
        if not isinstance(values, Mapping) or not {"model"} <= set(values) <= known:
            raise ValueError(f"a set-up has the fields {', '.join(sorted(known))}; got {values!r}")
        return cls(**{**values, "counts": tuple(int(count) for count in values.get("counts", ()))})

    def differences(self, other: Setup, *, without: tuple[str, ...] = ()) -> list[str]:
        """Each field and option in which ``other`` differs, "seed is 1 and not 0", but ``without``."""
        own, theirs = ({**one.to_dict(), **one.options} for one in (self, other))
        names = sorted((own.keys() | theirs.keys()) - {"options", *without})
        return [
            f"{name} is {own.get(name)!r} and not {theirs.get(name)!r}"
            for name in names
            if own.get(name) != theirs.get(name)
        ]

    def digest(self) -> str:
        """Sixteen hexadecimal digits of SHA-256 of the JSON of `to_dict`."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
