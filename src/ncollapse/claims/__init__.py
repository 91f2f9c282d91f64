"""Claims as data, known before anything runs, and verdicts: a claim beside a measurement."""

from ncollapse.claims._claim import Assumption, Claim, Missing, Relation, Wrong
from ncollapse.claims._statement import Statement
from ncollapse.claims._verdict import STATUSES, Status, Verdict, judge, judge_wrong

__all__ = [
    "STATUSES",
    "Assumption",
    "Claim",
    "Missing",
    "Relation",
    "Statement",
    "Status",
    "Verdict",
    "Wrong",
    "judge",
    "judge_wrong",
]
