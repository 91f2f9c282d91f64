"""`to_stationary`: a point where the gradient of the objective, literal here, vanishes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ncollapse.train import RECIPES, convolutional, mlp, to_stationary

BRIEF = replace(RECIPES["stationary"], epochs=100, weight_decay=1e-2)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 4)
    return np.eye(3, 16)[labels] + 0.1 * rng.standard_normal((12, 16)), labels


def test_decay_by_layer_and_biases(data):
    decays = (1e-2, 2e-2, 3e-2)
    network = mlp(16, 3, width=6, bias=True)
    found = to_stationary(network, data, replace(BRIEF, weight_decay=decays), steps=400)
    weights = [p for p in network.parameters() if p.ndim == 2]
    inputs, labels = torch.as_tensor(data[0]), torch.as_tensor(data[1])
    value = torch.nn.functional.cross_entropy(network(inputs), labels)
    value = value + sum(d / 2 * w.square().sum() for d, w in zip(decays, weights, strict=True))
    assert found.value == pytest.approx(value.item(), rel=1e-12)
    gradient = torch.autograd.grad(value, list(network.parameters()))
    slope = max(float(part.abs().max()) for part in gradient)
    assert found.slope == pytest.approx(slope, abs=1e-12)
    assert slope < 1e-6
    np.testing.assert_allclose(found.logits, network(inputs).detach(), atol=1e-12)


def test_a_convolutional_network_too(data):
    inputs = data[0].reshape(-1, 4, 4)
    network = convolutional(3, widths=(4,), pixels=4)
    found = to_stationary(network, (inputs, data[1]), BRIEF, steps=50)
    assert found.features.shape == (12, 4)
    assert found.value < np.log(3)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (replace(BRIEF, batch=4), "recipe must take all samples at once"),
        (replace(BRIEF, optimiser="adamw"), "recipe must decay by the gradient"),
        (replace(BRIEF, weight_decay=(1e-2,)), "weight_decay must have 3 numbers"),
        (replace(BRIEF, class_weights=(1.0,)), "class_weights must be 3 numbers"),
    ],
)
def test_recipes_that_cannot_be_are_refused(data, recipe, said):
    with pytest.raises(ValueError, match=said):
        to_stationary(mlp(16, 3), data, recipe)
