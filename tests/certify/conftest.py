"""Data sets with proven certificates."""

import numpy as np
import pytest

from ncollapse.certify import certify
from ncollapse.data import Dataset
from ncollapse.data.synthetic import gaussian_mixture


@pytest.fixture(params=["feasible", "infeasible", "integers"])
def proven(request):
    """A data set, a class and a proven answer."""
    if request.param == "integers":
        inputs = np.array([[1, 2], [2, 1], [1, 1], [3, 4], [4, 3]])
        data = Dataset.from_arrays(inputs, [0, 0, 1, 1, 1])
    else:
        dim = 30 if request.param == "feasible" else 22
        data = gaussian_mixture([[1.0, 0.0], [0.0, 1.0]], 20, 0.5, dim, seed=2)
    certificate = certify(data.inputs, data.labels)
    assert certificate.verified
    assert certificate.verdict == ("feasible" if request.param == "feasible" else "infeasible")
    return data, certificate
