"""Which classes a two-layer ReLU network will lose, read from its start (min2025).

min2025's theorem needs K groups of neurons, one a class. Neurons choose their group while the
network is small. With logits near 0 every softmax is uniform and the neurons decouple: with
a_j = v_j − mean(v_j),

    w_j' = Σ_i [⟨w_j, x_i⟩ > 0] a_{j, y_i} x_i,    v_j' = Σ_i σ(⟨w_j, x_i⟩)(e_{y_i} − 1/K),

which is homogeneous, so only the direction of (w_j, a_j) matters. On orthogonally separable data a
neuron that is active on samples of one class only, with a_jk > 0 there, stays with that class, and
one that is off on every sample stays off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse._checks import check_matrix
from ncollapse.data import Dataset, as_dataset, is_orthogonally_separable
from ncollapse.geometry import row_norms

STEP = 0.02
"""Growth of a neuron in one step of Heun's method."""
MAX_STEPS = 4000


@dataclass(frozen=True, eq=False)
class AlignmentForecast:
    """Where the neurons of a start are heading, and how far that can be relied on.

    Attributes
    ----------
    group_sizes
        ``(K,)`` neurons that end in the group of each class as the start shrinks to 0.
    settled
        ``(K,)`` those among them that provably stay with their class from any start, however
        large: active on some of its samples and on no other, with their largest output weight
        there (then every softmax pulls them further that way). A class that has one is kept.
    dead, undecided
        Neurons that end off on every sample; neurons without a group after e⁸⁰-fold growth.
    proven
        Whether every neuron is settled, or off on every sample, at the start, so that ``lost`` is
        proven. Otherwise it is what the limit of small starts does.
    slowest_growth
        Growth exponent of the slowest class when the fastest is fitted, ½ log(1/q) r_min/r_max,
        with q the largest logit at the start and r_k = ‖Σ_{i in k} x_i‖ the rate of class k. A
        start is small enough when this is large.
    """

    group_sizes: np.ndarray
    settled: np.ndarray
    dead: int
    undecided: int
    proven: bool
    slowest_growth: float

    @property
    def lost(self) -> tuple[int, ...]:
        """Indices of the classes that no neuron is heading for."""
        return tuple(np.flatnonzero(self.group_sizes == 0).tolist())

    def to_dict(self) -> dict[str, Any]:
        return {
            "group_sizes": self.group_sizes.tolist(),
            "settled": self.settled.tolist(),
            "dead": self.dead,
            "undecided": self.undecided,
            "proven": self.proven,
            "slowest_growth": self.slowest_growth,
            "lost": list(self.lost),
        }


def lost_classes(
    hidden: np.ndarray, weight: np.ndarray, data: Any, labels: Any = None
) -> tuple[int, ...]:
    """Indices of the classes that get no neuron from this start: see `forecast_alignment`."""
    return forecast_alignment(hidden, weight, data, labels).lost


def forecast_alignment(
    hidden: np.ndarray, weight: np.ndarray, data: Any, labels: Any = None
) -> AlignmentForecast:
    """Follow every neuron of a two-layer ReLU network to its class, logits being negligible.

    A class without a neuron is lost: its loss stays at log K a sample and min2025's theorem, which
    needs a neuron alive for each class, says nothing. What is proven is in `AlignmentForecast`;
    the rest is the limit of small starts, checked against flows (docs/benchmarks/lost_classes.md): on
    8 classes with scales 1 … 10, two samples a class and 40 neurons the lost classes are those of
    the flow in 100 of 100 starts of size 1e-12, in 100 of 100 of size 1e-6, in 89 of 100 of size
    1e-3 and in 7 of 100 of size 0.1, where the slowest class has no time to align before the
    fastest is fitted.

    Parameters
    ----------
    hidden, weight
        Input weights ``(h, d)`` and output weights ``(K, h)`` at the start.
    data, labels
        Orthogonally separable: a `Dataset`, or inputs ``(N, d)`` with ``labels``.

    Raises
    ------
    ValueError
        Shapes that disagree, or data that are not orthogonally separable.
    """
    data = as_dataset(data, labels)
    _check_start(hidden, weight, data)
    one_hot = np.eye(data.num_classes)[data.labels]
    products = hidden @ data.inputs.T
    active = (products > 0) @ one_hot
    only = np.argmax(active, axis=1)
    largest = np.sort(weight, axis=0)[-2:]
    leads = (np.argmax(weight, axis=0) == only) & (largest[0] < largest[1])
    settled = (np.count_nonzero(active, axis=1) == 1) & leads
    off = ~active.any(axis=1)
    groups, dead = _follow(hidden, weight, data.inputs, one_hot)
    rates = np.linalg.norm(one_hot.T @ data.inputs, axis=1)
    logit = float(np.abs(np.maximum(products, 0.0).T @ weight.T).max())
    growth = 0.5 * -math.log(logit) * float(rates.min() / rates.max()) if logit > 0.0 else math.inf
    count = data.num_classes
    return AlignmentForecast(
        group_sizes=np.bincount(groups[groups >= 0], minlength=count),
        settled=np.bincount(only[settled], minlength=count),
        dead=int(dead.sum()),
        undecided=int(np.sum((groups < 0) & ~dead)),
        proven=bool((settled | off).all()),
        slowest_growth=growth,
    )


def _follow(
    hidden: np.ndarray, weight: np.ndarray, inputs: np.ndarray, one_hot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Group of each neuron (−1 for none) and whether it died, by Heun's method on each alone.

    A step is as long as makes the neuron grow by `STEP`, because its clock does not matter.
    """
    state = np.hstack([hidden, (weight - weight.mean(axis=0)).T])
    dim = hidden.shape[1]

    def velocity(state: np.ndarray) -> np.ndarray:
        products = state[:, :dim] @ inputs.T
        pull = np.where(products > 0, state[:, dim:] @ one_hot.T, 0.0) @ inputs
        push = np.maximum(products, 0.0) @ one_hot
        return np.hstack([pull, push - push.mean(axis=1, keepdims=True)])

    groups, dead = np.full(len(state), -1), np.zeros(len(state), bool)
    moving = np.arange(len(state))
    for _ in range(MAX_STEPS):
        state[moving] /= row_norms(state[moving])[:, None]
        active = (state[moving, :dim] @ inputs.T > 0) @ one_hot
        group = np.argmax(active, axis=1)
        alone = np.count_nonzero(active, axis=1) == 1
        settled = alone & (state[moving, dim + group] > 0)
        groups[moving[settled]] = group[settled]
        dead[moving] = ~active.any(axis=1)
        moving = moving[~settled & ~dead[moving]]
        if moving.size == 0:
            break
        slope = velocity(state[moving])
        step = STEP / np.maximum(row_norms(slope), np.finfo(float).tiny)[:, None]
        trial = state[moving] + step * slope
        state[moving] += 0.5 * step * (slope + velocity(trial))
    return groups, dead


def _check_start(hidden: np.ndarray, weight: np.ndarray, data: Dataset) -> None:
    check_matrix("hidden", hidden, rows="neurons", columns="dimensions")
    check_matrix("weight", weight, rows="classes", columns="neurons")
    expected = (data.num_classes, len(hidden))
    if hidden.shape[1] != data.inputs.shape[1] or weight.shape != expected:
        raise ValueError(
            f"hidden must be (neurons, {data.inputs.shape[1]}) and weight ({expected[0]}, neurons) "
            f"for these data, but their shapes are {hidden.shape} and {weight.shape}"
        )
    if not is_orthogonally_separable(data):
        raise ValueError("data must be orthogonally separable, or no neuron's group is final")
