"""The library that the integrator stands on; imported first, it says which extra brings it."""

from ncollapse._checks import require

require("diffrax", "flow")
