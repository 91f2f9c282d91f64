"""ncollapse predicts, watches, measures and certifies neural collapse.

The map: what is listed here is public. Everything is imported when it is first asked for, so that
this import takes no time and needs no optional library (JAX, PyTorch, Dask, Matplotlib).
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from ncollapse import (
        certify,
        claims,
        data,
        flow,
        geometry,
        metrics,
        models,
        papers,
        report,
        sweep,
        theory,
        torch,
        train,
    )
    from ncollapse.certify import Certificate, verify_certificate
    from ncollapse.data import Dataset
    from ncollapse.metrics import Measurement, SampleStats, measure
    from ncollapse.stats import ClassStats, ClassSummary
    from ncollapse.theory.explain import explain
    from ncollapse.theory.imbalance import (
        Explanation,
        LastLayerObjective,
        Prediction,
        optimality_gap,
    )
    from ncollapse.theory.predict import predict

__version__ = _version("ncollapse")

__all__ = [
    "Certificate",
    "ClassStats",
    "ClassSummary",
    "Dataset",
    "Explanation",
    "LastLayerObjective",
    "Measurement",
    "Prediction",
    "SampleStats",
    "__version__",
    "certify",
    "claims",
    "data",
    "explain",
    "flow",
    "geometry",
    "measure",
    "metrics",
    "models",
    "optimality_gap",
    "papers",
    "predict",
    "report",
    "sweep",
    "theory",
    "torch",
    "train",
    "verify_certificate",
]

_HOMES = {
    "Certificate": "certify",
    "ClassStats": "stats",
    "ClassSummary": "stats",
    "Dataset": "data",
    "Explanation": "theory.imbalance",
    "LastLayerObjective": "theory.imbalance",
    "Measurement": "metrics",
    "Prediction": "theory.imbalance",
    "SampleStats": "metrics",
    "explain": "theory.explain",
    "measure": "metrics",
    "optimality_gap": "theory.imbalance",
    "predict": "theory.predict",
    "verify_certificate": "certify",
}
"""The module that each name comes from; every other public name is a module itself."""


def __getattr__(name: str) -> _Any:
    if name in _HOMES:
        value = getattr(_import_module(f"ncollapse.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in __all__:
        return _import_module(f"ncollapse.{name}")
    raise AttributeError(f"module 'ncollapse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
