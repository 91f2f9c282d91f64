"""What a model is, cross-entropy in the log domain, and a short way to say a model of one's own."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from ncollapse._checks import Array
from ncollapse.cross_entropy import log_softplus
from ncollapse.setup import Setup

Parameters = Any
"""A parameter tree: arrays in dicts, lists and tuples, or any tree that JAX knows."""

Clock = Literal["log_loss", "time"]


class Model(eqx.Module):
    """A loss as a function of a parameter tree, and how to read the tree.

    A subclass is a frozen dataclass and a JAX tree. Its arrays are leaves, so one compiled flow
    serves all data of one shape; what is no array is a ``ClassVar`` or
    ``equinox.field(static=True)``. It defines ``name``, ``clock``, one of `loss` and `log_loss`,
    `features` and `classifier`; the rest has defaults.

    Attributes
    ----------
    name
        What the model is called in results and files.
    clock
        What is descended. ``"log_loss"``: dθ/ds = −∇ log L, the path of gradient flow on the
        clock ds = L dt. ``"time"``: dθ/dt = −∇L.
    """

    name: eqx.AbstractVar[str]
    clock: eqx.AbstractVar[Clock]

    def loss(self, parameters: Parameters) -> jax.Array:
        """L, positive; exp(`log_loss`) unless overridden."""
        return jnp.exp(self.log_loss(parameters))

    def log_loss(self, parameters: Parameters) -> jax.Array:
        """log L; the log of `loss` unless overridden, to be computed where L underflows."""
        return jnp.log(self.loss(parameters))

    @abstractmethod
    def features(self, parameters: Parameters) -> jax.Array:
        """Last-layer features ``(N, D)``."""

    @abstractmethod
    def classifier(self, parameters: Parameters) -> tuple[jax.Array, jax.Array | None]:
        """Weight ``(K, D)`` and bias ``(K,)`` or None."""

    def invariants(self, parameters: Parameters) -> jax.Array:
        """Quantities that exact gradient flow conserves, quadratic in the parameters."""
        return jnp.zeros(0)

    def kinks(self, parameters: Parameters) -> jax.Array:
        """``(N, h)``: quantities, one a sample and neuron, at whose zeros ∇L jumps."""
        return jnp.zeros((0, 0))

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        """Small arrays worth recording at every step."""
        return {}

    def lift(self, parameters: Parameters) -> Parameters:
        """The parameters as the user knows them, in NumPy."""
        return jax.tree.map(np.asarray, parameters)

    def setup(self, **known: Any) -> Setup:
        """The set-up of a run of this model, with what else is ``known`` of it."""
        return Setup(**{"model": self.name, **known})

    def last_layer(
        self, parameters: Parameters
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Features, classifier weight and bias in float64 NumPy."""
        with jax.enable_x64(True):
            weight, bias = self.classifier(parameters)
            features = np.asarray(self.features(parameters))
            return features, np.asarray(weight), None if bias is None else np.asarray(bias)

    def arrays(self) -> dict[str, Any]:
        """The model's own arrays by the names of their fields."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if eqx.is_array(value)}

    def digest(self) -> str:
        """Sixteen hexadecimal digits of SHA-256 of the model's arrays: other data, other digits."""
        total = hashlib.sha256()
        for leaf in jax.tree.leaves(self):
            array = np.ascontiguousarray(leaf)
            total.update(f"{array.shape}{array.dtype.str}".encode() + array.tobytes())
        return total.hexdigest()[:16]


class Classification(Model):
    """A model with one label a sample and logits H Wᵀ + b."""

    one_hot: eqx.AbstractVar[Array]
    """Labels, ``(N, K)``."""

    def logits(self, parameters: Parameters) -> jax.Array:
        weight, bias = self.classifier(parameters)
        logits = self.features(parameters) @ weight.T
        return logits if bias is None else logits + bias

    def setup(self, **known: Any) -> Setup:
        counts = tuple(int(count) for count in np.sum(self.one_hot, axis=0))
        return super().setup(**{"counts": counts, **known})


