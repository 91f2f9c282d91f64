"""Cross-entropy where it underflows, and margins, for arrays of any library."""

from __future__ import annotations

from array_api_compat import array_namespace

from ncollapse._checks import Array

_TAIL = -37.0  # e⁻³⁷/2 is below half a unit in the last place of 37, so log(1 + eˣ) is eˣ


def log_softplus(x: Array) -> Array:
    """log log(1 + eˣ), exact to rounding for every finite x: far to the left it is x.

    Differentiable throughout: neither branch is evaluated where it would underflow.
    """
    xp = array_namespace(x)
    inside = xp.where(x < _TAIL, 0.0, x)
    return xp.where(x < _TAIL, x, xp.log(xp.logaddexp(inside, xp.zeros_like(inside))))


def sample_margins(logits: Array, own: Array) -> Array:
    """Own logit minus the best other one, ``(N,)`` (ji2022 §3; min over j ≠ k).

    ``logits (N, K)``; ``own (N, K)`` is positive at each sample's class and zero elsewhere.
    """
    xp = array_namespace(logits)
    best = xp.max(xp.where(own > 0, -xp.inf, logits), axis=1)
    return xp.sum(xp.where(own > 0, logits, 0.0), axis=1) - best
