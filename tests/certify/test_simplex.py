"""The exact simplex method against z3, on data where rounding decides."""

import numpy as np
import pytest
from instances import oracle, split

from ncollapse.certify import Direction, verify
from ncollapse.certify._simplex import exact_answer, is_affordable


@pytest.mark.parametrize("family", oracle.FAMILIES)
def test_answers_are_those_of_another_exact_method_and_proven(family):
    rng = np.random.default_rng(11)
    for _ in range(12):
        inputs, labels = oracle.FAMILIES[family](rng)
        for index in range(labels.max() + 1):
            own, rest = split(inputs, labels, index)
            answer = exact_answer(own, rest)
            truth = oracle.exactly_feasible(inputs, labels, index)
            message = f"own={own.tolist()} rest={rest.tolist()}"
            assert isinstance(answer, Direction) == truth, message
            assert verify(own, rest, answer).method == "exact", message
            if not truth:
                assert sum(answer.free) == -1, message


def test_a_class_of_rank_zero_and_columns_that_nothing_uses():
    zero = exact_answer(np.zeros((2, 3)), np.eye(3))
    assert (sum(zero.free), zero.nonneg.any()) == (-1, False)
    wide = exact_answer(np.array([[0.0, 2.0, 0.0]]), np.array([[0.0, -1.0, 0.0]]))
    assert wide.beta.tolist() == [0, 0.5, 0]


def test_what_is_affordable():
    for rows, dim, expected in (
        (20, 100, True),
        (20, 500, True),
        (20, 501, False),
        (100, 60, False),
    ):
        assert is_affordable(np.ones((rows // 2, dim)), np.ones((rows // 2, dim))) == expected
