"""The libraries that sweeps stand on; imported first, it says which extra brings them."""

from ncollapse._checks import require

for _module in ("xarray", "zarr", "threadpoolctl"):
    require(_module, "sweep")
