"""Optional libraries: which extra of ncollapse brings each, in one table."""

from __future__ import annotations

import importlib
from types import ModuleType

EXTRAS = {
    "flow": ("jax", "diffrax", "equinox", "optimistix", "lineax", "optax"),
    "images": ("mlxtend", "pooch", "requests", "PIL", "sklearn"),
    "sweep": ("xarray", "zarr", "dask", "distributed", "threadpoolctl"),
    "exact": ("flint",),
    "torch": ("torch", "torchmetrics", "lightning"),
    "transformers": ("transformers", "accelerate"),
    "report": ("matplotlib", "plotly", "jinja2"),
    "files": ("safetensors", "pyarrow"),
}
"""The packages to import that each extra brings."""


def require(module: str) -> ModuleType:
    """Import a ``module`` of `EXTRAS`, or say which extra of ncollapse brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if _package(error.name) != _package(module):
            raise
        raise ModuleNotFoundError(explain_missing(error), name=error.name) from error


def need(*modules: str) -> None:
    """`require` each of them."""
    for module in modules:
        require(module)


def explain_missing(error: ModuleNotFoundError) -> str:
    """The sentence that names the extra, also for an import that did not go through `require`."""
    package = _package(error.name)
    for extra, packages in EXTRAS.items():
        if package in packages:
            return (
                f"{package} is needed for this and is not installed: "
                f"pip install 'ncollapse[{extra}]'"
            )
    return str(error)


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]
