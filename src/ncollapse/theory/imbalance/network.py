"""What the depth law needs of data: margins of classes, and a network that attains its bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ncollapse._checks import check_labels, check_matrix
from ncollapse.geometry import centring_matrix
from ncollapse.least_distance import least_distance
from ncollapse.theory.margins import max_margin


@dataclass(frozen=True, eq=False)
class CollapsedNetwork:
    """An explicit ReLU network with one neuron a class and layer.

    ``weights`` of the layers, first layer first, ``(out, in)`` each; ``objective`` its mean
    cross-entropy plus Σ_l λ_l/2 ‖W_l‖², ``bound`` ≥ objective the value of the depth law with input
    norms 1/‖β_k‖. A minimum of such networks, or wider ones, is at most ``objective``.
    """

    weights: tuple[np.ndarray, ...]
    objective: float
    bound: float


def class_margins(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """γ_k = max over ‖u‖ = 1 of the least ⟨x_i, u⟩ of class k alone, ``(K,)``.

    ValueError names a class without such a direction.
    """
    inputs, labels, count = _checked(inputs, labels)
    margins = []
    for k in range(count):
        try:
            margins.append(max_margin(inputs[labels == k])[1])
        except ValueError as error:
            raise ValueError(f"class {k}: {error}") from error
    return np.array(margins)


def class_directions(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """β_k ``(K, d)``: the shortest with ⟨x_i, β_k⟩ ≥ 1 on class k and ≤ 0 off it.

    ValueError names a class that has none.
    """
    inputs, labels, count = _checked(inputs, labels)
    size = float(np.abs(inputs).max())
    directions = []
    for k in range(count):
        own = (labels == k).astype(float)
        rows = inputs / size * np.where(own > 0, 1.0, -1.0)[:, None]
        point = least_distance(rows, own).point
        if point is None:
            raise ValueError(
                f"class {k}: no direction is at least 1 on its inputs and at most 0 on all others"
            )
        directions.append(point / size)
    return np.array(directions)


def collapsed_network(
    directions: np.ndarray,
    margins: np.ndarray,
    decays: np.ndarray,
    inputs: np.ndarray,
    labels: np.ndarray,
) -> CollapsedNetwork:
    """One path a class: β_k/‖β_k‖ in, e_k − 1/K out, the norms balanced over the layers.

    Class k's inputs get a margin of at least m_k = ``margins[k]``, for
    Σ_l λ_l/2 a_kl² = (λ̄L/2)(‖β_k‖ζ_k)^{2/L}, ζ_k = m_k√((K−1)/K), λ̄ the geometric mean.
    """
    inputs, labels, count = _checked(inputs, labels)
    depth, mean = len(decays), float(np.exp(np.mean(np.log(decays))))
    norms = np.linalg.norm(directions, axis=1)
    lengths = np.asarray(margins) * math.sqrt((count - 1) / count)
    gains = (norms * lengths) ** (1.0 / depth)
    layers = [gains * math.sqrt(mean / decay) for decay in decays]
    frame = centring_matrix(count) * math.sqrt(count / (count - 1))
    weights = [layers[0][:, None] * directions / norms[:, None]]
    weights += [np.diag(layer) for layer in layers[1:-1]]
    weights.append(frame * layers[-1])
    hidden = inputs
    for weight in weights[:-1]:
        hidden = np.maximum(hidden @ weight.T, 0.0)
    logits = hidden @ weights[-1].T
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
    penalty = 0.5 * sum(d * np.sum(w**2) for d, w in zip(decays, weights, strict=True))
    shares = np.bincount(labels) / len(labels)
    bound = shares @ np.log1p((count - 1) * np.exp(-np.asarray(margins)))
    bound += 0.5 * depth * mean * np.sum((norms * lengths) ** (2.0 / depth))
    return CollapsedNetwork(tuple(weights), float(np.mean(losses) + penalty), float(bound))


def _checked(inputs: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    inputs = np.asarray(check_matrix("inputs", np.asarray(inputs)), dtype=float)
    labels = np.asarray(check_labels("labels", np.asarray(labels), len(inputs)))
    count = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=count) if labels.min() >= 0 else np.zeros(1)
    if count < 2 or np.any(sizes == 0):
        raise ValueError(
            f"labels must be the numbers 0 … K−1 of at least 2 classes, each with a sample, "
            f"but they go from {labels.min()} to {labels.max()}"
        )
    return inputs, labels, count
