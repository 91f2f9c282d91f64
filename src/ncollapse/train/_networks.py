"""Networks of the papers, each with a last layer ``head`` that is linear.

They start from a seed of their own, whatever PyTorch's random state, and take flat rows of pixels,
channel after channel, as well as images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

RESNET18 = (64, 128, 256, 512)
"""Channels of the four stages, two blocks each (He et al., 2016, with the stem of CIFAR)."""
VGG13 = (64, 128, 256, 512, 512)
"""Channels of the five stages, two convolutions each (Simonyan and Zisserman, 2014, table 1 B)."""
FEATURES = ("relu", "linear")


class Mlp(nn.Module):
    """Linear layers with ReLU between them; `mlp` makes it."""

    def __init__(
        self,
        sizes: Sequence[int],
        features: str,
        bias: bool,
        batch_norm: bool | str,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = len(sizes) - 3
        for index, (into, out) in enumerate(pairwise(sizes[:-1])):
            layers.append(nn.Linear(into, out, bias=bias, dtype=dtype))
            if batch_norm is True or (batch_norm == "last" and index == last):
                layers.append(nn.BatchNorm1d(out, dtype=dtype))
            if index < last or features == "relu":
                layers.append(nn.ReLU())
        self.name = "mlp"
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-2], sizes[-1], bias=bias, dtype=dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs.flatten(1)))


class Convolutional(nn.Module):
    """A body of convolutions on square images, the mean over places, and a linear head."""

    def __init__(
        self, name: str, body: list[nn.Module], shape: tuple[int, int, int], head: nn.Linear
    ) -> None:
        super().__init__()
        self.name, self.shape = name, shape
        self.body = nn.Sequential(*body)
        self.head = head

    def forward(self, inputs: Tensor) -> Tensor:
        size = math.prod(self.shape)
        if inputs[0].numel() != size:
            raise ValueError(
                f"inputs must be images of shape {self.shape}, or rows of {size} numbers, but one "
                f"has the shape {tuple(inputs.shape[1:])}"
            )
        return self.head(self.body(inputs.reshape(-1, *self.shape)).mean(dim=(2, 3)))


class Residual(nn.Module):
    """σ(BN conv σ(BN conv x) + x), the shortcut a 1 × 1 convolution where the shape changes."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(into, out, True, stride=stride),
            nn.ReLU(),
            *_convolution(out, out, True),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or into != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(into, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.body(inputs) + self.shortcut(inputs))


def mlp(
    dim: int,
    classes: int,
    *,
    depth: int = 3,
    width: int = 64,
    features: Literal["relu", "linear"] = "relu",
    bias: bool = False,
    batch_norm: bool | Literal["last"] = False,
    seed: int = 0,
    dtype: torch.dtype | None = None,
) -> Mlp:
    """z = W_L σ(W_{L−1} … σ(W_1 x)): L = ``depth`` weight layers, ReLU or linear last features.

    ``batch_norm``: after each hidden layer, or the last one only, before its activation. Weights
    are N(0, 2/fan-in), drawn in double precision, biases zero.

    Raises ``ValueError`` for sizes below 1, ``depth`` below 2, features of another kind.
    """
    _check_sizes(dim=dim, classes=classes, width=width)
    if depth < 2:
        raise ValueError(f"depth must be at least 2, but it is {depth}")
    if features not in FEATURES:
        raise ValueError(f"features must be one of {', '.join(FEATURES)}, but it is {features!r}")
    network = Mlp([dim, *[width] * (depth - 1), classes], features, bias, batch_norm, dtype)
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            drawn = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(drawn * math.sqrt(2.0 / layer.in_features))
                if layer.bias is not None:
                    layer.bias.zero_()
    return network


def convolutional(
    classes: int,
    *,
    widths: Sequence[int] = (16, 32),
    channels: int = 1,
    pixels: int = 28,
    batch_norm: bool = False,
    bias: bool = True,
    seed: int = 0,
) -> Convolutional:
    """3 × 3 convolution, ReLU and 2 × 2 maximum for each of ``widths``, mean over places, head.

    ``batch_norm`` comes before each ReLU. Raises ``ValueError`` for sizes below 1.
    """
    _check_sizes(classes=classes, channels=channels, pixels=pixels, widths=min(widths, default=0))
    with _seeded(seed):
        layers: list[nn.Module] = []
        for into, out in pairwise([channels, *widths]):
            layers += [*_convolution(into, out, batch_norm), nn.ReLU(), _halving()]
        head = nn.Linear(widths[-1], classes, bias=bias)
        return Convolutional("convolutional", layers, (channels, pixels, pixels), head)


def resnet18(
    classes: int,
    *,
    width_multiplier: float = 1.0,
    channels: int = 3,
    pixels: int = 32,
    bias: bool = True,
    seed: int = 0,
) -> Convolutional:
    """ResNet18 for small images: a 3 × 3 stem without pooling, stages of `RESNET18` channels.

    ``width_multiplier`` scales all channels, at least one each. Raises ``ValueError`` for sizes
    below 1.
    """
    _check_sizes(classes=classes, channels=channels, pixels=pixels)
    widths = _scaled(RESNET18, width_multiplier)
    with _seeded(seed):
        layers: list[nn.Module] = [*_convolution(channels, widths[0], True), nn.ReLU()]
        for index, (into, out) in enumerate(pairwise([widths[0], *widths])):
            layers += [Residual(into, out, 2 if index else 1), Residual(out, out, 1)]
        head = nn.Linear(widths[-1], classes, bias=bias)
        return Convolutional("resnet18", layers, (channels, pixels, pixels), head)


def vgg13(
    classes: int,
    *,
    width_multiplier: float = 1.0,
    channels: int = 3,
    pixels: int = 32,
    batch_norm: bool = True,
    bias: bool = True,
    seed: int = 0,
) -> Convolutional:
    """VGG13 for small images: stages of `VGG13` channels, each halved at its end, one linear layer.

    Halving rounds up, so that 28 pixels end as 32 do, in one place. Arguments as `resnet18`.
    """
    _check_sizes(classes=classes, channels=channels, pixels=pixels)
    widths = _scaled(VGG13, width_multiplier)
    with _seeded(seed):
        layers: list[nn.Module] = []
        for into, out in pairwise([channels, *widths]):
            for first in (into, out):
                layers += [*_convolution(first, out, batch_norm), nn.ReLU()]
            layers.append(_halving())
        head = nn.Linear(widths[-1], classes, bias=bias)
        return Convolutional("vgg13", layers, (channels, pixels, pixels), head)


def _convolution(into: int, out: int, batch_norm: bool, *, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(into, out, 3, stride=stride, padding=1, bias=not batch_norm)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(out)] if batch_norm else [convolution]


def _halving() -> nn.MaxPool2d:
    return nn.MaxPool2d(2, ceil_mode=True)


def _scaled(widths: Sequence[int], multiplier: float) -> list[int]:
    if not 0.0 < multiplier < math.inf:
        raise ValueError(f"width_multiplier must be positive and finite, but it is {multiplier!r}")
    return [max(1, round(width * multiplier)) for width in widths]


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, but it is {size}")


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random numbers of ``seed`` inside, and the old state of PyTorch's afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
