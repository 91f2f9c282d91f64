"""min2025's theorem against the flow, on separable data and on real digits."""

import numpy as np
import pytest

from ncollapse.data import Dataset, orthogonally_separable
from ncollapse.papers import min2025


def separable(classes, seed):
    return orthogonally_separable(classes, 8, 20, seed, scales=np.linspace(1, 3, classes))


def errors(run):
    """Every quantity that the theorem says vanishes, and by how much it does not."""
    return {
        "masses": np.abs(run.masses - run.limit.masses).max(),
        "cosine": 1 - run.cos_to_max_margin.min(),
        "simplex": 1 - run.cos_to_etf.min(),
        "directions": run.metrics["directional_collapse"][-1],
        "duality": run.metrics["nc3_projected_directions"][-1],
    }


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6])
def test_theorem_holds_and_holds_better_later(classes, seed):
    data = separable(classes, seed)
    early, late = (
        min2025.run(data, width=16 * classes, seed=seed, log_inverse_loss=level)
        for level in (300.0, 3000.0)
    )
    for run in (early, late):
        assert run.trajectory.reached
        assert run.alignment.s is not None
        assert run.alignment.mixed_neurons == 0
        assert run.alignment.group_sizes.min() >= 1
        assert run.alignment.dead_samples.size == 0
        assert run.trajectory.drift[-1] < 1e-6
        assert run.metrics["nc2_orthogonal_directions"][-1] < 1e-3
        assert all(verdict.status == "holds" for verdict in run.verdicts)
    assert errors(early)["masses"] < 1e-3
    assert errors(early)["directions"] < 1e-3
    assert early.cos_to_max_margin.min() > 0.99
    assert late.cos_to_max_margin.min() > 0.999
    for name, error in errors(early).items():
        assert errors(late)[name] < error


def test_a_class_without_neurons_violates_an_assumption_and_is_named():
    """Eight classes of lengths 1 to 10 compete for 40 neurons: the shortest ones get none."""
    data = orthogonally_separable(8, 2, 24, 0, scales=np.linspace(1, 10, 8))
    run = min2025.run(data, width=40, log_inverse_loss=1.0)
    lost = np.flatnonzero(run.alignment.group_sizes == 0)
    assert lost.size
    for verdict in run.verdicts:
        if verdict.id != "min2025.conservation":
            assert verdict.status == "assumption violated", verdict
            assert "a neuron alive for each class" in verdict.assumption
            assert all(f"class {k} has none at the end" in verdict.assumption for k in lost)
            assert "as its start foretold" in verdict.assumption


def test_groups_from_the_record_are_those_of_the_final_weights():
    data = separable(3, 5)
    run = min2025.run(data, width=48, seed=5, log_inverse_loss=20.0)
    active = data.inputs @ run.trajectory.parameters["hidden"].T > 0
    for k in range(3):
        own = data.labels == k
        members = active[own].all(axis=0) & ~active[~own].any(axis=0)
        assert members.sum() == run.alignment.group_sizes[k]


def test_record_has_what_programs_rely_on():
    record = min2025.run(separable(2, 0), width=32, log_inverse_loss=5.0).to_dict()
    expected = {
        "log_inverse_loss",
        "log_time",
        "group_sizes",
        "dead_neurons",
        "margins",
        "masses",
        "predicted_masses",
        "cos_to_max_margin",
        "metrics",
        "conserved_drift",
        "seconds",
        "seed",
    }
    assert expected <= record.keys()
    assert len(record["cos_to_max_margin"]) == 2


def test_classes_without_a_margin_fail_with_the_reason():
    inputs = np.array([[1.0, 0], [-1, 0.1], [-1, -0.1], [0, 1], [0.1, 1]])
    data = Dataset.from_arrays(inputs, np.array([0, 0, 0, 1, 1]))
    run = min2025.run(data, width=6, scale=0.1, log_inverse_loss=1.0, max_steps=600, rtol=1e-3)
    record = run.to_dict()
    assert record["predicted_masses"] is None
    assert record["cos_to_max_margin"] == [None, None]
    assert "class 0" in record["no_prediction"]
    assert all(v.status != "holds" for v in run.verdicts if v.id == "min2025.masses")


def test_rank_error_is_the_share_outside_the_best_approximation():
    matrix = np.diag([3.0, 2.0, 1.0])
    assert min2025.rank_error(matrix, 2) == pytest.approx(1 / 14)
    assert min2025.rank_error(np.zeros((2, 2)), 1) == 0.0


@pytest.fixture
def digits(result_of):
    return result_of("min2025.digits")


def test_digits_are_not_separable_and_no_claim_is_passed(digits):
    assert min2025.rank_error(digits.data.inputs, 3) == pytest.approx(0.60, abs=0.01)
    assert digits.separability.violating_share == pytest.approx(0.2, abs=0.05)
    needing = [verdict for verdict in digits.verdicts if "conservation" not in verdict.id]
    assert {verdict.status for verdict in needing} == {"assumption violated"}
    assert all("% of the pairs of inputs violate it" in verdict.assumption for verdict in needing)


def test_digits_collapse_early_and_a_dead_sample_undoes_it(digits):
    assert digits.feature_rank_error.min() < 0.0022
    assert digits.feature_rank_error[-1] > 0.01
    assert digits.alignment.dead_samples.size >= 1
    assert not digits.trajectory.reached
    assert "Nothing changes any more" in digits.trajectory.stopped
    weights = digits.trajectory.parameters["hidden"]
    for row in digits.alignment.dead_samples:
        assert np.all(weights @ digits.data.inputs[row] <= 1e-12)
