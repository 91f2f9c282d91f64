"""Forecast of neuron groups against flows, settled cases, and what is proven."""

import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.flow import gradient_flow
from ncollapse.geometry import simplex_etf
from ncollapse.models import ReLUNetwork
from ncollapse.theory import alignment
from ncollapse.theory.alignment import forecast_alignment, lost_classes

CORNERS = Dataset.from_arrays(
    np.array([[1.0, 0.2], [1.0, -0.2], [-1.0, 0.1], [-1.0, -0.1]]), np.array([0, 0, 1, 1])
)


def many_classes(seed):
    return orthogonally_separable(8, 2, 16, seed, scales=np.linspace(1, 10, 8))


@pytest.mark.parametrize("seed", range(12), ids=lambda seed: f"seed={seed}")
def test_the_forecast_is_what_the_flow_does(seed):
    data = many_classes(seed)
    model = ReLUNetwork.on(data)
    start = model.start(40, 1e-8, seed)
    lifted = model.lift(start)
    forecast = forecast_alignment(lifted["hidden"], lifted["weight"], data)
    run = gradient_flow(model, start, log_inverse_loss=8.0, rtol=1e-5)
    groups = np.asarray(run.observations["groups"][-1])
    sizes = np.bincount(groups[groups >= 0], minlength=8)
    assert forecast.lost == tuple(np.flatnonzero(sizes == 0))
    assert forecast.undecided == 0
    assert np.abs(forecast.group_sizes - sizes).max() <= 1
    assert (sizes >= forecast.settled).all()
    assert forecast.group_sizes.sum() + forecast.dead == 40


@pytest.mark.parametrize("seed", range(5), ids=lambda seed: f"seed={seed}")
def test_halving_the_step_changes_no_group(seed, monkeypatch):
    data = many_classes(seed)
    generator = np.random.default_rng(seed)
    hidden, weight = generator.standard_normal((40, 16)), generator.standard_normal((8, 40))
    whole = forecast_alignment(hidden, weight, data)
    monkeypatch.setattr(alignment, "STEP", alignment.STEP / 4)
    assert whole.lost == lost_classes(hidden, weight, data)
    fine = forecast_alignment(hidden, weight, data)
    assert np.abs(whole.group_sizes - fine.group_sizes).sum() <= 2


def test_settled_neurons_prove_what_is_lost():
    """All on class 0 alone or off: class 1 has no neuron, from a start of any size."""
    hidden = np.array([[1.0, 0.0], [0.1, -1.0], [-3.0, 0.0]])
    weight = np.array([[1.0, 0.3], [0.2, -0.1]]).T
    three = np.column_stack([weight, [0.0, 1.0]])
    forecast = forecast_alignment(hidden[:2], weight, CORNERS)
    assert forecast.settled.tolist() == [2, 0]
    assert forecast.proven
    assert forecast.lost == (1,)
    assert forecast_alignment(hidden, three, CORNERS).group_sizes.tolist() == [2, 1]


def test_a_neuron_that_is_pushed_off_its_class():
    """Active on class 0 with a negative output weight there: it turns to class 1, or dies."""
    hidden, weight = np.array([[1.0, 0.0]]), np.array([[-1.0], [1.0]])
    forecast = forecast_alignment(hidden, weight, CORNERS)
    assert forecast.settled.tolist() == [0, 0]
    assert not forecast.proven
    assert forecast.lost == (0,)
    assert forecast.group_sizes.tolist() == [0, 1]
    # With little output weight the input weight wins and turns it positive.
    assert lost_classes(hidden, 0.1 * weight, CORNERS) == (1,)


def test_neurons_that_are_off_stay_off():
    data = Dataset.from_arrays(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([3, 7]))
    forecast = forecast_alignment(np.array([[0.0, 1.0]]), np.array([[1.0], [0.0]]), data)
    assert forecast.dead == 1
    assert forecast.proven
    assert forecast.lost == (0, 1)
    assert forecast.slowest_growth == np.inf
    assert forecast.to_dict()["lost"] == [0, 1]


def test_a_tie_of_output_weights_settles_nothing():
    corners = simplex_etf(3)
    data = Dataset.from_arrays(corners, np.arange(3))
    strict = forecast_alignment(corners[:1], np.array([[1.0], [0.9], [0.0]]), data)
    tie = forecast_alignment(corners[:1], np.array([[1.0], [1.0], [0.0]]), data)
    assert strict.settled.tolist() == [1, 0, 0]
    assert strict.proven
    assert strict.undecided == 0
    assert tie.settled.tolist() == [0, 0, 0]
    assert not tie.proven
    assert tie.lost == strict.lost == (1, 2)
    both = np.array([[1.0, 0.9, 0.0], [1.0, 1.0, 0.0]]).T
    assert not forecast_alignment(corners[[0, 0]], both, data).proven


def test_neurons_that_find_no_group_in_time_are_counted(monkeypatch):
    monkeypatch.setattr(alignment, "MAX_STEPS", 1)
    hidden, weight = np.array([[1.0, 0.0], [0.0, 0.5]]), np.array([[-1.0, 1.0], [1.0, -1.0]])
    forecast = forecast_alignment(hidden, weight, CORNERS)
    sizes = forecast.group_sizes.sum()
    assert forecast.undecided >= 1
    assert sizes + forecast.dead + forecast.undecided == 2


def test_only_directions_of_a_start_matter_to_the_forecast():
    data = many_classes(3)
    generator = np.random.default_rng(0)
    hidden, weight = generator.standard_normal((20, 16)), generator.standard_normal((8, 20))
    large = forecast_alignment(hidden, weight, data)
    small = forecast_alignment(1e-100 * hidden, 1e-100 * weight, data)
    assert large.group_sizes.tolist() == small.group_sizes.tolist()
    rates = [np.linalg.norm(data.of_class(k).sum(axis=0)) for k in range(8)]
    logits = np.maximum(data.inputs @ hidden.T, 0) @ weight.T
    ratio = min(rates) / max(rates)
    assert large.slowest_growth == pytest.approx(-0.5 * np.log(np.abs(logits).max()) * ratio)
    shift = 200 * np.log(10) / 2 * ratio
    assert small.slowest_growth == pytest.approx(large.slowest_growth + shift)


@pytest.mark.parametrize(
    ("hidden", "weight", "data", "words"),
    [
        (np.ones((3, 3)), np.ones((2, 3)), CORNERS, r"shapes are \(3, 3\) and \(2, 3\)"),
        (np.ones((3, 2)), np.ones((2, 4)), CORNERS, r"\(3, 2\) and \(2, 4\)"),
        (np.ones((1, 2)), np.full((2, 1), np.nan), CORNERS, "weight must be finite"),
        (
            np.ones((1, 1)),
            np.ones((2, 1)),
            Dataset.from_arrays(np.array([[1.0], [2.0]]), np.array([0, 1])),
            "orthogonally separable",
        ),
    ],
)
def test_refused_arguments(hidden, weight, data, words):
    with pytest.raises(ValueError, match=words):
        forecast_alignment(hidden, weight, data)
