"""Where the last layer of a classifier is heading: counts, loss and decay in, geometry out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ncollapse._checks import check_positive
from ncollapse.theory.imbalance import (
    Geometry,
    Optimum,
    Prediction,
    Problem,
    class_margins,
    decoupled_depth,
    layer_decays,
    nonnegative,
    of_optimum,
    signed_depth,
    solve,
    squared,
)
from ncollapse.theory.imbalance.arguments import (
    Counts,
    check_class_weights,
    check_counts,
    check_one_of,
    check_smoothing,
)
from ncollapse.theory.imbalance.squared import has_closed_form

EXACT = 60
"""Up to so many groups of equal classes the convex program is solved to 1e-10, else to 1e-7."""

SOURCES = {
    "peeled": "convex program of the unconstrained feature model with any class sizes; "
    "its limit is Thrampoulidis 2022",
    "nonnegative": "closed form for any class sizes; generalises hong2025 Theorem 2",
    "depth": "depth law: Schatten quasi-norm of the layers' product, a conjecture",
    "batch_norm": "batch-norm theorem: decay of the affine parameters is a penalty on features",
}


def predict(
    counts: Counts,
    *,
    weight_decay: float | Sequence[float],
    feature_decay: float | None = None,
    loss: str = "cross_entropy",
    features: str = "signed",
    bias: bool | float = False,
    depth: int | None = None,
    normalisation: str | None = None,
    input_norms: Sequence[float] | np.ndarray | None = None,
    inputs: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | np.ndarray | None = None,
    dim: int | None = None,
) -> Prediction:
    """Predict the collapsed last layer of a classifier with n_k samples a class.

    - By default, decay on W and the features alone: the minimum of
      (1/N) Σ_i ω_{y_i} ℓ(Wh_i + b, y_i) + λ_W/2 ‖W‖² + λ_H/2 Σ_i ‖h_i‖² (+ λ_b/2 ‖b‖²),
      proven, by its convex program or in closed form.
    - ``normalisation="batch"``: batch norm before the last activation, decay on the head and on γ
      and β: the same with λ_H = (decay of γ and β)/N. A proven lower bound for any network body.
    - ``depth=L``: decay on all L weight layers, no normalisation: the depth law, a conjecture.

    Parameters
    ----------
    counts
        Samples of each class; of each label pattern where ``labels`` are patterns.
    weight_decay
        λ_W; with ``depth`` of every layer, one number or one a layer, first layer first.
    feature_decay
        λ_H; with batch norm the decay of γ and β, by default ``weight_decay``; none with ``depth``.
    loss, features
        "cross_entropy" or "squared" (½‖·‖²); "signed" or "nonnegative" last features.
    bias
        False (none), True (free) or its decay λ_b. Signed features without depth only.
    input_norms, inputs, labels
        With ``depth``: the norms r_k of the class inputs ``(K,)``, 1 by default; or data,
        ``(N, d)`` and labels 0 … K−1, of which r_k is the margin γ_k of each class alone. Without
        ``inputs``, ``labels`` may be label patterns as columns ``(K, P)``.
    label_smoothing, class_weights
        α of t_k = (1 − α)e_k + α/K, and ω_k, one a column; they change c_k = ω_k n_k/N, not N.
    dim
        D, checked to hold the geometry where it is given.

    Raises
    ------
    ValueError
        An argument is out of range, or arguments that no theory covers together are named.
    """
    check_one_of("loss", loss, ("cross_entropy", "squared"))
    check_one_of("features", features, ("signed", "nonnegative"))
    check_one_of("normalisation", normalisation, (None, "batch"))
    patterns = None if labels is None or inputs is not None else _patterns(labels, loss)
    numbers = check_counts(counts)
    weights = check_class_weights(class_weights, len(numbers)) * numbers / numbers.sum()
    smoothing = check_smoothing(label_smoothing)
    if not isinstance(bias, bool):
        bias = check_positive("bias", bias)
    _check_together(features, bias, depth, normalisation, patterns, smoothing, loss)
    if patterns is not None and patterns.shape[1] != len(numbers):
        raise ValueError(
            f"labels must have {len(numbers)} columns, one for each of counts, "
            f"but their shape is {patterns.shape}"
        )
    if depth is None:
        if input_norms is not None or inputs is not None:
            raise ValueError("input_norms and inputs are for the depth law: give depth too")
        lambda_w, lambda_h = _decays(weight_decay, feature_decay, normalisation, numbers.sum())
        level, scales = math.sqrt(lambda_w * lambda_h), np.sqrt(numbers)
        if patterns is not None:
            problem = Problem.of_patterns(loss, weights, scales, level, patterns, bias=bias)
        else:
            problem = Problem.of_classes(
                loss, weights, scales, level, bias=bias, label_smoothing=smoothing
            )
        if features == "nonnegative":
            geometry = nonnegative(problem, weight_decay=lambda_w, feature_decay=lambda_h)
        else:
            geometry = of_optimum(_minimise(problem), weight_decay=lambda_w, feature_decay=lambda_h)
    else:
        if feature_decay is not None:
            raise ValueError("feature_decay must be None with depth: all decay is on the layers")
        decays = layer_decays(weight_decay, depth)
        norms = _norms(input_norms, inputs, labels, numbers)
        problem = Problem.of_classes(
            loss,
            weights,
            1.0 / norms,
            float(np.exp(np.mean(np.log(decays)))),
            label_smoothing=smoothing,
        )
        law = decoupled_depth if features == "nonnegative" else signed_depth
        geometry = law(problem, decays)
    geometry = replace(geometry, nonnegative=features == "nonnegative")
    _check_dim(dim, geometry)
    theory = (
        "depth"
        if depth is not None
        else "batch_norm"
        if normalisation == "batch"
        else "nonnegative"
        if features == "nonnegative"
        else "peeled"
    )
    return Prediction(
        counts=numbers,
        theory=theory,
        assumptions=_assumptions(theory, features, depth),
        source=SOURCES[theory],
        geometry=geometry,
        targets=patterns,
    )


def _minimise(problem: Problem) -> Optimum:
    if has_closed_form(problem):
        return squared(problem)
    return solve(problem, tolerance=1e-10 if len(problem.rows.sizes) <= EXACT else 1e-7)


def _patterns(labels: np.ndarray, loss: str) -> np.ndarray:
    patterns = np.asarray(labels, dtype=float)
    if patterns.ndim != 2 or patterns.shape[0] < 2:
        raise ValueError(
            "labels without inputs must be label patterns as columns, of at least 2 classes, "
            f"but their shape is {patterns.shape}"
        )
    if not np.all(np.isfinite(patterns)):
        raise ValueError("labels must be finite")
    if loss == "cross_entropy" and (
        patterns.min() < 0 or not np.allclose(patterns.sum(axis=0), 1.0, rtol=0, atol=1e-12)
    ):
        raise ValueError(
            "labels must have columns that are nonnegative and sum to 1 for cross-entropy"
        )
    return patterns


def _check_together(
    features: str,
    bias: bool | float,
    depth: int | None,
    normalisation: str | None,
    patterns: np.ndarray | None,
    smoothing: float,
    loss: str,
) -> None:
    """No theory covers these pairs."""
    if depth is not None and normalisation is not None:
        raise ValueError("depth must be None with batch norm: its prediction does not depend on it")
    if bias is not False and (depth is not None or features == "nonnegative"):
        raise ValueError(
            "bias must be False with depth or nonnegative features: no theory covers it"
        )
    decoupled = depth is not None or features == "nonnegative"
    if patterns is not None and (decoupled or smoothing > 0):
        raise ValueError(
            "labels as patterns are for signed features without depth and label_smoothing"
        )
    if loss == "squared" and decoupled and smoothing > 0:
        raise ValueError(
            "label_smoothing must be 0 for squared loss with depth or nonnegative features"
        )


def _decays(
    weight_decay: float | Sequence[float],
    feature_decay: float | None,
    normalisation: str | None,
    num_samples: float,
) -> tuple[float, float]:
    if not isinstance(weight_decay, (int, float)):
        raise ValueError("weight_decay must be one number without depth")
    lambda_w = check_positive("weight_decay", weight_decay)
    if normalisation == "batch":
        affine = lambda_w if feature_decay is None else feature_decay
        return lambda_w, check_positive("feature_decay", affine) / num_samples
    if feature_decay is None:
        raise ValueError("feature_decay is needed without depth or batch norm")
    return lambda_w, check_positive("feature_decay", feature_decay)


def _norms(
    input_norms: Sequence[float] | np.ndarray | None,
    inputs: np.ndarray | None,
    labels: np.ndarray | None,
    numbers: np.ndarray,
) -> np.ndarray:
    if inputs is not None:
        if labels is None or input_norms is not None:
            raise ValueError("inputs need labels beside them, and no input_norms")
        norms = class_margins(inputs, labels)
        sizes = np.bincount(np.asarray(labels))
        if sizes.shape != numbers.shape or np.any(sizes != numbers):
            raise ValueError(f"counts must be those of labels, which are {sizes.tolist()}")
        return norms
    if input_norms is None:
        return np.ones(len(numbers))
    norms = np.asarray(input_norms, dtype=float)
    if norms.shape != numbers.shape:
        raise ValueError(
            f"input_norms must be {len(numbers)} numbers, one a class, "
            f"but its shape is {norms.shape}"
        )
    for norm in norms:
        check_positive("input_norms", norm)
    return norms


def _check_dim(dim: int | None, geometry: Geometry) -> None:
    """Features of the predicted Gram matrix span as many dimensions as it has rank."""
    if dim is None:
        return
    gram = geometry.means_gram
    values = np.linalg.eigvalsh(gram.core)
    within = gram.inner if gram.inner.size else np.zeros(0)
    least = 1e-8 * max(values.max(), within.max(initial=0.0))
    copies = (gram.rows.sizes - 1)[: len(within)]
    rank = int(np.sum(values > least) + np.sum(copies * (within > least)))
    if dim < rank:
        raise ValueError(
            f"dim must be at least {rank}, the dimensions that the predicted class means span, "
            f"but it is {dim}"
        )


def _assumptions(theory: str, features: str, depth: int | None) -> tuple[str, ...]:
    sign = (
        "last features are nonnegative, as after a ReLU"
        if features == "nonnegative"
        else "last features have any sign"
    )
    if theory == "depth":
        return (
            f"all {depth} weight layers are decayed and nothing is normalised",
            "samples of a class lie close together, or their margin stands for them",
            "class means of the inputs are nearly orthogonal",
            sign,
            "classes share no neurons" if features == "nonnegative" else "a global minimum",
        )
    if theory == "batch_norm":
        return (
            "batch norm over all samples before the last activation σ, |σ(z)| ≤ |z|",
            "γ, β and the head are decayed",
            "for equality: the body can produce the class pattern, and training reaches its minimum",
            sign,
        )
    return (
        "decay acts on the last layer and its features alone",
        "features are free: the body can produce any of them",
        "training reaches a global minimum",
        sign,
    )
