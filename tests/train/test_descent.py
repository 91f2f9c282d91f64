"""Gram-form descent against plain descent on the weights; records, resuming, and bad ends."""

import numpy as np
import pytest

from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.metrics import measure
from ncollapse.runs import End, Run
from ncollapse.train import (
    METRIC_NAMES,
    TwoLayer,
    descend,
    descend_all,
    random_layer_features,
    restore,
)

FAST = {"width": 6, "epochs": 60, "learning_rate": 0.5}


def plain_descent(inputs, one_hot, start, decays, *, epochs, rates):
    """W₁ and W, step by step, as (2.4) is trained."""
    hidden, weight = start["hidden"].copy(), start["weight"].copy()
    for epoch in range(epochs):
        features = np.maximum(inputs @ hidden.T, 0.0)
        shares = np.exp(features @ weight.T)
        error = (shares / shares.sum(axis=1, keepdims=True) - one_hot) / len(inputs)
        back = (error @ weight + decays[1] * features) * (features > 0)
        step = rates(epoch)
        weight = weight - step * (error.T @ features + decays[0] * weight)
        hidden = hidden - step * back.T @ inputs
    return hidden, weight


def three_layers():
    data = gaussian_mixture(np.eye(3), 6, 0.7, 5, 2)
    return random_layer_features(data, 30, variance=1.0 / 30, seed=4)


@pytest.mark.parametrize("dim", [7, 60, "three layers"])
def test_it_is_plain_descent_to_rounding(dim):
    data = three_layers() if isinstance(dim, str) else gaussian_mixture(np.eye(3), 6, 0.7, dim, 2)
    problem = TwoLayer.on(data, weight_decay=0.02, feature_decay=0.003)
    run = descend(problem, width=8, epochs=300, seed=5, learning_rate=0.3)
    hidden, weight = plain_descent(
        data.inputs,
        problem.one_hot,
        problem.start(8, seed=5),
        (0.02, 0.003),
        epochs=300,
        rates=lambda epoch: 0.3 if epoch < 100 else 0.03 if epoch < 200 else 0.003,
    )
    np.testing.assert_allclose(run.parameters["hidden"], hidden, rtol=0, atol=1e-13)
    np.testing.assert_allclose(run.parameters["weight"], weight, rtol=0, atol=1e-13)
    features = np.maximum(data.inputs @ hidden.T, 0.0)
    np.testing.assert_allclose(run.features_at(), features, rtol=0, atol=1e-12)
    assert run.norm[-1] == pytest.approx(np.sqrt(np.sum(hidden**2) + np.sum(weight**2)), rel=1e-12)


def test_batches_are_plain_stochastic_descent(feasible):
    data, _, problem = feasible
    options = {"width": 6, "learning_rate": 0.5, "drops": (9, 9), "batch": 7}
    run = descend(problem, **options, epochs=12, seed=1)
    start = problem.start(6, seed=1)
    hidden, weight = start["hidden"], start["weight"]
    for epoch in range(12):
        order = np.random.default_rng(epoch).permutation(24)
        for rows in (order[:7], order[7:14], order[14:21], order[21:]):
            hidden, weight = plain_descent(
                data.inputs[rows],
                problem.one_hot[rows],
                {"hidden": hidden, "weight": weight},
                (1e-3, 1e-6 * 24 / len(rows)),
                epochs=1,
                rates=lambda _, epoch=epoch: 0.5 if epoch < 9 else 0.005,
            )
    np.testing.assert_allclose(run.parameters["hidden"], hidden, rtol=0, atol=1e-13)
    np.testing.assert_allclose(run.parameters["weight"], weight, rtol=0, atol=1e-13)
    assert np.exp(run.log_time[-1]) == pytest.approx(4 * (9 * 0.5 + 3 * 0.005))
    half = descend(problem, **options, epochs=5, seed=1)
    whole = descend(problem, **options, epochs=12, seed=1, resume=half)
    np.testing.assert_array_equal(whole.parameters["hidden"], run.parameters["hidden"])
    with pytest.raises(ValueError, match="batch must be 1 to 24, the number of samples"):
        descend(problem, width=6, epochs=1, batch=25)


def test_preactivations_alone_move_as_with_the_inputs(feasible):
    data, _, problem = feasible
    run = descend(problem, **FAST, seed=1)
    kernel = TwoLayer(problem.gram, data.labels, 1e-3, 1e-6)
    start = problem.held(problem.start(6, seed=1))
    alone = descend(kernel, epochs=60, learning_rate=0.5, start=start)
    assert alone.setup.input_dim is None
    np.testing.assert_allclose(
        alone.parameters["preactivations"], run.at(-1)["preactivations"], rtol=0, atol=1e-13
    )


