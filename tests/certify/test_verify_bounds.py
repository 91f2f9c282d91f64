"""Each bound of the verifier against the formula that its comments give, in exact fractions."""

import importlib
import math
from fractions import Fraction

import numpy as np
import pytest

from ncollapse.certify import Direction, Multipliers, verify

module = importlib.import_module("ncollapse.certify.verify")
UNIT = Fraction(1, 2**53)


def gamma(count, unit=UNIT):
    return count * unit / (1 - count * unit)


def within(value, literal, ups=1):
    """Whether a bound is at least the literal one, and only a few ROUND_UPs above it."""
    up = Fraction(1, 10**9)
    return (
        literal * (1 + (ups - Fraction(1, 2)) * up)
        <= Fraction(value)
        <= (literal * (1 + (ups + Fraction(1, 2)) * up))
    )


def length(values):
    """√Σx² as a fraction, to 40 digits."""
    square = sum(Fraction(value) ** 2 for value in values)
    scale = 10**80
    return Fraction(math.isqrt(square.numerator * scale // square.denominator), 10**40)


def test_norms_count_their_roundings(monkeypatch):
    """Of three products, two sums and more, with a unit so coarse that ROUND_UP does not hide it."""
    monkeypatch.setattr(module, "UNIT", 2.0**-20)
    (norm,) = module._norms(np.array([[1.0, 2.0, 2.0]]))
    square = 9 * (1 + gamma(5, Fraction(1, 2**20)))
    assert square < Fraction(norm) ** 2 < square * (1 + Fraction(1, 10**8))


@pytest.fixture
def shifts(monkeypatch):
    """What is taken off the last diagonal entry of a Gram matrix, which is small or zero."""
    factored = []
    monkeypatch.setattr(module, "cholesky", lambda gram: factored.append(gram.copy()))

    def shift(matrix, bound):
        assert not module.smallest_singular_value_at_least(matrix, bound)
        return Fraction(float(matrix[-1] @ matrix[-1])) - Fraction(factored.pop()[-1, -1])

    return shift


def test_the_shift_of_a_gram_matrix_without_rounding(shifts):
    matrix = np.arange(36.0).reshape(4, 9)
    matrix[-1] = 0.0
    trace = Fraction(float((matrix**2).sum()))
    rounding = 3 * (gamma(6) + gamma(11)) * trace
    assert within(shifts(matrix, 0.0), rounding, ups=2)
    for bound in (1e-7, 0.125, 3.0):
        assert rounding + Fraction(bound) ** 2 < shifts(matrix, bound)
        assert shifts(matrix, bound) < (rounding + Fraction(bound) ** 2) * (1 + 3 * UNIT * 10**7)
    assert shifts(np.zeros((2, 3)), 0.0) >= Fraction(module.UNDERFLOW)


def test_what_a_direction_misses_where_the_residual_is_zero():
    """Rows and β are scaled to size one, so the target of each row is 1/8."""
    own = np.array([[2.0, 4.0, 0.0], [4.0, 0.0, 0.0], [1.0, 0.0, 1.0]]) / 2**10
    scaled = module._scaled_direction(own, np.array([0.25, 0.125, 0.75]) * 2**10)
    assert scaled.target.tolist() == (scaled.own @ scaled.beta).tolist() == [0.125] * 3
    for row, miss in zip(scaled.own, scaled.misses, strict=True):
        literal = gamma(6) * (length(row) * length(scaled.beta) + Fraction(1, 8))
        assert literal < Fraction(miss) < literal * (1 + Fraction(1, 10**8))


@pytest.fixture
def needed(monkeypatch):
    """The singular values that are asked for, and the shapes of the matrices."""
    asked = []
    monkeypatch.setattr(
        module,
        "smallest_singular_value_at_least",
        lambda matrix, bound: asked.append((matrix.shape, bound)),
    )
    return asked


def direction(own, beta, misses):
    beta = np.array(beta)
    norms, size = module._norms(own), float(module._norms(beta[None])[0])
    return module._ScaledDirection(own, beta, np.ones(len(own)), norms, size, np.array(misses))


def test_the_room_of_a_direction_that_rounding_leaves(needed):
    """The slack of (−1 − t, 1)·m against β = (1, 1)·b is t·m·b, that of the other row is larger."""
    own, misses = np.array([[1.0, 0.0], [0.0, 1.0]]), [3e-9, 4e-9]
    for size, factor in ((8.0, 0.25), (0.25, 8.0), (4.0, 4.0)):
        rest = factor * np.array([[-1.0 - 2.0**-49, 1.0], [-1.0, -1.0]])
        module._direction_in_floats(direction(own, [size, size], misses), rest)
        norms = [length(row) for row in rest]
        rounding = gamma(5) * norms[0] * length([size, size])
        slack = Fraction(2) ** -49 * Fraction(size) * Fraction(factor) - rounding
        ((shape, bound),) = needed
        assert shape == (2, 2)
        literal = length(misses) * norms[0] / slack
        assert literal <= Fraction(bound) <= literal * (1 + Fraction(1, 10**7)), (size, factor)
        needed.clear()


def test_a_slack_of_zero_is_no_slack():
    """γ₅‖x‖‖β‖ is a rounded number, and x = (−that, 1/2) against (1, 0) has it for a product."""
    scaled = direction(np.eye(2), [1.0, 0.0], [1e-9, 1e-9])
    least = module._gamma(5) * float(module._norms(np.array([[0.0, 0.5]]))[0]) * scaled.size
    with np.errstate(all="ignore"):
        assert not module._direction_in_floats(scaled, np.array([[-least, 0.5]]))
        assert module._direction_in_floats(scaled, np.array([[-4.0 * least, 0.5]])) == (
            1e-9 * 2**0.5 * 0.5 / (3 * least) < 1.0
        )


def test_copies_with_other_columns_are_not_copies():
    """Without their last column the rows are independent only where they are copies."""
    own = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    scaled = direction(own, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    assert module._direction_in_floats(scaled, np.zeros((0, 3)))


def scaled_multipliers(own, rest, free, nonneg):
    return module._scaled_multipliers(*(np.array(x, float) for x in (own, rest, free, nonneg)))


def test_the_room_of_a_sum_that_almost_vanishes():
    """Σ free = −2⁻⁴⁶ with γ₅ Σ|free| near a tenth of it."""
    free = [1.0, -2.0 - 2.0**-46, 1.0]
    scaled = scaled_multipliers(np.ones((3, 1)), np.ones((1, 1)), free, [2.0**-46])
    total = Fraction(2) ** -46
    sizes = sum(abs(Fraction(value)) for value in free)
    # The largest multiplier is scaled from just above two to just above one half.
    room = (total - gamma(5) * sizes) / 4 / length([1.0, 1.0, 1.0])
    assert room * (1 - Fraction(2, 10**9)) <= Fraction(scaled.room) <= room
    small = [1.0, -1.0 - 2.0**-46]
    scaled = scaled_multipliers(np.ones((2, 1)), np.ones((1, 1)), small, [64.0])
    room = (total - gamma(4) * (2 + total)) / 128 / length([1.0, 1.0])
    assert room * (1 - Fraction(2, 10**9)) <= Fraction(scaled.room) <= room
    scaled = scaled_multipliers([[1.0]], [[1.0]], [-(2.0**-890)], [1.0])
    assert Fraction(scaled.room) <= Fraction(2) ** -891 * (1 - gamma(3))


def test_the_miss_of_multipliers_that_cancel_without_rounding():
    own, rest = [[3.0, 1.0, 0.0]], [[1.0, 0.0, 2.0], [1.0, 0.5, -1.0]]
    scaled = scaled_multipliers(own, rest, [-1.0], [1.0, 2.0])
    sums = np.abs(scaled.weights) @ np.abs(scaled.rows)
    assert not (scaled.weights @ scaled.rows).any()
    literal = gamma(5) * length(sums)
    assert within(scaled.miss, literal, ups=3)


def test_the_widest_powers_of_two():
    own, rest = [[1.0]], [[1.0], [1.0]]
    assert scaled_multipliers(own, rest, [-1.0], [1.0, 2.0**-900]) is not None
    assert scaled_multipliers(own, rest, [-1.0], [1.0, 2.0**-901]) is None
    for power, scaled in ((450, True), (451, False)):
        rows = np.diag([1.0, 2.0**-power])
        found = scaled_multipliers(rows, rows, [-1.0, -(2.0**power)], [1.0, 2.0**power])
        assert (found is not None) == scaled


def multipliers(weights, room=1.0, miss=1e-6):
    weights = np.array(weights)
    rows = np.arange(3.0 * len(weights)).reshape(len(weights), 3)
    return module._ScaledMultipliers(rows, weights, 1, room, miss)


def test_how_far_multipliers_may_move(needed, monkeypatch):
    monkeypatch.setattr(module, "SUPPORTS", (0.0, 0.5))
    assert not module._multipliers_in_floats(multipliers([-1.0, 0.5, 0.3, 0.25]))
    assert [shape for shape, _ in needed] == [(3, 4), (3, 3)]
    for (_, bound), distance in zip(needed, (0.25, 0.3), strict=True):
        assert within(bound, Fraction(1e-6) / Fraction(distance))
    needed.clear()
    assert not module._multipliers_in_floats(multipliers([-1.0, 0.5, 0.3, 0.25], room=0.125))
    assert all(within(bound, Fraction(1e-6) * 8) for _, bound in needed)
    needed.clear()
    assert not module._multipliers_in_floats(multipliers([-1.0]))
    assert all(within(bound, Fraction(1e-6)) for _, bound in needed)
    for room in (0.0, -1.0, np.nan):
        needed.clear()
        assert not module._multipliers_in_floats(multipliers([-1.0, 1.0], room=room))
        assert not needed


@pytest.fixture
def systems(monkeypatch):
    """The systems that are to be solved exactly."""
    asked = []
    monkeypatch.setattr(module, "solution_near", lambda *system: asked.append(system))
    return asked


def repaired(own, rest, beta):
    assert not module._direction_repaired(*(np.array(values) for values in (own, rest, beta)))


BIG = 2.0**20


@pytest.mark.parametrize("scale", [1.0, 2.0**-40, 2.0**40])
def test_which_rows_are_tried_as_equations(systems, scale):
    """Products of 0, −5e-10 and −5e-7 of the sizes are tight at 1e-6; the last row is far below."""
    own, beta = [[1 / BIG, 0.0]], [BIG, BIG]
    rest = np.array([[1.0, -1.0], [1.0, -1.0 - 2.0**-30], [1.0, -1.0 - 2.0**-20], [-1.0, -1.0]])
    rest *= scale
    repaired(own, rest, beta)
    for (system, goal, guess, floats), rows in zip(systems, (4, 3, 2), strict=True):
        assert system.shape == floats.shape == (rows, 2)
        assert goal.tolist() == [2**20] + [0] * (rows - 1)
        assert guess.tolist() == beta
        assert np.abs(floats).max(axis=1).min() >= 2.0**-7
    systems.clear()
    repaired(own, rest[[0, 1, 3]], beta)
    assert [len(system[0]) for system in systems] == [3, 2]
    systems.clear()
    repaired(own, rest[[0, 3]], beta)
    assert [len(system[0]) for system in systems] == [2]


def test_a_system_out_of_reach_leaves_the_smaller_ones(systems, monkeypatch):
    monkeypatch.setattr(module, "is_within_reach", lambda rows, columns: rows < 4)
    rest = [[1.0, -1.0], [1.0, -1.0 - 2.0**-30], [1.0, -1.0 - 2.0**-20]]
    repaired([[1.0, 0.0]], rest, [1.0, 1.0])
    assert [len(system[0]) for system in systems] == [3, 2]


@pytest.mark.parametrize("size", [0.25, 4.0])
def test_which_multipliers_are_repaired(size, systems, monkeypatch):
    """−3·(1, 0, 1) + 1·… with one multiplier of zero and one at BESIDE of the largest."""
    own = np.array([[1.0, 0.0, 0.0], [4.0, 2.0, 0.0], [9.0, 9.0, 0.0]])
    rest = np.array([[1.0, 5.0, 0.0], [0.0, 1.0, 0.0], [7.0, 8.0, 0.0]])
    free, largest = np.array([1.0, -5.0, 0.0]), size
    small = module.BESIDE * largest
    reach = []
    monkeypatch.setattr(module, "is_within_reach", lambda *shape: reach.append(shape) or True)
    assert not module._multipliers_repaired(own, rest, free, np.array([largest, small, 0.0]))
    assert reach == [(3, 4), (3, 3)]
    (system, goal, guess, floats), (second, *_) = systems
    assert system.tolist() == [[1, 4, 1, 0], [0, 2, 5, 1], [1, 1, 0, 0]]
    assert second.tolist() == [[1, 4, 1], [0, 2, 5], [1, 1, 0]]
    assert goal.tolist() == [0, 0, -1]
    assert [float(value) for value in guess] == [0.25, -1.25, largest / 4, small / 4]
    preference = [1.25, 1.25, largest / 4, small / 4]
    rows = np.vstack([own[:2], rest[:2]])
    expected = np.vstack([rows[:, :2].T, [1, 1, 0, 0]]) * preference
    np.testing.assert_array_equal(floats, expected)
    reach.clear()
    assert not module._multipliers_repaired(own, rest, free, np.array([largest, 2 * small, 0.0]))
    assert reach == [(3, 4), (3, 4)]
    reach.clear()
    systems.clear()
    monkeypatch.setattr(module, "is_within_reach", lambda *shape: reach.append(shape))
    assert not module._multipliers_repaired(own, rest, free, np.array([largest, small, 0.0]))
    assert len(reach) == 2
    assert not systems


def test_the_share_that_multipliers_may_miss_by_is_inclusive(monkeypatch):
    own, rest = np.array([[1.0, 0.0]]), np.array([[1.0, 1e-9], [0.0, 1.0]])
    answer = Multipliers(np.array([-1.0]), np.array([1.0, 1e-10]))
    scaled = multipliers([-1.0, 0.5])
    sizes = float(np.abs(scaled.weights) @ module._norms(scaled.rows))
    for miss, detail in (
        (module.BESIDE * sizes, "exact multipliers beside these could not be shown"),
        (module.BESIDE * sizes * (1 + 1e-15), "the multipliers do not cancel"),
    ):
        scaled = multipliers([-1.0, 0.5], room=1e-300, miss=miss)
        monkeypatch.setattr(module, "_scaled_multipliers", lambda *_, scaled=scaled: scaled)
        assert verify(own, rest, answer).detail == detail


def test_how_an_answer_is_proven():
    one = np.array([1.0])
    whole = np.array([Fraction(1)], dtype=object)
    rows = np.array([[1.0, 0.0]])
    for answer, method, detail in (
        (Direction(np.array([1.0, 0.0])), "floating point", "rounding cannot overturn a sign"),
        (
            Direction(np.array([1, Fraction(0)]) * whole),
            "exact",
            "every product with beta is computed exactly",
        ),
        (Multipliers(-one, one), "floating point", "exact multipliers lie beside these"),
        (Multipliers(-whole, whole), "exact", "the multipliers cancel exactly"),
    ):
        sign = -1.0 if isinstance(answer, Direction) else 1.0
        verification = verify(rows, sign * rows, answer)
        assert (verification.verified, verification.method) == (True, method)
        assert verification.detail == detail
