"""A function over a grid of named coordinates, on disk, resumable, on one machine or a cluster."""

from ncollapse._checks import require

for _module in ("xarray", "zarr", "threadpoolctl"):
    require(_module, "sweep")

from ncollapse.sweep._grid import Grid  # noqa: E402
from ncollapse.sweep._run import open_sweep, run_sweep  # noqa: E402

__all__ = ["Grid", "open_sweep", "run_sweep"]
