"""The verifier: it proves what is true beside an answer, and refuses everything else."""

import importlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import check_literally, oracle, split
from scipy.optimize import nnls

from ncollapse.certify import Direction, Multipliers, verify
from ncollapse.certify._simplex import exact_answer
from ncollapse.certify.verify import UNDERFLOW, smallest_singular_value_at_least

verify_module = importlib.import_module("ncollapse.certify.verify")


def oracle_says_feasible(own, rest):
    labels = np.repeat([0, 1], [len(own), len(rest)])
    return oracle.exactly_feasible(np.vstack([own, rest]), labels, 0)


def forgeries(answer):
    """Each entry moved, each sign flipped, neighbours exchanged, the whole turned or scaled."""
    parts = [answer.beta] if isinstance(answer, Direction) else [answer.free, answer.nonneg]

    def rebuilt(position, values):
        replaced = [values if i == position else part for i, part in enumerate(parts)]
        return Direction(*replaced) if isinstance(answer, Direction) else Multipliers(*replaced)

    for position, part in enumerate(parts):
        size = np.abs(part).max(initial=0.0)
        for i in range(len(part)):
            for share in (1e-3, -1e-3, 1.0):
                moved = part.copy()
                moved[i] += share * max(size, 1e-3)
                yield f"moved {position}[{i}] by {share}", rebuilt(position, moved)
            if abs(part[i]) > 1e-3 * size:
                flipped = part.copy()
                flipped[i] = -flipped[i]
                yield f"flipped {position}[{i}]", rebuilt(position, flipped)
            if abs(part[i] - part[i - 1]) > 1e-3 * size:
                swapped = part.copy()
                swapped[[i - 1, i]] = swapped[[i, i - 1]]
                yield f"swapped {position}[{i}]", rebuilt(position, swapped)
        if part.any():
            yield f"turned {position}", rebuilt(position, -part)
            yield f"emptied {position}", rebuilt(position, np.zeros_like(part))
            yield f"scaled {position}", rebuilt(position, 1.01 * part)
        yield f"cut {position}", rebuilt(position, part[:-1])
        yield f"unfinished {position}", rebuilt(position, np.full_like(part, np.nan))
        yield f"infinite {position}", rebuilt(position, np.full_like(part, np.inf))


def test_forged_answers_are_rejected(proven):
    data, certificate = proven
    tried = 0
    for index, entry in enumerate(certificate.classes):
        own, rest = split(data.inputs, data.labels, index)
        assert verify(own, rest, entry.answer).verified
        check_literally(own, rest, entry.answer)
        for what, forged in forgeries(entry.answer):
            if isinstance(forged, Multipliers) and what.startswith("scaled"):
                continue
            assert not verify(own, rest, forged).verified, f"class {index}: {what}"
            tried += 1
    assert tried > 30


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_the_bound_on_the_smallest_singular_value_never_exceeds_it(seed, rows, extra):
    matrix = np.random.default_rng(seed).standard_normal((rows, rows + extra))
    smallest = np.linalg.svd(matrix, compute_uv=False)[-1]
    assert not smallest_singular_value_at_least(matrix, smallest * (1 + 1e-6))
    if smallest > 1e-4:
        assert smallest_singular_value_at_least(matrix, smallest * (1 - 1e-4))


def refused(own, rest, answer):
    verification = verify(np.asarray(own, float), np.asarray(rest, float), answer)
    return (verification.verified, verification.method) == (False, "none")


def proven_by(own, rest, answer):
    verification = verify(np.asarray(own, float), np.asarray(rest, float), answer)
    return verification.method if verification.verified else None


def whole(values):
    return np.array([Fraction(value) for value in values], dtype=object)


def test_signs_are_exact_however_small():
    """y₁(1, 1e-9) + y₂(0, 1) = (1, 0) asks for y₂ = −1e-9 and nothing else."""
    own, rest = [[1.0, 0.0]], [[1.0, 1e-9], [0.0, 1.0]]
    for second in (1e-10, -1e-9, 0.0):
        assert refused(own, rest, Multipliers(np.array([-1.0]), np.array([1.0, second])))
    assert refused(own, rest, Multipliers(whole([-1]), whole([1, -Fraction(1e-9)])))
    assert proven_by(own, [[1.0, -1e-9], rest[1]], Multipliers(*map(np.array, ([-1.0], [1, 1e-9]))))


