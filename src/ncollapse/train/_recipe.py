"""How a network is trained, as data: optimiser, schedule, decay, batches and loss."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ncollapse._checks import check_positive
from ncollapse.setup import Loss

Optimiser = Literal["sgd", "adam", "adamw"]
Schedule = Literal["constant", "steps", "cosine"]
Decayed = Literal["all", "weights", "head", "head_and_batch_norm"]


@dataclass(frozen=True)
class Recipe:
    """What is minimised, and how:

        (1/N) Σ_i ω_{y_i} ℓ(z_i, y_i) + λ/2 Σ_{θ decayed} ‖θ‖² + λ_H/2 Σ_i ‖h_i‖²

    with logits z_i and last-layer features h_i; of a batch, both sums over i are scaled to N.
    Nothing is augmented.

    Attributes
    ----------
    optimiser, learning_rate, momentum
        ``"sgd"`` (with its momentum), ``"adam"`` or ``"adamw"``, whose λ is decoupled from the
        gradient; the step size at the start.
    schedule, drops, factor
        ``"constant"``; ``"steps"``: times ``factor`` from each of the shares ``drops`` of the epochs
        on, rounded up; ``"cosine"``: down to ``factor`` times the rate at the last epoch.
    weight_decay, decayed
        λ, or a tuple with one for each weight matrix or kernel in the order of the layers. Decayed
        are ``"all"`` parameters, as PyTorch does it; the ``"weights"`` of all layers, without biases
        and batch norms; the weight of the ``"head"``; or of ``"head_and_batch_norm"``, γ and β.
    feature_decay
        λ_H.
    batch, epochs
        Samples a step, None for all of them at once; epochs.
    loss, label_smoothing, class_weights
        ``"cross_entropy"``, or ``"squared"``, ½‖z − y‖² with y one-hot, or smoothed: y(1 − α) + α/K; ω.

    Raises
    ------
    ValueError
        Each field outside of what is listed.
    """

    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.0
    schedule: Schedule = "constant"
    drops: tuple[float, ...] = ()
    factor: float = 0.1
    weight_decay: float | tuple[float, ...] = 0.0
    decayed: Decayed = "all"
    feature_decay: float = 0.0
    batch: int | None = 128
    epochs: int = 100
    loss: Loss = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        choices = {"optimiser": Optimiser, "schedule": Schedule, "decayed": Decayed, "loss": Loss}
        for name, accepted in choices.items():
            if getattr(self, name) not in get_args(accepted):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(accepted))}, but it is "
                    f"{getattr(self, name)!r}"
                )
        for name in ("learning_rate", "factor"):
            check_positive(name, getattr(self, name))
        for weight in self.class_weights or ():
            check_positive("class_weights", weight)
        for name, values in {
            "weight_decay": self.layer_decays or (self.weight_decay,),
            "feature_decay": (self.feature_decay,),
        }.items():
            if not all(0.0 <= value < math.inf for value in values):
                raise ValueError(f"{name} must be finite and not negative, but it is {values}")
        if self.layer_decays and self.decayed != "weights":
            raise ValueError(
                f"decayed must be 'weights' where each layer has a decay, but it is {self.decayed!r}"
            )
        if not all(0.0 < drop < 1.0 for drop in self.drops):
            raise ValueError(f"drops must be shares between 0 and 1, but they are {self.drops}")
        for name in ("momentum", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, but it is {getattr(self, name)!r}"
                )
        for name in ("epochs", "batch"):
            value = getattr(self, name)
            if value is not None and (value != int(value) or value < 1):
                raise ValueError(f"{name} must be a positive integer, but it is {value!r}")

    @property
    def layer_decays(self) -> tuple[float, ...]:
        """λ of each layer; empty where there is one for all."""
        return tuple(self.weight_decay) if isinstance(self.weight_decay, tuple) else ()

    @property
    def head_decay(self) -> float:
        """λ of the classifier's weight."""
        return self.weight_decay[-1] if isinstance(self.weight_decay, tuple) else self.weight_decay

    def drop_epochs(self) -> list[int]:
        """The epochs after which the rate is multiplied by ``factor``."""
        return [math.ceil(drop * self.epochs) for drop in self.drops]

    def rate_at(self, epoch: int) -> float:
        """Step size of epoch 0, 1, …, epochs − 1."""
        if self.schedule == "steps":
            return self.learning_rate * self.factor ** sum(
                epoch >= drop for drop in self.drop_epochs()
            )
        if self.schedule == "cosine":
            turn = (1.0 + math.cos(math.pi * epoch / self.epochs)) / 2.0
            return self.learning_rate * (self.factor + (1.0 - self.factor) * turn)
        return self.learning_rate

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, sorted."""
        values = asdict(self)
        for name, value in values.items():
            values[name] = list(value) if isinstance(value, tuple) else value
        return dict(sorted(values.items()))


RECIPES = {
    "ji2022": Recipe(learning_rate=0.01, momentum=0.3, epochs=500),
    "papyan2020": Recipe(
        momentum=0.9,
        schedule="steps",
        drops=(1 / 3, 2 / 3),
        weight_decay=5e-4,
        epochs=350,
    ),
    "stationary": Recipe(
        optimiser="adam",
        learning_rate=3e-3,
        schedule="cosine",
        weight_decay=1e-3,
        decayed="weights",
        batch=None,
        epochs=1_000,
    ),
}
"""Recipes by name.

ji2022 Appendix D prints rate, momentum and batch, and no decay; Figure 1 ends at 500 epochs.
papyan2020 chose the best of 25 rates for each network: 0.1 is ours.
"""
