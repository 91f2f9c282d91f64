"""Can a network collapse on this data set? Answers that carry their proof.

The module itself may be called: ``ncollapse.certify(inputs, labels)`` is
``ncollapse.certify.certify(inputs, labels)``.
"""

import sys
from types import ModuleType

from ncollapse.certify._types import Candidate, Direction, Multipliers
from ncollapse.certify.certificate import (
    FEASIBLE,
    INFEASIBLE,
    UNDECIDED,
    Certificate,
    ClassCertificate,
    DataIdentity,
    listed,
)
from ncollapse.certify.classes import (
    certify,
    decide_classes,
    verify_certificate,
    verify_classes,
)
from ncollapse.certify.decide import Decision, decide
from ncollapse.certify.feasibility import solve
from ncollapse.certify.limits import (
    CollapseLimit,
    RandomLayer,
    centre_exactly,
    collapse_limit,
    random_layer,
)
from ncollapse.certify.survey import Survey, View, survey
from ncollapse.certify.verify import Verification, verify

__all__ = [
    "FEASIBLE",
    "INFEASIBLE",
    "UNDECIDED",
    "Candidate",
    "Certificate",
    "ClassCertificate",
    "CollapseLimit",
    "DataIdentity",
    "Decision",
    "Direction",
    "Multipliers",
    "RandomLayer",
    "Survey",
    "Verification",
    "View",
    "centre_exactly",
    "certify",
    "collapse_limit",
    "decide",
    "decide_classes",
    "listed",
    "random_layer",
    "solve",
    "survey",
    "verify",
    "verify_certificate",
    "verify_classes",
]


class _CallableModule(ModuleType):
    """``import ncollapse.certify as c`` is a module, and ``ncollapse.certify(data)`` still works."""

    __call__ = staticmethod(certify)


sys.modules[__name__].__class__ = _CallableModule
