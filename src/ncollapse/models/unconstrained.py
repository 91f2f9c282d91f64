"""Models whose features are free parameters: no network in front of the classifier.

One small tree each: ``weight (K, D)``, ``features (K n, D)`` sorted by class, and what else a
model needs. They fit the interface of `ncollapse.models`, so one flow serves them all. Here: what
they share, and mixon2022's; `LayerPeeled` and `PositiveFeatures` have modules of their own.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ncollapse._checks import Array, check_positive
from ncollapse.cross_entropy import sample_margins
from ncollapse.models.base import Classification, Clock, Parameters
from ncollapse.setup import Setup


class Unconstrained(Classification):
    """What the models here share: K classes of n samples, labels, and the metrics of ji2022 §4."""

    one_hot: Array
    """Labels, ``(K n, K)``."""

    @property
    def num_classes(self) -> int:
        return self.one_hot.shape[1]

    @property
    def per_class(self) -> int:
        return self.one_hot.shape[0] // self.one_hot.shape[1]

    def features(self, parameters: Parameters) -> jax.Array:
        return parameters["features"]

    def classifier(self, parameters: Parameters) -> tuple[jax.Array, jax.Array | None]:
        return parameters["weight"], parameters.get("bias")

    def invariants(self, parameters: Parameters) -> jax.Array:
        """WᵀW − HᵀH, ``(D, D)``: any loss of the logits HWᵀ conserves it."""
        weight, features = parameters["weight"], parameters["features"]
        return weight.T @ weight - features.T @ features

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """The metrics of ji2022 §4 under the names of the metrics module, and the margin q_min."""
        weight, _ = self.classifier(parameters)
        features = self.features(parameters)
        margin = jnp.min(sample_margins(self.logits(parameters), self.one_hot))
        return {**collapse_metrics(features, weight), "margin": margin}


class UnconstrainedFeatures(Unconstrained):
    """Squared loss with bias on unconstrained features, no regularisation (mixon2022 §2).

    R = ½ Σ_i ‖W h_i + b − e_{y_i}‖². It converges exponentially, so it is followed in plain time.
    Conserved: WᵀW − HᵀH.
    """

    name: ClassVar[str] = "ufm"
    clock: ClassVar[Clock] = "time"

    @classmethod
    def of(cls, num_classes: int, per_class: int) -> UnconstrainedFeatures:
        return cls(one_hot=sorted_labels(num_classes, per_class))

    def setup(self, **known: Any) -> Setup:
        return super().setup(**{"loss": "squared", "bias": True, **known})

    def start(self, dim: int, scale: float, seed: int) -> dict[str, np.ndarray]:
        """mixon2022 Figure 1: ‖W‖_F = ‖H‖_F = ``scale``, b = 0; see `gaussian_start` for errors."""
        start = gaussian_start(self.num_classes, self.per_class, dim, scale, seed)
        return {**start, "bias": np.zeros(self.num_classes)}

    def loss(self, parameters: Parameters) -> jax.Array:
        return 0.5 * jnp.sum((self.logits(parameters) - self.one_hot) ** 2)

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """Also mixon2022's ``snc1`` … ``snc3`` (Figure 1) and ``off_subspace`` (Figure 2)."""
        weight, features, bias = (parameters[name] for name in ("weight", "features", "bias"))
        root = math.sqrt(self.per_class)
        etf = root * (jnp.eye(self.num_classes) - 1.0 / self.num_classes)
        spread = (self.one_hot @ weight) / root
        sums = (self.one_hot.T @ features) / root
        shared = 0.5 * (weight + sums)
        shared = shared - jnp.mean(shared, axis=0)
        off = (
            jnp.sum((weight - shared) ** 2)
            + jnp.sum((features - (self.one_hot @ shared) / root) ** 2)
            + jnp.sum((bias - jnp.mean(bias)) ** 2)
        )
        return {
            **super().observe(parameters),
            "snc1": jnp.linalg.norm(weight @ weight.T - etf),
            "snc2": jnp.linalg.norm(features - spread) / jnp.linalg.norm(features),
            "snc3": jnp.linalg.norm(bias - 1.0 / self.num_classes),
            "off_subspace": jnp.sqrt(off) / tree_norm(parameters),
        }


def sorted_labels(num_classes: int, per_class: int) -> np.ndarray:
    """One-hot labels ``(K n, K)`` of K classes with n samples each, in order."""
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, but it is {num_classes}")
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, but it is {per_class}")
    return np.repeat(np.eye(num_classes), per_class, axis=0)


def gaussian_start(
    num_classes: int, per_class: int, dim: int, scale: float, seed: int
) -> dict[str, np.ndarray]:
    """Gaussian ``weight`` and ``features``, each scaled to Frobenius norm ``scale``.

    Raises
    ------
    ValueError
        dim < K − 1 (a simplex of K points spans K − 1 dimensions, so collapse has no room), or a
        scale that is not positive (at zero the loss has a saddle that the flow never leaves).
    """
    if dim < num_classes - 1:
        raise ValueError(
            f"dim must be at least num_classes - 1 = {num_classes - 1}, the dimensions that a "
            f"simplex of {num_classes} points spans, but it is {dim}"
        )
    if scale == 0:
        raise ValueError(
            "scale must be positive: at zero the loss has a saddle that the flow never leaves"
        )
    check_positive("scale", scale)
    generator = np.random.default_rng(seed)
    weight = generator.standard_normal((num_classes, dim))
    features = generator.standard_normal((num_classes * per_class, dim))
    return {
        "weight": scale * weight / np.linalg.norm(weight),
        "features": scale * features / np.linalg.norm(features),
    }


def collapse_metrics(features: jax.Array, weight: jax.Array) -> dict[str, jax.Array]:
    """The four panels of ji2022 Figure 2, features ``(K n, D)`` sorted by class.

    Relative spread of norms of the centred means and of W; within-class variation; mean
    |cos + 1/(K−1)| of both; mean distance of unit centred means and unit rows of W.
    """
    num_classes = weight.shape[0]
    grouped = features.reshape(num_classes, -1, features.shape[1])
    means = jnp.mean(grouped, axis=1)
    centre = jnp.mean(means, axis=0)
    own = jnp.linalg.norm(grouped - means[:, None], axis=2)
    total = jnp.linalg.norm(grouped - centre, axis=2)
    centred = means - centre
    return {
        "nc2_equinorm_means": _relative_spread(centred),
        "nc2_equinorm_weight": _relative_spread(weight),
        "within_variation": jnp.mean(own) / jnp.mean(total),
        "nc2_equiangular_means": _cosine_error(centred),
        "nc2_equiangular_weight": _cosine_error(weight),
        "nc3_average": jnp.mean(jnp.linalg.norm(_unit(centred) - _unit(weight), axis=1)),
    }


def _unit(rows: jax.Array) -> jax.Array:
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def _relative_spread(rows: jax.Array) -> jax.Array:
    norms = jnp.linalg.norm(rows, axis=1)
    return jnp.std(norms) / jnp.mean(norms)


def _cosine_error(rows: jax.Array) -> jax.Array:
    count = rows.shape[0]
    units = _unit(rows)
    errors = jnp.abs(units @ units.T + 1.0 / (count - 1)) * (1.0 - jnp.eye(count))
    return jnp.sum(errors) / (count * (count - 1))


def tree_norm(tree: Any) -> jax.Array:
    """√(Σ of the squares of all entries of a tree)."""
    return jnp.sqrt(sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), jnp.zeros(())))
