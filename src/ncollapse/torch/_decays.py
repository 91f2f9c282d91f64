"""The weight decay that an optimiser gives to each part of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ncollapse.theory.imbalance import AssumptionCheck
from ncollapse.torch._architecture import Architecture

DECOUPLED = ("AdamW", "Adafactor", "Muon")
"""Optimisers of PyTorch whose decay is decoupled from the gradient, whatever their groups say."""
DECAYING = ("peeled", "nonnegative", "depth", "batch_norm")
"""Theories that speak of a decay."""


@dataclass(frozen=True)
class Decays:
    """``layers`` of the weights on the path, the classifier last; ``affine`` of γ and β, the smaller
    where they differ; None where nothing can be said. ``checks`` by theory, ``remarks`` in words.
    """

    layers: tuple[float, ...] | None
    affine: float | None
    checks: dict[str, tuple[AssumptionCheck, ...]]
    remarks: tuple[str, ...]


def read_decays(optimizer: Any, architecture: Architecture) -> Decays:
    """Decay of the weights on the path and of γ and β, and whether the theories' conditions hold.

    ``TypeError`` for anything without parameter groups.
    """
    while not isinstance(optimizer, torch.optim.Optimizer) and hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(
            f"optimizer must be a torch.optim.Optimizer, but it is a {type(optimizer).__name__}"
        )
    if not architecture.weights:
        return Decays(None, None, {}, ())
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}

    def group_of(name: str) -> dict[str, Any] | None:
        parameter = architecture.parameters[name]
        return groups.get(id(parameter)) if parameter.requires_grad else None

    def decay_of(name: str) -> float:
        group = group_of(name)
        return 0.0 if group is None else float(group.get("weight_decay", 0.0))

    names = (*architecture.weights, *architecture.affine)
    if not any(id(parameter) in groups for parameter in architecture.parameters.values()):
        raise ValueError("optimizer holds no parameter of the model that was measured")
    frozen = [name for name in names if group_of(name) is None]
    layers = tuple(map(decay_of, architecture.weights))
    affine = tuple(map(decay_of, architecture.affine))
    remarks = [f"{name} is frozen, or not in the optimizer" for name in frozen]
    remarks += [
        f"{name} is not decayed" for name in names if not decay_of(name) and name not in frozen
    ]
    if len(set(affine)) > 1 and min(affine) > 0:
        remarks.append("γ and β have different decays: the bound holds with the smaller one")
    penalty, words = _penalty(optimizer)
    checks = {theory: [AssumptionCheck("decay is an L2 penalty", penalty)] for theory in DECAYING}
    for theory in DECAYING:
        checks[theory].append(AssumptionCheck("classifier decayed", layers[-1] > 0))
    checks["depth"].append(AssumptionCheck("every layer decayed", min(layers) > 0))
    if affine:
        checks["batch_norm"].append(AssumptionCheck("γ and β decayed", min(affine) > 0))
    return Decays(
        layers=layers,
        affine=min(affine) if affine else None,
        checks={theory: tuple(rows) for theory, rows in checks.items()},
        remarks=(*remarks, *words),
    )


def _penalty(optimizer: Any) -> tuple[bool | None, list[str]]:
    """Whether stationary points are those of the loss plus λ/2 ‖θ‖²."""
    name, groups = type(optimizer).__name__, optimizer.param_groups
    kinds = {kind.__name__ for kind in type(optimizer).__mro__}
    decoupled = any(group.get("decoupled_weight_decay") for group in groups)
    if decoupled or not kinds.isdisjoint(DECOUPLED):
        return False, [
            f"{name} decouples decay from its gradient steps: it ends where the scaled gradient is "
            "−λθ, no stationary point of the loss plus λ/2 ‖θ‖², so that no theory of decay is met"
        ]
    if type(optimizer).__module__.startswith("torch.optim"):
        return True, []
    return None, [f"whether the decay of {name} is that of an L2 penalty is not known"]
