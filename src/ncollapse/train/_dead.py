"""Neurons that are off on samples of the class that they speak for, and how many to expect."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncollapse._checks import check_positive


def dead_share(preactivations: np.ndarray, weight: np.ndarray, labels: np.ndarray) -> float:
    """Share of pairs of a sample and a helpful neuron that is off on it: z_ij ≤ 0.

    Neuron j is helpful to the class k with the largest weight_kj. Such a pair sends the sample no
    gradient through a neuron that could raise its logit. 0 where no neuron helps any class that
    has samples, which K classes of N ≥ K samples exclude.

    Parameters
    ----------
    preactivations, weight, labels
        ``(N, D)``, ``(K, D)`` and class indices ``(N,)``.
    """
    helps = labels[:, None] == np.argmax(weight, axis=0)
    return float(np.mean(preactivations[helps] <= 0)) if helps.any() else 0.0


def predicted_dead_share(mean_norm: Any, sigma: Any, num_samples: Any, dim: Any) -> np.ndarray:
    """Φ(−‖μ‖² √(N/2) / (σ² √d)): dead share of two classes x = ±μ + σz, z ~ N(0, I_d).

    Take a start so small that the first step decides, w = Σ_A s_i x_i with s_i = ±1 the sign of
    sample i for the neuron and A the samples that it starts active on, about N/2, independent of
    the signs. On a sample x outside A of the class that it helps,

        ⟨w, x⟩ ≈ |A| ‖μ‖² + σ² √(|A| d) · g,    g ~ N(0, 1),

    which is below zero with probability Φ(−‖μ‖² √|A| / (σ² √d)).

    What is proven: this is the share of helpful pairs that start off and are off after one step
    from a vanishing start, as N, d → ∞, where σ√d ≫ ‖μ‖√(N/2); `first_step_dead_share` has what
    is left out here, and pairs that start on. That it is near the share of *all* pairs at the end
    of training is an observation and holds at some initial scales only (docs/train.md).

    Arguments may be arrays that broadcast. Raises ``ValueError`` for one that is not positive.
    """
    mean_norm, sigma, num_samples, dim = _positive(mean_norm, sigma, num_samples, dim)
    return below(mean_norm**2 * np.sqrt(num_samples / 2.0) / (sigma**2 * np.sqrt(dim)))


def first_step_dead_share(
    mean_norm: Any, sigma: Any, num_samples: Any, dim: Any, *, started_on: bool = False
) -> np.ndarray:
    """Share of helpful pairs that are off after the first step, of those that start off (or on).

    As `predicted_dead_share` with every term of ⟨w, x⟩ kept: for m = N/2 active samples its mean
    is m‖μ‖², and σ²d + ‖μ‖² more where x is one of them; its variance is
    m σ⁴d + m σ²‖μ‖² + m² σ²‖μ‖². Proven as a limit N, d → ∞ at fixed d/N and ‖μ‖.
    """
    mean_norm, sigma, num_samples, dim = _positive(mean_norm, sigma, num_samples, dim)
    active = num_samples / 2.0
    noise, signal = sigma**4 * dim, sigma**2 * mean_norm**2
    mean = active * mean_norm**2 + (sigma**2 * dim + mean_norm**2 if started_on else 0.0)
    return below(mean / np.sqrt(active * noise + active * signal + active**2 * signal))


def signal_and_noise(gram: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """‖μ‖² and σ²√d of two classes ±μ + σz, estimated without bias from inner products.

    With M_ij = s_i s_j G_ij off the diagonal, E M = ‖μ‖² and Var M = σ⁴d + 2σ²‖μ‖²; the last term is
    that of the means over rows. Not positive where the data show no signal, or no noise.
    """
    signs = np.where(labels == 0, 1.0, -1.0)
    signed = signs[:, None] * gram * signs
    count = len(labels)
    off = ~np.eye(count, dtype=bool)
    mean = float(signed[off].mean())
    rows = (signed.sum(axis=1) - np.diag(signed)) / (count - 1)
    residual = signed - rows[:, None] - rows + mean
    return mean, float(np.sqrt(np.mean(residual[off] ** 2)))


def _positive(*values: Any) -> list[np.ndarray]:
    names = ("mean_norm", "sigma", "num_samples", "dim")
    for name, value in zip(names, values, strict=True):
        check_positive(name, np.min(value))
    return [np.asarray(value, dtype=np.float64) for value in values]


def below(distance: Any) -> np.ndarray:
    """Φ(−distance)."""
    from scipy.special import ndtr

    return ndtr(-distance)
