"""What a model is, and cross-entropy in the log domain."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

Parameters = dict[str, Any]
"""A parameter tree: arrays by name."""


class Model(Protocol):
    """What the flow needs to know of a model.

    ``clock`` says what is descended: ``"log_loss"`` follows dθ/ds = −∇ log L, whose path is that
    of gradient flow and whose clock is ds = L dt; ``"time"`` follows dθ/dt = −∇L.
    """

    @property
    def name(self) -> str: ...

    @property
    def clock(self) -> Literal["log_loss", "time"]: ...

    def log_loss(self, parameters: Parameters) -> jax.Array:
        """log L, computed without ever forming L."""
        ...

    def features(self, parameters: Parameters) -> jax.Array:
        """Last-layer features ``(N, D)``."""
        ...

    def classifier(self, parameters: Parameters) -> tuple[jax.Array, jax.Array | None]:
        """Weight ``(K, D)`` and bias ``(K,)`` or None."""
        ...

    def invariants(self, parameters: Parameters) -> jax.Array:
        """Quantities that exact gradient flow conserves, quadratic in the parameters."""
        ...

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """Small arrays worth recording at every step."""
        ...

    def lift(self, parameters: Parameters) -> dict[str, np.ndarray]:
        """The parameters as the user knows them."""
        ...


def log_softplus(x: jax.Array) -> jax.Array:
    """log log(1 + eˣ), exact to rounding for every finite x; x − eˣ/2 + O(e²ˣ) below −36."""
    tail = x < -36.0
    inside = jnp.where(tail, 0.0, x)
    return jnp.where(tail, x, jnp.log(jax.nn.softplus(inside)))


def log_cross_entropy(logits: jax.Array, one_hot: jax.Array) -> jax.Array:
    """log of each sample's cross-entropy, log log(1 + Σ_{j≠y} exp(z_j − z_y)), shape ``(N,)``.

    Stays exact where the loss itself underflows: it is about −margin at large margins.
    """
    own = jnp.sum(logits * one_hot, axis=1, keepdims=True)
    others = jnp.where(one_hot > 0, -jnp.inf, logits - own)
    return log_softplus(logsumexp(others, axis=1))


def sample_margins(logits: jax.Array, one_hot: jax.Array) -> jax.Array:
    """Own logit minus the best other one, ``(N,)`` (ji2022 §3; min over j ≠ k)."""
    own = jnp.sum(logits * one_hot, axis=1)
    return own - jnp.max(jnp.where(one_hot > 0, -jnp.inf, logits), axis=1)