@pytest.mark.parametrize("free", [[1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
def test_a_sum_that_is_not_negative_proves_nothing(free):
    """The rows cancel exactly; Σ free decides."""
    own = np.array([[1.0, 0.0], [1.0, 0.0]])
    rest = -sum(free) * np.array([[1.0, 0.0]])
    assert refused(own, rest, Multipliers(np.array(free), np.array([1.0])))
    assert refused(own, rest, Multipliers(whole(free), whole([1])))


def test_fractions_are_checked_to_the_last_digit():
    own, rest = [[3.0, 0.0], [0.0, 7.0]], [[-1.0, 0.0], [3.0, -7.0]]
    third, seventh, little = Fraction(1, 3), Fraction(1, 7), Fraction(1, 10**40)
    assert proven_by(own, rest, Direction(whole([third, seventh]))) == "exact"
    assert refused(own, rest, Direction(whole([third + little, seventh])))
    assert refused(own, [[3.0, -7.0 + 1e-15]], Direction(whole([third, seventh])))
    for free, nonneg in (([-1, -1], [-3, 0]), ([-1, -1], [0, 1]), ([0, 0], [0, 0])):
        assert refused(own, rest, Multipliers(whole(free), whole(nonneg)))
    own, rest = [[3.0], [7.0]], [[1.0]]
    assert proven_by(own, rest, Multipliers(whole([-third, seventh]), whole([0]))) == "exact"
    assert refused(own, rest, Multipliers(whole([-third, seventh]), whole([little])))
    assert refused(own, rest, Multipliers(whole([third, -seventh]), whole([0])))
    mixed = Multipliers(np.array([-2.0, 0.0]), whole([6]))
    assert proven_by(own, rest, mixed) == "exact"


NO_NUMBERS = [np.array(["a", "b"]), np.array([1j, 2j]), np.array([1.0, None], dtype=object)]
NO_NUMBERS += [np.array([[1.0, 2.0]]), np.array([np.nan, 1.0]), np.array([1.0, -np.inf])]
NO_NUMBERS += [np.array([1.0]), np.array([], dtype=object), np.array([0.5, 1.0], dtype=object)]


@pytest.mark.parametrize("values", NO_NUMBERS, ids=str)
def test_what_is_no_vector_of_numbers_is_refused(values):
    own, rest, good = np.eye(2), -np.ones((2, 2)), np.array([-1.0, -1.0])
    assert refused(own, rest, Direction(values))
    assert refused(own, rest, Multipliers(values, -good))
    assert refused(own, rest, Multipliers(good, values))
    assert proven_by(own, -rest, Multipliers(good, np.array([1, 0]))) == "floating point"


@pytest.mark.parametrize("seed", range(4), ids="seed {}".format)
def test_multipliers_of_any_size_are_refused_or_proven_and_never_raise(seed):
    rng = np.random.default_rng(seed)
    extremes = np.array([1e308, -1e308, 5e-324, -5e-324, 1.0, -1.0, 0.0, 1e-160, 1e160])
    for _ in range(100):
        rows = rng.choice(extremes[4:], (5, 3)) * rng.choice([1.0, 1e-310, 1e140], (5, 1))
        rows[0, 0] = 1.0
        own, rest = rows[:2], rows[2:]
        for answer in (
            Direction(rng.choice(extremes, 3)),
            Multipliers(rng.choice(extremes, 2), rng.choice(extremes, 3)),
            Multipliers(np.array([-1e308, -1e308]), np.abs(rng.choice(extremes, 3))),
        ):
            if verify(own, rest, answer).verified:
                truth = isinstance(exact_answer(own, rest), Direction)
                assert truth == isinstance(answer, Direction), (own, rest, answer)


def test_sums_and_quotients_that_overflow_are_refused():
    own, rest = [[1.0, 2.0], [2.0, 1.0]], [[1.0, 1.0], [3.0, 4.0]]
    for size in (1e308, 1e-308):
        answer = Multipliers(np.array([-size, -size]), np.array([1e308, 1.0]))
        assert refused(own, rest, answer)


def near_boundary(rng):
    """A class and a rest that touch or almost touch: truth hangs on the last digits."""
    dim = int(rng.integers(1, 5))
    own = rng.standard_normal((int(rng.integers(1, dim + 2)), dim))
    rest = rng.standard_normal((int(rng.integers(1, 5)), dim))
    if rng.random() < 0.5:
        own[-1] = rng.dirichlet(np.ones(len(own))) @ own
    if rng.random() < 0.7:
        rest[-1] = rng.random(len(own)) @ own * rng.choice([1.0, -1.0]) + rng.choice(
            [0.0, 1e-16, 1e-14, 1e-12, 1e-9]
        ) * rng.standard_normal(dim)
    if rng.random() < 0.5:
        rest[0] = -rng.random() * rest[-1] + rng.choice([0.0, 1e-15, 1e-10]) * own[0]
    return own, rest


def attempts(own, rest):
    """Answers for both sides by solvers with tolerances, so half of them are wrong."""
    count = len(own)
    shortest = np.linalg.lstsq(own, np.ones(count))[0]
    over = rest[rest @ shortest > 0]
    goal = np.concatenate([np.ones(count), np.zeros(len(over))])
    for beta in (shortest, np.linalg.lstsq(np.vstack([own, over]), goal)[0]):
        yield Direction(beta)
        yield Direction(beta - 1e-9 * rest.sum(axis=0))
    ones = np.concatenate([-np.ones(count), np.ones(count), np.zeros(len(rest))])
    system = np.vstack([np.hstack([-own.T, own.T, rest.T]), ones])
    weights = nnls(system, np.append(np.zeros(own.shape[1]), -1.0), maxiter=1000)[0]
    free, nonneg = weights[count : 2 * count] - weights[:count], weights[2 * count :]
    yield Multipliers(free, nonneg)
    yield Multipliers(free, nonneg + 1e-15)


@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_what_is_verified_is_true_wherever_the_answer_comes_from(seed):
    rng = np.random.default_rng(seed)
    proven = {"floating point": 0, "exact": 0}
    for _ in range(80):
        own, rest = near_boundary(rng)
        truth = oracle_says_feasible(own, rest)
        for answer in attempts(own, rest):
            method = proven_by(own, rest, answer)
            if method is not None:
                assert truth == isinstance(answer, Direction), (own.tolist(), rest.tolist(), answer)
                proven[method] += 1
    assert min(proven.values()) > 5


def ill_conditioned_direction(rng, apart):
    """β whose residual rounds to zero, and a row that it maps below zero and the exact β above."""
    while True:
        first, other = rng.standard_normal((2, 2))
        own = np.array([first, first + apart * other])
        beta = np.linalg.solve(own, np.ones(2))
        exact = exact_answer(own, np.zeros((1, 2))).beta
        gap = (exact - whole(beta)).astype(float)
        size = np.linalg.norm(gap)
        if (own @ beta == 1.0).all() and size > 0:
            row = gap / size - beta * (gap @ beta / size + 0.5 * size) / (beta @ beta)
            if row @ beta < 0 < whole(row) @ exact:
                return own, row[None], beta


@pytest.mark.parametrize("apart", [1e-8, 1e-4])
@pytest.mark.parametrize("seed", range(8), ids="seed {}".format)
def test_a_residual_that_rounds_to_zero_is_not_zero(seed, apart):
    own, rest, beta = ill_conditioned_direction(np.random.default_rng(seed), apart)
    assert not oracle_says_feasible(own, rest)
    assert refused(own, rest, Direction(beta))


def ill_conditioned_multipliers(rng, apart):
    """Rows that cancel in floats with a small y₂ > 0, and exactly with a negative y₂ alone."""
    while True:
        first, other = rng.standard_normal((2, 2))
        rest = np.array([first, first + apart * other])
        nonneg = np.array([1.0, 1e-18 / apart])
        own = nonneg @ rest
        answer = exact_answer(own[None], rest)
        if (own == nonneg @ rest).all() and isinstance(answer, Direction):
            return own[None], rest, Multipliers(np.array([-1.0]), nonneg)


@pytest.mark.parametrize("apart", [1e-8, 1e-4])
@pytest.mark.parametrize("seed", range(8), ids="seed {}".format)
def test_a_sum_that_rounds_to_zero_is_not_zero(seed, apart):
    own, rest, answer = ill_conditioned_multipliers(np.random.default_rng(seed), apart)
    assert oracle_says_feasible(own, rest)
    assert refused(own, rest, answer)


@pytest.mark.parametrize("seed", range(40), ids="seed {}".format)
def test_rounding_never_makes_a_dependent_row_independent(seed):
    """The last row is the sum of the others, exactly; its Gram matrix is rounded."""
    rng = np.random.default_rng(seed)
    for rows in range(2, 12):
        matrix = rng.integers(-(2**40), 2**40, (rows, rows + 3)).astype(float)
        matrix[-1] = matrix[:-1].sum(axis=0)
        assert not smallest_singular_value_at_least(np.ldexp(matrix, -40), 0.0)


def exact_gram(matrix):
    rows = whole(matrix.ravel()).reshape(matrix.shape)
    return rows @ rows.T


@pytest.mark.parametrize("bound", [0.0, 1e-9, 0.1])
@pytest.mark.parametrize("scale", [1.0, 2.0**-440, 2.0**30])
def test_the_shift_of_the_gram_matrix_covers_what_rounding_may_do(bound, scale, monkeypatch):
    """α² and three times (γ_{p+2} + γ_{q+2}) Tr, as the docstring says, and little more."""
    factored = []
    monkeypatch.setattr(verify_module, "cholesky", lambda gram: factored.append(gram.copy()))
    matrix = scale * np.random.default_rng(0).standard_normal((4, 9))
    bound *= scale
    assert not smallest_singular_value_at_least(matrix, bound)
    gram, unit = exact_gram(matrix), Fraction(1, 2**53)
    trace = sum(np.diag(gram))
    rounding = 3 * (gamma(6) + gamma(11)) * trace
    literal = Fraction(bound) ** 2 + rounding
    slack = 16 * unit * trace + 4 * Fraction(UNDERFLOW)
    for i in range(4):
        shift = gram[i, i] - Fraction(factored[0][i, i])
        assert (
            literal * (1 + Fraction(5, 10**10)) - slack
            <= shift
            <= literal * (1 + Fraction(1, 10**7)) + slack
        )


def gamma(count):
    unit = Fraction(1, 2**53)
    return count * unit / (1 - count * unit)


def test_bounds_are_above_what_they_bound_and_hardly_more():
    for count in (1, 2, 10, 1000, 10**6, 10**9):
        assert gamma(count) <= Fraction(verify_module._gamma(count)) <= gamma(count) * (1 + 2e-9)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20, 7)) * 2.0 ** rng.integers(-300, 300, (20, 1))
    for row, norm in zip(rows, verify_module._norms(rows), strict=True):
        square = sum(Fraction(x) ** 2 for x in row)
        assert square <= Fraction(norm) ** 2 <= square * (1 + Fraction(3, 10**9))
    assert verify_module._norms(np.zeros((1, 3))) >= 2.0**-451


def test_singular_values_where_nothing_can_be_shown():
    assert smallest_singular_value_at_least(np.eye(2, 3), 0.999)
    assert not smallest_singular_value_at_least(np.eye(2, 3), 1.001)
    assert not smallest_singular_value_at_least(np.eye(3, 2), 0.0)
    for bound in (np.nan, np.inf, 1e100, 1e150):
        assert not smallest_singular_value_at_least(1e160 * np.eye(2), bound)
    with np.errstate(all="ignore"):
        for value in (np.nan, np.inf, 1e200):
            assert not smallest_singular_value_at_least(np.diag([1.0, value]), 0.0)
    assert not smallest_singular_value_at_least(np.zeros((1, 2)), 0.0)


def test_a_direction_with_room_is_proven_in_floats():
    rng = np.random.default_rng(0)
    own, rest = rng.standard_normal((40, 60)), np.zeros((3, 60))
    beta = np.linalg.lstsq(own, np.ones(40))[0]
    rest[:2] = -beta + 0.1 * rng.standard_normal((2, 60))
    for rows, others in ((own, rest), (own, rest[2:]), (own, rest[:0])):
        assert proven_by(rows, others, Direction(beta)) == "floating point"
    assert proven_by([[1.0, 0.0], [1.0, 0.1]], rest[:0, :2], Direction(np.eye(2)[0])) == (
        "floating point"
    )
    for scale in (1e-150, 1e150):
        assert proven_by(scale * own, rest, Direction(beta / scale)) == "floating point"
    far = own * np.where(np.arange(40) == 3, 2.0**-20, 1.0)[:, None]
    assert refused(far, rest, Direction(beta))


def test_copies_ask_for_the_same_equation():
    rng = np.random.default_rng(0)
    own = rng.standard_normal((40, 60))
    beta = np.linalg.lstsq(own, np.ones(40))[0]
    copied = np.vstack([own, own[:30], own[:10]])
    assert proven_by(copied, -beta[None], Direction(beta)) == "floating point"
    contradicting = np.vstack([own, (1.0 + 1e-12) * own[:1]])
    assert refused(contradicting, -beta[None], Direction(beta))


def test_a_direction_without_room_is_proven_exactly():
    """β = (1/3, 1/7) maps (3, −7) to zero and (3, −7.5) below it."""
    own, beta = [[3.0, 0.0], [0.0, 7.0]], Direction(np.array([1 / 3, 1 / 7]))
    exact = "solved over the rationals beside beta"
    for rest in (
        [[3.0, -7.0]],
        [[3.0, -7.0], [0.0, -1.0]],
        [[3.0, -7.0], [6.0, -14.0], [0.0, 0.0]],
    ):
        verification = verify(np.array(own), np.array(rest), beta)
        assert (verification.method, verification.detail) == ("exact", exact)
    assert refused(own, [[3.0, np.nextafter(-7.0, 0.0)]], beta)
    dependent = [[3.0, 0.0], [0.0, 7.0], [1.5, 3.5]]
    assert proven_by(dependent, [[-1.0, -1.0]], beta) == "exact"


def test_a_direction_along_a_face_needs_its_tight_rows():
    """In three dimensions the class leaves a line of β; two rows of the rest hold it at a point."""
    own, rest = [[3.0, 0.0, 0.0]], [[3.0, -7.0, 0.0], [-3.0, 7.0, 0.0], [0.0, 1.0, -7.0]]
    beta = np.array([1 / 3, 1 / 7, 1 / 49])
    assert proven_by(own, rest, Direction(beta)) == "exact"
    assert proven_by(own, rest, Direction(beta + 1e-3 * np.eye(3)[2])) == "exact"
    assert refused(own, rest, Direction(beta + 1e-3 * np.eye(3)[1]))
    assert refused(own, rest, Direction(beta - 1e-3 * np.eye(3)[2]))


def test_rows_that_only_exact_arithmetic_holds_at_zero():
    """The rows of the rest add up to zero, so each of their products with β is zero."""
    own, rest = [[3.0, 0.0, 0.0]], [[3.0, -7.0, 0.0], [0.0, 7.0, -13.0], [-3.0, 0.0, 13.0]]
    beta = np.array([1 / 3, 1 / 7 + 1e-12, 1 / 13 + 2e-12])
    assert proven_by(own, rest, Direction(beta)) == "exact"
    dependent, narrow = [[3.0, 0.0], [0.0, 7.0], [1.5, 3.5]], [[3.0, -7.0 - 1e-9]]
    assert proven_by(dependent, narrow, Direction(np.array([1 / 3, 1 / 7]))) == "exact"


@pytest.mark.parametrize("reach", [lambda *shape: shape > (2, 2), lambda *shape: shape == (2, 2)])
def test_systems_out_of_reach_are_not_solved(reach, monkeypatch):
    own, rest, beta = np.diag([3.0, 7.0]), np.array([[3.0, -7.0]]), np.array([1 / 3, 1 / 7])
    assert proven_by(own, rest, Direction(beta)) == "exact"
    answer = Multipliers(np.array([-1.0]), beta)
    sums = [[1.0, 1.0, 2.0]], [[3.0, 0.0, 3.0], [0.0, 7.0, 7.0]]
    assert proven_by(*sums, answer) == "exact"
    monkeypatch.setattr(verify_module, "is_within_reach", reach)
    assert refused(own, rest, Direction(beta))
    monkeypatch.setattr(verify_module, "is_within_reach", lambda *shape: False)
    assert refused(*sums, answer)


def test_many_products_are_left_to_the_solver(monkeypatch):
    own, rest = np.array([[1.0, 1.0, 2.0]]), np.array([[3.0, 0.0, 3.0], [0.0, 7.0, 7.0]])
    answer = Multipliers(np.array([-21.0]), np.array([7.0, 3.0]))
    for limit, detail in ((9, "the multipliers cancel exactly"), (8, "solved over the rationals")):
        monkeypatch.setattr(verify_module, "EXACT_PRODUCTS", limit)
        assert verify(own, rest, answer).detail.startswith(detail)


def test_a_slack_within_rounding_is_left_to_exact_arithmetic():
    """The slack is 2⁻⁵⁰, and γ₅‖x‖‖β‖ is 5/4 of it."""
    rest = [[-1.0 - 2.0**-50, 1.0]]
    assert proven_by([[1.0, 0.0]], rest, Direction(np.ones(2))) == "exact"
    assert proven_by([[1.0, 0.0]], [[-1.0 - 2.0**-47, 1.0]], Direction(np.ones(2))) == (
        "floating point"
    )


def test_a_sum_that_only_rounding_makes_negative():
    """Four copies of one sample are feasible; 10¹⁶ + 1 rounds to 10¹⁶."""
    free = np.array([1e16, 1.0, -1e16, -1.0])
    assert free.sum() < 0
    assert refused(np.ones((4, 1)), np.zeros((0, 1)), Multipliers(free, np.zeros(0)))


def test_small_multipliers_and_large_ranges_are_repaired():
    repaired = "solved over the rationals beside the multipliers"
    little, third = 2.0**-33, 1 / 3
    own, rest = np.array([[1.0, little, 1.0 + little]]), np.array([[3.0, 0, 3], [0, 3.0, 3]])
    answer = Multipliers(np.array([-8.0]), 8.0 * np.array([third, little * third]))
    assert verify(own, rest, answer).detail == repaired
    rows, weights = np.diag([1.0, 2.0**-460]), np.array([1.0, 2.0**460])
    answer = Multipliers(-weights, third * weights)
    assert verify(rows, 3.0 * rows, answer).detail == repaired


def test_how_far_an_answer_may_be_from_the_exact_one():
    """One part in 10⁸ of the sizes that are added up, which are one and one here."""
    for miss, accepted in ((1.5e-8, True), (2.5e-8, False), (-1.5e-8, True), (-2.5e-8, False)):
        direction = Direction(np.array([1.0 + miss]))
        assert proven_by([[1.0]], [[-1.0]], direction) == ("floating point" if accepted else None)
        multipliers = Multipliers(np.array([-1.0]), np.array([1.0 + miss]))
        assert proven_by([[1.0]], [[1.0]], multipliers) == ("floating point" if accepted else None)


def test_sizes_beyond_the_range_of_floats_are_left_to_exact_arithmetic():
    for power, method in ((800, "floating point"), (898, "floating point"), (899, "exact")):
        own, beta = np.diag([1.0, 2.0**-power]), np.array([1.0, 2.0**power])
        assert proven_by(own, [[0.0, -1.0]], Direction(beta)) == method
        assert refused(own, [[0.0, -1.0]], Direction(beta * [1.0, 1.0 + 1e-6]))
    for power, method in ((440, "floating point"), (450, "floating point"), (451, "exact")):
        rows, weights = np.diag([1.0, 2.0**-power]), np.array([1.0, 2.0**power])
        assert proven_by(rows, rows, Multipliers(-weights, weights)) == method
        assert refused(rows, rows, Multipliers(-weights, weights * [1.0, 1.0 + 1e-6]))


def test_multipliers_with_room_are_proven_in_floats():
    rng = np.random.default_rng(0)
    rest = rng.standard_normal((30, 12))
    nonneg = rng.uniform(0.5, 1.0, 30)
    own = rng.standard_normal((3, 12))
    own[-1] = nonneg @ rest - own[:-1].sum(axis=0)
    free = -np.ones(3)
    answer = Multipliers(free, nonneg)
    assert proven_by(own, rest, answer) == "floating point"
    for scale in (1e-150, 1e150):
        assert proven_by(scale * own, scale * rest, answer) == "floating point"
        scaled = Multipliers(free, nonneg / scale)
        assert proven_by(own, scale * rest, scaled) == "floating point"
    padded = [np.hstack([rows, np.zeros((len(rows), 2))]) for rows in (own, rest)]
    assert proven_by(*padded, answer) == "floating point"
    for size in (1e-12, 1e-17):  # with so little room the last one is not to move
        small = Multipliers(free, np.append(nonneg, size))
        assert proven_by(own, np.vstack([rest, rest[:1]]), small) == "floating point"
    idle = Multipliers(np.append(free, 0.0), np.append(nonneg, 0.0))
    others = [np.vstack([rows, rng.standard_normal((1, 12))]) for rows in (own, rest)]
    assert proven_by(*others, idle) == "floating point"
    assert refused(own, rest, Multipliers(free, nonneg + np.eye(30)[0] * 1e-3))
    assert refused(*[rows[:, ::-1] for rows in (own, rest - 1e-3)], answer)


def test_multipliers_with_dependent_columns_are_proven_exactly():
    """The third column is the sum of the others, so its equation follows from theirs."""
    own, rest = [[1.0, 1.0, 2.0]], [[3.0, 0.0, 3.0], [0.0, 7.0, 7.0], [0.0, 0.0, 1.0]]
    answer = Multipliers(np.array([-1.0]), np.array([1 / 3, 1 / 7, 0.0]))
    verification = verify(np.array(own), np.array(rest), answer)
    assert verification.detail == "solved over the rationals beside the multipliers"
    beside = Multipliers(np.array([-1.0]), np.array([1 / 3, 1 / 7, 1e-12]))
    assert proven_by(own, rest, beside) == "exact"
    for nonneg in ([1 / 3, 1 / 7 + 1e-4, 0.0], [1 / 3, 0.0, 1 / 7], [1 / 3, 1 / 7, 1e-6]):
        assert refused(own, rest, Multipliers(np.array([-1.0]), np.array(nonneg)))
    whole_numbers = Multipliers(np.array([-21.0]), np.array([7.0, 3.0, 0.0]))
    assert verify(np.array(own), np.array(rest), whole_numbers).detail == (
        "the multipliers cancel exactly"
    )


def test_a_column_that_one_sample_uses_rules_its_multiplier_out():
    """Only the second row of the rest uses the last column, so its multiplier must be zero."""
    own, rest = [[1.0, 0.0]], [[1.0, 0.0], [1.0, 1e-12]]
    assert proven_by(own, rest, Multipliers(np.array([-1.0]), np.array([1.0, 0.0]))) is not None
    assert refused(own, rest, Multipliers(np.array([-1.0]), np.array([0.0, 1.0])))
    twice = [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0]]
    answer = Multipliers(np.array([-1.0, -1e-20]), np.array([1.0]))
    assert proven_by(twice, twice[:1], answer) == "floating point"
    own = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert refused(own, [[1.0, 0.0, 1e-12]], answer)
    idle = Multipliers(np.array([-1.0]), np.array([1.0, 0.0]))
    assert proven_by([[1.0, 0.0]], np.eye(2), idle) == "floating point"
    assert refused(own, rest, Multipliers(np.array([-1.0]), np.array([1.0, 1e-6])))


