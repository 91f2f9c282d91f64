"""What min2025's figures show, computed from a run; nothing is drawn here.

The groups of the alignment theorem are exact sign patterns. Data that are not orthogonally
separable may leave all of them empty, so for the figures a neuron belongs to the class whose ETF
direction its output weights point to; once the theorem's groups exist the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ncollapse.data import Dataset
from ncollapse.geometry import simplex_etf, unit_rows
from ncollapse.models import DEAD
from ncollapse.papers.min2025.network import Run, rank_error

UNASSIGNED = -1
"""Code of a neuron that is dead or has no output weights: it points to no class."""


@dataclass(frozen=True, eq=False)
class Correlation:
    """Cosines of pairs of inputs, sorted by class; class k fills rows edges[k] to edges[k+1]."""

    cosines: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True, eq=False)
class Projection:
    """Principal components without centring, and what they leave out.

    ``coordinates (N, ≤ 3)`` belong to the largest singular values, in that order; ``error`` is
    the share of the squared norm outside the best rank-K approximation.
    """

    coordinates: np.ndarray
    error: float


@dataclass(frozen=True, eq=False)
class GroupWeights:
    """Average input weights of each class's neurons beside the class's average input.

    Attributes
    ----------
    weights, inputs
        ``(K, d)`` averages; the weights of an empty group are zero.
    cosines
        ``(K,)`` between the two; None where the group is empty or an average is zero.
    sizes
        ``(K,)`` neurons of each group.
    """

    weights: np.ndarray
    inputs: np.ndarray
    cosines: tuple[float | None, ...]
    sizes: np.ndarray


@dataclass(frozen=True, eq=False)
class Panels:
    """Everything that min2025's figures draw.

    Attributes
    ----------
    assigned
        ``(h,)``: class of each neuron at the end by the direction of its output weights, or
        `UNASSIGNED`.
    outputs, etf
        Output weights ``(h, 2)``, relative to the longest, and ETF directions ``(K, 2)`` in
        `simplex_plane`.
    masses, cos_to_max_margin
        ``(K,)`` as in `Run`, but over the assigned groups; a cosine is None without a prediction
        or for an empty group.
    agreement, output_cosine
        ``(M,)`` at each snapshot: `sign_agreement`, and the average cosine between a neuron's
        output weights and the nearest ETF direction.
    aligned
        The first snapshot with the largest agreement.
    inputs, features_aligned, features_end
        Principal components of the inputs, and of the features at ``aligned`` and at the end.
    """

    correlation: Correlation
    groups: GroupWeights
    assigned: np.ndarray
    outputs: np.ndarray
    etf: np.ndarray
    masses: np.ndarray
    cos_to_max_margin: tuple[float | None, ...]
    agreement: np.ndarray
    output_cosine: np.ndarray
    aligned: int
    inputs: Projection
    features_aligned: Projection
    features_end: Projection


def compute_panels(run: Run) -> Panels:
    """Compute what the figures of ``run`` show."""
    data, trajectory = run.data, run.trajectory
    hidden, weight = trajectory.parameters["hidden"], trajectory.parameters["weight"]
    assigned, masses, to_margin = output_groups(run)
    plane = simplex_plane(data.num_classes)
    longest = float(np.linalg.norm(weight, axis=0).max())
    agreement, output_cosine = _follow(run)
    aligned = int(np.argmax(agreement))
    return Panels(
        correlation=correlate(data),
        groups=average_weights(hidden, assigned, data),
        assigned=assigned,
        outputs=weight.T @ plane / (longest if longest > 0 else 1.0),
        etf=simplex_etf(data.num_classes) @ plane,
        masses=masses,
        cos_to_max_margin=to_margin,
        agreement=agreement,
        output_cosine=output_cosine,
        aligned=aligned,
        inputs=project(data.inputs, data.num_classes),
        features_aligned=project(trajectory.features_at(aligned), data.num_classes),
        features_end=project(trajectory.features_at(-1), data.num_classes),
    )


def output_groups(run: Run) -> tuple[np.ndarray, np.ndarray, tuple[float | None, ...]]:
    """Neurons grouped by their output weights at the end: class, masses, cosines to u_k.

    Class ``(h,)`` by `nearest_etf`, masses ``(K,)`` and cosines as in `Panels`.
    """
    parameters = run.trajectory.parameters
    dead = run.trajectory.observations["groups"][-1] == DEAD
    assigned = np.where(dead, UNASSIGNED, nearest_etf(parameters["weight"])[0])
    directions = None if run.limit is None else run.limit.directions
    return (
        assigned,
        *_group_masses(
            parameters["hidden"], parameters["weight"], assigned, directions, run.data.num_classes
        ),
    )


def correlate(data: Dataset) -> Correlation:
    """Cosines of all pairs of inputs, ``(N, N)``, samples sorted by class."""
    order = np.argsort(data.labels, kind="stable")
    directions = unit_rows(data.inputs[order])
    return Correlation(directions @ directions.T, np.concatenate([[0], np.cumsum(data.counts)]))


def nearest_etf(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class whose ETF direction each column of ``weight (K, h)`` points to, and the cosine.

    A zero column is `UNASSIGNED`, with cosine 0.
    """
    norms = np.linalg.norm(weight, axis=0)
    cosines = simplex_etf(len(weight)) @ weight / np.where(norms > 0, norms, 1.0)
    return np.where(norms > 0, cosines.argmax(axis=0), UNASSIGNED), cosines.max(axis=0)


