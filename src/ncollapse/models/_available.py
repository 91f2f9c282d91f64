"""The library that every model stands on; imported first, it says which extra brings it."""

from ncollapse._checks import require

require("jax", "flow")
