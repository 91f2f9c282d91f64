"""The libraries that every model stands on; imported first, it says which extra brings them."""

from ncollapse._checks import require

for module in ("jax", "equinox"):
    require(module, "flow")
