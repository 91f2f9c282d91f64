"""Gradient flow to the end of time.

With cross-entropy and no decay the parameters diverge and directions settle like 1/log t, so plain
training barely moves after its first hour. The path does not depend on the clock: on

    dθ/ds = −∇ log L,   that is ds = L dt,

log(1/L) grows exponentially in s, and s is the log log t axis of the papers. Physical time follows
from r = t·L, which is bounded and starts at zero: dr/ds = 1 − r‖∇ log L‖², and
log t = log r + log(1/L).
"""

from ncollapse.flow import _available as _available
from ncollapse.flow._ensemble import gradient_flow_ensemble, stack_starts
from ncollapse.flow._integrate import REACHABLE, gradient_flow
from ncollapse.flow._trajectory import Ensemble, Trajectory
from ncollapse.flow.descent import Descent, descend
from ncollapse.flow.steppers import Rosenbrock

__all__ = [
    "REACHABLE",
    "Descent",
    "Ensemble",
    "Rosenbrock",
    "Trajectory",
    "descend",
    "gradient_flow",
    "gradient_flow_ensemble",
    "stack_starts",
]
