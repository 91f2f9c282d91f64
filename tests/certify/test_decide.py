"""The first candidate that is proven decides."""

import importlib

import numpy as np
from instances import oracle

from ncollapse.certify import Direction, Multipliers, _simplex, certify, decide

module = importlib.import_module("ncollapse.certify.decide")


def test_feasible_infeasible_or_neither(monkeypatch):
    own, rest = np.eye(2), np.array([[-1.0, -1.0]])
    assert decide(own, rest).feasible is True
    assert decide(own, -rest).feasible is False
    monkeypatch.setattr(module, "candidates", lambda own, rest: iter(()))
    assert decide(own, rest).feasible is None
    assert decide(own, rest).verification.detail == (
        "no method found an answer; too many numbers for the exact simplex method"
    )


def test_wrong_candidates_are_passed_over(monkeypatch):
    own, rest = np.eye(2), np.array([[-1.0, -1.0]])
    wrong = [Multipliers(np.array([-1.0, -1.0]), np.array([1.0])), Direction(np.array([1.0, 2.0]))]
    right = Direction(np.array([1.0, 1.0]))
    monkeypatch.setattr(module, "candidates", lambda own, rest: iter([*wrong, right]))
    assert decide(own, rest).answer is right
    monkeypatch.setattr(module, "candidates", lambda own, rest: iter(wrong))
    decision = decide(own, rest)
    assert (decision.feasible, decision.answer) == (None, None)
    assert decision.verification.detail.startswith("beta does not map the class to 1; ")


def test_where_the_exact_method_is_too_much_the_reason_says_so(monkeypatch):
    monkeypatch.setattr(_simplex, "AFFORDABLE_PRODUCTS", 0)
    rng = np.random.default_rng(0)
    undecided = 0
    for _ in range(10):
        inputs, labels = oracle.rounded_low_rank(rng)
        for entry in certify(inputs, labels).classes:
            if entry.verdict == "undecided":
                assert "too many numbers for the exact simplex method" in entry.reason
                undecided += 1
    assert undecided
