"""`fit`: the recipe's steps, its records, and runs that are stopped and resumed."""

import math
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ncollapse.metrics import measure
from ncollapse.runs import End, Run
from ncollapse.train import RECIPES, Recipe, epoch_grid, fit, mlp, restore

PLAIN = Recipe(learning_rate=0.05, momentum=0.5, batch=8, epochs=6)
FULL = Recipe(learning_rate=0.1, batch=None, epochs=2)


@pytest.fixture(scope="module")
def data():
    """Three classes of nine samples in six dimensions."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 9)
    return np.eye(3, 6)[labels] + 0.3 * rng.standard_normal((27, 6)), labels


def network(seed=0, **options):
    return mlp(6, 3, **{"depth": 3, "width": 8, "seed": seed, **options})


class Dropping(nn.Module):
    """A network of someone's own, which draws random numbers as it trains."""

    def __init__(self):
        super().__init__()
        self.first, self.drop, self.classifier = nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, inputs):
        return self.classifier(self.drop(torch.relu(self.first(inputs))))


def dropping():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Dropping()


def objective(model, data, recipe):
    """The recipe's objective, literally, for a network of `network`."""
    inputs, labels = torch.as_tensor(data[0]), torch.as_tensor(data[1])
    features = model.body(inputs)
    logits, one_hot = model.head(features), functional.one_hot(labels).double()
    wanted = one_hot * (1 - recipe.label_smoothing) + recipe.label_smoothing / 3
    if recipe.loss == "squared":
        losses = (logits - wanted).square().sum(dim=1) / 2
    else:
        losses = -(wanted * logits.log_softmax(dim=1)).sum(dim=1)
    value = losses.mean() + recipe.feature_decay / 2 * features.square().sum()
    decayed = {
        "all": list(model.parameters()),
        "weights": [p for p in model.parameters() if p.ndim == 2],
        "head": [model.head.weight],
    }[recipe.decayed]
    return value + recipe.weight_decay / 2 * sum(p.square().sum() for p in decayed)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"loss": "squared", "label_smoothing": 0.1},
        {"label_smoothing": 0.2, "weight_decay": 0.1},
        {"weight_decay": 0.1, "decayed": "weights"},
        {"weight_decay": 0.1, "decayed": "head", "feature_decay": 0.02},
    ],
)
def test_two_full_steps_are_those_of_the_objective(data, change):
    recipe = replace(FULL, **change)
    model, literal = (network(bias=True, dtype=torch.float64) for _ in range(2))
    run = fit(model, data, recipe, dtype=torch.float64)
    for _ in range(2):
        gradient = torch.autograd.grad(objective(literal, data, recipe), list(literal.parameters()))
        with torch.no_grad():
            for parameter, part in zip(literal.parameters(), gradient, strict=True):
                parameter -= 0.1 * part
    for name, part in literal.state_dict().items():
        np.testing.assert_allclose(run.parameters[name], part.numpy(), rtol=1e-12, atol=1e-15)
    value = objective(literal, data, recipe).item()
    assert run.observations["value"][-1] == pytest.approx(value, rel=1e-12)
    assert run.setup.bias
    assert run.setup.depth == 3


