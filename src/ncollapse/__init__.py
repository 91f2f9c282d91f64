"""ncollapse predicts, watches, measures and certifies neural collapse."""

from importlib.metadata import version as _version

from ncollapse import data, geometry

__version__ = _version("ncollapse")

__all__ = ["__version__", "data", "geometry"]
