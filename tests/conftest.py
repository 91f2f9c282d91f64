"""The array libraries that everything which takes arrays is run with; one of them is strict."""

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


@pytest.fixture(params=[*NAMESPACES, *(f"{name} on a device" for name in ON_A_DEVICE)])
def xp(request, monkeypatch):
    """An array namespace: NumPy, PyTorch, JAX and array-api-strict in turn.

    PyTorch and JAX come twice: as arrays in CPU memory, which NumPy shares, and as on a device.
    """
    name, _, on_a_device = request.param.partition(" on ")
    if on_a_device:
        monkeypatch.setattr(_arrays, "on_host", lambda _: False)
    return importlib.import_module(NAMESPACES[name])
