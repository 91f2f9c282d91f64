"""Hulls of a class and of the rest that meet."""

import numpy as np
import pytest
from instances import split
from scipy.optimize import linprog

from ncollapse.certify import certify, verify
from ncollapse.certify.separation import meeting_hulls
from ncollapse.data.synthetic import gaussian_mixture


@pytest.mark.parametrize("seed", range(6), ids=lambda seed: f"seed={seed}")
def test_meeting_hulls_are_found_exactly_when_no_hyperplane_separates(seed):
    rng = np.random.default_rng(seed)
    inputs = rng.integers(-3, 4, (14, 3)).astype(float)
    labels = np.repeat([0, 1], 7)
    inputs[labels == 0] += [2.0 * (seed % 3), 0.0, 0.0]
    own, rest = split(inputs, labels, 0)
    signs = np.where(labels == 0, -1.0, 1.0)
    separation = linprog(
        np.zeros(4),
        A_ub=np.column_stack([inputs, np.ones(14)]) * signs[:, None],
        b_ub=-np.ones(14),
        bounds=(None, None),
    )
    found = meeting_hulls(own, rest)
    assert (found is not None) == (separation.status == 2)
    if found is not None:
        assert np.allclose(-found.free @ own, found.nonneg @ rest, atol=1e-10)
        assert (found.free <= 0).all()
        assert found.nonneg.sum() == pytest.approx(1.0)


def test_mixed_clouds_are_not_linearly_separable():
    data = gaussian_mixture([[0.1, 0.0], [0.0, 0.1]], [9, 60], 1.0, 12, seed=0)
    entry = certify(data.inputs, data.labels, classes=[0]).classes[0]
    assert (entry.verdict, entry.verified) == ("infeasible", True)
    assert entry.theorem == "3a"
    own, rest = split(data.inputs, data.labels, 0)
    assert verify(own, rest, entry.answer).verified


@pytest.mark.parametrize("gap", [0.0, 2.0**-40, 2.0**-52])
def test_hulls_a_hair_apart_do_not_meet(gap):
    """The middle of two samples of the rest, moved off their segment by less than solvers see."""
    own = np.array([[0.5 + gap, 0.5]])
    rest = np.array([[1.0, 0.0], [0.0, 1.0]])
    hulls = meeting_hulls(own, rest)
    assert (hulls is not None) == (gap == 0.0)
    certificate = certify(np.vstack([own, rest]), [0, 1, 1], classes=[0])
    assert certificate.verdict == "infeasible"
    assert certificate.classes[0].theorem == ("3a" if gap == 0.0 else None)


def test_rows_of_different_scales_and_large_data_are_left_alone():
    assert meeting_hulls(np.array([[1.0]]), np.array([[1.0], [2.0**40]])) is None
    assert meeting_hulls(np.ones((200, 301)), np.ones((1, 301))) is None
