"""What all tests share: array libraries, one of them strict, and which tests one worker gets."""

import importlib
import os

# Before JAX is imported, here and in programs that tests start: LLVM's optimisations of code that runs
# once cost more than they gain. XLA's own, which decide what is computed, stay as users have them.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import pytest

from ncollapse import _arrays

NAMESPACES = {
    "numpy": "array_api_compat.numpy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "strict": "array_api_strict",
}
ON_A_DEVICE = ("torch", "jax")


TRAINED = ("ji2022.figure1", *(f"ji2022.figure{n}" for n in range(3, 9)), "papyan2020.curves")
"""Experiments that train the networks of tests/papers/test_trained_networks.py."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """A file goes to one worker, and all that shares an experiment's result to one too."""
    for item in items if config.pluginmanager.hasplugin("xdist") else ():
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item):
    if item.path.parent.name != "papers":
        return str(item.path)
    experiment = getattr(item, "callspec", None) and item.callspec.params.get("name")
    if item.path.stem == "test_claims" and isinstance(experiment, str):
        return "trained" if experiment in TRAINED else experiment.partition(".")[0]
    if item.path.stem == "test_trained_networks":
        return "trained"
    return item.path.stem.split("_")[1]


@pytest.fixture(params=[*NAMESPACES, *(f"{name} on a device" for name in ON_A_DEVICE)])
def xp(request, monkeypatch):
    """An array namespace: NumPy, PyTorch, JAX and array-api-strict in turn.

    PyTorch and JAX come twice: as arrays in CPU memory, which NumPy shares, and as on a device.
    """
    name, _, on_a_device = request.param.partition(" on ")
    if on_a_device:
        monkeypatch.setattr(_arrays, "on_host", lambda _: False)
    return importlib.import_module(NAMESPACES[name])
