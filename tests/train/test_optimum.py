"""The homotopy and the built network against the closed form, and how far a run is from it."""

import json

import numpy as np
import pytest

from ncollapse.certify import certify
from ncollapse.data import Dataset
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.runs import Run
from ncollapse.train import (
    METRIC_NAMES,
    collapsed_network,
    descend,
    outcome,
    perturbed,
    restore,
    to_optimum,
)

DECAYS = {"weight_decay": 1e-3, "feature_decay": 1e-6}


@pytest.fixture(scope="module")
def built(feasible):
    data, certificate, _ = feasible
    return collapsed_network(certificate, data, width=7, **DECAYS)


@pytest.mark.parametrize("seed", range(3), ids="seed {}".format)
def test_the_homotopy_reaches_the_closed_form_where_collapse_is_feasible(feasible, seed):
    _, certificate, problem = feasible
    run = to_optimum(problem, width=6, seed=seed)
    end = outcome(run, certificate)
    assert end.feasible
    assert -1e-12 < end.gap < 1e-9
    assert end.optimal_risk == end.lower_bound == problem.lower_bound.risk
    assert problem.risk(run.parameters) == pytest.approx(end.risk, rel=1e-12)
    assert end.metrics["nc1_quotient"] < 1e-6
    assert run.observations["slope"].tolist()[::9] == [1.0, 0.0]
    size = np.sqrt(sum(np.sum(part**2) for part in run.parameters.values()))
    assert run.norm[-1] == pytest.approx(size, rel=1e-9)


def test_descent_ends_above(feasible):
    _, certificate, problem = feasible
    run = descend(problem, width=6, epochs=3000)
    assert outcome(run, certificate).gap > 1e-4


def test_where_collapse_is_infeasible_only_a_lower_bound_is_known(infeasible):
    _, certificate, problem = infeasible
    end = outcome(to_optimum(problem, width=6, iterations=100), certificate)
    assert end.feasible is False
    assert end.optimal_risk is end.gap is None
    assert end.risk > end.lower_bound + 1e-5
    assert end.metrics["nc1_quotient"] > 1e-3


def test_without_a_certificate_nothing_is_said_to_be_feasible(built):
    end = outcome(built)
    assert end.feasible is end.gap is end.optimal_risk is None
    assert json.loads(json.dumps(end.to_dict()))["risk"] == end.risk


def test_a_built_network_has_the_least_risk(feasible, built):
    data, certificate, problem = feasible
    expected = problem.lower_bound
    assert built.setup.method == "built"
    assert problem.risk(built.parameters) == pytest.approx(expected.risk, abs=1e-14)
    assert abs(outcome(built, certificate).gap) < 1e-10
    features = np.maximum(data.inputs @ built.parameters["hidden"].T, 0.0)
    means = np.array([features[data.labels == k].mean(axis=0) for k in range(2)])
    np.testing.assert_allclose(means @ means.T, expected.mean_gram(), atol=1e-12)
    weight = built.parameters["weight"]
    np.testing.assert_allclose(weight @ weight.T, expected.weight_gram(), atol=1e-12)
    assert all(built.observations[name][-1] < 1e-10 for name in METRIC_NAMES)
    assert built.observations["dead_share"][-1] == 0.0


def test_more_classes_and_more_neurons_are_built_too():
    data = gaussian_mixture(np.eye(4), 5, 0.4, 24, 0)
    certificate = certify(data)
    for width in (4, 6, 13):
        run = collapsed_network(certificate, data, width=width, **DECAYS)
        assert abs(outcome(run, certificate).gap) < 1e-10


@pytest.mark.parametrize("share", [0.01, 0.1])
@pytest.mark.parametrize("seed", range(2), ids="seed {}".format)
def test_a_built_network_is_stable(feasible, built, share, seed):
    _, certificate, problem = feasible
    start = perturbed(built.parameters, share, seed)
    first = problem.risk(start) - problem.lower_bound.risk
    back = descend(problem, start=start, epochs=20_000, learning_rate=4.0, drops=(20_000, 20_000))
    assert 0 < outcome(back, certificate).gap < 0.02 * first
    assert (np.diff(back.log_inverse_loss) >= 0).all()
    polished = outcome(to_optimum(problem, start=back.parameters, slopes=(0.0,)), certificate)
    assert abs(polished.gap) < 1e-12
    assert polished.dead_share == 0.0


def test_noise_is_a_share_of_each_matrix(built):
    moved = perturbed(built.parameters, 0.1, 0)
    for name, matrix in built.parameters.items():
        change = np.linalg.norm(moved[name] - matrix)
        assert change == pytest.approx(0.1 * np.linalg.norm(matrix))


def test_runs_to_the_optimum_and_built_ones_are_saved(feasible, built, tmp_path):
    _, _, problem = feasible
    for run in (built, to_optimum(problem, width=4, slopes=(1.0, 0.0), iterations=20)):
        run.save(tmp_path / "run.npz")
        loaded = Run.load(tmp_path / "run.npz", restore=restore)
        assert loaded.setup == run.setup
        assert outcome(loaded).risk == outcome(run).risk


def test_what_is_refused(feasible, infeasible):
    data, certificate, problem = feasible
    wide = {"width": 4, **DECAYS}
    with pytest.raises(ValueError, match=r"certificate must be feasible .* it is infeasible"):
        collapsed_network(infeasible[1], infeasible[0], **wide)
    with pytest.raises(ValueError, match="certificate is about other data"):
        collapsed_network(certificate, infeasible[0], **wide)
    with pytest.raises(ValueError, match="width must be at least the number of classes"):
        collapsed_network(certificate, data, **(wide | {"width": 1}))
    with pytest.raises(ValueError, match="slopes must go down to 0"):
        to_optimum(problem, width=4, slopes=(1.0, 0.5))
    with pytest.raises(ValueError, match="width must be given"):
        to_optimum(problem)
    uneven = Dataset.from_arrays(data.inputs[:-1], data.labels[:-1])
    with pytest.raises(ValueError, match="as many samples"):
        collapsed_network(certify(uneven), uneven, **wide)
