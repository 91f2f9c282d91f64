"""The unconstrained layer-peeled model of ji2022: cross-entropy, no regularisation."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from ncollapse.models.base import Clock, Parameters, log_cross_entropy
from ncollapse.models.unconstrained import Unconstrained, gaussian_start, sorted_labels, tree_norm
from ncollapse.setup import Setup


class LayerPeeled(Unconstrained):
    """Cross-entropy on unconstrained features, no regularisation (ji2022 (2.3), ULPM).

    L = Σ_i ce(W h_i, y_i), a sum. Followed on the rescaled clock dθ/ds = −∇ log L.
    Conserved: WᵀW − HᵀH.
    """

    name: ClassVar[str] = "ulpm"
    clock: ClassVar[Clock] = "log_loss"

    @classmethod
    def of(cls, num_classes: int, per_class: int) -> LayerPeeled:
        return cls(one_hot=sorted_labels(num_classes, per_class))

    def setup(self, **known: Any) -> Setup:
        return super().setup(**{"loss": "cross_entropy", **known})

    def start(self, dim: int, scale: float, seed: int) -> dict[str, np.ndarray]:
        """Gaussian directions with ‖W‖_F = ‖H‖_F = ``scale``; see `gaussian_start` for errors."""
        return gaussian_start(self.num_classes, self.per_class, dim, scale, seed)

    def log_loss(self, parameters: Parameters) -> jax.Array:
        return logsumexp(log_cross_entropy(self.logits(parameters), self.one_hot))

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """Also ``kkt_defect``, 1 − cos(θ, −∇L), from the distance of the two unit vectors."""
        gradient = jax.grad(self.log_loss)(parameters)
        size = tree_norm(parameters)
        speed = tree_norm(gradient)
        squares = jax.tree.map(
            lambda p, g: jnp.sum((p / size + g / speed) ** 2), parameters, gradient
        )
        defect = 0.5 * sum(jax.tree.leaves(squares), start=jnp.zeros(()))
        return {**super().observe(parameters), "kkt_defect": defect}
