"""A function over a grid of named coordinates, on disk, resumable, on one machine or a cluster."""

from ncollapse.sweep import _available as _available
from ncollapse.sweep._grid import Grid
from ncollapse.sweep._run import open_sweep, run_sweep

__all__ = ["Grid", "open_sweep", "run_sweep"]
