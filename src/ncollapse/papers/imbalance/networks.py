"""Small networks trained to a stationary point: Adam, then L-BFGS, in double precision."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse import train
from ncollapse._extras import require

if TYPE_CHECKING:
    from torch import Tensor

RATE = 3e-3
"""Step size of Adam, which falls to a tenth of it along a cosine."""


@dataclass(frozen=True, eq=False)
class Network(train.Network):
    """What training left; ``value`` counts the decay of what the theory counts.

    ``start`` is the value before training, ``module`` the network itself, with its parts body and
    head.
    """

    start: float
    module: Any = field(repr=False)


def nearly_orthogonal_classes(
    counts: tuple[int, ...], dim: int, spread: float, seed: int, *, cosine: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``(N, dim)`` around random unit vectors, and their labels.

    ``spread`` is the norm of the noise, so that a class is tight where it is small. With ``cosine``
    every two of the unit vectors have this one.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(counts), dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    if cosine is not None:
        frame = np.linalg.qr(centres.T)[0].T
        gram = np.full((len(counts), len(counts)), cosine) + (1.0 - cosine) * np.eye(len(counts))
        centres = np.linalg.cholesky(gram) @ frame
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = rng.standard_normal((len(labels), dim)) / math.sqrt(dim)
    return centres[labels] + spread * noise, labels


def build_network(
    shape: tuple[int, ...],
    classes: int,
    *,
    depth: int,
    width: int,
    seed: int,
    batch_norm: bool = False,
    relu_features: bool = True,
    hidden_biases: bool = False,
    bias: bool = False,
) -> Any:
    """``depth`` weight layers as a body and a linear head, in double precision.

    Layers of the body are fully connected for inputs of shape ``(d,)``; for images ``(c, h, w)`` they
    are 3 × 3 convolutions of stride 2, and the last features are averaged over positions. With
    ``batch_norm`` there is one before the last activation. Weights are N(0, 2/fan-in).
    """
    torch = require("torch")
    parts: list[Any] = []
    for index, (into, out) in enumerate(pairwise([shape[0], *[width] * (depth - 1)])):
        layer = (
            torch.nn.Linear(into, out, bias=hidden_biases)
            if len(shape) == 1
            else torch.nn.Conv2d(into, out, 3, stride=2, padding=1, bias=hidden_biases)
        )
        parts.append(layer)
        last = index == depth - 2
        if batch_norm and last:
            kind = torch.nn.BatchNorm1d if len(shape) == 1 else torch.nn.BatchNorm2d
            parts.append(kind(out))
        if relu_features or not last:
            parts.append(torch.nn.ReLU())
    if len(shape) > 1:
        parts += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    body = torch.nn.Sequential(*parts)
    head = torch.nn.Linear(width, classes, bias=bias)
    network = torch.nn.Sequential(OrderedDict(body=body, head=head)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in layer_weights(network):
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_(drawn * math.sqrt(2.0 / weight[0].numel()))
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return network


def layer_weights(network: Any) -> list[Tensor]:
    """Weight matrices and kernels, first layer first: not those of a batch norm."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def affine_parameters(network: Any) -> list[Tensor]:
    """γ and β of the batch norm; none without one."""
    torch = require("torch")
    norms = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
    return [p for part in network.modules() if isinstance(part, norms) for p in part.parameters()]