class _Functions(NamedTuple):
    loss: Callable[[Parameters], Any] | None
    log_loss: Callable[[Parameters], Any] | None
    features: Callable[[Parameters], Any]
    classifier: Callable[[Parameters], tuple[Any, Any]]
    start: Callable[[np.random.Generator], Parameters]
    observe: Callable[[Parameters], dict[str, Any]] | None


_OPTIONAL = ("loss", "log_loss", "observe")


class FunctionModel(Model):
    """A model said in functions of its parameters; see `make_model`."""

    functions: _Functions = eqx.field(static=True)
    name: str = eqx.field(static=True)
    clock: Clock = eqx.field(static=True)

    def loss(self, parameters: Parameters) -> jax.Array:
        own = self.functions.loss
        return super().loss(parameters) if own is None else own(parameters)

    def log_loss(self, parameters: Parameters) -> jax.Array:
        own = self.functions.log_loss
        return super().log_loss(parameters) if own is None else own(parameters)

    def features(self, parameters: Parameters) -> jax.Array:
        return self.functions.features(parameters)

    def classifier(self, parameters: Parameters) -> tuple[jax.Array, jax.Array | None]:
        return self.functions.classifier(parameters)

    def observe(self, parameters: Parameters) -> dict[str, jax.Array]:
        own = self.functions.observe
        return {} if own is None else own(parameters)

    def start(self, seed: int) -> Parameters:
        """The start that belongs to a seed."""
        return self.functions.start(np.random.default_rng(seed))


def make_model(
    *,
    features: Callable[[Parameters], Any],
    classifier: Callable[[Parameters], tuple[Any, Any]],
    start: Callable[[np.random.Generator], Parameters],
    loss: Callable[[Parameters], Any] | None = None,
    log_loss: Callable[[Parameters], Any] | None = None,
    observe: Callable[[Parameters], dict[str, Any]] | None = None,
    name: str = "custom",
) -> FunctionModel:
    """A model from functions of its parameters, written with ``jax.numpy``.

    Parameters
    ----------
    features, classifier
        Last-layer features ``(N, D)``; weight ``(K, D)`` and bias ``(K,)`` or None.
    start
        Draws a parameter tree from a generator.
    loss, log_loss
        Exactly one of them. ``loss`` is L, followed in plain time, dθ/dt = −∇L. ``log_loss`` is
        log L, computed without ever forming L (`log_cross_entropy`), followed on the rescaled
        clock dθ/ds = −∇ log L.
    observe
        Small arrays by name that are worth recording at every step.

    Raises
    ------
    ValueError
        Both losses, or none.
    TypeError
        Something that is no function.
    """
    given = _Functions(loss, log_loss, features, classifier, start, observe)
    for field, function in given._asdict().items():
        if not callable(function) and (function is not None or field not in _OPTIONAL):
            raise TypeError(f"{field} must be a function of the parameters, not {function!r}")
    if (loss is None) == (log_loss is None):
        number = "none" if loss is None else "both"
        raise ValueError(f"give exactly one of loss and log_loss, but {number} was given")
    return FunctionModel(
        functions=_Functions(*map(_hashable, given)),
        name=name,
        clock="time" if log_loss is None else "log_loss",
    )


def _hashable(function: Any) -> Any:
    """A function that hides what ``function`` is bound to, as JAX asks of what is static."""
    return None if function is None else lambda argument: function(argument)


def log_cross_entropy(logits: jax.Array, one_hot: jax.Array) -> jax.Array:
    """log of each sample's cross-entropy, log log(1 + Σ_{j≠y} exp(z_j − z_y)), shape ``(N,)``.

    Stays exact where the loss itself underflows: it is about −margin at large margins.
    """
    own = jnp.sum(logits * one_hot, axis=1, keepdims=True)
    others = jnp.where(one_hot > 0, -jnp.inf, logits - own)
    return log_softplus(logsumexp(others, axis=1))
