"""Nonnegative last features: class means are orthogonal and the classes decouple."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ncollapse.theory.imbalance._losses import LOSSES
from ncollapse.theory.imbalance.geometry import Geometry, decoupled
from ncollapse.theory.imbalance.problem import Problem


def nonnegative(problem: Problem, *, weight_decay: float, feature_decay: float) -> Geometry:
    """Minimiser of the last layer over W and features H ≥ 0, no bias, in closed form.

    Cross-entropy, t_k = e_k smoothed to have own label less another's τ: with
    κ_k = λ (s_k/c_k) √(K/(K−1)), class k has z_k = m_k (e_k − 1/K),
    m_k = log((1 + (K−1)(τ − κ_k)) / (1 − τ + κ_k)), and dies (m_k = 0) iff κ_k ≥ τ. With c_k = n_k/N,
    s_k = √n_k and τ = 1 this is m_k = log((K−1)(1/q_k − 1)), q_k = Nλ√((K−1)/(K n_k)).
    Squared loss, no smoothing: z_k = (1 − λ s_k/c_k)₊ e_k.

    Proof: the columns r_k = (c_k/s_k)(p_k − t_k) have nonpositive inner products, so
    max over v ≥ 0, ‖v‖ = 1 of ‖Rv‖ is max_k ‖r_k‖ ≤ λ: they are feasible for the dual over H ≥ 0,
    with the value of the point. Generalises hong2025 Theorem 2 to any counts.
    """
    weights, scales, groups = problem.weights, problem.scales, problem.columns
    if problem.loss == "squared":
        lengths = np.maximum(0.0, 1.0 - problem.penalty * scales / weights)
    else:
        lengths = _margins(problem) * math.sqrt((groups.count - 1) / groups.count)
    ratio = math.sqrt(feature_decay / weight_decay)
    geometry = decoupled(
        lengths,
        ratio * lengths * scales,
        lengths / (ratio * scales),
        groups,
        centred=problem.loss == "cross_entropy",
        risk=0.0,
        gap=None,
    )
    data, slope = problem.data(
        geometry.logits.core, geometry.logits.inner, np.zeros(len(groups.sizes))
    )
    counted = weights * groups.sizes
    dual = np.sum(counted * LOSSES[problem.loss].dual(slope, problem.targets, problem.times))
    risk = data + problem.penalty * float(np.sum(groups.sizes * scales * lengths))
    return replace(geometry, risk=risk, gap=float(risk - dual) / risk)


def _margins(problem: Problem) -> np.ndarray:
    count = problem.columns.count
    apart = problem.targets[-1] - problem.targets[0]
    share = problem.penalty * problem.scales / problem.weights * math.sqrt(count / (count - 1))
    left = np.maximum(0.0, apart - share)
    return np.log1p((count - 1) * left) - np.log1p(-left)