class Objective:
    """Mean loss (weighted by class, the sum over N) plus λ/2 times the squares of

    - every weight matrix, λ one number or one a layer, by default;
    - with batch norm the head by ``weight_decay`` and γ, β by ``affine_decay``;
    - with ``feature_decay`` λ_H the head, and λ_H/2 Σ‖h_i‖²;

    and hidden biases by ``bias_decay``. The loss is cross-entropy or ½‖z − e_y‖².
    """

    def __init__(
        self,
        network: Any,
        labels: np.ndarray,
        *,
        weight_decay: float | Sequence[float],
        affine_decay: float | None = None,
        feature_decay: float | None = None,
        bias_decay: float = 0.0,
        class_weights: np.ndarray | None = None,
        loss: str = "cross_entropy",
        label_smoothing: float = 0.0,
    ) -> None:
        self.torch = require("torch")
        self.network, self.kind, self.smoothing = network, loss, label_smoothing
        self.labels = self.torch.as_tensor(labels)
        self.weights = None if class_weights is None else self.torch.as_tensor(class_weights)
        self.feature_decay = feature_decay
        layers, affine = layer_weights(network), affine_parameters(network)
        decays = np.broadcast_to(np.asarray(weight_decay, dtype=float), len(layers)).tolist()
        self.decayed = list(zip(layers, decays, strict=True))
        if affine or feature_decay is not None:
            self.decayed = self.decayed[-1:]
        affine_level = decays[-1] if affine_decay is None else affine_decay
        self.decayed += [(part, affine_level) for part in affine]
        hidden = (p for name, p in network.body.named_parameters() if name.endswith("bias"))
        own = {id(part) for part in affine}
        self.decayed += [(part, bias_decay) for part in hidden if id(part) not in own]

    def loss(self, logits: Tensor, rows: Any = slice(None)) -> Tensor:
        """Mean over the samples ``rows``, of which these are the logits."""
        functional, labels = self.torch.nn.functional, self.labels[rows]
        if self.kind == "squared":
            targets = functional.one_hot(labels, logits.shape[1])
            return 0.5 * ((logits - targets) ** 2).sum() / len(labels)
        total = functional.cross_entropy(
            logits, labels, self.weights, reduction="sum", label_smoothing=self.smoothing
        )
        return total / len(labels)

    def decay(self) -> Any:
        """What the parameters cost."""
        return sum(level / 2 * (part**2).sum() for part, level in self.decayed)

    def value(self, inputs: Tensor, rows: Any = slice(None)) -> Tensor:
        """The objective over the samples ``rows``, of which these are the inputs."""
        features = self.network.body(inputs)
        value = self.loss(self.network.head(features), rows) + self.decay()
        if self.feature_decay is not None:
            value = value + self.feature_decay / 2 * (features**2).sum()
        return value

    def finish(self, inputs: Tensor, start: float) -> Network:
        """The network as it is now, over all samples with their own statistics."""
        value = self.value(inputs)
        slopes = self.torch.autograd.grad(value, list(self.network.parameters()))
        head = self.network.head
        with self.torch.no_grad():
            features = self.network.body(inputs)
            return Network(
                features=features.numpy(),
                weight=head.weight.numpy().copy(),
                value=float(value),
                loss=float(self.loss(head(features))),
                slope=max(float(slope.abs().max()) for slope in slopes),
                start=start,
                bias=None if head.bias is None else head.bias.numpy().copy(),
                module=self.network,
            )


def train_network(
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    depth: int,
    width: int,
    weight_decay: float | Sequence[float],
    seed: int,
    batch_norm: bool = False,
    relu_features: bool = True,
    feature_decay: float | None = None,
    class_weights: np.ndarray | None = None,
    hidden_biases: bool | float = False,
    bias: bool = False,
    affine_decay: float | None = None,
    loss: str = "cross_entropy",
    label_smoothing: float = 0.0,
    start: Sequence[np.ndarray] | None = None,
    epochs: int = 1_000,
    steps: int = 3_000,
) -> Network:
    """Train a network of `build_network` on all samples at once, on an `Objective`.

    ``epochs`` steps of Adam, then at most ``steps`` of L-BFGS, from the weights ``start`` of the
    layers where they are given. ``hidden_biases`` are free (True) or have this decay; the ``bias`` of
    the head is free. Needs PyTorch.
    """
    torch = require("torch")
    network = build_network(
        inputs.shape[1:],
        int(labels.max()) + 1,
        depth=depth,
        width=width,
        seed=seed,
        batch_norm=batch_norm,
        relu_features=relu_features,
        hidden_biases=hidden_biases is not False,
        bias=bias,
    )
    if start is not None:
        with torch.no_grad():
            for weight, given in zip(layer_weights(network), start, strict=True):
                weight.copy_(torch.as_tensor(given))
    objective = Objective(
        network,
        labels,
        weight_decay=weight_decay,
        affine_decay=affine_decay,
        feature_decay=feature_decay,
        bias_decay=float(hidden_biases) if not isinstance(hidden_biases, bool) else 0.0,
        class_weights=class_weights,
        loss=loss,
        label_smoothing=label_smoothing,
    )
    x = torch.as_tensor(inputs, dtype=torch.float64)
    with torch.no_grad():
        before = float(objective.value(x))

    def closure() -> Any:
        optimiser.zero_grad()
        value = objective.value(x)
        value.backward()
        return value

    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, max(epochs, 1), eta_min=RATE / 10
    )
    for _ in range(epochs):
        optimiser.step(closure)
        schedule.step()
    optimiser = torch.optim.LBFGS(
        network.parameters(),
        max_iter=steps,
        history_size=30,
        tolerance_grad=1e-9,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(closure)
    return objective.finish(x, before)
