"""The interface of models: what is refused and how it is said, nested trees, models from functions."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncollapse.flow import End, Run, gradient_flow
from ncollapse.models import (
    LayerPeeled,
    Model,
    ReLUNetwork,
    log_cross_entropy,
    make_model,
    restore,
)

ONE_HOT = np.repeat(np.eye(2), 2, axis=0)
START = {"weight": np.eye(2), "features": ONE_HOT + 0.1}


class Good(Model):
    """The layer-peeled model, its tree nested."""

    one_hot: np.ndarray
    name: ClassVar[str] = "good"
    clock: ClassVar[str] = "log_loss"

    def log_loss(self, parameters):
        logits = self.features(parameters) @ parameters["head"][0].T
        return jax.scipy.special.logsumexp(log_cross_entropy(logits, self.one_hot))

    def features(self, parameters):
        return parameters["body"]["features"]

    def classifier(self, parameters):
        return parameters["head"][0], None


def nested(start):
    return {"body": {"features": start["features"]}, "head": (start["weight"],)}


class WrongClock(Good):
    clock: ClassVar[str] = "Time"


class LiveClock(Model):
    clock: str
    name: ClassVar[str] = "live"
    features = classifier = Good.features


class NoLoss(Model):
    name: ClassVar[str] = "none"
    clock: ClassVar[str] = "time"

    def features(self, parameters):
        return parameters["features"]

    def classifier(self, parameters):
        return parameters["weight"], None


class Duck:
    """Everything but a JAX tree."""

    name, clock = "duck", "log_loss"
    log_loss = features = classifier = observe = invariants = lift = None


class NoFeatures(NoLoss):
    def loss(self, parameters):
        return jnp.sum(parameters["weight"] ** 2)

    def features(self, parameters):
        return parameters["weight"][0]


class BadHead(NoFeatures):
    def features(self, parameters):
        return parameters["features"]

    def classifier(self, parameters):
        return parameters["weight"][:, :1], None


class BareHead(BadHead):
    def classifier(self, parameters):
        return parameters["weight"]


class Vector(NoFeatures):
    def loss(self, parameters):
        return parameters["weight"][0]


class Nameless(BadHead):
    def observe(self, parameters):
        return parameters["weight"]


@pytest.mark.parametrize(
    ("model", "start", "error", "message"),
    [
        (
            WrongClock(ONE_HOT),
            nested(START),
            ValueError,
            "clock must be 'log_loss' or 'time'.*'Time'",
        ),
        (
            LiveClock("log_loss"),
            nested(START),
            TypeError,
            "model.clock is a str.*static",
        ),
        (NoLoss(), START, ValueError, "NoLoss defines neither loss nor log_loss"),
        (Duck(), START, TypeError, "Model .*make_model.*but it is a Duck"),
        (NoFeatures(), START, ValueError, r"features must return a matrix \(N, D\)"),
        (BadHead(), START, ValueError, r"weight \(K, 2\) for features \(4, 2\)"),
        (BareHead(), START, ValueError, r"classifier must return a weight \(K, D\) and a bias"),
        (Vector(), START, ValueError, "loss must return one number"),
        (Nameless(), START, ValueError, "observe must return arrays by name"),
        (Good(ONE_HOT), START, ValueError, "Good.log_loss does not accept start: 'body'"),
        (Good(ONE_HOT), {}, ValueError, "start must hold at least one array"),
        (Good(ONE_HOT), {"a": "b"}, TypeError, r"start\['a'\] must hold real numbers.*str"),
        (Good(ONE_HOT), {"a": [np.eye(2) * 1j]}, TypeError, r"start\['a'\]\[0\] .*complex128"),
        (Good(ONE_HOT), {"a": np.array([np.inf])}, ValueError, r"start\['a'\] must be finite"),
        (Good(ONE_HOT), {"a": np.zeros(2)}, ValueError, "saddle point"),
    ],
)
def test_what_cannot_be_followed_is_said_in_a_sentence(model, start, error, message):
    with pytest.raises(error, match=message):
        gradient_flow(model, start)


def test_a_loss_that_is_not_finite_at_the_start_is_said():
    model = make_model(
        loss=lambda p: jnp.log(-jnp.sum(p["weight"] ** 2)),
        features=lambda p: p["features"],
        classifier=lambda p: (p["weight"], None),
        start=lambda generator: START,
    )
    with pytest.raises(ValueError, match=r"log\(1/L\) must be finite at the start, but it is nan"):
        gradient_flow(model, model.start(0))


def test_any_tree_of_arrays_is_followed_saved_and_loaded(tmp_path):
    plain = LayerPeeled.of(2, 2)
    start = plain.start(3, 1.0, seed=0)
    flat = gradient_flow(plain, start, log_inverse_loss=20.0)
    run = gradient_flow(Good(ONE_HOT), nested(start), log_inverse_loss=20.0)
    np.testing.assert_allclose(run.parameters["head"][0], flat.parameters["weight"], rtol=1e-9)
    np.testing.assert_array_equal(run.features_at(0), start["features"])
    run.save(tmp_path / "run.npz")
    model = Good(ONE_HOT)
    loaded = Run.load(tmp_path / "run.npz", restore=lambda setup, arrays: model)
    assert isinstance(loaded.snapshots["head"], tuple)
    np.testing.assert_array_equal(loaded.features_at(-1), run.features_at(-1))
    farther = gradient_flow(model, nested(start), log_inverse_loss=40.0, resume=loaded)
    assert farther.reached


class Body(eqx.Module):
    features: np.ndarray


def test_a_tree_that_only_jax_knows_is_followed_but_not_saved(tmp_path):
    class Foreign(Good):
        def features(self, parameters):
            return parameters["body"].features

    start = LayerPeeled.of(2, 2).start(3, 1.0, seed=0)
    tree = {"body": Body(start["features"]), "head": (start["weight"],)}
    run = gradient_flow(Foreign(ONE_HOT), tree, log_inverse_loss=20.0)
    assert run.features_at(-1).shape == (4, 3)
    with pytest.raises(TypeError, match=r"snapshots.body must be arrays in dicts.*holds a Body"):
        run.save(tmp_path / "run.npz")


def test_a_model_from_functions_is_the_model_itself():
    plain = LayerPeeled.of(2, 2)
    start = plain.start(3, 1.0, seed=4)
    said = make_model(
        name="mine",
        log_loss=plain.log_loss,
        features=lambda p: p["features"],
        classifier=lambda p: (p["weight"], None),
        start=lambda generator: {n: generator.standard_normal(v.shape) for n, v in start.items()},
        observe=lambda p: {"size": jnp.sum(p["weight"] ** 2)},
    )
    run = gradient_flow(said, start, log_inverse_loss=20.0)
    flat = gradient_flow(plain, start, log_inverse_loss=20.0)
    np.testing.assert_allclose(run.s, flat.s, rtol=1e-9)
    assert run.observations["size"].shape == run.s.shape
    assert (run.setup.model, run.setup.dim, run.setup.counts) == ("mine", 3, ())
    with pytest.raises(ValueError, match="'mine' does not say how many classes"):
        _ = run.setup.num_classes
    np.testing.assert_array_equal(said.start(3)["weight"], said.start(3)["weight"])
    squared = make_model(
        loss=lambda p: jnp.sum((p["features"] @ p["weight"].T - ONE_HOT) ** 2),
        features=lambda p: p["features"],
        classifier=lambda p: (p["weight"], jnp.zeros(2)),
        start=lambda generator: start,
    )
    run = gradient_flow(squared, squared.start(0), s=0.5)
    assert squared.clock == "time"
    assert run.end is End.TIME
    np.testing.assert_allclose(run.log_time, np.log(run.s))
    np.testing.assert_array_equal(run.classifier_at()[1], np.zeros(2))


def test_a_model_from_functions_says_what_is_missing():
    parts = {"features": abs, "classifier": abs, "start": abs}
    with pytest.raises(ValueError, match="exactly one of loss and log_loss, but none"):
        make_model(**parts)
    with pytest.raises(ValueError, match="but both was given"):
        make_model(**parts, loss=abs, log_loss=abs)
    with pytest.raises(TypeError, match="start must be a function of the parameters, not 3"):
        make_model(**{**parts, "start": 3}, loss=abs)


def test_restore_knows_the_models_of_the_package_only():
    model = LayerPeeled.of(3, 4)
    assert restore(model.setup(), model.arrays()).digest() == model.digest()
    assert model.digest() != LayerPeeled.of(4, 3).digest()
    with pytest.raises(ValueError, match="'mine' is no model of"):
        restore(Good(ONE_HOT).setup(model="mine"), {})
    with pytest.raises(ValueError, match=r"not those of 'relu2': \['one_hot'\]"):
        restore(model.setup(model="relu2"), model.arrays())
    assert ReLUNetwork.name == "relu2"
