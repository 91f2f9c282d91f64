"""Multilayer perceptrons trained to a stationary point: Adam, then L-BFGS, in double precision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ncollapse import train
from ncollapse._extras import require
from ncollapse.train import Network


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
    network = train.mlp(
        inputs.shape[1],
        int(labels.max()) + 1,
        depth=depth,
        width=width,
        features="relu" if relu_features else "linear",
        batch_norm="last" if batch_norm else False,
        seed=seed,
        dtype=torch.float64,
    )
    head_alone = "head" if feature_decay is not None else "weights"
    recipe = replace(
        train.RECIPES["stationary"],
        weight_decay=weight_decay,
        decayed="head_and_batch_norm" if batch_norm else head_alone,
        feature_decay=feature_decay or 0.0,
        class_weights=None if class_weights is None else tuple(class_weights.tolist()),
        epochs=epochs,
    )
    return train.to_stationary(network, (inputs, labels), recipe, steps=steps)
