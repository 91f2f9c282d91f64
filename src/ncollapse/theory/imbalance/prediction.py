"""What `predict` returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from ncollapse.metrics import SampleStats, compute
from ncollapse.stats import ClassStats
from ncollapse.theory.imbalance.geometry import Geometry

SAME_MEANS = 1e-6
"""Means coincide where their squared distance is below this share of the largest squared norm."""
NO_LOGITS = 1e-4
"""A class is dead where its logits are below this."""
UNDECIDED = ("nc4_agreement", "ncc_accuracy", "classifier_accuracy")


@dataclass(frozen=True, eq=False)
class Prediction:
    """A collapsed last layer as a theory predicts it.

    Attributes
    ----------
    counts
        Samples of each column (class, or label pattern) ``(K,)``.
    theory
        "peeled" (P), "nonnegative", "depth" or "batch_norm".
    assumptions
        What must hold of a network for the prediction to be about it.
    source
        Where the theory comes from.
    """

    counts: np.ndarray
    theory: str
    assumptions: tuple[str, ...]
    source: str
    geometry: Geometry = field(repr=False)
    targets: np.ndarray | None = field(repr=False, default=None)

    @property
    def risk(self) -> float:
        """The objective that is predicted, regularisation included."""
        return self.geometry.risk

    @property
    def gap(self) -> float | None:
        """Proven relative distance of ``risk`` from the optimum of the theory's problem, None where
        nothing is proven.
        """
        return self.geometry.gap

    @property
    def bias(self) -> np.ndarray:
        """b ``(K,)``, zero without one."""
        return self.geometry.bias[self.geometry.logits.rows.index]

    @cached_property
    def logits(self) -> np.ndarray:
        """Column k: the logits of class k's samples, bias included, ``(K, K)``."""
        return self.geometry.logits.dense() + self.bias[:, None]

    @cached_property
    def weight_gram(self) -> np.ndarray:
        """WWᵀ ``(K, K)``."""
        return self.geometry.weight_gram.dense()

    @cached_property
    def means_gram(self) -> np.ndarray:
        """M̄ᵀM̄ of the uncentred class means ``(K, K)``."""
        return self.geometry.means_gram.dense()

    @cached_property
    def margins(self) -> np.ndarray:
        """Own logit less the mean of the others, ``(K,)``.

        Own are the rows where a label pattern is largest; a constant pattern has margin 0.
        """
        if self.targets is not None:
            own = self.targets == self.targets.max(axis=0)
            inside = own.sum(axis=0)
            outside = len(own) - inside
            total = np.sum(self.logits, axis=0)
            kept = np.sum(self.logits * own, axis=0)
            return np.where(outside > 0, kept / inside - (total - kept) / np.maximum(outside, 1), 0)
        logits = self.geometry.logits
        groups = logits.rows
        own = logits.diagonal() + self.geometry.bias
        total = groups.sizes @ (logits.entries() + self.geometry.bias[:, None]) + logits.inner
        margins = own - (total - own) / (groups.count - 1)
        return margins[groups.index]

    @cached_property
    def dead(self) -> tuple[int, ...]:
        """Classes whose means, and so logits, are zero."""
        logits = self.geometry.logits
        largest = np.abs(logits.entries()).max(axis=0)
        if logits.inner.size:
            largest = np.maximum(largest, np.abs(logits.diagonal()))
        return tuple(np.flatnonzero(largest[logits.columns.index] <= NO_LOGITS).tolist())

    @cached_property
    def merged(self) -> tuple[tuple[int, ...], ...]:
        """Groups of at least two classes that are not dead and whose means coincide."""
        gram = self.geometry.means_gram
        entries, index = gram.entries(), gram.columns.index
        squares = gram.diagonal() if gram.inner.size else np.diag(entries)
        close = SAME_MEANS * float(squares.max())
        apart = squares[:, None] + squares - 2.0 * entries
        alone = np.diag(apart) > close  # two classes of one group
        joined = (apart <= close) & ~np.diag(alone)
        _, component = connected_components(joined, directed=False)
        dead = set(self.dead)
        together: dict[int, list[int]] = {}
        for k, group in enumerate(index.tolist()):
            # A group of classes that are apart joins nothing.
            if k not in dead and not alone[group]:
                together.setdefault(int(component[group]), []).append(k)
        return tuple(tuple(classes) for classes in together.values() if len(classes) > 1)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Value of every metric that the prediction determines; none for label patterns.

        All are invariant under rotation of the features. Where classes coincide the decisions
        are ties and not determined; where features are signed the share of negative ones is not.
        """
        if self.targets is not None:
            return {}
        means, weight = self._vectors()
        count = len(means)
        summary = ClassStats(count, means.shape[1]).update(means, np.arange(count)).finish()
        sizes = self.counts.astype(np.int64)
        samples = SampleStats(summary, weight, self.bias).update(means, np.arange(count)).finish()
        samples = replace(
            samples,
            **{
                name: value * sizes
                for name, value in vars(samples).items()
                if isinstance(value, np.ndarray)
            },
        )
        summary = replace(
            summary,
            counts=sizes,
            zero_counts=summary.zero_counts * sizes,
            num_samples=int(sizes.sum()),
        )
        values = compute(summary, weight=weight, bias=self.bias, samples=samples)
        hidden: set[str] = set(UNDECIDED) if self.merged or self.dead else set()
        if not self.geometry.nonnegative:
            hidden.add("nc2_negative_part")
        return {
            name: float(value)
            for name, value in sorted(values.items())
            if name not in hidden and np.isfinite(value)
        }

    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Class means ``(K, r)`` and W ``(K, r)`` with these Gram matrices, r at most K."""
        values, vectors = np.diag(self.means_gram), np.eye(len(self.means_gram))
        if not self.geometry.nonnegative:
            values, vectors = np.linalg.eigh(self.means_gram)
        roots = np.sqrt(np.maximum(values, 0.0))
        kept = roots > 1e-7 * roots.max(initial=0.0)
        if not kept.any():
            return np.zeros((len(roots), 1)), np.zeros((len(roots), 1))
        means = (vectors * roots)[:, kept]
        weight = np.linalg.lstsq(means, self.geometry.logits.dense().T, rcond=None)[0].T
        return means, weight

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "assumptions": list(self.assumptions),
            "bias": self.bias.tolist(),
            "counts": self.counts.astype(int).tolist(),
            "dead": list(self.dead),
            "gap": self.gap,
            "logits": self.logits.tolist(),
            "margins": self.margins.tolist(),
            "means_gram": self.means_gram.tolist(),
            "merged": [list(group) for group in self.merged],
            "metrics": self.metrics,
            "risk": self.risk,
            "source": self.source,
            "theory": self.theory,
            "weight_gram": self.weight_gram.tolist(),
        }
