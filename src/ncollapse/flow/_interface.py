"""Whether a model and a start can be followed: found out before anything is compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import jax
import numpy as np
from jax.tree_util import keystr, tree_leaves_with_path, tree_map_with_path

from ncollapse.models import Clock, Model, Parameters
from ncollapse.runs import Run
from ncollapse.setup import Setup


def check_model(model: Any, start: Parameters) -> Parameters:
    """``start`` in float64, if ``model`` can be run from it.

    Raises
    ------
    TypeError
        ``model`` is no `Model`, or holds something that is no array and not static; a leaf of
        ``start`` is no array of numbers.
    ValueError
        An unknown clock, no loss, a start that is empty, zero or not finite, one that the model's
        functions do not accept, or outputs of the wrong shape.
    """
    if not isinstance(model, Model):
        raise TypeError(
            "model must be an ncollapse.models.Model (a subclass of it, or what "
            f"ncollapse.models.make_model returns), but it is a {type(model).__name__}"
        )
    for path, leaf in tree_leaves_with_path(model):
        if not isinstance(leaf, (np.ndarray, np.generic, jax.Array, float, int)):
            raise TypeError(
                f"model{keystr(path)} is a {type(leaf).__name__}, {leaf!r}, and no array: say that "
                "it is static, with a ClassVar or equinox.field(static=True)"
            )
    if model.clock not in get_args(Clock):
        raise ValueError(f"model.clock must be 'log_loss' or 'time', but it is {model.clock!r}")
    if type(model).loss is Model.loss and type(model).log_loss is Model.log_loss:
        raise ValueError(f"{type(model).__name__} defines neither loss nor log_loss")
    start = _checked_start(start)
    _check_outputs(model, start)
    return start


def describe(
    model: Model, start: Parameters, setup: Setup | None, method: str, options: dict[str, Any]
) -> Setup:
    """The set-up of a run, completed with what the model, the start and the call say of it."""
    setup = model.setup() if setup is None else setup
    dim = int(jax.eval_shape(model.features, start).shape[1])
    options = {**setup.options, **options, "data": model.digest()}
    return replace(setup, dim=dim, method=method, options=options)


def check_resumed(run: Run, setup: Setup, start: Parameters, *, without: tuple[str, ...]) -> None:
    """Refuse to go on with a run that is not one of ``setup`` from ``start``; ends may differ."""
    differences = run.setup.differences(setup, without=without)
    same = jax.tree.structure(start) == jax.tree.structure(run.snapshots) and all(
        np.array_equal(first, leaf)
        for first, leaf in zip(jax.tree.leaves(run.at(0)), jax.tree.leaves(start), strict=True)
    )
    if not same:
        differences.append("its start is another one")
    if differences:
        raise ValueError(f"resume is a run of another set-up: {'; '.join(differences)}")


def _checked_start(start: Parameters) -> Parameters:
    def number(path: Any, leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        if array.dtype.kind not in "fiu":
            raise TypeError(
                f"start{keystr(path)} must hold real numbers, but it is a {type(leaf).__name__} of "
                f"dtype {array.dtype}"
            )
        if not np.isfinite(array).all():
            raise ValueError(
                f"start{keystr(path)} must be finite, but it holds a NaN or an infinity"
            )
        return array.astype(np.float64)

    start = tree_map_with_path(number, start)
    leaves = jax.tree.leaves(start)
    if not leaves:
        raise ValueError(f"start must hold at least one array, but it is {start!r}")
    if not any(leaf.any() for leaf in leaves):
        raise ValueError("start is exactly zero, a saddle point that gradient flow never leaves")
    return start


def _check_outputs(model: Model, start: Parameters) -> None:
    shapes: dict[str, Any] = {}
    for name in ("log_loss", "loss", "features", "classifier", "observe", "invariants"):
        try:
            shapes[name] = jax.eval_shape(getattr(model, name), start)
        except Exception as error:  # the model's own code: anything can come out of it
            raise ValueError(
                f"{type(model).__name__}.{name} does not accept start: {error}"
            ) from error
    for name in ("log_loss", "loss"):
        if jax.tree.map(np.shape, shapes[name]) != ():
            raise ValueError(f"{name} must return one number, but it returns {shapes[name]}")
    if not isinstance(shapes["observe"], dict):
        raise ValueError(f"observe must return arrays by name, but it returns {shapes['observe']}")
    features = getattr(shapes["features"], "shape", None)
    if features is None or len(features) != 2:
        raise ValueError(
            f"features must return a matrix (N, D), but it returns {shapes['features']}"
        )
    head = shapes["classifier"]
    if not isinstance(head, tuple) or len(head) != 2:
        raise ValueError(
            f"classifier must return a weight (K, D) and a bias (K,) or None, but it returns {head}"
        )
    weight, bias = (None if part is None else part.shape for part in head)
    if (
        weight is None
        or len(weight) != 2
        or weight[1] != features[1]
        or bias not in (None, weight[:1])
    ):
        raise ValueError(
            f"classifier must return a weight (K, {features[1]}) for features {features}, and a bias "
            f"(K,) or None, but their shapes are {weight} and {bias}"
        )
