"""A numbered statement or figure of a paper, and the claims that stand for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Statement:
    """One numbered statement, display or figure of a paper.

    Attributes
    ----------
    name
        As the paper numbers it, such as ``"Theorem 7(a) (2.27)"``.
    says
        What it states, in a line.
    claims
        Ids of the claims that judge it.
    reason
        Why it has none: a quoted tool, a definition, a remark, or what is missing to measure it.
    """

    name: str
    says: str
    claims: tuple[str, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        if bool(self.claims) == bool(self.reason):
            raise ValueError(f"statement {self.name} must have claims or a reason for none")
