"""The array libraries that everything which takes arrays is run with; one of them is strict."""

import importlib

import pytest

NAMESPACES = {
    "numpy": "array_api_compat.numpy",
    "torch": "array_api_compat.torch",
    "jax": "jax.numpy",
    "strict": "array_api_strict",
}


@pytest.fixture(params=list(NAMESPACES))
def xp(request):
    """An array namespace: NumPy, PyTorch, JAX and array-api-strict in turn."""
    return importlib.import_module(NAMESPACES[request.param])
