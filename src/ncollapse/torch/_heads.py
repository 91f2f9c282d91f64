"""Classifier heads: finding one in a model, reading its weights, and a fixed simplex ETF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncollapse._checks import check_positive
from ncollapse.geometry import simplex_etf
from ncollapse.metrics import METRICS, Measurement, SampleSummary
from ncollapse.stats import ClassSummary


class SimplexETFHead(nn.Module):
    """A classifier that is not learned: logits = scale · M h, M the K unit rows of a simplex ETF.

    Collapse ends in such a classifier, so fixing it from the start costs no accuracy and K·D fewer
    parameters. M is a buffer: it moves and is saved with the model, has no gradient and passes the
    gradient on to the features.

    Parameters
    ----------
    num_features, num_classes
        D ≥ K − 1 and K ≥ 2.
    scale
        Multiplies the logits (the inverse of a temperature).
    normalize
        Divide each feature by its norm first, so that logits are scaled cosines.
    seed
        A uniformly random orientation; without it the ETF lies in the first K coordinates.

    References
    ----------
    papyan2020, simplex ETF; Zhu 2021, fixed classifiers.
    """

    etf: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        scale: float = 1.0,
        normalize: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.in_features = num_features
        self.out_features = num_classes
        self.scale = check_positive("scale", scale)
        self.normalize = normalize
        rows = simplex_etf(num_classes, num_features, seed=seed)
        self.register_buffer("etf", torch.from_numpy(rows).to(torch.get_default_dtype()))

    @property
    def weight(self) -> Tensor:
        """scale · M ``(K, D)``."""
        return self.scale * self.etf

    @property
    def bias(self) -> None:
        """There is none."""
        return None

    def forward(self, features: Tensor) -> Tensor:
        if self.normalize:
            features = functional.normalize(features, dim=-1)
        return functional.linear(features, self.weight)

    def extra_repr(self) -> str:
        return (
            f"num_features={self.in_features}, num_classes={self.out_features}, "
            f"scale={self.scale}, normalize={self.normalize}"
        )


def is_head(module: nn.Module) -> bool:
    """Whether it is a linear classifier that can be found without being named."""
    return isinstance(module, (nn.Linear, SimplexETFHead))


def check_head(head: nn.Module) -> tuple[int, int]:
    """(K, D) of a classifier; ``TypeError`` unless it has a matrix ``weight``."""
    weight = getattr(head, "weight", None)
    if not isinstance(head, nn.Module) or not isinstance(weight, Tensor) or weight.ndim != 2:
        raise TypeError(
            "head must be a module with a weight (classes, features) such as nn.Linear, "
            f"but it is a {type(head).__name__}"
        )
    return weight.shape[0], weight.shape[1]


def head_parameters(head: nn.Module) -> tuple[Tensor, Tensor | None]:
    """W ``(K, D)`` and b ``(K,)`` or None, without gradients, in float32 at least."""
    check_head(head)
    bias = getattr(head, "bias", None)
    return _plain(head.weight), _plain(bias) if isinstance(bias, Tensor) else None


def is_linear(head: nn.Module) -> bool:
    """Whether it computes W h + b, as a cosine classifier derived from nn.Linear does not."""
    return type(head).forward is nn.Linear.forward or (
        isinstance(head, SimplexETFHead) and not head.normalize
    )


def measurement_of_head(
    summary: ClassSummary,
    names: Sequence[str],
    head: nn.Module | None,
    samples: SampleSummary | None = None,
) -> Measurement:
    """Of the named metrics; those of b are defined for a linear head only."""
    weight, bias = (None, None) if head is None else head_parameters(head)
    refused: dict[str, str] = {}
    if head is not None and not is_linear(head):
        reason = f"the head, a {type(head).__name__}, does not compute W h + b"
        refused = {name: reason for name in names if METRICS[name].needs == "bias"}
    kept = [name for name in names if name not in refused]
    measured = Measurement.of(summary, samples, preset=kept, weight=weight, bias=bias)
    return replace(measured, undefined={**measured.undefined, **refused})


def _plain(parameter: Tensor | nn.Module) -> Tensor:
    value = torch.as_tensor(parameter).detach()
    return value if value.dtype in (torch.float32, torch.float64) else value.float()


def named_module(model: nn.Module, name: str, argument: str) -> nn.Module:
    """The submodule of this name; ``ValueError`` lists some that exist."""
    modules = dict(model.named_modules())
    if name not in modules or name == "":
        known = [known for known in modules if known]
        shown = ", ".join(known[-8:]) or "none"
        raise ValueError(
            f"{argument} names the module {name!r}, which the model does not have; "
            f"its last modules are: {shown}"
        )
    return modules[name]


def module_name(model: nn.Module, module: nn.Module) -> str:
    """The name of a submodule; ``ValueError`` if the model does not hold it."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"head must be a module or its name, but it is a {type(module).__name__}")
    for name, candidate in model.named_modules():
        if candidate is module:
            return name
    raise ValueError(f"head is a {type(module).__name__} that is not part of the model")
