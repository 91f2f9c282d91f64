"""What holds for every result of a theorem."""

import dataclasses
import importlib
import pkgutil
import typing

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
ASKED = {"LastLayerObjective"}
"""What a caller asks for, with checks of its own."""
PUBLIC = [r for r in RESULTS if not r.__name__.startswith("_") and r.__name__ not in ASKED]


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


def filled(result, start=0):
    """A result whose fields are all different."""
    hints = typing.get_type_hints(result)
    return result(
        *(
            value(hints[field.name], field.name, start + place)
            for place, field in enumerate(dataclasses.fields(result))
        )
    )


def value(kind, name, place):
    if dataclasses.is_dataclass(kind):
        return filled(kind, 100 * (place + 1))
    kinds = typing.get_args(kind) or (float,)
    made = {
        np.ndarray: lambda: np.array([place, -place]),
        tuple: lambda: (value(kinds[0], name, place),),
        dict: lambda: {name: place},
        str: lambda: name,
    }
    return made.get(typing.get_origin(kind) or kind, lambda: place)()


def plain(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return [plain(entry) for entry in value] if isinstance(value, tuple) else value


NAMED_OTHERWISE = {"Minimiser": {"smallest_eigenvalue"}}
COMPUTED = ("Explanation", "Prediction")  # from parts that no numbers at random make up
PLAIN = [result for result in PUBLIC if hasattr(result, "to_dict")]


@pytest.mark.parametrize(
    "result",
    [result for result in PLAIN if result.__name__ not in COMPUTED],
    ids=lambda result: result.__name__,
)
def test_a_dictionary_holds_attributes_under_their_names(result):
    one = filled(result)
    entries = one.to_dict()
    assert len(entries) > 1
    for name in entries.keys() - NAMED_OTHERWISE.get(result.__name__, set()):
        assert entries[name] == plain(getattr(one, name)), name
