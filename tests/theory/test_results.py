"""What holds for every result of a theorem."""

import dataclasses
import importlib
import pkgutil

import numpy as np
import pytest

from ncollapse import theory

MODULES = [
    importlib.import_module(f"ncollapse.theory.{module.name}")
    for module in pkgutil.iter_modules(theory.__path__)
]
RESULTS = sorted(
    {
        value
        for module in MODULES
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and value.__module__.startswith("ncollapse.theory")
    },
    key=lambda result: result.__qualname__,
)
PUBLIC = [result for result in RESULTS if not result.__name__.startswith("_")]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.__name__)
def test_results_cannot_be_changed(result):
    assert result.__dataclass_params__.frozen


@pytest.mark.parametrize("result", PUBLIC, ids=lambda result: result.__name__)
def test_results_can_be_compared_and_hashed(result):
    """Arrays have no truth value: a result that holds some is equal to itself alone."""
    one, other = (result(*[np.zeros(2) for _ in dataclasses.fields(result)]) for _ in range(2))
    assert one == one
    if any("ndarray" in str(field.type) for field in dataclasses.fields(result)):
        assert one != other
        assert hash(one) == hash(one)
