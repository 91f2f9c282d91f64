"""Claims as data, known before anything runs; verdicts, a claim beside a measurement; a ledger of them."""

from ncollapse.claims._claim import Assumption, Claim, Missing, Relation, Wrong, rows_of
from ncollapse.claims._ledger import Ledger, Row
from ncollapse.claims._statement import Statement
from ncollapse.claims._verdict import STATUSES, Status, Verdict, judge, judge_wrong

__all__ = [
    "STATUSES",
    "Assumption",
    "Claim",
    "Ledger",
    "Missing",
    "Relation",
    "Row",
    "Statement",
    "Status",
    "Verdict",
    "Wrong",
    "judge",
    "judge_wrong",
    "rows_of",
]