def test_a_zero_sample_is_an_obstacle():
    answer = Multipliers(np.array([-1.0]), np.array([0.0]))
    assert proven_by([[0.0, 0.0]], [[1.0, 0.0]], answer) == "exact"
    assert refused([[0.0, 2.0**-1074]], [[1.0, 0.0]], answer)


def test_why_an_answer_is_refused():
    own, rest, one = np.array([[1.0]]), np.array([[1.0]]), np.array([1.0])
    for answer, detail in (
        (Direction(np.ones(2)), "beta must be a finite vector with one entry a column"),
        (Direction(2 * one), "beta does not map the class to 1"),
        (Direction(0 * one), "beta does not map the class to 1"),
        (Direction(one), "the slack does not exceed what rounding may hide"),
        (Direction(whole([1])), "a product with beta is not what it must be"),
        (Multipliers(-one, np.ones(2)), "one multiplier is needed for every sample"),
        (Multipliers(np.ones(2), one), "one multiplier is needed for every sample"),
        (Multipliers(-one, np.nan * one), "the multipliers must be finite"),
        (Multipliers(-one, -one), "a multiplier of another class is negative"),
        (Multipliers(one, one), "the multipliers of the class do not add up below zero"),
        (Multipliers(-one, 2 * one), "the multipliers do not cancel"),
        (Multipliers(whole([-1]), whole([2])), "the multipliers do not cancel"),
    ):
        assert verify(own, rest, answer).detail == detail
    answer = Multipliers(-one, np.array([1.0, 1e-10]))
    assert verify(np.array([[1.0, 0.0]]), np.array([[1.0, 1e-9], [0.0, 1.0]]), answer).detail == (
        "exact multipliers beside these could not be shown"
    )


