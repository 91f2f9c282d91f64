"""ncollapse predicts, watches, measures and certifies neural collapse.

The map: what is listed here is public. Modules that need an optional library (JAX, PyTorch, Dask,
Matplotlib) are imported when they are first asked for.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING as _TYPE_CHECKING

from ncollapse import claims, data, geometry, metrics, theory
from ncollapse.certify import Certificate, certify, verify_certificate
from ncollapse.data import Dataset
from ncollapse.metrics import Measurement, SampleStats, measure
from ncollapse.stats import ClassStats, ClassSummary

if _TYPE_CHECKING:
    from ncollapse import flow, models, papers, report, sweep, torch

__version__ = _version("ncollapse")

__all__ = [
    "Certificate",
    "ClassStats",
    "ClassSummary",
    "Dataset",
    "Measurement",
    "SampleStats",
    "__version__",
    "certify",
    "claims",
    "data",
    "flow",
    "geometry",
    "measure",
    "metrics",
    "models",
    "papers",
    "report",
    "sweep",
    "theory",
    "torch",
    "verify_certificate",
]

_LATE = {"flow", "models", "papers", "report", "sweep", "torch"}


def __getattr__(name: str) -> _ModuleType:
    if name in _LATE:
        return _import_module(f"ncollapse.{name}")
    raise AttributeError(f"module 'ncollapse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
