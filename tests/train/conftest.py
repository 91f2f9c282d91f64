"""Two classes small enough for literal formulas: one data set that can collapse, one that cannot."""

import pytest

from ncollapse.certify import certify
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.train import TwoLayer

DECAYS = {"weight_decay": 1e-3, "feature_decay": 1e-6}


@pytest.fixture(scope="session")
def feasible():
    """n = 12 in 24 dimensions: data, certificate and problem."""
    return _made(24, 0.5)


@pytest.fixture(scope="session")
def infeasible():
    """n = 12 in 10 dimensions."""
    return _made(10, 0.8)


def _made(dim, sigma):
    data = gaussian_mixture([[1.0], [-1.0]], 12, sigma, dim, 1)
    return data, certify(data), TwoLayer.on(data, **DECAYS)
