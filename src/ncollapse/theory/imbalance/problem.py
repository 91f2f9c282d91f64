"""The convex program (P) that last layers with unconstrained features minimise, and its dual (D)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from ncollapse.theory.imbalance._groups import GroupMatrix, Groups
from ncollapse.theory.imbalance._losses import LOSSES


@dataclass(frozen=True, eq=False)
class Problem:
    """(P): min over Z, b of Σ_k c_k ℓ(z_k + b, t_k) + λ‖Z diag(s)‖_* + λ_b/2 ‖b‖².

    Classes of one weight c_k and scale s_k are alike, and convexity makes the minimiser the same
    under their permutations: everything is kept a group. ``weights`` c and ``scales`` s are one a
    group of columns; ``targets`` and ``times`` have a row for each group of rows and, where a class
    has a column, a last row for the class itself.

    Its dual (D): max of Σ_k c_k ``ℓ*``(r_k) − ‖Rc‖²/(2λ_b) over R with ‖R diag(c/s)‖_op ≤ λ, where ``ℓ*``
    is the entropy of t_k + r_k for cross-entropy and −⟨r_k, t_k⟩ − ½‖r_k‖² for squared loss;
    Rc = 0 for a free bias, no condition without one.
    """

    loss: str
    weights: np.ndarray
    scales: np.ndarray
    penalty: float
    bias: bool | float
    targets: np.ndarray
    times: np.ndarray
    rows: Groups
    columns: Groups

    @classmethod
    def of_classes(
        cls,
        loss: str,
        weights: np.ndarray,
        scales: np.ndarray,
        penalty: float,
        *,
        bias: bool | float = False,
        label_smoothing: float = 0.0,
    ) -> Self:
        """Column k belongs to class k: t_k = (1 − α)e_k + (α/K)1."""
        groups, first = Groups.equal(weights, scales)
        size = len(groups.sizes)
        other = label_smoothing / groups.count
        targets = np.full((size + 1, size), other)
        targets[-1] += 1.0 - label_smoothing
        times = np.tile(groups.sizes[:, None], size) - np.eye(size)
        return cls(
            loss=loss,
            weights=weights[first],
            scales=scales[first],
            penalty=penalty,
            bias=bias,
            targets=targets,
            times=np.vstack([times, np.ones(size)]),
            rows=groups,
            columns=groups,
        )

    @classmethod
    def of_patterns(
        cls,
        loss: str,
        weights: np.ndarray,
        scales: np.ndarray,
        penalty: float,
        patterns: np.ndarray,
        *,
        bias: bool | float = False,
    ) -> Self:
        """Column k has the label ``patterns[:, k]``, any vector; ``patterns`` is ``(K, P)``."""
        num_classes, count = patterns.shape
        return cls(
            loss=loss,
            weights=weights,
            scales=scales,
            penalty=penalty,
            bias=bias,
            targets=patterns,
            times=np.ones(patterns.shape),
            rows=Groups.alone(num_classes),
            columns=Groups.alone(count),
        )

    @property
    def by_class(self) -> bool:
        """Whether every column belongs to one class."""
        return self.rows is self.columns

    @property
    def decay_of_bias(self) -> float:
        """λ_b; 0 for a free bias or none."""
        return 0.0 if isinstance(self.bias, bool) else self.bias

    def matrix(self, core: np.ndarray, inner: np.ndarray) -> GroupMatrix:
        return GroupMatrix(core, inner, self.rows, self.columns)

    def spread(self, core: np.ndarray, inner: np.ndarray) -> np.ndarray:
        """Entries of a matrix as the losses want them, ``targets.shape``."""
        matrix = self.matrix(core, inner)
        entries = matrix.entries()
        if not self.by_class:
            return entries
        return np.vstack([entries, np.diag(entries) + inner])

    def gather(self, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Core and inner part of the matrix whose entries are ``slope``: undoes `spread`."""
        total = self.times * slope
        core = total[: len(self.rows.sizes)]
        inner = np.zeros(0)
        if self.by_class:
            core = core + np.diag(total[-1])
            # A single class has no other of its group: its inner part counts zero times.
            inner = np.where(self.columns.sizes > 1, slope[-1] - np.diag(slope), 0.0)
        return core * self.columns.roots / self.rows.roots[:, None], inner

    def data(
        self, core: np.ndarray, inner: np.ndarray, bias: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Σ_k c_k ℓ(z_k + b, t_k) and the slopes r_k. ``bias`` in the coordinates of the core."""
        entries = self.spread(core, inner)
        shift = bias / self.rows.roots
        entries[: len(shift)] += shift[:, None]
        if self.by_class:
            entries[-1] += shift
        values, slope = LOSSES[self.loss].evaluate(entries, self.targets, self.times)
        return float(np.sum(self.weights * self.columns.sizes * values)), slope

    def inner_norm(self, inner: np.ndarray) -> float:
        if not inner.size:
            return 0.0
        return float(np.sum((self.columns.sizes - 1) * np.abs(inner) * self.scales))

    def dual_slope(self, core: np.ndarray, inner: np.ndarray) -> np.ndarray:
        """Slopes R = −λ G diag(s/c) of a matrix G."""
        scale = -self.penalty * self.scales / self.weights
        return self.spread(core * scale, inner * scale if inner.size else inner)

    def dual_value(self, core: np.ndarray, inner: np.ndarray) -> float:
        """The objective of (D) at R = −λ G diag(s/c), G of operator norm at most 1.

        −∞ where t_k + r_k is no distribution. A free bias needs G diag(s) 1 = 0.
        """
        slope = self.dual_slope(core, inner)
        values = LOSSES[self.loss].dual(slope, self.targets, self.times)
        total = float(np.sum(self.weights * self.columns.sizes * values))
        if self.decay_of_bias:
            pull = self.penalty * core @ (self.scales * self.columns.roots)
            total -= float(pull @ pull) / (2.0 * self.decay_of_bias)
        return total