def test_a_sum_within_rounding_of_zero_is_left_to_exact_arithmetic():
    own, rest = [[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0]]
    free = np.array([1.0, -1.0 - 2.0**-52])
    assert proven_by(own, rest, Multipliers(free, np.array([2.0**-52]))) == "exact"
    own, rest = 2.0**-6 * np.array([[1.0], [1.0], [64.0]]), [[2.0**-6]]
    answer = Multipliers(np.append(free, 2.0**-60), np.array([2.0**-52 - 2.0**-54]))
    assert proven_by(own, rest, answer) == "exact"


def scaled_instances(seeds):
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        sizes = 2.0 ** rng.integers(-200, 200, (5, 1)) if seed % 2 else np.ones((5, 1))
        rows = rng.standard_normal((5, 7)) * sizes
        yield rng, rows[:2], rows[2:]


def test_the_miss_of_a_direction_is_bounded():
    for rng, own, _ in scaled_instances(20):
        beta = np.linalg.lstsq(own, np.ones(2))[0] * (1.0 + 1e-16 * rng.integers(-9, 9, 7))
        scaled = verify_module._scaled_direction(own, beta)
        products = exact_products(scaled.own, scaled.beta)
        parts = exact_products(np.abs(scaled.own), np.abs(scaled.beta))
        for miss, product, part, target in zip(
            scaled.misses, products, parts, whole(scaled.target), strict=True
        ):
            exact = abs(product - target)
            assert exact <= Fraction(miss) <= exact + 4 * gamma(10) * (7 * part + target)
            assert Fraction(miss) >= gamma(10) * target
        # The equalities are those of the class, up to powers of two.
        original = exact_products(own, beta)
        for product, exact, target in zip(products, original, whole(scaled.target), strict=True):
            assert product == exact * target


