"""Can a network collapse on this data set? Answers that carry their proof."""

from ncollapse.certify._types import Candidate, Direction, Multipliers
from ncollapse.certify.certificate import (
    Certificate,
    ClassCertificate,
    certify,
    verify_certificate,
)
from ncollapse.certify.feasibility import solve
from ncollapse.certify.limits import (
    CollapseLimit,
    RandomLayer,
    centre_exactly,
    collapse_limit,
    random_layer,
)
from ncollapse.certify.verify import Verification, verify

__all__ = [
    "Candidate",
    "Certificate",
    "ClassCertificate",
    "CollapseLimit",
    "Direction",
    "Multipliers",
    "RandomLayer",
    "Verification",
    "centre_exactly",
    "certify",
    "collapse_limit",
    "random_layer",
    "solve",
    "verify",
    "verify_certificate",
]
