"""Classifier heads: finding one in a model, reading its weights, and a fixed simplex ETF."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ncollapse._checks import check_positive
from ncollapse.geometry import simplex_etf


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
    for name, candidate in model.named_modules():
        if candidate is module:
            return name
    raise ValueError(f"head is a {type(module).__name__} that is not part of the model")


def last_head(model: nn.Module) -> str:
    """The name of the classifier that was registered last."""
    names = [name for name, module in model.named_modules() if is_head(module)]
    if not names:
        raise ValueError(
            f"head was not given and {type(model).__name__} has no nn.Linear: "
            "pass the classifier or its name as head"
        )
    return names[-1]
