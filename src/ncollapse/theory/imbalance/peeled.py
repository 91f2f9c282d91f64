"""Solver of (P): quasi-Newton steps on factors, stopped by a proven gap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from ncollapse.theory.imbalance.optimum import CUTS, Optimum, prove
from ncollapse.theory.imbalance.problem import Problem

CHECK_EVERY = 10
"""Steps between two proofs of the gap: a proof costs as much as several steps."""
LARGE = 200
"""From so many groups on a proof tries the first cut alone, and steps remember half as many pairs:
decompositions and pairs cost as much as the products."""
NOISE = (1e-2, 1e-3, 1e-4, 1e-6)
"""Singular values below these shares of the largest scale may be what descent left of zeros."""


def solve(problem: Problem, *, tolerance: float = 1e-7) -> Optimum:
    """Minimise (P), stopping when the proven relative gap is at most ``tolerance``.

    Z diag(s) = UV with ‖·‖_* = min ½(‖U‖² + ‖V‖²): L-BFGS on the factors, from the labels times the
    best scale (SELI for cross-entropy). A minimum of the factors need not be global; the gap says.
    """
    factors = _Factors(problem)
    pairs, cuts = (20, CUTS) if factors.rank < LARGE else (10, CUTS[:1])
    flat = factors.start()
    steps, bound = 0, -np.inf

    def check(intermediate_result: OptimizeResult) -> None:
        nonlocal steps, bound, flat
        steps, flat = steps + 1, intermediate_result.x
        if steps % CHECK_EVERY == 0:
            core, inner, bias = _without_noise(problem, *factors.point(flat))
            found = prove(problem, core, inner, bias, cuts)
            bound = max(bound, found.bound)
            if found.risk - bound <= tolerance * found.risk:
                raise StopIteration

    best = prove(problem, *factors.point(flat))
    if best.gap <= tolerance:
        return best
    options = {"maxcor": pairs, "maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 0.0}
    minimize(factors.objective, flat, jac=True, method="L-BFGS-B", callback=check, options=options)
    best = prove(problem, *_without_noise(problem, *factors.point(flat)), cuts)
    return replace(best, bound=max(best.bound, bound))


def _without_noise(
    problem: Problem, core: np.ndarray, inner: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small singular values of Z diag(s) set to zero, as many as do not raise the risk."""
    u, values, vt = np.linalg.svd(core * problem.scales, full_matrices=False)
    risk = problem.data(core, inner, bias)[0] + problem.penalty * values.sum()
    for level in NOISE:
        kept = np.where(values > level * problem.scales.max(), values, 0.0)
        cleaned = (u * kept) @ vt / problem.scales
        if problem.data(cleaned, inner, bias)[0] + problem.penalty * kept.sum() <= risk:
            return cleaned, inner, bias
    return core, inner, bias


class _Factors:
    """The flat vector of U, V, the roots of the inner parts that are not zero, and the bias."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.shape = problem.targets.shape[0] - problem.by_class, problem.targets.shape[1]
        self.rank = min(self.shape)
        # The inner part of a group is zero iff c τ ≤ λs, τ its label less another's, whatever
        # the rest does.
        apart = problem.targets[-1] - problem.targets[0] if problem.by_class else np.zeros(0)
        self.inner = np.flatnonzero(
            (problem.columns.sizes > 1)
            & (problem.weights * apart > problem.penalty * problem.scales)
            if problem.by_class
            else apart
        )
        sizes = [self.shape[0] * self.rank, self.rank * self.shape[1], len(self.inner)]
        sizes.append(self.shape[0] if problem.bias is not False else 0)
        self.cuts = np.cumsum(sizes)

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        left, right, inner, bias = np.split(flat, self.cuts[:-1])
        return [left.reshape(-1, self.rank), right.reshape(self.rank, -1), inner, bias]

    def point(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        left, right, roots, bias = self.split(flat)
        core = left @ right / self.problem.scales
        inner = np.zeros(self.shape[1] if self.problem.by_class else 0)
        inner[self.inner] = roots**2 / self.problem.scales[self.inner]
        return core, inner, bias if bias.size else np.zeros(self.shape[0])

    def objective(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        problem, penalty = self.problem, self.problem.penalty
        left, right, roots, _ = self.split(flat)
        core, inner, bias = self.point(flat)
        value, slope = problem.data(core, inner, bias)
        d_core, d_inner = problem.gather(slope)
        scaled = d_core * (problem.weights / problem.scales)
        copies = (problem.columns.sizes - 1)[self.inner]
        strength = (problem.weights / problem.scales)[self.inner] * d_inner[self.inner]
        pull = d_core @ (problem.weights * problem.columns.roots)
        parts = [
            (scaled @ right.T + penalty * left).ravel(),
            (left.T @ scaled + penalty * right).ravel(),
            2.0 * copies * roots * (strength + penalty),
            pull + problem.decay_of_bias * bias if problem.bias is not False else np.zeros(0),
        ]
        value += 0.5 * penalty * (np.sum(left**2) + np.sum(right**2))
        value += penalty * np.sum(copies * roots**2) + 0.5 * problem.decay_of_bias * bias @ bias
        return float(value), np.concatenate(parts)

    def start(self) -> np.ndarray:
        """The labels (centred for cross-entropy) times the best of a few scales, no bias."""
        problem = self.problem
        core, inner = problem.gather(problem.targets)
        if problem.loss == "cross_entropy":
            core = problem.rows.centring() @ core
        mask = np.isin(np.arange(len(inner)), self.inner)
        u, values, vt = np.linalg.svd(core * problem.scales, full_matrices=False)
        nothing = np.zeros(self.shape[0])

        def risk(scale: float) -> float:
            data = problem.data(scale * core, scale * inner * mask, nothing)[0]
            norm = values.sum() + problem.inner_norm(inner * mask)
            return data + scale * problem.penalty * norm

        scale = min(np.geomspace(0.03, 40.0, 30), key=risk)
        root = np.sqrt(scale * values)
        bias = np.zeros(self.cuts[3] - self.cuts[2])
        roots = np.sqrt(scale * inner * problem.scales)[self.inner] if inner.size else inner
        return np.concatenate([(u * root).ravel(), (root[:, None] * vt).ravel(), roots, bias])
