"""Small instances with their exact truth, and second opinions on answers."""

import importlib.util
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from ncollapse.certify import Direction

_SCRIPT = Path(__file__).parents[2] / "benchmarks" / "certify_oracle.py"
_SPEC = importlib.util.spec_from_file_location("certify_oracle", _SCRIPT)
assert _SPEC is not None
assert _SPEC.loader is not None
oracle = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(oracle)


def split(inputs, labels, index):
    classes = np.unique(labels)
    inside = labels == classes[index]
    return np.asarray(inputs, float)[inside], np.asarray(inputs, float)[~inside]


def check_literally(own, rest, answer):
    """The definition, with the tolerance of float64 sums: a second opinion on the verifier."""
    if isinstance(answer, Direction):
        beta = answer.beta
        size = np.linalg.norm(own, axis=1) * np.linalg.norm(beta)
        assert (np.abs(own @ beta - 1.0) <= 1e-8 * (1.0 + size)).all()
        assert (rest @ beta <= 1e-8 * np.linalg.norm(rest, axis=1) * np.linalg.norm(beta)).all()
    else:
        total = answer.free @ own + answer.nonneg @ rest
        parts = np.abs(answer.free) @ np.abs(own) + answer.nonneg @ np.abs(rest)
        assert (np.abs(total) <= 1e-7 * parts.max()).all()
        assert (answer.nonneg >= 0).all()
        assert answer.free.sum() < 0


def highs_says_feasible(own, rest):
    answer = linprog(
        np.zeros(own.shape[1]),
        A_ub=rest,
        b_ub=np.zeros(len(rest)),
        A_eq=own,
        b_eq=np.ones(len(own)),
        bounds=(None, None),
        method="highs-ds",
    )
    assert answer.status in (0, 2)
    return answer.status == 0
