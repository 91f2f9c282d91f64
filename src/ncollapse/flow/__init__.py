"""Gradient flow to the end of time.

With cross-entropy and no decay the parameters diverge and directions settle like 1/log t, so plain
training barely moves after its first hour. The path does not depend on the clock: on

    dθ/ds = −∇ log L,   that is ds = L dt,

log(1/L) grows exponentially in s, and s is the log log t axis of the papers. Physical time follows
from r = t·L, which is bounded and starts at zero: dr/ds = 1 − r‖∇ log L‖², and
log t = log r + log(1/L).
"""

from ncollapse._extras import need

need("diffrax")

from ncollapse.flow._integrate import COARSEST, REACHABLE, gradient_flow
from ncollapse.flow.descent import OPTIMISERS, descend
from ncollapse.flow.steppers import Rosenbrock
from ncollapse.flow.unconstrained import flow_ufm, flow_ulpm, flow_upfm
from ncollapse.runs import End, Run
from ncollapse.setup import Setup

__all__ = [
    "COARSEST",
    "OPTIMISERS",
    "REACHABLE",
    "End",
    "Rosenbrock",
    "Run",
    "Setup",
    "descend",
    "flow_ufm",
    "flow_ulpm",
    "flow_upfm",
    "gradient_flow",
]
