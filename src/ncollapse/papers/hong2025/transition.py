"""From which input dimension on can one draw of a Gaussian mixture collapse? Cells of the sweeps.

One draw at the largest dimension holds, in its first d coordinates, a draw at every smaller d, and
dropping coordinates can only turn feasible into infeasible. So a search over d answers for all
dimensions at once; it starts where the exact boundary predicts the turn and goes outwards in
doubling steps, which changes how many programs are solved and nothing else. The verdict at each d
has the distribution that an independent draw would give; only verdicts at different d of the same
trial are coupled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncollapse.certify import Direction, verify
from ncollapse.certify.feasibility import candidates
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.geometry import unit_pair
from ncollapse.theory.boundary import phase_boundary


def two_class_cell(
    angle: float, sigma: float, trial: int, seed: int, count: int, dimensions: Sequence[int]
) -> dict[str, int]:
    """K = 2 unit means at ``angle``: hong2025 Figure 1. ``trial`` enters through the seed."""
    return search(unit_pair(angle), sigma, count, dimensions, seed)


def orthogonal_cell(
    sigma: float, trial: int, seed: int, classes: int, count: int, dimensions: Sequence[int]
) -> dict[str, int]:
    """K means e_k: hong2025 Figure 2. ``trial`` enters through the seed."""
    return search(np.eye(classes), sigma, count, dimensions, seed)


def search(
    means: np.ndarray, sigma: float, count: int, dimensions: Sequence[int], seed: int
) -> dict[str, int]:
    """Feasibility of the first class (hong2025 (3.1)) at ascending ``dimensions``, nested.

    Returns
    -------
    ``feasible``: at how many of the dimensions the answer is yes, which are the largest ones.
    ``verdicts``: how many programs were solved. ``proven``: how many of those verdicts are proven;
    one that is not counts as infeasible.
    """
    data = gaussian_mixture(means, count, sigma, dimensions[-1], seed)
    own, rest = data.of_class(0), data.inputs[data.labels != 0]
    guess = int(np.searchsorted(dimensions, count * float(phase_boundary(means, sigma).ratio)))
    low, high, step, proven, verdicts = 0, len(dimensions), 1, 0, 0
    while low < high:  # infeasible below low, feasible from high on
        middle = min(max(guess, low), high - 1)
        dim = dimensions[middle]
        answer = proven_verdict(own[:, :dim].copy(), rest[:, :dim].copy())
        verdicts += 1
        proven += answer is not None
        if answer:
            high, guess = middle, middle - step
        else:
            low, guess = middle + 1, middle + step
        step *= 2
    return {"feasible": len(dimensions) - low, "verdicts": verdicts, "proven": proven}


def proven_verdict(own: np.ndarray, rest: np.ndarray) -> bool | None:
    """Whether a direction maps ``own`` to 1 and ``rest`` below 0; None if nothing is proven."""
    for candidate in candidates(own, rest):
        if verify(own, rest, candidate).verified:
            return isinstance(candidate, Direction)
    return None
