"""Ordinary training: momentum descent in small batches, looked at after chosen epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ncollapse._extras import require
from ncollapse.papers.imbalance.networks import Network, Objective, build_network

MOMENTUM = 0.9


def train_in_batches(
    inputs: np.ndarray,
    labels: np.ndarray,
    *,
    at: Sequence[int],
    batch_size: int,
    rate: float,
    weight_decay: float,
    seed: int,
    affine_decay: float | None = None,
    **shape: Any,
) -> Iterator[tuple[int, Network]]:
    """Momentum descent on a network of `build_network`, decay on all that the theory counts.

    ``rate`` falls to zero along a cosine until the last epoch of ``at``. Yields each of these epochs
    with its network, whose module the next epochs change.
    """
    torch = require("torch")
    network = build_network(inputs.shape[1:], int(labels.max()) + 1, seed=seed, **shape)
    objective = Objective(network, labels, weight_decay=weight_decay, affine_decay=affine_decay)
    x = torch.as_tensor(inputs, dtype=torch.float64)
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(at))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        start = float(objective.value(x))
    for epoch in range(1, max(at) + 1):
        for rows in partition(len(labels), batch_size, rng):
            optimiser.zero_grad()
            objective.value(x[rows], rows).backward()
            optimiser.step()
        schedule.step()
        if epoch in at:
            yield epoch, objective.finish(x, start)


def partition(count: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """All samples in random order, in batches of ``size`` or one less than that, or one more."""
    return np.array_split(rng.permutation(count), max(1, round(count / size)))
