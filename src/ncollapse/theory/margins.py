"""Where a two-layer ReLU network ends on orthogonally separable data: margins and masses.

Once every neuron sees one class only, the classes decouple: the input weights of group k turn to
the max-margin direction of class k alone, the output weights to a direction of the simplex ETF
(min2025, convergence theorem). Each class loss then decays like 1/t, so s_k² γ_k is the same for
all classes, which fixes the masses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.data import as_dataset
from ncollapse.geometry import row_norms, simplex_etf
from ncollapse.least_distance import least_distance


@dataclass(frozen=True, eq=False)
class ReLULimit:
    """The limit direction of gradient flow, θ̄ = lim θ/‖θ‖ (min2025).

    Attributes
    ----------
    directions
        u_k, unit max-margin direction of each class alone, ``(K, d)``.
    margins
        γ_k = min over class k of ⟨x_i, u_k⟩, ``(K,)``.
    masses
        s_k² = γ_k⁻¹ / (2 Σ_j γ_j⁻¹), ``(K,)``: the share of ‖θ‖² that the input weights of group k
        hold; the output weights hold as much, so the masses sum to 1/2.
    """

    directions: np.ndarray
    margins: np.ndarray
    masses: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """Input weights s_k u_k of the limit with one neuron a group, ``(K, d)``."""
        return np.sqrt(self.masses)[:, None] * self.directions

    @property
    def weight(self) -> np.ndarray:
        """Output weights of that network, ``(K, K)``: column k is s_k ē_k, ē_k an ETF direction."""
        return simplex_etf(len(self.masses)).T * np.sqrt(self.masses)

    def to_dict(self) -> dict[str, list[float]]:
        return {"margins": self.margins.tolist(), "masses": self.masses.tolist()}


def max_margin(inputs: np.ndarray) -> tuple[np.ndarray, float]:
    """Direction u and margin γ of max_{‖u‖=1} min_i ⟨x_i, u⟩, for one class.

    Solved as the least-distance problem min ‖w‖ subject to ⟨x_i, w⟩ ≥ 1, with rows scaled to norm
    1. γ is measured on u, and weak duality, γ ≤ ‖Σ λ_i x_i‖ for every convex combination, confirms
    it to a relative 1e-6 and the rounding of the inner products.

    Parameters
    ----------
    inputs
        ``(n, d)``.

    Raises
    ------
    ValueError
        No direction has a positive inner product with every input, or none that double precision
        can tell from that.
    """
    norms = row_norms(inputs)
    if not norms.all():
        raise ValueError(
            f"inputs row {int(np.argmin(norms))} is the zero vector: "
            "no direction has a positive inner product with it"
        )
    rows, bound = inputs / norms[:, None], norms.min() / norms
    # Solved again with equality on the rows that bind: least squares keeps the digits that the
    # residual loses when rows nearly cancel.
    binding = least_distance(rows, bound).multipliers > 0.0
    point = np.linalg.lstsq(rows[binding], bound[binding])[0]
    multipliers = np.maximum(np.linalg.lstsq(rows[binding].T, point)[0], 0.0)
    direction = point / (np.linalg.norm(point) or 1.0)
    margin = float(np.min(rows @ direction * norms))
    mixture = float(np.linalg.norm(multipliers @ rows[binding]))
    reach = margin + 1e-15 * float(norms.max())
    if (
        margin <= 0.0
        or mixture <= 1e-15 * multipliers.sum()
        or reach * float(multipliers @ bound[binding]) < (1.0 - 1e-6) * mixture * norms.min()
    ):
        raise ValueError(
            "no direction has a positive inner product with every input of the class: "
            "a nonnegative combination of them is zero, exactly or to rounding"
        )
    return direction, margin


def relu_limit(data: Any, labels: Any = None) -> ReLULimit:
    """Predict the limit direction of a two-layer ReLU network on ``data`` (min2025).

    ``data`` is a `Dataset`, or inputs ``(N, d)`` with ``labels``.
    The prediction holds for orthogonally separable data; elsewhere it is what the theorem would
    say and a comparison shows the difference.

    Raises
    ------
    ValueError
        A class has no direction with positive inner product with all its inputs; it is named.
    """
    data = as_dataset(data, labels)
    directions, margins = [], []
    for k in range(data.num_classes):
        try:
            direction, margin = max_margin(data.of_class(k))
        except ValueError as error:
            raise ValueError(f"class {data.classes[k]}: {error}") from error
        directions.append(direction)
        margins.append(margin)
    gammas = np.array(margins)
    inverse = gammas.min() / gammas
    return ReLULimit(np.array(directions), gammas, inverse / (2 * inverse.sum()))