def test_the_schedule_moves_the_rate():
    steps = Recipe(learning_rate=1.0, schedule="steps", drops=(1 / 3, 2 / 3), epochs=10)
    assert [steps.rate_at(e) for e in (0, 3, 4, 6, 7)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    cosine = Recipe(learning_rate=1.0, schedule="cosine", factor=0.1, epochs=10)
    assert [cosine.rate_at(e) for e in (0, 5, 10)] == pytest.approx([1, 0.55, 0.1])


@pytest.mark.parametrize(("grid", "epochs"), [("log", 100), ("loglog", 1000), ("loglog", 2)])
def test_a_grid_starts_at_one_and_ends_at_the_last(grid, epochs):
    marks = epoch_grid(epochs, 12, grid)
    assert (marks[0], marks[-1]) == (1, epochs)
    assert len(marks) <= 12
    assert marks == sorted(set(marks))


def test_a_run_holds_what_was_measured(data, tmp_path):
    model = network()
    run = fit(model, data, PLAIN, records=4)
    assert run.end is End.EPOCHS
    assert run.epochs.tolist() == [0, 1, 2, 3, 6]
    steps = 4 * 0.05 * run.s[1:]
    np.testing.assert_allclose(run.log_time[1:], np.log(steps))
    weight, bias = run.classifier_at()
    assert bias is None
    logits = run.features_at() @ weight.T
    losses = functional.cross_entropy(torch.as_tensor(logits), torch.as_tensor(data[1]))
    assert run.log_inverse_loss[-1] == pytest.approx(-math.log(losses), rel=1e-5)
    assert run.observations["accuracy"][-1] == np.mean(logits.argmax(axis=1) == data[1])
    metrics = measure(run.features_at(), data[1], weight=weight, preset="papyan2020").metrics
    for name, value in metrics.items():
        assert run.observations[name][-1] == pytest.approx(value)
    run.save(tmp_path / "run.npz")
    before = run.parameters["head.weight"].copy()
    fit(model, data, PLAIN, epochs=1)
    assert np.array_equal(run.parameters["head.weight"], before)
    loaded = Run.load(tmp_path / "run.npz", restore=restore)
    assert np.array_equal(loaded.features_at(0), run.features_at(0))
    assert loaded.to_dict() == run.to_dict()


@pytest.mark.parametrize(
    "recipe",
    [
        replace(PLAIN, weight_decay=1e-3, schedule="steps", drops=(0.5,)),
        replace(PLAIN, optimiser="adam", learning_rate=1e-2, schedule="cosine"),
    ],
)
@pytest.mark.parametrize("make", [network, dropping])
def test_an_interrupted_run_resumes_bit_for_bit(data, tmp_path, make, recipe):
    def stop(epoch, _):
        if epoch == 4:
            raise KeyboardInterrupt

    options = {"records": 4, "seed": 2}
    whole = fit(make(), data, recipe, **options)
    kept = tmp_path / "kept"
    cut = fit(make(), data, recipe, checkpoint=kept, on_progress=stop, **options)
    assert cut.end is End.INTERRUPTED
    assert cut.epochs.tolist() == [0, 1, 2, 3, 4]
    resumed = fit(make(), data, recipe, resume=kept, **options)
    for name, part in whole.parameters.items():
        assert np.array_equal(resumed.parameters[name], part), name
    common = np.isin(resumed.s, whole.s)
    for name, values in whole.observations.items():
        assert np.array_equal(resumed.observations[name][common], values), name


KILLED = """
import os, signal, sys
import numpy as np
from ncollapse.train import Recipe, fit, mlp

def kill(epoch, _):
    if epoch == 4:
        os.kill(os.getpid(), signal.SIGKILL)

data = np.load(sys.argv[1])
recipe = Recipe(learning_rate=0.05, momentum=0.5, batch=8, epochs=6)
model = mlp(6, 3, depth=3, width=8)
fit(model, (data["x"], data["y"]), recipe, records=4, checkpoint=sys.argv[2], on_progress=kill)
"""


def test_a_killed_run_resumes_bit_for_bit(data, tmp_path):
    arrays, kept = tmp_path / "data.npz", tmp_path / "kept"
    np.savez(arrays, x=data[0], y=data[1])
    died = subprocess.run([sys.executable, "-c", KILLED, str(arrays), str(kept)])
    assert died.returncode == -signal.SIGKILL
    resumed = fit(network(1), data, PLAIN, records=4, resume=kept)
    whole = fit(network(), data, PLAIN, records=4)
    assert resumed.s.tolist() == whole.s.tolist()
    for name, part in whole.parameters.items():
        assert np.array_equal(resumed.parameters[name], part), name


def test_mixed_precision_is_near_single(data):
    single, mixed = (fit(network(), data, PLAIN, mixed_precision=mixed) for mixed in (False, True))
    assert mixed.observations["loss"][-1] == pytest.approx(
        single.observations["loss"][-1], rel=0.05
    )
    assert not np.array_equal(mixed.parameters["head.weight"], single.parameters["head.weight"])
    assert mixed.parameters["head.weight"].dtype == np.float32


def test_more_epochs_follow_where_the_schedule_allows_it(data, tmp_path):
    kept = tmp_path / "kept"
    fit(network(), data, PLAIN, epochs=3, checkpoint=kept)
    longer = fit(network(), data, PLAIN, resume=kept)
    whole = fit(network(), data, PLAIN)
    assert np.array_equal(longer.parameters["head.weight"], whole.parameters["head.weight"])
    same = fit(network(), data, PLAIN, epochs=3, resume=kept)
    assert np.array_equal(same.features_at(), fit(network(), data, PLAIN, epochs=3).features_at())
    with pytest.raises(ValueError, match="epochs must be at least 3, but it is 2"):
        fit(network(), data, PLAIN, epochs=2, resume=kept)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recipe": replace(PLAIN, learning_rate=0.1)}, "learning_rate is 0.05 and not 0.1"),
        ({"recipe": replace(PLAIN, optimiser="adam")}, "method is 'sgd' and not 'adam'"),
        ({"recipe": replace(PLAIN, schedule="cosine")}, "cosine_epochs is None and not 6"),
        ({"model": network(width=9)}, "network is"),
        ({"model": network(features="linear")}, "network is"),
        ({"scale": 2.0}, "data is"),
        ({"seed": 1}, "seed is 0 and not 1"),
        ({"preset": "ji2022"}, "metrics is"),
        ({"dtype": torch.float64}, "precision is 'float32' and not 'float64'"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused_by_name(data, tmp_path, change, said):
    kept = tmp_path / "kept"
    fit(network(), data, PLAIN, epochs=1, checkpoint=kept)
    inputs = data[0] * change.pop("scale", 1.0)
    model, recipe = change.pop("model", network()), change.pop("recipe", PLAIN)
    with pytest.raises(ValueError, match=f"resume is a checkpoint of another set-up.*{said}"):
        fit(model, (inputs, data[1]), recipe, resume=kept, **change)


def test_a_damaged_checkpoint_is_refused(data, tmp_path):
    kept = tmp_path / "kept"
    fit(network(), data, PLAIN, epochs=1, checkpoint=kept)
    kept.write_bytes(kept.read_bytes()[:-200])
    with pytest.raises(ValueError, match="is damaged or is no checkpoint"):
        fit(network(), data, PLAIN, resume=kept)
    torch.save({"epochs": 3}, kept)
    with pytest.raises(ValueError, match=r"is no checkpoint of ncollapse.train.fit"):
        fit(network(), data, PLAIN, resume=kept)


def test_a_full_disk_leaves_the_last_good_checkpoint(data, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    fit(network(), data, PLAIN, epochs=3, checkpoint=kept)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"cannot be written: No space left.*last good one is kept"):
        fit(network(), data, PLAIN, resume=kept, checkpoint=kept)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [kept]
    assert fit(network(), data, PLAIN, resume=kept).epochs[-1] == 6


def test_a_loss_that_becomes_nan_keeps_the_last_finite_state(data):
    seen = []
    wild = Recipe(learning_rate=30.0, weight_decay=1.0, batch=None, epochs=60)
    run = fit(network(), data, wild, records=2, on_progress=lambda s, _: seen.append(s))
    assert run.end is End.DIVERGED
    assert 0 < run.s[-1] <= seen[-1] < 60
    assert f"Kept is epoch {run.s[-1]:.0f}, where the loss is" in run.stopped
    assert all(np.isfinite(part).all() for part in run.parameters.values())
    assert np.isfinite(run.features_at()).all()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (([1.0, 2.0], [0, 1]), ValueError, "inputs must be rows"),
        ((np.full((4, 6), np.nan), [0, 1, 2, 0]), ValueError, "inputs must be finite"),
        ((np.ones((4, 6)), [0, 1, 2]), ValueError, "labels must be 4 class indices"),
        ((np.ones((4, 6)), [0, 1, 1, 0]), ValueError, "model has 3 logits"),
        ((np.ones((4, 6)), [0, 2, 2, 0]), ValueError, "labels must be 0 … K−1"),
        ((np.full((4, 6), "a"), [0, 1, 2, 0]), TypeError, "inputs must be real"),
        (3, TypeError, "data must be a Dataset or a pair"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(given, error, said):
    with pytest.raises(error, match=said):
        fit(network(), given, PLAIN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimiser": "lion"}, "optimiser must be one of sgd, adam, adamw"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive finite number"),
        ({"weight_decay": -1.0}, "weight_decay must be finite and not negative"),
        ({"weight_decay": (1e-3, 1e-3)}, "decayed must be 'weights'"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"drops": (1.5,)}, "drops must be shares"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"class_weights": (1.0, 0.0)}, "class_weights must be a positive"),
    ],
)
def test_recipes_are_checked(change, said):
    with pytest.raises(ValueError, match=said):
        Recipe(**change)


def test_named_recipes_are_those_printed():
    papyan, ji = RECIPES["papyan2020"], RECIPES["ji2022"]
    assert (papyan.momentum, papyan.weight_decay, papyan.batch, papyan.epochs) == (
        0.9,
        5e-4,
        128,
        350,
    )
    assert papyan.drop_epochs() == [117, 234]
    assert (ji.learning_rate, ji.momentum, ji.batch, ji.weight_decay) == (0.01, 0.3, 128, 0.0)
