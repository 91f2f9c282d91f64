"""Two-layer ReLU networks."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from ncollapse._checks import Array, check_positive
from ncollapse.cross_entropy import sample_margins
from ncollapse.data import as_dataset
from ncollapse.models.base import Classification, Clock, Parameters, log_cross_entropy
from ncollapse.setup import Setup

DEAD, MIXED = -1, -2
"""Codes of a neuron in no group: active on no sample; active on another set of samples."""


class ReLUNetwork(Classification):
    """Two-layer ReLU network f(x) = Σ_j v_j max(⟨w_j, x⟩, 0), summed cross-entropy (min2025).

    Parameters are ``hidden (h, r)``, rows w_j, and ``weight (K, h)``, columns v_j. Weights
    orthogonal to all inputs neither act nor move, so w_j is kept in an orthonormal basis of the
    span of the inputs, r = rank of the inputs; `lift` returns ``(h, d)``.

    Conserved: ‖w_j‖² − ‖v_j‖² for every neuron.
    """

    coordinates: Array
    """Inputs in the basis, ``(N, r)``."""
    one_hot: Array
    """Labels, ``(N, K)``."""
    basis: Array
    """Orthonormal rows ``(r, d)`` that span the inputs."""
    name: ClassVar[str] = "relu2"
    clock: ClassVar[Clock] = "log_loss"

    @classmethod
    def on(cls, data: Any, labels: Any = None) -> ReLUNetwork:
        """The network on a data set: a `Dataset`, or inputs ``(N, d)`` with ``labels``.

        Raises
        ------
        ValueError
            An input is the zero vector: no neuron can ever be active on it.
        """
        data = as_dataset(data, labels)
        norms = np.linalg.norm(data.inputs, axis=1)
        if not norms.all():
            raise ValueError(
                f"inputs row {int(np.argmin(norms))} is the zero vector: "
                "no neuron can ever be active on it"
            )
        _, singular, right = np.linalg.svd(data.inputs, full_matrices=False)
        rank = int(np.sum(singular > singular[0] * max(data.inputs.shape) * np.finfo(float).eps))
        basis = right[:rank]
        return cls(
            coordinates=data.inputs @ basis.T,
            one_hot=np.eye(data.num_classes)[data.labels],
            basis=basis,
        )

    def start(self, width: int, scale: float, seed: int) -> dict[str, np.ndarray]:
        """Balanced random initialisation: ‖v_j‖ = ‖w_j‖, directions uniform, E‖w_j‖² = scale².

        Raises
        ------
        ValueError
            ``width`` below the number of classes (every class needs a neuron), or a ``scale``
            that is not positive (zero is a saddle point that the flow never leaves).
        """
        num_classes, rank = self.one_hot.shape[1], self.coordinates.shape[1]
        if width < num_classes:
            raise ValueError(
                f"width must be at least the number of classes, {num_classes}, "
                f"because every class needs a neuron of its own, but it is {width}"
            )
        check_positive("scale", scale)
        generator = np.random.default_rng(seed)
        hidden = scale * generator.standard_normal((width, rank)) / np.sqrt(rank)
        weight = generator.standard_normal((num_classes, width))
        weight *= np.linalg.norm(hidden, axis=1) / np.linalg.norm(weight, axis=0)
        return {"hidden": hidden, "weight": weight}

    def setup(self, **known: Any) -> Setup:
        return super().setup(
            **{"loss": "cross_entropy", "depth": 2, "input_dim": self.basis.shape[1], **known}
        )

    def log_loss(self, parameters: Parameters) -> jax.Array:
        return logsumexp(log_cross_entropy(self.logits(parameters), self.one_hot))

    def features(self, parameters: Parameters) -> jax.Array:
        return jax.nn.relu(self.kinks(parameters))

    def classifier(self, parameters: Parameters) -> tuple[jax.Array, None]:
        return parameters["weight"], None

    def invariants(self, parameters: Parameters) -> jax.Array:
        hidden, weight = parameters["hidden"], parameters["weight"]
        return jnp.sum(hidden**2, axis=1) - jnp.sum(weight**2, axis=0)

    def kinks(self, parameters: Parameters) -> jax.Array:
        """⟨w_j, x_i⟩."""
        return self.coordinates @ parameters["hidden"].T

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """``margins (K,)``: smallest of each class; ``groups (h,)``: class, `DEAD` or `MIXED`;
        ``dead_samples (N,)``: samples on which every neuron is off."""
        active = self.kinks(parameters) > 0
        margins = sample_margins(self.logits(parameters), self.one_hot)
        return {
            "margins": jnp.min(jnp.where(self.one_hot > 0, margins[:, None], jnp.inf), axis=0),
            "groups": neuron_groups(active, self.one_hot),
            "dead_samples": ~jnp.any(active, axis=1),
        }

    def lift(self, parameters: Parameters) -> dict[str, np.ndarray]:
        hidden = np.asarray(parameters["hidden"]) @ np.asarray(self.basis)
        return {"hidden": hidden, "weight": np.asarray(parameters["weight"])}


def neuron_groups(active: jax.Array, one_hot: jax.Array) -> jax.Array:
    """Group of each neuron from the exact sign pattern (min2025, alignment theorem).

    A neuron is in group k when it is active (⟨w, x⟩ > 0) on all samples of class k and on no other,
    `DEAD` when active on none, and `MIXED` otherwise.

    Parameters
    ----------
    active
        ``(N, h)`` booleans.
    one_hot
        ``(N, K)``.

    Returns
    -------
    array
        ``(h,)`` int8.
    """
    counts = active.astype(one_hot.dtype).T @ one_hot
    total = jnp.sum(counts, axis=1)
    best = jnp.argmax(counts, axis=1)
    size = jnp.sum(one_hot, axis=0)[best]
    exact = (jnp.max(counts, axis=1) == size) & (total == size)
    return jnp.where(exact, best, jnp.where(total == 0, DEAD, MIXED)).astype(jnp.int8)
