"""Squared loss with unconstrained features: soft-thresholded singular values."""

from __future__ import annotations

import numpy as np

from ncollapse.theory.imbalance.optimum import Optimum, prove
from ncollapse.theory.imbalance.problem import Problem


def has_closed_form(problem: Problem) -> bool:
    """Squared loss with all samples of one weight, and the bias free or none."""
    shares = problem.weights / problem.scales**2
    return (
        problem.loss == "squared"
        and isinstance(problem.bias, bool)
        and bool(np.allclose(shares, shares[0], rtol=1e-14, atol=0.0))
    )


def squared(problem: Problem) -> Optimum:
    """Z diag(s) = the singular values of T diag(s) soft-thresholded at λ s²/c, s²/c = N.

    Without a bias and smoothing Z = diag((1 − Nλ/√n_k)₊), so a class dies iff √n_k ≤ Nλ. A free
    bias first projects the rows off s: those of (I − n1ᵀ/N)Δ^½ for T = I.
    """
    level = problem.penalty * problem.scales[0] ** 2 / problem.weights[0]
    core, inner = problem.gather(problem.targets)
    scaled = core * problem.scales
    direction = problem.scales * problem.columns.roots
    if problem.bias:
        scaled = scaled - np.outer(scaled @ direction, direction) / (direction @ direction)
    u, values, vt = np.linalg.svd(scaled, full_matrices=False)
    kept = (u * np.maximum(0.0, values - level)) @ vt / problem.scales
    if inner.size:
        inner = np.maximum(0.0, inner - level / problem.scales)
    share = problem.weights * problem.columns.roots
    bias = np.zeros(len(core))
    if problem.bias:
        bias = (core - kept) @ share / (share @ problem.columns.roots)
    return prove(problem, kept, inner, bias)
