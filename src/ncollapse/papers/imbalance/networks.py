"""Multilayer perceptrons trained to a stationary point: Adam, then L-BFGS, in double precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ncollapse._extras import require

RATE = 3e-3
"""Step size of Adam, which falls to a tenth of it along a cosine."""


@dataclass(frozen=True, eq=False)
class Network:
    """What training left: ``features (N, D)`` of the last layer, ``weight (K, D)`` of the head.

    ``value`` is the mean loss plus the decay of what the theory counts, ``loss`` the mean loss,
    ``slope`` the largest entry of the gradient of the objective.
    """

    features: np.ndarray
    weight: np.ndarray
    value: float
    loss: float
    slope: float

    @property
    def logits(self) -> np.ndarray:
        """``(N, K)``."""
        return self.features @ self.weight.T

    def margins(self, labels: np.ndarray) -> np.ndarray:
        """Own logit less the mean of the others, averaged over each class, ``(K,)``."""
        logits, count = self.logits, len(self.weight)
        own = logits[np.arange(len(labels)), labels]
        margins = own - (logits.sum(axis=1) - own) / (count - 1)
        return np.bincount(labels, margins) / np.bincount(labels)


def nearly_orthogonal_classes(
    counts: tuple[int, ...], dim: int, spread: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``(N, dim)`` around random unit vectors, and their labels.

    ``spread`` is the norm of the noise, so that a class is tight where it is small.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(counts), dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = rng.standard_normal((len(labels), dim)) / math.sqrt(dim)
    return centres[labels] + spread * noise, labels


def train_network(
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    depth: int,
    width: int,
    weight_decay: float,
    seed: int,
    batch_norm: bool = False,
    relu_features: bool = True,
    feature_decay: float | None = None,
    class_weights: np.ndarray | None = None,
    epochs: int = 1_000,
    steps: int = 3_000,
) -> Network:
    """Train ``depth`` weight layers without biases on all samples at once.

    Mean cross-entropy (weighted by class, the sum over N) plus λ/2 times the squares of

    - every weight matrix, by default;
    - with ``batch_norm`` the head and γ, β of a batch norm after the last hidden layer;
    - with ``feature_decay`` λ_H the head, and λ_H/2 Σ‖h_i‖².

    ``epochs`` steps of Adam, then at most ``steps`` of L-BFGS. Needs PyTorch.
    """
    torch = require("torch")
    generator = torch.Generator().manual_seed(seed)
    sizes = [inputs.shape[1], *[width] * (depth - 1), int(labels.max()) + 1]
    layers = [
        torch.randn(out, into, generator=generator, dtype=torch.float64) * math.sqrt(2.0 / into)
        for into, out in pairwise(sizes)
    ]
    affine = [torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)]
    parameters = [*layers, *affine] if batch_norm else layers
    for parameter in parameters:
        parameter.requires_grad_()
    x, y = torch.as_tensor(inputs, dtype=torch.float64), torch.as_tensor(labels)
    weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float64)

    def features() -> Any:
        hidden = x
        for layer in layers[:-2]:
            hidden = torch.relu(hidden @ layer.T)
        hidden = hidden @ layers[-2].T
        if batch_norm:
            hidden = torch.nn.functional.batch_norm(hidden, None, None, *affine, training=True)
        return torch.relu(hidden) if relu_features else hidden

    def objective() -> tuple[Any, Any]:
        hidden = features()
        logits = hidden @ layers[-1].T
        loss = torch.nn.functional.cross_entropy(logits, y, weights, reduction="sum") / len(labels)
        decayed = layers
        if batch_norm or feature_decay is not None:
            decayed = [layers[-1], *(affine if batch_norm else [])]
        value = loss + weight_decay / 2 * sum((part**2).sum() for part in decayed)
        if feature_decay is not None:
            value = value + feature_decay / 2 * (hidden**2).sum()
        return value, loss

    def closure() -> Any:
        optimiser.zero_grad()
        value = objective()[0]
        value.backward()
        return value

    optimiser = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs, eta_min=RATE / 10)
    for _ in range(epochs):
        optimiser.step(closure)
        schedule.step()
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=steps,
        history_size=30,
        tolerance_grad=1e-9,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(closure)
    closure()
    slope = max(float(parameter.grad.abs().max()) for parameter in parameters)
    with torch.no_grad():
        value, loss = objective()
        return Network(
            features().numpy(), layers[-1].numpy().copy(), float(value), float(loss), slope
        )
