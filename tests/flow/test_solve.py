"""The initial value problem of a flow at one point, against its formulas."""

from types import SimpleNamespace

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.flow import Rosenbrock
from ncollapse.flow._solve import (
    _distance_to_goal,
    _vector_field,
    first_step,
    is_timed,
    limits_of,
    log_time,
    path_record,
)

POINT = {"a": np.array([3.0, -4.0]), "b": np.array([[2.0]])}


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def model(clock):
    """log L = −(3a₀ − a₁ + b²), so that ∇ log L = (−3, 1, −4) at `POINT`."""

    def log_loss(p):
        return -(3.0 * p["a"][0] - p["a"][1] + p["b"][0, 0] ** 2)

    return SimpleNamespace(
        clock=clock,
        log_loss=log_loss,
        loss=lambda p: 1e3 * jnp.exp(log_loss(p) + 10.0),
        invariants=lambda p: p["a"][:1],
        observe=lambda p: {"seen": p["b"] > 0},
    )


LOSS = 1e3 * np.exp(-17.0 + 10.0)


@pytest.mark.parametrize(("clock", "size"), [("log_loss", 1.0), ("time", LOSS)])
def test_the_field_is_the_negative_gradient_of_what_the_clock_descends(clock, size):
    args = (model(clock), 0.0)
    velocity, change = _vector_field(0.0, (POINT, 0.25), args, timed=True)
    np.testing.assert_allclose(velocity["a"], [3.0 * size, -size])
    np.testing.assert_allclose(velocity["b"], [[4.0 * size]])
    assert float(change) == pytest.approx(1.0 - 0.25 * 26.0 * size**2)
    velocity, change = _vector_field(0.0, (POINT, 0.25), args, timed=False)
    np.testing.assert_allclose(velocity["b"], [[4.0 * size]])
    assert float(change) == 0.0


@pytest.mark.parametrize(("clock", "size"), [("log_loss", 1.0), ("time", LOSS)])
def test_the_first_step_and_the_record_of_a_point(clock, size):
    norm = np.sqrt(29.0)
    assert float(first_step(model(clock), POINT)) == pytest.approx(
        1e-2 * norm / (np.sqrt(26.0) * size)
    )
    record = path_record(model(clock), POINT)
    assert sorted(record) == ["invariants", "log_inverse_loss", "norm", "observations", "speed"]
    assert float(record["log_inverse_loss"]) == pytest.approx(17.0)
    assert float(record["norm"]) == pytest.approx(norm)
    assert float(record["speed"]) == pytest.approx(np.sqrt(26.0) * size / norm)
    assert record["invariants"].tolist() == [3.0]
    assert record["observations"]["seen"].tolist() == [[True]]


def test_the_distance_to_a_goal_is_relative_from_one_on():
    state = (POINT, 0.0)
    for goal, distance in [(7.0, 10.0 / 7.0), (20.0, -0.15), (0.5, 16.5), (-2.0, 9.5)]:
        assert float(_distance_to_goal(0.0, state, (model("time"), goal))) == pytest.approx(
            distance
        )


def test_time_is_integrated_where_the_clock_is_not_time_and_symmetry_not_needed():
    assert is_timed(model("log_loss"), diffrax.Bosh3())
    assert not is_timed(model("time"), diffrax.Bosh3())
    assert not is_timed(model("log_loss"), Rosenbrock())
    assert float(log_time(model("time"), 5.0, 0.3, -2.0)) == pytest.approx(np.log(5.0))
    assert float(log_time(model("log_loss"), 5.0, 0.3, -2.0)) == pytest.approx(np.log(0.3) + 2.0)


def test_small_parameters_err_by_the_typical_size_of_the_start():
    limits = limits_of(POINT, 5, np.inf, 1e-3)
    assert limits["atol"] == pytest.approx(1e-3 * np.sqrt(29.0 / 3.0))
    assert [float(limits[name]) for name in ("goal", "end", "rtol")] == [5.0, np.inf, 1e-3]
    assert {value.dtype for value in limits.values()} == {np.dtype(np.float64)}