def test_the_miss_and_the_room_of_multipliers_are_bounded():
    for rng, own, rest in scaled_instances(20):
        free = -rng.uniform(0.5, 2.0, 2) / np.linalg.norm(own, axis=1)
        free[0] *= rng.choice([1.0, -0.5])
        nonneg = rng.uniform(0.5, 2.0, 3) / np.linalg.norm(rest, axis=1)
        scaled = verify_module._scaled_multipliers(own, rest, free, nonneg)
        if scaled is None:
            continue
        weights, used = whole(scaled.weights), len(scaled.weights)
        sums = exact_products(scaled.rows.T, scaled.weights)
        parts = exact_products(np.abs(scaled.rows).T, np.abs(scaled.weights))
        exact = sum(value**2 for value in sums)
        lost = 2 * gamma(used + 2)
        assert exact <= Fraction(scaled.miss) ** 2
        above = sum(
            (abs(value) + lost * part) ** 2 for value, part in zip(sums, parts, strict=True)
        )
        assert Fraction(scaled.miss) ** 2 <= above * (1 + Fraction(1, 10**8))
        assert Fraction(scaled.miss) ** 2 >= sum((lost / 2 * part) ** 2 for part in parts)
        # One factor takes the scaled sum of the class to the original one.
        factor = whole(free[:1])[0] / (weights[0] * sum_weights(own, scaled)[0])
        total = sum(w * t for w, t in zip(weights[:2], sum_weights(own, scaled), strict=True))
        assert total * factor == sum(whole(free))
        norm = sum(t**2 for t in sum_weights(own, scaled))
        room = Fraction(scaled.room)
        if total < 0:
            assert Fraction(98, 100) * total**2 <= room**2 * norm <= total**2
            assert room > 0
        else:
            assert room < 0


def sum_weights(own, scaled):
    """What each scaled multiplier counts in Σ free: powers of two against the rescaled rows."""
    ratios = [
        Fraction(row[0]) / Fraction(other[0]) for row, other in zip(own, scaled.rows, strict=False)
    ]
    return [max(ratios) / ratio for ratio in ratios]


def exact_products(rows, vector):
    return [
        sum(Fraction(a) * Fraction(b) for a, b in zip(row, vector, strict=True)) for row in rows
    ]


def test_the_margin_of_exact_answers_is_inclusive():
    one, miss = whole([1]), Fraction(verify_module.BESIDE)
    assert verify_module._beside(one + miss, one)
    assert not verify_module._beside(one + miss + Fraction(1, 10**30), one)
