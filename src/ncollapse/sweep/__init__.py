"""A function over a grid of named coordinates, on disk, resumable, on one machine or a cluster."""

from ncollapse._extras import need

need("xarray", "zarr", "threadpoolctl")

from ncollapse.sweep._grid import Grid, cell_seed
from ncollapse.sweep._run import open_sweep, run_sweep

__all__ = ["Grid", "cell_seed", "open_sweep", "run_sweep"]