def test_a_batch_is_its_runs_one_by_one(feasible):
    _, _, problem = feasible
    other = TwoLayer.on(
        gaussian_mixture([[1.0], [-1.0]], 12, 0.9, 40, 3), weight_decay=1e-3, feature_decay=1e-6
    )
    for problems in ([problem] * 3, [problem, other, problem]):
        runs = descend_all(problems, **FAST, seeds=[0, 1, 2])
        for one, run, seed in zip(problems, runs, range(3), strict=True):
            alone = descend(one, **FAST, seed=seed)
            assert run.setup == alone.setup
            for name in run.parameters:
                np.testing.assert_allclose(
                    run.parameters[name], alone.parameters[name], rtol=0, atol=1e-13
                )


def test_what_is_recorded(feasible):
    data, _, problem = feasible
    run = descend(problem, **FAST, records=8)
    assert run.end is End.EPOCHS
    assert run.epochs[-1] == 60
    assert run.snapshot_s.tolist() == [0.0, *run.s.tolist()]
    steps = 0.5 * (20 + 2 + 0.2)
    assert run.log_time[-1] == pytest.approx(np.log(steps), rel=1e-12)
    assert run.log_inverse_loss[-1] == pytest.approx(-np.log(problem.risk(run.parameters)))
    hidden = np.maximum(data.inputs @ run.parameters["hidden"].T, 0.0)
    metrics = measure(
        hidden, data.labels, weight=run.parameters["weight"], preset=METRIC_NAMES
    ).metrics
    assert {name: run.observations[name][-1] for name in METRIC_NAMES} == pytest.approx(metrics)
    setup = run.setup
    assert (setup.method, setup.counts, setup.dim, setup.input_dim) == ("descent", (12, 12), 6, 24)


def test_a_saved_and_resumed_run_ends_with_the_same_bits(feasible, tmp_path):
    _, _, problem = feasible
    whole = descend(problem, **FAST, drops=(20, 40))
    part = descend(problem, **(FAST | {"epochs": 25}), drops=(20, 40))
    part.save(tmp_path / "part.npz")
    loaded = Run.load(tmp_path / "part.npz", restore=restore)
    resumed = descend(loaded.model, **FAST, drops=(20, 40), resume=loaded)
    assert resumed.epochs[-1] == 60
    assert np.array_equal(resumed.parameters["hidden"], whole.parameters["hidden"])
    assert np.array_equal(resumed.parameters["weight"], whole.parameters["weight"])
    assert len(resumed.s) == len(resumed.observations["dead_share"]) == len(resumed.snapshot_s) - 1


@pytest.mark.parametrize(
    ("change", "named"),
    [({"learning_rate": 0.4}, "learning_rate is"), ({"seed": 1}, "seed is"), ({}, "drops is")],
)
def test_another_set_up_is_not_resumed(feasible, change, named):
    _, _, problem = feasible
    run = descend(problem, **FAST)
    with pytest.raises(ValueError, match=f"another set-up: .*{named}"):
        descend(problem, **(FAST | {"epochs": 90} | change), resume=run)


def test_an_interrupt_keeps_the_last_record_and_can_be_resumed(feasible):
    _, _, problem = feasible

    def stop(epoch, level):
        if epoch > 20:
            raise KeyboardInterrupt

    run = descend(problem, **FAST, on_progress=stop)
    assert run.end is End.INTERRUPTED
    assert 20 < run.epochs[-1] < 60
    resumed = descend(problem, **FAST, resume=run)
    whole = descend(problem, **FAST)
    assert np.array_equal(resumed.parameters["hidden"], whole.parameters["hidden"])


def test_a_risk_that_is_not_finite_ends_the_run_at_the_last_finite_state(feasible):
    _, _, problem = feasible
    # W ← (1 − ηλ_W)W grows without bound from ηλ_W = 2 on
    bad = descend(problem, width=6, epochs=2000, learning_rate=5e3, drops=(2000, 2000))
    assert bad.end is End.DIVERGED
    assert "learning_rate 5000 is too large. Kept is epoch" in bad.stopped
    assert bad.epochs[-1] < 2000
    assert np.isfinite(bad.log_inverse_loss).all()
    assert np.isfinite(problem.risk(bad.parameters))


def test_what_is_refused(feasible):
    _, _, problem = feasible
    with pytest.raises(ValueError, match="epochs must be at least 1"):
        descend(problem, width=6, epochs=0)
    with pytest.raises(ValueError, match="learning_rate must be a positive"):
        descend(problem, width=6, epochs=1, learning_rate=-1.0)
    with pytest.raises(ValueError, match="width must be given"):
        descend(problem, epochs=1)
    with pytest.raises(ValueError, match="too large: the risk is nan after 1 epoch"):
        descend(problem, width=6, epochs=1, learning_rate=1e300)
    with pytest.raises(ValueError, match="give one of seeds and starts"):
        descend_all([problem], epochs=1)
    other = TwoLayer.on(
        gaussian_mixture(np.eye(2), 12, 1.0, 9, 0), weight_decay=0.1, feature_decay=1e-6
    )
    with pytest.raises(ValueError, match="the same samples, classes, decays and width"):
        descend_all([problem, other], **FAST, seeds=[0, 1])
