"""Flows of unconstrained features: exact solutions, the far end, ensembles, optimisers, errors."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ncollapse.flow import Rosenbrock, Run, descend, flow_ufm, flow_ulpm, flow_upfm, gradient_flow
from ncollapse.models import LayerPeeled, UnconstrainedFeatures, restore
from ncollapse.theory.ends import end_record, margin_ratios, smoothed_margins, theory_at_end
from ncollapse.theory.layer_peeled import log_loss_gradient
from ncollapse.theory.unconstrained import exact_solution, on_invariant_subspace

PAPER = {"num_classes": 5, "per_class": 10, "dim": 20}
SMALL = {"num_classes": 3, "per_class": 4, "dim": 5}


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed{seed}") for seed in range(3)])
def test_the_squared_flow_is_the_exact_solution_on_the_invariant_subspace(seed):
    rng = np.random.default_rng(seed)
    point = on_invariant_subspace(0.3 * rng.standard_normal((3, 5)), 4, 0.1)
    start = {"weight": point.weight, "features": point.features, "bias": point.bias}
    path = gradient_flow(
        UnconstrainedFeatures.of(3, 4),
        start,
        log_inverse_loss=60.0,
        s=2.0,
        stall=None,
        rtol=1e-11,
    )
    exact = exact_solution(point, 2.0)
    np.testing.assert_allclose(path.parameters["weight"], exact.weight, atol=1e-8)
    np.testing.assert_allclose(path.parameters["features"], exact.features, atol=1e-8)
    np.testing.assert_allclose(path.parameters["bias"], exact.bias, atol=1e-8)
    singular = np.linalg.svd(path.parameters["weight"], compute_uv=False)
    wanted = np.linalg.svd(exact.weight, compute_uv=False)
    np.testing.assert_allclose(singular, wanted, atol=1e-8)
    assert path.log_time[-1] == pytest.approx(np.log(2.0))


@pytest.mark.parametrize("seed", [pytest.param(seed, id=f"seed{seed}") for seed in range(3)])
@pytest.mark.parametrize("until", [400.0, 1e6, 1e8])
def test_layer_peeled_runs_reach_the_far_end_without_drift(seed, until):
    run = flow_ulpm(**PAPER, seed=seed, until=until)
    assert run.reached
    assert run.log_inverse_loss[-1] == pytest.approx(until, rel=1e-8)
    assert run.drift[-1] < 1e-9
    ratios = margin_ratios(run)
    assert ratios[-1] > 0.99
    late = run.log_inverse_loss > 20.0
    assert np.diff(ratios[late]).min() > -1e-12
    gamma = smoothed_margins(run)
    separated = gamma[~np.isnan(gamma)]
    assert separated.size > 10
    assert np.diff(separated).min() >= -1e-12 * separated[-1]
    fields = end_record(run)
    assert fields["metrics"]["nc2_equiangular_means"] < 1e-4
    assert fields["margin_bound_ratio"] == pytest.approx(ratios[-1])
    assert 0.0 <= fields["loss_gap"] < 1.0
    assert fields["kkt_epsilon"] < 0.1
    assert json.loads(json.dumps(fields)) == fields
    wanted = {"log_inverse_loss", "log_time", "margin", "kkt_delta", "conserved_drift", "steps"}
    assert wanted | {"evaluations", "seconds", "compile_seconds", "seed"} <= fields.keys()


def test_explicit_and_implicit_steps_follow_one_path():
    model = LayerPeeled.of(3, 4)
    start = model.start(5, 1.0, seed=0)
    explicit = gradient_flow(model, start, log_inverse_loss=60.0, rtol=1e-9)
    other = gradient_flow(model, start, log_inverse_loss=60.0, rtol=1e-8, solver=Rosenbrock())
    assert other.s[-1] == pytest.approx(explicit.s[-1], rel=1e-6)
    assert other.log_time[-1] == pytest.approx(explicit.log_time[-1], abs=1e-3)
    for name, value in explicit.parameters.items():
        np.testing.assert_allclose(other.parameters[name], value, atol=1e-5)
    assert explicit.evaluations > explicit.steps


def test_metrics_and_theory_are_functions_of_a_run_from_a_file(tmp_path):
    run = flow_ufm(num_classes=3, per_class=4, dim=5, init=1e-1, until=10.0, rtol=1e-6)
    run.save(tmp_path / "run.npz")
    loaded = Run.load(tmp_path / "run.npz", restore=restore)
    assert end_record(loaded) == end_record(run)
    assert (run.setup.model, run.setup.loss, run.setup.bias) == ("ufm", "squared", True)
    assert (run.setup.counts, run.setup.dim, run.setup.init) == ((4, 4, 4), 5, 0.1)
    with pytest.raises(ValueError, match=r"must be of ulpm, .* but it is of 'relu2'"):
        theory_at_end(replace(run, setup=replace(run.setup, model="relu2")))


def test_squared_loss_reaches_strong_collapse_from_a_small_start():
    run = flow_ufm(num_classes=3, per_class=4, dim=5, init=1e-3)
    assert run.reached
    fields = end_record(run)
    assert fields["snc1"] < 1e-5
    assert max(fields[name] for name in ("snc2", "snc3", "off_subspace")) < 5e-3
    assert fields["metrics"]["nc4_agreement"] == 1.0


@pytest.mark.parametrize("name", ["upfm-ce", "upfm-l2"])
@pytest.mark.parametrize("strength", [0.01, 0.4])
def test_positive_features_end_at_the_closed_form_on_both_sides(name, strength):
    run = flow_upfm(
        name, num_classes=3, per_class=4, dim=7, lambda_w=strength, lambda_h=strength, seed=0
    )
    fields = end_record(run)
    assert abs(fields["risk_gap"]) < 1e-6
    assert (fields["a"] > 0.0) == (strength < 0.1)
    assert run.parameters["features"].min() >= 0.0
    if strength < 0.1:
        assert fields["metrics"]["nc1_quotient"] < 1e-6
        assert fields["metrics"]["nc2_orthogonal_means"] < 1e-3


def test_optimisers_go_the_same_way_but_not_as_far():
    model = LayerPeeled.of(3, 4)
    start = model.start(5, 1.0, seed=0)
    path = gradient_flow(model, start, log_inverse_loss=4.0, rtol=1e-8)
    step = 1e-3
    epochs = int(np.exp(path.log_time[-1]) / step)
    trained = descend(model, start, learning_rate=step, epochs=epochs, records=3)
    for name, value in path.parameters.items():
        np.testing.assert_allclose(trained.parameters[name], value, atol=2e-3)
    for rule in ("momentum", "adam"):
        other = descend(model, start, optimiser=rule, learning_rate=1e-2, epochs=500, records=5)
        assert other.log_inverse_loss[-1] > other.log_inverse_loss[0]
        assert other.epochs[-1] == 500
        assert json.dumps(other.to_dict())


def test_the_gradient_of_the_flow_is_the_theory_s_at_its_far_end():
    run = flow_ulpm(**PAPER, seed=0, until=1e8)
    weight, features = run.parameters["weight"], run.parameters["features"]
    d_weight, d_features = log_loss_gradient(weight, features)
    size = np.sqrt(np.sum(d_weight**2) + np.sum(d_features**2))
    assert size == pytest.approx(run.speed[-1] * run.norm[-1], rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flow_ulpm(num_classes=1, per_class=2, dim=3), "at least 2"),
        (lambda: flow_ulpm(num_classes=4, per_class=2, dim=2), "simplex"),
        (lambda: flow_ulpm(**SMALL, init=0.0), "saddle"),
        (lambda: flow_ulpm(**SMALL, until=1e300), "at most 1e"),
        (lambda: flow_ulpm(**SMALL, until=-50.0), "must lie above the start"),
        (lambda: flow_ufm(**SMALL, until=100.0), "at most 36"),
        (lambda: flow_upfm("upfm-ce", **SMALL, lambda_w=-1.0, lambda_h=1.0), "lambda_w"),
        (lambda: flow_ufm(**SMALL, until=36.5), "at most 36"),
        (lambda: descend(LayerPeeled.of(2, 1), {}, learning_rate=1.0, epochs=0), "epochs"),
        (
            lambda: descend(LayerPeeled.of(2, 1), {}, learning_rate=1.0, epochs=1),
            "start must hold at least one array",
        ),
        (
            lambda: descend(
                LayerPeeled.of(2, 1), {}, optimiser="lion", learning_rate=1.0, epochs=1
            ),
            "optimiser must be one of",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_rate_that_diverges_is_said_to():
    model = UnconstrainedFeatures.of(3, 4)
    with pytest.raises(FloatingPointError, match="learning_rate 10 is too large"):
        descend(model, model.start(5, 1.0, 0), learning_rate=10.0, epochs=100)
