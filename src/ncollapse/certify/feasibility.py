"""Solve: is there β with ⟨x_i, β⟩ = 1 on one class and ⟨x_j, β⟩ ≤ 0 off it? (hong2025 (2.12))

With Π the projection off the rows of the class and β₀ the shortest solution of its equalities,
every solution is β₀ + Πz, and what is left, BΠz ≤ −Bβ₀, is a least-distance problem: one
nonnegative least-squares solve in the multipliers y of the other samples. Its residual is zero
exactly when there is no solution, and then y and u = −(AAᵀ)⁻¹ABᵀy are Farkas multipliers.

Only inner products are needed, Π is never formed, and only the samples outside the class that can
matter enter: a working set, started with those that β₀ violates most and extended by those that
the current β violates. Nothing here is trusted: `ncollapse.certify.verify` checks every answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.linalg import solve_triangular

from ncollapse.certify._factor import pivoted_qr
from ncollapse.certify._scaling import ScaledProblem, shared_row
from ncollapse.certify._simplex import exact_answer, is_affordable
from ncollapse.certify._types import Candidate, Direction, Multipliers
from ncollapse.certify._working_set import by_inner_products
from ncollapse.least_distance import least_distance

RANGE_TOLERANCE = 1e-8
SIGN_TOLERANCE = 1e-9
TIE_TOLERANCE = 1e-7
"""Residuals whose square, the last entry of the gap, would drown in rounding."""

MARGINS = (1e-7, 1e-5, 1e-10, 0.0)
"""Slacks asked of β, relative to ‖x_j‖‖β‖, so that rounding cannot overturn its signs."""
ROUNDS = 25
ZERO_MULTIPLIER = 1e-10


def candidates(own: np.ndarray, rest: np.ndarray) -> Iterator[Candidate]:
    """Answers for the class with samples ``own`` (n, d) against ``rest`` (m, d), likeliest first.

    The fast method first, then one by orthogonal factors and Lawson–Hanson pivoting, then, for
    small data, exact rational arithmetic. Each is computed only when asked for.
    """
    trivial = _trivial(own, rest)
    if trivial is not None:
        yield trivial
        return
    scaled = ScaledProblem.of(own, rest)
    if len(own) <= own.shape[1]:
        yield from _undone(scaled, by_inner_products(scaled))
    yield from _undone(scaled, _by_orthogonal_factors(scaled))
    if is_affordable(own, rest):
        yield exact_answer(own, rest)


def _undone(problem: ScaledProblem, answers: Iterable[Candidate]) -> Iterator[Candidate]:
    for answer in answers:
        yield problem.undo(answer)
        if isinstance(answer, Multipliers):
            yield problem.undo(_sparsified(problem, answer))


def solve(own: np.ndarray, rest: np.ndarray) -> Candidate | None:
    """The likeliest answer, unchecked: for sweeps that only count. See `candidates`."""
    return next(candidates(own, rest), None)


def _trivial(own: np.ndarray, rest: np.ndarray) -> Multipliers | None:
    free, nonneg = np.zeros(len(own)), np.zeros(len(rest))
    zero = np.flatnonzero(~own.any(axis=1))
    if zero.size:
        free[zero[0]] = -1.0
        return Multipliers(free, nonneg)
    pair = shared_row(own, rest)
    if pair is None:
        return None
    free[pair[0]], nonneg[pair[1]] = -1.0, 1.0
    return Multipliers(free, nonneg)


def _by_orthogonal_factors(problem: ScaledProblem) -> Iterator[Candidate]:
    """One pivoted QR of the class, then Lawson–Hanson: slower, for rank-deficient or tight data."""
    own, target = problem.own, problem.target
    basis, triangle, order, rank = pivoted_qr(own.T, full=True)
    corner = triangle[:rank, :rank]
    coordinates = solve_triangular(corner.T, target[order[:rank]], lower=True, check_finite=False)
    predicted = triangle[:rank, rank:].T @ coordinates
    missed = np.abs(predicted - target[order[rank:]]).max(initial=0.0)
    if missed > RANGE_TOLERANCE * (1.0 + np.abs(predicted).max(initial=0.0)):
        yield Multipliers(_off_range(own, target), np.zeros(len(problem.rest)))
    shortest = basis[:, :rank] @ coordinates
    kernel = basis[:, rank:]
    contradicted = np.inf
    for margin in MARGINS:
        if margin > contradicted:  # more slack than what was already too much
            continue
        answer = _least_distance_rounds(problem, shortest, kernel, margin)
        if isinstance(answer, Direction):
            yield answer
            continue
        contradicted = margin
        if margin == 0.0:
            pulled = solve_triangular(
                corner, basis[:, :rank].T @ (problem.rest.T @ answer), check_finite=False
            )
            free = np.zeros(len(own))
            free[order[:rank]] = -pulled
            total = -float(target @ free)
            if total > 0:
                yield Multipliers(free / total, answer / total)


def _sparsified(problem: ScaledProblem, answer: Multipliers) -> Multipliers:
    """Set multipliers that are zero up to rounding to zero, and correct the others.

    A coordinate that few samples use forces their multipliers to zero; only exact zeros let the
    coordinate drop out of what is to be verified.
    """
    rows = np.vstack([problem.own, problem.rest])
    weights = np.concatenate([answer.free, answer.nonneg])
    sizes = np.abs(weights) * np.linalg.norm(rows, axis=1)
    kept = sizes > ZERO_MULTIPLIER * sizes.max()
    weights = np.where(kept, weights, 0.0)
    system = rows[kept].T
    for _ in range(2):
        weights[kept] -= np.linalg.lstsq(system, system @ weights[kept])[0]
    first = len(problem.own)
    free, nonneg = weights[:first], np.maximum(weights[first:], 0.0)
    total = -float(problem.target @ free)
    return Multipliers(free / total, nonneg / total) if total > 0 else answer


def _off_range(own: np.ndarray, target: np.ndarray) -> np.ndarray:
    """u with Aᵀu = 0 and tᵀu = −1: minus the part of the target outside the range of A."""
    basis, _, _, rank = pivoted_qr(own)
    basis = basis[:, :rank]
    outside = target - basis @ (basis.T @ target)
    outside -= basis @ (basis.T @ outside)
    return -outside / (target @ outside)


def _least_distance_rounds(
    problem: ScaledProblem, shortest: np.ndarray, kernel: np.ndarray, margin: float
) -> Direction | np.ndarray:
    """β of least norm with slack ``margin``, or the multipliers y that contradict it."""
    rest = problem.rest
    norms = np.linalg.norm(rest, axis=1)
    overshoot = rest @ shortest + margin * norms * np.linalg.norm(shortest)
    size = min(len(rest), 3 * kernel.shape[1] + 100)
    work = np.argsort(-overshoot)[:size]
    work = work[norms[work] > 0]
    beta = shortest
    for _ in range(ROUNDS):
        if len(work) and overshoot[work].max() > 0:
            spread, height = norms[work].max(), np.abs(overshoot[work]).max()
            projected = -(rest[work] / spread) @ kernel
            answer = least_distance(projected, overshoot[work] / height, tolerance=TIE_TOLERANCE)
            if answer.point is None:
                nonneg = np.zeros(len(rest))
                nonneg[work] = answer.multipliers
                return nonneg
            beta = shortest + kernel @ (answer.point * (height / spread))
        excess = rest @ beta - SIGN_TOLERANCE * norms * np.linalg.norm(beta)
        excess[work] = 0.0
        wrong = np.flatnonzero(excess > 0)
        if len(wrong) == 0:
            break
        work = np.concatenate([work, wrong[np.argsort(-excess[wrong])][: len(work) + 100]])
    return Direction(beta)
