"""Unconstrained features that are nonnegative, with regularisation: the models of hong2025."""

from __future__ import annotations

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from ncollapse._checks import Array, check_positive
from ncollapse.models.base import Clock, Parameters
from ncollapse.models.unconstrained import Unconstrained, gaussian_start, sorted_labels
from ncollapse.setup import Setup


class PositiveFeatures(Unconstrained):
    """Nonnegative unconstrained features with regularisation (hong2025 (2.6) and (2.7)).

    R = (1/N) Σ_i ℓ(W h_i, y_i) + λ_W/2 ‖W‖² + λ_H/2 ‖H‖², ℓ the cross-entropy or half the squared
    distance to the label, H ≥ 0. Positivity is kept by following plain gradient flow in (W, V)
    with H = V∘V: then H' = −4 H∘∂R/∂H, smooth, positive for ever from a positive start, with the
    same stationary points inside the support. A projected flow would have a discontinuous field,
    one kink for each of the N(D−1) entries that reach zero, which no stepper of high order
    crosses at its order. The price: an entry whose gradient vanishes at zero, as in dimensions
    that no class ends up using, decays like 1/(4 λ_H t) instead of exponentially.

    Nothing is conserved: regularisation dissipates the balance.
    """

    lambda_w: Array
    lambda_h: Array
    name: str = eqx.field(static=True)
    clock: ClassVar[Clock] = "time"

    @classmethod
    def of(
        cls, name: str, num_classes: int, per_class: int, lambda_w: float, lambda_h: float
    ) -> PositiveFeatures:
        """``name`` is ``"upfm-ce"`` or ``"upfm-l2"``; both regularisations must be positive."""
        if name not in ("upfm-ce", "upfm-l2"):
            raise ValueError(f"name must be 'upfm-ce' or 'upfm-l2', but it is {name!r}")
        return cls(
            one_hot=sorted_labels(num_classes, per_class),
            lambda_w=np.asarray(check_positive("lambda_w", lambda_w)),
            lambda_h=np.asarray(check_positive("lambda_h", lambda_h)),
            name=name,
        )

    def start(self, dim: int, scale: float, seed: int) -> dict[str, np.ndarray]:
        """‖W‖_F = ‖H‖_F = ``scale``, W Gaussian, H half-Gaussian.

        Raises ``ValueError`` for dim < K: orthogonal nonnegative means have disjoint supports.
        """
        if dim < self.num_classes:
            raise ValueError(
                f"dim must be at least the number of classes, {self.num_classes}, because "
                f"orthogonal nonnegative means have disjoint supports, but it is {dim}"
            )
        start = gaussian_start(self.num_classes, self.per_class, dim, scale, seed)
        return {"weight": start["weight"], "roots": np.sqrt(np.abs(start["features"]))}

    def features(self, parameters: Parameters) -> jax.Array:
        return parameters["roots"] ** 2

    def loss(self, parameters: Parameters) -> jax.Array:
        logits = self.logits(parameters)
        if self.name == "upfm-ce":
            own = jnp.sum(logits * self.one_hot, axis=1)
            data = jnp.mean(logsumexp(logits, axis=1) - own)
        else:
            data = 0.5 * jnp.mean(jnp.sum((logits - self.one_hot) ** 2, axis=1))
        weight, features = parameters["weight"], self.features(parameters)
        penalty = self.lambda_w * jnp.sum(weight**2) + self.lambda_h * jnp.sum(features**2)
        return data + 0.5 * penalty

    def setup(self, **known: Any) -> Setup:
        loss = "cross_entropy" if self.name == "upfm-ce" else "squared"
        decays = {"weight_decay": float(self.lambda_w), "feature_decay": float(self.lambda_h)}
        return super().setup(**{"loss": loss, **decays, **known})

    def invariants(self, parameters: Parameters) -> jax.Array:
        return jnp.zeros(0)

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """Also ``risk``."""
        return {**super().observe(parameters), "risk": self.loss(parameters)}

    def lift(self, parameters: Parameters) -> dict[str, np.ndarray]:
        """``weight`` and ``features`` = V∘V."""
        return {
            "weight": np.asarray(parameters["weight"]),
            "features": np.asarray(parameters["roots"]) ** 2,
        }
