"""The depth law: weight decay on every layer, without normalisation.

A conjecture that measures well, except where its parts are proven: see docs/imbalance.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, root_scalar

from ncollapse._checks import check_positive
from ncollapse.theory.imbalance._groups import GroupMatrix
from ncollapse.theory.imbalance.geometry import Geometry, decoupled
from ncollapse.theory.imbalance.peeled import solve
from ncollapse.theory.imbalance.problem import Problem

GRID = np.geomspace(1e-4, 300.0, 400)
SMOOTHING = (0.1, 1e-2, 1e-3, 1e-5, 1e-8)


def layer_decays(weight_decay: float | Sequence[float], depth: int) -> np.ndarray:
    """λ_l of each of the L layers, first layer first; one number stands for all."""
    if depth < 2:
        raise ValueError(f"depth must be at least 2 layers, but it is {depth}")
    decays = np.atleast_1d(np.asarray(weight_decay, dtype=float))
    if decays.shape not in ((1,), (depth,)):
        raise ValueError(
            f"weight_decay must be one number or one for each of {depth} layers, "
            f"but its shape is {decays.shape}"
        )
    for decay in decays:
        check_positive("weight_decay", decay)
    return np.broadcast_to(decays, depth)


def decoupled_depth(problem: Problem, decays: np.ndarray) -> Geometry:
    """ReLU networks: one path a class, each alone.

    Class k minimises c_k ℓ(m) + (λ̄L/2)(s_k ζ)^{2/L} over m ≥ 0, ζ = m√((K−1)/K), with s_k = 1/r_k,
    r_k the norm of the class's input, λ̄ the geometric mean of the decays (AM–GM over the layers of
    one path). z_k = m_k(e_k − 1/K); ‖w_k‖² = (λ̄/λ_L)(s_k ζ_k)^{2/L} and ‖μ_k‖ = ζ_k/‖w_k‖.
    Squared loss (no smoothing): z_k = ζ_k e_k.
    """
    groups, scales, depth = problem.columns, problem.scales, len(decays)
    mean = float(np.exp(np.mean(np.log(decays))))
    centred = problem.loss == "cross_entropy"
    stretch = math.sqrt((groups.count - 1) / groups.count) if centred else 1.0
    apart = problem.targets[-1] - problem.targets[0]
    optima = [
        _class_margin(
            problem.loss, groups.count, weight, tau, mean * depth / 2, stretch * scale, depth
        )
        for weight, tau, scale in zip(problem.weights, apart, scales, strict=True)
    ]
    lengths = stretch * np.array([margin for margin, _ in optima])
    squares = mean / decays[-1] * (lengths * scales) ** (2.0 / depth)
    means = np.divide(lengths**2, squares, out=np.zeros_like(lengths), where=squares > 0)
    return decoupled(
        lengths,
        squares,
        means,
        groups,
        centred=centred,
        risk=float(groups.sizes @ [value for _, value in optima]),
        gap=None,
    )


def _class_margin(
    loss: str, count: int, weight: float, tau: float, strength: float, scale: float, depth: int
) -> tuple[float, float]:
    """Global minimum over m ≥ 0 of one class, and its value: the best cell of a grid, or zero."""
    power = 2.0 / depth

    def data(m: np.ndarray | float) -> np.ndarray | float:
        if loss == "squared":
            return 0.5 * (m - 1.0) ** 2
        return np.log1p((count - 1) * np.exp(-m)) + (1.0 - tau) * m * (count - 1) / count

    def value(m: np.ndarray | float) -> np.ndarray | float:
        return weight * data(m) + strength * (scale * m) ** power

    def slope(m: float) -> float:
        if loss == "squared":
            rise = m - 1.0
        else:
            rise = (1.0 - tau) * (count - 1) / count - (count - 1) / (math.exp(m) + count - 1)
        return weight * rise + strength * power * scale**power * m ** (power - 1.0)

    best = int(np.argmin(value(GRID)))
    if 0 < best < len(GRID) - 1 and slope(GRID[best - 1]) < 0.0 < slope(GRID[best + 1]):
        margin = float(
            root_scalar(slope, bracket=(GRID[best - 1], GRID[best + 1]), xtol=1e-14).root
        )
        if value(margin) < value(0.0):
            return margin, float(value(margin))
    return 0.0, float(value(0.0))


def signed_depth(problem: Problem, decays: np.ndarray) -> Geometry:
    """Linear last features: min Σ_k c_k ℓ(z_k) + (λ̄L/2)‖Z diag(1/r)‖_{S_p}^p, p = 2/L.

    With Z diag(1/r) = UΣVᵀ: WWᵀ = (λ̄/λ_L) UΣ^pUᵀ and
    M̄ᵀM̄ = (λ_L/λ̄) diag(r) VΣ^{2−p}Vᵀ diag(r). L = 2 is the convex program (P), solved with its gap;
    beyond the best of a few descents is taken, with no proof.
    """
    depth = len(decays)
    mean = float(np.exp(np.mean(np.log(decays))))
    power = 2.0 / depth
    convex = solve(problem, tolerance=1e-10)
    core, inner = convex.logits.core, convex.logits.inner
    risk, gap = convex.risk, max(convex.gap, 0.0) if depth == 2 else None
    if depth > 2:
        starts = [(core, inner), problem.gather(problem.targets)]
        optima = [_descend(problem, mean * depth / 2, power, *start) for start in starts]
        risk, core, inner = min(optima, key=lambda item: item[0])
    u, values, vt = np.linalg.svd(core * problem.scales, full_matrices=False)
    scaled = np.abs(inner) * problem.scales
    groups, ratio = problem.columns, mean / decays[-1]
    share = np.outer(problem.scales, problem.scales)
    return Geometry(
        logits=problem.matrix(core, inner),
        weight_gram=GroupMatrix(
            ratio * (u * values**power) @ u.T, ratio * scaled**power, groups, groups
        ),
        means_gram=GroupMatrix(
            (vt.T * values ** (2.0 - power)) @ vt / (ratio * share),
            scaled ** (2.0 - power) / (ratio * problem.scales**2),
            groups,
            groups,
        ),
        bias=np.zeros(len(core)),
        risk=risk,
        gap=gap,
    )


def _descend(
    problem: Problem, strength: float, power: float, core: np.ndarray, inner: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """L-BFGS on Z with (σ² + ε²)^{p/2}, ε falling; what ends near zero is set to zero."""
    shape, scales = core.shape, problem.scales
    copies = problem.columns.sizes - 1
    unit = max(float(np.linalg.norm(core * scales, 2)), float(np.abs(inner * scales).max()))

    def objective(flat: np.ndarray, smoothing: float) -> tuple[float, np.ndarray]:
        scaled, within = flat[: core.size].reshape(shape), flat[core.size :]
        value, slope = problem.data(scaled / scales, within / scales, np.zeros(shape[0]))
        d_core, d_inner = problem.gather(slope)
        u, values, vt = np.linalg.svd(scaled)
        squares, insides = values**2 + smoothing**2, within**2 + smoothing**2
        value += strength * (np.sum(squares ** (power / 2)) + copies @ insides ** (power / 2))
        pull = strength * power * values * squares ** (power / 2 - 1)
        pull_inner = strength * power * within * insides ** (power / 2 - 1)
        strengths = problem.weights / scales
        return float(value), np.concatenate(
            [
                (d_core * strengths + (u * pull) @ vt).ravel(),
                copies * (d_inner * strengths + pull_inner),
            ]
        )

    flat = np.concatenate([(core * scales).ravel(), inner * scales])
    for smoothing in SMOOTHING:
        flat = minimize(
            objective,
            flat,
            args=(smoothing * unit,),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 3000, "maxfun": 6000, "ftol": 0.0, "gtol": 1e-11},
        ).x
    u, values, vt = np.linalg.svd(flat[: core.size].reshape(shape))
    values = np.where(values > 1e-4 * unit, values, 0.0)
    inner = np.where(flat[core.size :] > 1e-4 * unit, flat[core.size :], 0.0) / scales
    core = (u * values) @ vt / scales
    data = problem.data(core, inner, np.zeros(shape[0]))[0]
    penalty = np.sum(values**power) + copies @ (inner * scales) ** power
    return data + strength * float(penalty), core, inner
