"""Optional libraries: which extra of ncollapse brings each, in one table."""

from __future__ import annotations

from ncollapse._checks import require

EXTRA_OF = {
    "jax": "flow",
    "diffrax": "flow",
    "optax": "flow",
    "mlxtend": "images",
    "pooch": "images",
    "xarray": "sweep",
    "zarr": "sweep",
    "threadpoolctl": "sweep",
    "distributed": "sweep",
    "flint": "exact",
    "torch": "torch",
    "torchmetrics": "torch",
    "lightning": "torch",
    "transformers": "transformers",
    "matplotlib": "report",
    "plotly": "report",
    "jinja2": "report",
    "safetensors": "files",
    "pyarrow": "files",
}


def need(*modules: str) -> None:
    """Import them, or raise ``ModuleNotFoundError`` that names the extra to install."""
    for module in modules:
        require(module, EXTRA_OF[module.partition(".")[0]])