def sign_agreement(features: np.ndarray, labels: np.ndarray, assigned: np.ndarray) -> float:
    """Share of (sample, neuron) pairs whose activation is what the alignment theorem says.

    A neuron should be on (feature > 0) for the samples of its class and off for all others.
    Counted over neurons that are on somewhere and assigned; 0 when there is none. 1 is alignment.
    """
    active = features > 0
    counted = active.any(axis=0) & (assigned != UNASSIGNED)
    if not counted.any():
        return 0.0
    wanted = labels[:, None] == assigned[None, :]
    return float(np.mean((active == wanted)[:, counted]))


def average_weights(hidden: np.ndarray, assigned: np.ndarray, data: Dataset) -> GroupWeights:
    """Average of the input weights ``hidden (h, d)`` of each group beside the class averages."""
    count = data.num_classes
    weights, inputs = np.zeros((count, data.inputs.shape[1])), np.zeros((count, hidden.shape[1]))
    for k in range(count):
        inputs[k] = data.of_class(k).mean(axis=0)
        if np.any(assigned == k):
            weights[k] = hidden[assigned == k].mean(axis=0)
    cosines = tuple(_cosine(weights[k], inputs[k]) for k in range(count))
    sizes = np.array([int(np.sum(assigned == k)) for k in range(count)])
    return GroupWeights(weights, inputs, cosines, sizes)


def simplex_plane(num_classes: int) -> np.ndarray:
    """Orthonormal ``(K, 2)`` basis of a plane in which the K ETF directions look alike.

    Columns √(2/K)·cos θ_k and √(2/K)·sin θ_k with θ_k = π/2 − 2πk/K: ETF directions become a
    regular polygon of radius √(2/(K−1)), the first on top. For K = 3 that is the plane of the
    simplex itself. For K = 2 the simplex is a line; the second direction is (1, 1)/√2.
    """
    if num_classes == 2:
        return np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
    angle = np.pi / 2 - 2 * np.pi * np.arange(num_classes) / num_classes
    return np.sqrt(2 / num_classes) * np.column_stack([np.cos(angle), np.sin(angle)])


def project(matrix: np.ndarray, rank: int) -> Projection:
    """First three principal components of ``matrix (N, D)``, uncentred, and its rank error.

    A component's sign is free: its entry of largest absolute value is made positive.
    """
    left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    coordinates = (left * singular)[:, :3]
    largest = np.abs(coordinates).argmax(axis=0)
    signs = np.sign(coordinates[largest, np.arange(coordinates.shape[1])])
    return Projection(coordinates * np.where(signs < 0, -1.0, 1.0), rank_error(matrix, rank))


def _follow(run: Run) -> tuple[np.ndarray, np.ndarray]:
    agreement, output_cosine = [], []
    for snapshot in range(len(run.trajectory.snapshot_s)):
        weight, _ = run.trajectory.classifier_at(snapshot)
        assigned, cosines = nearest_etf(weight)
        features = run.trajectory.features_at(snapshot)
        agreement.append(sign_agreement(features, run.data.labels, assigned))
        output_cosine.append(float(cosines.mean()))
    return np.array(agreement), np.array(output_cosine)


def _group_masses(
    hidden: np.ndarray,
    weight: np.ndarray,
    assigned: np.ndarray,
    directions: np.ndarray | None,
    num_classes: int,
) -> tuple[np.ndarray, tuple[float | None, ...]]:
    total = np.sum(hidden**2) + np.sum(weight**2)
    masses = np.zeros(num_classes)
    to_margin: list[float | None] = []
    for k in range(num_classes):
        own = hidden[assigned == k]
        masses[k] = np.sum(own**2) / total
        if directions is None or masses[k] == 0:
            to_margin.append(None)
        else:
            along = np.linalg.norm(own @ directions[k])
            to_margin.append(float(along / np.linalg.norm(own)))
    return masses, tuple(to_margin)


def _cosine(left: np.ndarray, right: np.ndarray) -> float | None:
    scale = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / scale if scale > 0 else None
