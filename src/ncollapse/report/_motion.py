"""Unconstrained features in the K − 1 dimensions of their simplex, at equal steps of log log t."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np
from scipy.interpolate import PchipInterpolator

from ncollapse.geometry import centring_matrix, row_norms
from ncollapse.runs import Run

DRAWABLE = (3, 4)
"""Numbers of classes whose simplex can be drawn: a triangle and a tetrahedron."""


@dataclass(frozen=True, eq=False)
class Motion:
    """F frames of a run of K classes of n samples, N = K n, on axes where the simplex stands still.

    clock
        ``(F,)``, evenly spaced: log(1 + log(1 + t)), which is 0 at t = 0 and log log t late.
    log_time, log_inverse_loss
        ``(F,)``: log t, −∞ where t = 0, and log(1/L).
    features, means, classifier
        ``(F, N, K − 1)``, ``(F, K, K − 1)``, ``(F, K, K − 1)``: see `motion`.
    ideal
        ``(K, K − 1)``: unit vertices of the simplex, the first one straight up.
    outside
        ``(F,)``: share of the centred features' squared norm outside these dimensions.
    distance
        ``(F,)``: root mean square distance of a feature to its vertex, what is outside included.
    """

    clock: np.ndarray
    log_time: np.ndarray
    log_inverse_loss: np.ndarray
    features: np.ndarray
    means: np.ndarray
    classifier: np.ndarray
    ideal: np.ndarray
    outside: np.ndarray
    distance: np.ndarray


def check_drawable(num_classes: int) -> None:
    """Raise ``ValueError`` unless a simplex of ``num_classes`` points can be drawn."""
    if num_classes not in DRAWABLE:
        raise ValueError(
            "the animation can draw 3 classes, on a triangle, or 4, on a tetrahedron, but the "
            f"number of classes is {num_classes}"
        )


def motion(run: Run, *, frames: int = 121) -> Motion:
    """Where features, class means and rows of W are, ``frames`` times from the start to the end.

    With class means M ``(K, D)`` and their average g, a feature h is at (h − g)Q/r, a mean
    likewise. r is the root mean square of ‖h − g‖ over all features of that frame, because those
    of cross-entropy leave for infinity; so collapse is unit vectors. Rows of W are centred and
    divided by their own root mean square: self-duality is a row on its mean. Q ``(D, K − 1)`` is
    the same in every frame: the orthonormal columns that bring the *final* centred means closest
    to the ideal simplex E, the polar factor of (M − 1gᵀ)ᵀE. They span what those means span.
    Positive features end on an orthogonal frame, which is a simplex once centred.

    Between recorded states, coordinates follow a monotone cubic in the clock.

    Raises
    ------
    ValueError
        K is not 3 or 4; fewer than two frames; features, or rows of W, that coincide exactly.
    """
    classes, per_class = run.setup.num_classes, run.setup.per_class
    check_drawable(classes)
    if frames < 2:
        raise ValueError(f"frames must be at least 2, but it is {frames}")
    path, ideal = run, upright_simplex(classes)
    states = range(len(path.snapshot_s))
    features = np.stack([path.features_at(state) for state in states])
    weights = np.stack([path.classifier_at(state)[0] for state in states])
    means = features.reshape(len(features), classes, per_class, -1).mean(axis=2)
    centre = means.mean(axis=1, keepdims=True)
    scale = _spread(features - centre, "features")
    axes = _axes((means[-1] - centre[-1]) / scale[-1], ideal)

    relative = (features - centre) / scale
    placed = relative @ axes
    beyond = np.sum((relative - placed @ axes.T) ** 2, axis=(1, 2))
    gaps = np.sum((placed - np.repeat(ideal, per_class, axis=0)) ** 2, axis=(1, 2)) + beyond
    rows = weights - weights.mean(axis=1, keepdims=True)
    rows = rows @ axes / _spread(rows, "rows of W")

    steps, levels = _levels(path)
    recorded = np.interp(path.snapshot_s, np.concatenate([[0.0], path.s]), steps)
    clock = np.linspace(0.0, steps[-1], frames)
    moved = _between(recorded, placed, clock)
    return Motion(
        clock=clock,
        log_time=_log_time(clock),
        log_inverse_loss=np.interp(clock, steps, levels),
        features=moved,
        means=moved.reshape(frames, classes, per_class, -1).mean(axis=2),
        classifier=_between(recorded, rows, clock),
        ideal=ideal,
        outside=_between(recorded, beyond / features.shape[1], clock),
        distance=_between(recorded, np.sqrt(gaps / features.shape[1]), clock),
    )


def clock_of(log_time: np.ndarray) -> np.ndarray:
    """log(1 + log(1 + t)): defined from t = 0 on, and log log t once t is large."""
    return np.log1p(np.logaddexp(0.0, log_time))


def upright_simplex(num_classes: int) -> np.ndarray:
    """Unit vertices ``(K, K − 1)`` of a simplex, the first on the last axis."""
    gram = num_classes / (num_classes - 1) * centring_matrix(num_classes)
    vertices = np.linalg.cholesky(gram[:-1, :-1])
    return np.vstack([vertices, -vertices.sum(axis=0)])[:, ::-1]


def _axes(means: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(means.T @ ideal, full_matrices=False)
    return left @ right


def _spread(centred: np.ndarray, what: str) -> np.ndarray:
    """Root mean square of the rows' norms in each state, ``(M, 1, 1)``."""
    spread = np.sqrt(np.mean(row_norms(centred) ** 2, axis=1))
    if not spread.all():
        raise ValueError(
            f"the {what} coincide at the recorded state {int(np.argmin(spread))}, so there is no "
            "scale to draw on"
        )
    return spread[:, None, None]


def _levels(path: Run) -> tuple[np.ndarray, np.ndarray]:
    """Clock and log(1/L) at the start and at every step."""
    with jax.enable_x64(True):
        level = -float(path.model.log_loss(path.at(0)))
    clock = np.concatenate([[0.0], clock_of(path.log_time)])
    return clock, np.concatenate([[level], path.log_inverse_loss])


def _log_time(clock: np.ndarray) -> np.ndarray:
    """Inverse of `clock_of`, without forming t."""
    inner = np.expm1(clock)
    with np.errstate(divide="ignore"):
        return inner + np.log(-np.expm1(-inner))


def _between(recorded: np.ndarray, values: np.ndarray, clock: np.ndarray) -> np.ndarray:
    times, first = np.unique(recorded, return_index=True)
    return PchipInterpolator(times, values[first], axis=0)(clock)
