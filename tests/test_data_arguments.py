"""Wherever a data set is meant, a Dataset and its arrays are the same argument."""

import json

import numpy as np
import pytest

import ncollapse as nc
from ncollapse.data import (
    is_orthogonally_separable,
    largest_separable_subset,
    orthogonal_separability,
)
from ncollapse.theory.alignment import forecast_alignment
from ncollapse.theory.margins import relu_limit
from ncollapse.train import TwoLayer

DATA = nc.data.orthogonally_separable(3, 4, 6, seed=0)
HIDDEN, WEIGHT = np.random.default_rng(0).normal(size=(2, 6, 6)) * 1e-6
TAKES_DATA = {
    "certify": lambda *data: nc.certify(*data).verdict,
    "measure": lambda *data: nc.measure(*data).metrics,
    "collapse_limit": lambda *data: nc.certify.collapse_limit(*data).size,
    "orthogonal_separability": lambda *data: orthogonal_separability(*data).to_dict(),
    "is_orthogonally_separable": is_orthogonally_separable,
    "largest_separable_subset": lambda *data: largest_separable_subset(*data).to_dict(),
    "relu_limit": lambda *data: relu_limit(*data).to_dict(),
    "forecast_alignment": lambda *data: forecast_alignment(HIDDEN, WEIGHT[:3], *data).to_dict(),
    "ReLUNetwork": lambda *data: nc.models.ReLUNetwork.on(*data).coordinates.tolist(),
    "TwoLayer": lambda *data: TwoLayer.on(
        *data, weight_decay=1e-3, feature_decay=1e-3
    ).gram.tolist(),
}


@pytest.mark.parametrize("name", TAKES_DATA)
def test_a_dataset_and_its_arrays_are_the_same_argument(name):
    call = TAKES_DATA[name]
    one, other = call(DATA), call(DATA.inputs, DATA.classes[DATA.labels])
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize("name", TAKES_DATA)
def test_arrays_need_labels_and_a_dataset_has_its_own(name):
    with pytest.raises(TypeError, match="labels"):
        TAKES_DATA[name](DATA.inputs)
    with pytest.raises(TypeError, match="labels"):
        TAKES_DATA[name](DATA, DATA.labels)
