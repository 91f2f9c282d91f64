"""Which theory explains a network that was measured: architecture and decay are read from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse._arrays import to_numpy
from ncollapse.stats import ClassSummary
from ncollapse.theory.explain import explain_layer
from ncollapse.theory.imbalance import (
    AssumptionCheck,
    Explanation,
    LastLayerStats,
    MeasuredLayer,
    layer_of_sums,
)
from ncollapse.torch._architecture import Architecture
from ncollapse.torch._decays import read_decays

TITLES = {"depth": "the depth law", "batch_norm": "the batch-norm theorem"}


@dataclass(frozen=True, eq=False)
class LastLayerReading:
    """What is left of a measured model for `explain`: sums over samples, W, b and the architecture.

    ``architecture`` is None where no batch ran on this rank.
    """

    stats: LastLayerStats
    negative: float
    weight: np.ndarray
    bias: np.ndarray | None
    summary: ClassSummary
    architecture: Architecture | None

    def layer(self) -> MeasuredLayer:
        counts = np.asarray(to_numpy(self.summary.counts), dtype=float)
        means = np.asarray(to_numpy(self.summary.means), dtype=float)
        within = np.asarray(to_numpy(self.summary.within_scatter), dtype=float)
        sums = counts[:, None] * means
        moment = within * self.summary.num_samples + means.T @ sums
        return layer_of_sums(self.stats, sums, moment, self.negative, self.weight, self.bias)

    def explain(
        self,
        optimizer: Any,
        weight_decay: float | None,
        depth: int | None,
        normalisation: str | None,
        inputs: np.ndarray | None,
        labels: np.ndarray | None,
    ) -> Explanation:
        if optimizer is not None and weight_decay is not None:
            raise ValueError("weight_decay must be None with optimizer, which has it")
        network = self.architecture
        checks: dict[str, tuple[AssumptionCheck, ...]] = {}
        decays: Any = weight_decay
        affine = None
        if network is None:
            notes = ["no batch ran on this rank, so that nothing was read from the network"]
        else:
            depth = network.depth if depth is None else depth
            normalisation = network.normalisation if normalisation is None else normalisation
            notes = [
                f"{TITLES[theory]} does not apply: {'; '.join(words)}"
                for theory, words in network.remarks.items()
                if words
            ]
            plain = AssumptionCheck("plain ReLU layers on one path", not network.remarks["depth"])
            checks["depth"] = (plain,)
        if network is not None and optimizer is not None:
            read = read_decays(optimizer, network)
            notes += read.remarks
            checks = {
                theory: (*checks.get(theory, ()), *read.checks.get(theory, ()))
                for theory in {*checks, *read.checks}
            }
            decays = _decays(read.layers, depth)
            affine = read.affine if normalisation == "batch" else None
        return explain_layer(
            self.layer(),
            weight_decay=decays,
            feature_decay=affine or None,
            depth=depth,
            normalisation=normalisation,
            inputs=inputs,
            labels=labels,
            checks=checks,
            notes=notes,
        )


def _decays(layers: tuple[float, ...] | None, depth: int | None) -> float | list[float] | None:
    """One decay a layer where all are positive; else that of the classifier, None without one."""
    if not layers or layers[-1] <= 0:
        return None
    return list(layers) if depth == len(layers) and min(layers) > 0 else layers[-1]
