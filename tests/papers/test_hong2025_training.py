"""Figures 3 to 5 of hong2025: the cell against its parts, and figures of small results."""

import json

import numpy as np
import pytest

from ncollapse.certify import certify
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.papers.hong2025 import figures, training
from ncollapse.theory.minimisers import minimiser


def test_a_cell_says_what_each_way_reaches():
    cell = training.training_cell(0.5, 2.0, 0, 3, count=8, width=4, epochs=100)
    data = gaussian_mixture([[1.0], [-1.0]], 8, 0.5, 16, 3)
    assert set(cell) == set(training.OUTPUTS)
    assert cell["feasible"]
    assert certify(data).verdict == "feasible"
    assert abs(cell["built_gap"]) < 1e-12
    assert cell["optimum_gap"] < 1e-8 < cell["descent_gap"]
    assert cell["descent_gap"] >= cell["polished_gap"]
    best = minimiser("upfm-ce", num_classes=2, per_class=8, lambda_w=1e-3, lambda_h=1e-6).risk
    assert cell["descent_gap"] < np.log(2.0) - best


def test_nothing_is_built_where_nothing_can_collapse():
    cell = training.training_cell(0.8, 0.75, 0, 3, count=8, width=4, epochs=10)
    assert not cell["feasible"]
    assert np.isnan([cell["built_gap"], cell["returned_gap"]]).all()
    assert cell["optimum_gap"] > 1e-5


@pytest.mark.parametrize("name", ["figure3", "figure4", "figure5", "figure6", "choices"])
def test_it_is_drawn_and_recorded(name, result_of, tmp_path):
    result = result_of(f"hong2025.{name}")
    (path,) = getattr(figures, name)(result, tmp_path)
    assert path.stat().st_size > 10_000
    record = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(record)
