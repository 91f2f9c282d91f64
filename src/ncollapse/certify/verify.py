"""Check an answer about one class without trusting whoever found it.

Three levels, each a proof on its own; the first that decides is enough.

1. Floating point with a-priori rounding bounds: a sum of k products has error at most
   γ_k Σ|a||b|, γ_k = ku/(1 − ku), in any order of summation (Higham, *Accuracy and Stability of
   Numerical Algorithms*, §3.1). A direction, or multipliers, are correct up to a computed
   residual; the exact ones lie within residual / σ_min, and a Cholesky factorisation that runs to
   its end bounds σ_min from below (Rump, *Verification of positive definiteness*, 2006).
2. Exact arithmetic on the numbers as they stand, floating-point ones or fractions.
3. Exact repair: the linear system that the answer solves approximately is solved over the
   rationals near it, and the solution is checked as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ncollapse.certify._exact import (
    common_integers,
    fractions,
    integer_rows,
    is_within_reach,
    solution_near,
)
from ncollapse.certify._factor import cholesky
from ncollapse.certify._scaling import scale_rows
from ncollapse.certify._types import Candidate, Direction

UNIT = 2.0**-53
UNDERFLOW = 2.0**-900
"""Far above what underflow can lose in any sum of squares, far below what any check needs."""

WIDEST = 900
"""Powers of two between sizes beyond which only exact arithmetic is used."""

LARGEST_BOUND = 1e100
"""No matrix of rows scaled to size one has singular values above it; its square is finite."""

ROUND_UP = 1.0 + 1e-9
EXACT_PRODUCTS = 10_000
BESIDE = 1e-8
"""An answer may miss its equations, and an exact one may differ from it, by this share at most."""

SUPPORTS = (0.0, 1e-8, 1e-5, 1e-3)
TIGHT = (1e-6, 1e-9, 0.0)


@dataclass(frozen=True)
class Verification:
    """Whether an answer is proven, how, and if not, why not."""

    verified: bool
    method: str
    detail: str


def verify(own: np.ndarray, rest: np.ndarray, answer: Candidate) -> Verification:
    """Prove ``answer`` for the class with rows ``own`` (n, d) against ``rest`` (m, d).

    Never raises for a wrong answer: shapes that do not fit, NaN and infinities are refused with
    ``verified=False``.
    """
    with np.errstate(all="ignore"):  # what overflows is compared as infinite or NaN, and refused
        if isinstance(answer, Direction):
            return _verify_direction(own, rest, _numbers(answer.beta))
        return _verify_multipliers(own, rest, _numbers(answer.free), _numbers(answer.nonneg))


def _numbers(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    return values.astype(np.float64) if values.dtype.kind in "iuf" else values


def _is_finite(values: np.ndarray) -> bool:
    """Whether all values are finite floating-point numbers or fractions."""
    if values.dtype == object:
        return all(isinstance(value, Fraction) for value in values)
    return values.dtype.kind == "f" and bool(np.isfinite(values).all())


def _gamma(count: int) -> float:
    return ROUND_UP * count * UNIT / (1.0 - count * UNIT)


def _norms(rows: np.ndarray) -> np.ndarray:
    """Upper bounds of the row norms."""
    squares = np.einsum("ij,ij->i", rows, rows)
    return ROUND_UP * np.sqrt(squares * (1.0 + _gamma(rows.shape[1] + 2)) + UNDERFLOW)


def smallest_singular_value_at_least(matrix: np.ndarray, bound: float) -> bool:
    """Prove σ_min ≥ ``bound`` for a matrix with full row rank by one Cholesky factorisation.

    The computed Gram matrix differs from the exact one by at most γ_q‖M‖²_F in norm, and a
    factorisation of p rows that ends shows its argument above −γ/(1 − γ), γ of p + 1, times its
    trace; both are tripled here, which also covers that the trace is rounded.
    """
    rows, columns = matrix.shape
    if rows > columns or not bound < LARGEST_BOUND:
        return False
    gram = matrix @ matrix.T
    trace = float(np.trace(gram))
    rounding = 3.0 * (_gamma(rows + 2) + _gamma(columns + 2)) * trace + UNDERFLOW
    shift = ROUND_UP * (bound**2 + rounding)
    if not np.isfinite(shift):
        return False
    gram.flat[:: rows + 1] -= shift
    return cholesky(gram) is not None


def _verify_direction(own: np.ndarray, rest: np.ndarray, beta: np.ndarray) -> Verification:
    if beta.shape != (own.shape[1],) or not _is_finite(beta):
        return _refused("beta must be a finite vector with one entry a column")
    rest = rest[rest.any(axis=1)]
    if beta.dtype == object:
        if _direction_holds(own, rest, beta):
            return Verification(True, "exact", "every product with beta is computed exactly")
        return _refused("a product with beta is not what it must be")
    scaled = _scaled_direction(own, beta)
    if scaled is not None:
        if (scaled.misses > BESIDE * (scaled.norms * scaled.size + scaled.target)).any():
            return _refused("beta does not map the class to 1")
        if _direction_in_floats(scaled, rest):
            return Verification(True, "floating point", "rounding cannot overturn a sign")
    if _direction_repaired(own, rest, beta):
        return Verification(True, "exact", "solved over the rationals beside beta")
    return _refused("the slack does not exceed what rounding may hide")


def _refused(detail: str) -> Verification:
    return Verification(False, "none", detail)


def _direction_holds(own: np.ndarray, rest: np.ndarray, beta: np.ndarray) -> bool:
    """Aβ = 1 and Bβ ≤ 0, every product of fractions computed exactly."""
    whole, bottom = common_integers(beta)
    rows, units = integer_rows(own)
    return all(rows @ whole == bottom * units) and all(integer_rows(rest)[0] @ whole <= 0)


@dataclass(frozen=True)
class _ScaledDirection:
    """Equalities Aβ = t with rows and β of size one, and bounds of what β misses them by."""

    own: np.ndarray
    beta: np.ndarray
    target: np.ndarray
    norms: np.ndarray
    size: float
    misses: np.ndarray


def _scaled_direction(own: np.ndarray, beta: np.ndarray) -> _ScaledDirection | None:
    """None where the sizes leave the range of floating-point numbers."""
    own, exponents = scale_rows(own)
    power = int(np.frexp(np.abs(beta).max())[1])
    if np.abs(exponents + power).max() > WIDEST:
        return None
    beta, target = np.ldexp(beta, -power), np.ldexp(1.0, -(exponents + power))
    norms, size = _norms(own), float(_norms(beta[None])[0])
    rounding = _gamma(len(beta) + 3) * (norms * size + target)
    misses = np.abs(own @ beta - target) + rounding
    return _ScaledDirection(own, beta, target, norms, size, misses)


def _direction_in_floats(scaled: _ScaledDirection, rest: np.ndarray) -> bool:
    """Whether an exact solution is proven to lie beside β with every sign right."""
    needed = 0.0
    if len(rest):
        rest = scale_rows(rest)[0]
        norms = _norms(rest)
        rounding = _gamma(len(scaled.beta) + 3) * norms * scaled.size
        slack = -(rest @ scaled.beta) - rounding
        if not slack.min() > 0:
            return False
        miss = float(_norms(scaled.misses[None])[0])
        needed = ROUND_UP * miss * float((norms / slack).max())
    if smallest_singular_value_at_least(scaled.own, needed):
        return True
    # Copies of a sample ask for the same equation, so one of each is enough.
    distinct = np.unique(np.column_stack([scaled.own, scaled.target]), axis=0)
    if len(distinct) == len(scaled.own):
        return False
    return smallest_singular_value_at_least(distinct[:, :-1], needed)


def _direction_repaired(own: np.ndarray, rest: np.ndarray, beta: np.ndarray) -> bool:
    if not is_within_reach(len(own), own.shape[1]):
        return False
    (rows, units), (others, _) = integer_rows(own), integer_rows(rest)
    guess = fractions(beta)
    own_floats, rest_floats = scale_rows(own)[0], scale_rows(rest)[0]
    relative = rest_floats @ np.ldexp(beta, -int(np.frexp(np.abs(beta).max())[1]))
    tried: set[bytes] = set()
    for tolerance in TIGHT:
        tight = relative >= -tolerance
        if tight.tobytes() in tried:
            continue
        tried.add(tight.tobytes())
        system = np.vstack([rows, others[tight]])
        if not is_within_reach(*system.shape):
            continue
        goal = np.concatenate([units, np.full(int(tight.sum()), Fraction(0))])
        exact = solution_near(system, goal, guess, np.vstack([own_floats, rest_floats[tight]]))
        if exact is not None and _beside(exact, guess) and _direction_holds(own, rest, exact):
            return True
    return False


def _verify_multipliers(
    own: np.ndarray, rest: np.ndarray, free: np.ndarray, nonneg: np.ndarray
) -> Verification:
    if free.shape != (len(own),) or nonneg.shape != (len(rest),):
        return _refused("one multiplier is needed for every sample")
    if not (_is_finite(free) and _is_finite(nonneg)):
        return _refused("the multipliers must be finite")
    if (nonneg < 0).any():
        return _refused("a multiplier of another class is negative")
    if not free.sum() < 0:
        return _refused("the multipliers of the class do not add up below zero")
    if free.dtype == object or nonneg.dtype == object:
        if _multipliers_hold(own, rest, fractions(free), fractions(nonneg)):
            return Verification(True, "exact", "the multipliers cancel exactly")
        return _refused("the multipliers do not cancel")
    scaled, far = _scaled_multipliers(own, rest, free, nonneg), False
    if scaled is not None:
        far = scaled.miss > BESIDE * float(np.abs(scaled.weights) @ _norms(scaled.rows))
        if not far and _multipliers_in_floats(scaled):
            return Verification(True, "floating point", "exact multipliers lie beside these")
    used = np.count_nonzero(free) + np.count_nonzero(nonneg)
    if used * own.shape[1] <= EXACT_PRODUCTS and _multipliers_hold(
        own, rest, fractions(free), fractions(nonneg)
    ):
        return Verification(True, "exact", "the multipliers cancel exactly")
    if far:
        return _refused("the multipliers do not cancel")
    if _multipliers_repaired(own, rest, free, nonneg):
        return Verification(True, "exact", "solved over the rationals beside the multipliers")
    return _refused("exact multipliers beside these could not be shown")


def _beside(exact: np.ndarray, guess: np.ndarray) -> bool:
    return max(abs(exact - guess)) <= Fraction(BESIDE) * max(abs(guess))


def _multipliers_hold(
    own: np.ndarray, rest: np.ndarray, free: np.ndarray, nonneg: np.ndarray
) -> bool:
    """Aᵀu + Bᵀy = 0, y ≥ 0, Σu < 0, every product of fractions computed exactly."""
    if not sum(free) < 0 or any(nonneg < 0):
        return False
    weights = np.concatenate([free, nonneg])
    support = np.flatnonzero(weights)
    whole, units = integer_rows(np.vstack([own, rest])[support])
    return not any(common_integers(weights[support] / units)[0] @ whole)


@dataclass(frozen=True)
class _ScaledMultipliers:
    """Rows of size one with nonzero multipliers of size one, columns without repetition.

    ``room`` is how far the multipliers of the class may move before their sum reaches zero, and
    ``miss`` bounds the norm of Σ weights·rows.
    """

    rows: np.ndarray
    weights: np.ndarray
    first: int
    room: float
    miss: float


def _scaled_multipliers(
    own: np.ndarray, rest: np.ndarray, free: np.ndarray, nonneg: np.ndarray
) -> _ScaledMultipliers | None:
    """None where the sizes leave the range of floating-point numbers."""
    # Samples with multiplier zero stay out: then columns that only they touch cancel exactly.
    own, free, used = own[free != 0], free[free != 0], nonneg > 0
    rows, exponents = scale_rows(own)
    spread = exponents.max() - exponents
    others, more = scale_rows(rest[used])
    weights, exponents = np.concatenate([free, nonneg[used]]), np.concatenate([exponents, more])
    mantissas, powers = np.frexp(weights)
    powers = powers + exponents
    powers -= powers.max()
    if powers.min() < -WIDEST or 2 * spread.max() > WIDEST:
        return None
    weights = np.ldexp(mantissas, powers)
    # Rescaling the class's rows turned Σ free into Σ target·weights, up to one power of two.
    target, free = np.ldexp(1.0, spread), weights[: len(own)]
    sizes = float(np.abs(target * free).sum())
    height = -(float(target @ free) + _gamma(len(own) + 2) * sizes)
    room = height / float(_norms(target[None])[0])
    rows = np.vstack([rows, others])
    rows = rows[:, _independent_columns(rows)]
    lost = _gamma(len(weights) + 2) * (np.abs(weights) @ np.abs(rows)) * ROUND_UP
    miss = float(_norms((np.abs(weights @ rows) + lost)[None])[0])
    return _ScaledMultipliers(rows, weights, len(own), room, miss)


def _multipliers_in_floats(scaled: _ScaledMultipliers) -> bool:
    """Whether multipliers that cancel exactly are proven to exist so near that all signs stay."""
    if not scaled.room > 0:
        return False
    nonneg = scaled.weights[scaled.first :]
    for support in SUPPORTS:
        # Any choice of multipliers that may move is sound; small ones leave little room.
        moving = nonneg > support * nonneg.max(initial=0.0)
        chosen = np.concatenate([np.ones(scaled.first, dtype=bool), moving])
        distance = min(scaled.room, float(nonneg[moving].min(initial=np.inf)))
        needed = ROUND_UP * scaled.miss / distance
        if smallest_singular_value_at_least(scaled.rows[chosen].T, needed):
            return True
    return False


def _independent_columns(rows: np.ndarray) -> np.ndarray:
    """Drop columns whose equations follow from others: zero ones, and copies up to a factor.

    Columns whose only nonzero entry is in the same row all say that this row's multiplier is zero;
    one of them is kept.
    """
    counts = np.count_nonzero(rows, axis=0)
    keep = counts > 1
    single = np.flatnonzero(counts == 1)
    where = np.argmax(rows[:, single] != 0, axis=0)
    keep[single[np.unique(where, return_index=True)[1]]] = True
    return keep


def _multipliers_repaired(
    own: np.ndarray, rest: np.ndarray, free: np.ndarray, nonneg: np.ndarray
) -> bool:
    total = -float(free.sum())
    used_own, largest = free != 0, nonneg.max(initial=0.0)
    for support in (0.0, BESIDE):
        used = np.concatenate([used_own, nonneg > support * largest])
        rows = np.vstack([own, rest])[used]
        rows = rows[:, rows.any(axis=0)]
        if not is_within_reach(rows.shape[1] + 1, len(rows)):
            continue
        counted = np.arange(len(used))[used] < len(own)
        weights = np.concatenate([free, nonneg])[used] / total
        if not np.isfinite(weights).all():
            return False
        system = np.vstack([integer_rows(rows.T)[0], counted.astype(int).astype(object)])
        goal = np.full(len(system), Fraction(0))
        goal[-1] = Fraction(-1)
        # Large multipliers are the last to lose their sign, so they are to form the basis.
        preference = np.where(counted, np.abs(weights).max(), weights)
        floats = np.vstack([scale_rows(rows)[0].T, counted]) * preference
        guess = fractions(weights)
        exact = solution_near(system, goal, guess, floats)
        if exact is not None and _beside(exact, guess):
            whole = np.full(len(used), Fraction(0))
            whole[used] = exact
            if _multipliers_hold(own, rest, whole[: len(own)], whole[len(own) :]):
                return True
    return False
