"""Linear layers above the features, squared loss: a Schatten quasi-norm, and its jump."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import root_scalar

from ncollapse._checks import check_positive
from ncollapse.theory.imbalance.arguments import Counts, check_counts


def jump(strength: float, power: float) -> tuple[float, float]:
    """(y′, σ′): argmin over σ ≥ 0 of ½(σ − y)² + μσ^p is 0 for y < y′ and at least σ′ above.

    σ′ = (2μ(1−p))^{1/(2−p)}, y′ = σ′(2−p)/(2(1−p)); both are μ and 0 at p = 1.
    """
    if power == 1.0:
        return strength, 0.0
    least = (2.0 * strength * (1.0 - power)) ** (1.0 / (2.0 - power))
    return least * (2.0 - power) / (2.0 * (1.0 - power)), least


def shrink(value: float, strength: float, power: float) -> float:
    """argmin over σ ≥ 0 of ½(σ − y)² + μσ^p, 0 < p ≤ 1."""
    threshold, least = jump(strength, power)
    if value <= threshold:
        return 0.0
    if power == 1.0:
        return value - strength
    solution = root_scalar(
        lambda s: s - value + strength * power * s ** (power - 1.0),
        bracket=(least, value),
        xtol=1e-15,
    )
    return float(solution.root)


def linear_layers(
    counts: Counts, *, layer_decays: Sequence[float], feature_decay: float
) -> np.ndarray:
    """Own logits z_kk ``(K,)`` of M linear layers above unconstrained features, squared loss, no bias.

    min (1/2N)Σ‖W_M ⋯ W_1 h_i − e_{y_i}‖² + Σ_m λ_m/2 ‖W_m‖² + λ_H/2 Σ‖h_i‖². With
    c = λ_H Π λ_m, p = 2/(M+1), μ = N c^{1/(M+1)}/p: z_kk = σ_k/√n_k,
    σ_k = argmin ½(σ − √n_k)² + μσ^p, all other logits 0. At M ≥ 2 a class jumps from 0 to
    a finite logit (`jump`).
    """
    numbers = check_counts(counts)
    decays = [check_positive("layer_decays", decay) for decay in layer_decays]
    decays.append(check_positive("feature_decay", feature_decay))
    power = 2.0 / len(decays)
    strength = numbers.sum() * np.exp(np.mean(np.log(decays))) / power
    roots = np.sqrt(numbers)
    return np.array([shrink(root, strength, power) / root for root in roots])
