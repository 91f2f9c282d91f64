"""`ModelMeasurement.explain`: what is read from networks and optimisers, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ncollapse import LastLayerObjective, explain, optimality_gap
from ncollapse.theory.predict import predict
from ncollapse.torch import SimplexETFHead, measure_model

K, D, COUNTS = 3, 6, (24, 12, 6)
LABELS = torch.repeat_interleave(torch.arange(K), torch.tensor(COUNTS))
INPUTS = 2 * functional.one_hot(LABELS, D) + 0.01 * torch.randn(
    len(LABELS), D, generator=torch.Generator().manual_seed(0)
)
BATCHES = [(INPUTS[i::2], LABELS[i::2]) for i in range(2)]


class Residual(nn.Module):
    """Norm after the sum, before it, or none."""

    def __init__(self, norm=False):
        super().__init__()
        self.one, self.two = nn.Linear(D, 8), nn.Linear(8, 8)
        self.norm, self.fc = nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Linear(8, K)

    def forward(self, x):
        x = torch.relu(self.one(x))
        x += torch.relu(self.two(x))
        return self.fc(torch.relu(self.norm(x)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.fc = nn.Linear(D, D, bias=False), nn.Linear(D, K, bias=False)

    def forward(self, x):
        return self.fc(functional.relu(self.first(functional.relu(self.first(x)))))


def linear(*sizes, bias=False):
    return [nn.Linear(a, b, bias=bias) for a, b in pairwise(sizes)]


def plain(*sizes):
    layers = linear(*sizes)
    return nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])


def images(*tail, features=4):
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 4, 2), *tail, nn.Flatten(), nn.Linear(features, K)
    )


def measured(model, **options):
    return measure_model(model, BATCHES, nc4=False, explain=True, **options)


def sgd(model, **options):
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, "weight_decay": 1e-3} | options)


def met(explanation, theory):
    return {check.name: check.met for check in explanation.theory(theory).assumptions}


BODY = linear(D, 8, bias=True)
NETWORKS = {
    "plain": (plain(D, 8, 8, K), (3, None, "relu"), None, None),
    "linear": (nn.Sequential(*linear(D, 8, K)), (2, None, None), None, None),
    "biases": (
        nn.Sequential(*linear(D, 8, bias=True), nn.ReLU(), nn.Linear(8, K)),
        (2, None, "relu"),
        "layers before the classifier have biases",
        None,
    ),
    "tanh": (
        nn.Sequential(*linear(D, 8), nn.Tanh(), *linear(8, K)),
        (2, None, "tanh"),
        "the path has tanh besides weights and ReLU",
        None,
    ),
    "batch norm": (
        nn.Sequential(*BODY, nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.Dropout(), *linear(8, K)),
        (2, "batch", "relu"),
        "a normalisation lies on the path",
        None,
    ),
    "batch norm, sigmoid": (
        nn.Sequential(*BODY, nn.BatchNorm1d(8), nn.Sigmoid(), *linear(8, K)),
        (2, None, "sigmoid"),
        "a normalisation lies on the path",
        "sigmoid lies between the last batch norm and the classifier",
    ),
    "batch norm, not affine": (
        nn.Sequential(*BODY, nn.BatchNorm1d(8, affine=False), nn.ReLU(), *linear(8, K)),
        (2, None, "relu"),
        "a normalisation lies on the path",
        "no γ and β",
    ),
    "batch norm, far": (
        nn.Sequential(*BODY, nn.BatchNorm1d(8), nn.ReLU(), *linear(8, 8), nn.ReLU(), *linear(8, K)),
        (3, None, "relu"),
        "a normalisation lies on the path",
        "no batch norm lies between",
    ),
    "layer norm": (
        nn.Sequential(*BODY, nn.LayerNorm(8), nn.ReLU(), *linear(8, K)),
        (2, None, "relu"),
        "a normalisation lies on the path",
        "a layer norm, which no theory covers",
    ),
    "convolution": (
        images(nn.BatchNorm2d(4), nn.GELU(), nn.AdaptiveAvgPool2d(1)),
        (2, "batch", "gelu"),
        "a convolution shares its weights over places",
        None,
    ),
    "places": (
        images(nn.BatchNorm2d(4), nn.ReLU(), features=8),
        (2, None, "relu"),
        "a convolution",
        "places of a feature map enter the classifier",
    ),
    "largest place": (
        images(nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveMaxPool2d(1)),
        (2, None, "relu"),
        "adaptive_max_pool2d",
        "adaptive_max_pool2d lies between",
    ),
    "residual": (
        Residual(),
        (None, None, "relu"),
        "2 paths meet (add), as in a residual block",
        "the last features join several paths (add)",
    ),
    "residual, norm": (Residual(norm=True), (None, "batch", "relu"), "2 paths meet (add)", None),
    "shared": (Twice(), (3, None, "relu"), "first.weight is used 2 times", None),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_architecture_is_read(name):
    model, (depth, normalisation, activation), against_depth, against_norm = NETWORKS[name]
    torch.manual_seed(0)
    found = measured(model)
    read = found.architecture
    assert (read.depth, read.normalisation, read.activation) == (depth, normalisation, activation)
    assert found.forward_passes == 2
    reasons = {"depth": against_depth, "batch_norm": against_norm}
    explanation = found.explain(sgd(model))
    notes = " ".join(explanation.notes)
    for theory, reason in reasons.items():
        assert bool(read.remarks[theory]) == (reason is not None)
        assert reason is None or reason in notes
        assert reason is None or not explanation.theory(theory).applies
    assert met(explanation, "depth")["plain ReLU layers on one path"] is (against_depth is None)
    used = met(explanation, "batch_norm")["batch norm before the last activation"]
    assert used is (normalisation == "batch")
    # Nothing is left on the model, and frozen weights are seen like others.
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert measured(model).architecture.depth == depth


def trained():
    """Three ReLU layers, decayed alike, on tight classes."""
    torch.manual_seed(0)
    model = plain(D, 16, 16, K)
    rule = torch.optim.LBFGS(
        model.parameters(), max_iter=400, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss():
        rule.zero_grad()
        value = functional.cross_entropy(model(INPUTS), LABELS)
        value = value + 1e-3 * sum((p**2).sum() for p in model.parameters()) / 2
        value.backward()
        return value

    for _ in range(3):
        rule.step(loss)
    return model


@pytest.fixture(scope="module")
def network():
    return trained()


def test_a_trained_network_is_explained_as_from_its_arrays(network):
    found = measured(network).explain(sgd(network))
    with torch.no_grad():
        features = network[:-1](INPUTS).double().numpy()
    weight = network[-1].weight.detach().double().numpy()
    options = {"weight_decay": 1e-3, "depth": 3}
    arrays = explain(features, LABELS.numpy(), weight, **options)
    for row in arrays.theories:
        same = found.theory(row.name)
        if row.largest < np.inf:
            assert same.largest == pytest.approx(row.largest, rel=1e-3, abs=1e-5)
    assert found.gap == pytest.approx(arrays.gap, rel=1e-4)
    assert found.best == "depth"
    assert found.theory("depth").applies
    assert found.notes == ()
    given = measured(network).explain(
        sgd(network), inputs=INPUTS.double().numpy(), labels=LABELS.numpy()
    )
    assert given.theory("depth").largest < 0.02
    assert measured(network).explain().decay_given is False


def test_decoupled_decay_is_no_penalty(network):
    rule = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    found = measured(network).explain(rule)
    assert found.best is None
    for theory in ("peeled", "nonnegative", "depth", "batch_norm"):
        assert met(found, theory)["decay is an L2 penalty"] is False
    assert "AdamW decouples decay" in found.notes[-1]
    coupled = torch.optim.Adam(network.parameters(), weight_decay=1e-3)
    assert measured(network).explain(coupled).best == "depth"

    class Own(torch.optim.SGD):
        __module__ = "elsewhere"

    own = Own(network.parameters(), lr=0.1, weight_decay=1e-3)
    found = measured(network).explain(own)
    assert met(found, "depth")["decay is an L2 penalty"] is None
    assert "whether the decay of Own is that of an L2 penalty is not known" in found.notes


def test_groups_of_different_decay_enter_as_their_geometric_mean(network):
    """The same optimum in other units: layers of decays λ_l are scaled by √(λ̄/λ_l)."""
    first, second, last = network[0].weight, network[2].weight, network[4].weight
    decays = (4e-3, 1e-3, 2.5e-4)
    scaled = plain(D, 16, 16, K)
    with torch.no_grad():
        for layer, weight, decay in zip(scaled[::2], (first, second, last), decays, strict=True):
            layer.weight.copy_(weight * (1e-3 / decay) ** 0.5)
    groups = [
        {"params": [layer.weight], "weight_decay": decay}
        for layer, decay in zip(scaled[::2], decays, strict=True)
    ]
    found = measured(scaled).explain(torch.optim.SGD(groups, lr=0.1))
    alike = measured(network).explain(sgd(network)).theory("depth")
    assert found.best == "depth"
    assert found.weight_decay == decays[-1]
    assert found.theory("depth").largest == pytest.approx(alike.largest, abs=1e-5)
    wrong = measured(scaled).explain(weight_decay=1e-3)
    assert met(wrong, "depth")["stationary weight"] is False


def test_frozen_and_undecayed_layers_are_named(network):
    groups = [
        {"params": [network[0].weight], "weight_decay": 0.0},
        {"params": [network[4].weight], "weight_decay": 1e-3},
    ]
    found = measured(network).explain(torch.optim.SGD(groups, lr=0.1))
    assert "0.weight is not decayed" in found.notes
    assert "2.weight is frozen, or not in the optimizer" in found.notes
    assert met(found, "depth")["every layer decayed"] is False
    assert found.best is None
    free = measured(network).explain(sgd(network, weight_decay=0.0))
    assert met(free, "peeled")["classifier decayed"] is False
    assert (free.decay_given, free.gap) == (False, None)


def test_decay_of_gamma_and_beta():
    model = nn.Sequential(*linear(D, 8), nn.BatchNorm1d(8), nn.ReLU(), *linear(8, K))
    groups = [
        {"params": [model[0].weight, model[3].weight], "weight_decay": 1e-2},
        {"params": [model[1].weight], "weight_decay": 2e-3},
        {"params": [model[1].bias], "weight_decay": 3e-3},
    ]
    found = measured(model).explain(torch.optim.SGD(groups, lr=0.1))
    assert met(found, "batch_norm")["γ and β decayed"]
    assert "γ and β have different decays: the bound holds with the smaller one" in found.notes
    with torch.no_grad():
        features = model[:-1].eval()(INPUTS).double().numpy()
    weight = model[-1].weight.detach().double().numpy()
    arguments = features @ weight.T, LABELS.numpy(), weight, features
    gap = optimality_gap(
        *arguments, weight_decay=1e-2, feature_decay=2e-3, normalisation="batch", nonnegative=True
    )
    assert found.gap == pytest.approx(gap.gap, rel=1e-5)
    law = predict(
        COUNTS, weight_decay=1e-2, feature_decay=2e-3, normalisation="batch", features="nonnegative"
    )
    row = found.theory("batch_norm").matrices
    np.testing.assert_allclose(row[1], law.means_gram)
    groups[2]["weight_decay"] = 0.0
    found = measured(model).explain(torch.optim.SGD(groups, lr=0.1))
    assert met(found, "batch_norm")["γ and β decayed"] is False


def test_the_loss_of_the_objective_is_that_of_the_theories(network):
    objective = LastLayerObjective(1e-3, label_smoothing=0.1, class_weights=(1.0, 2.0, 3.0))
    found = measured(network, objective=objective)
    with torch.no_grad():
        features = network[:-1](INPUTS).double().numpy()
    weight = network[-1].weight.detach().double().numpy()
    loss = {"label_smoothing": 0.1, "class_weights": (1.0, 2.0, 3.0)}
    arrays = explain(features, LABELS.numpy(), weight, weight_decay=1e-3, depth=3, **loss)
    row, same = arrays.theory("depth"), found.explain(weight_decay=1e-3).theory("depth")
    assert same.largest == pytest.approx(row.largest, rel=1e-3)
    assert found.metrics["optimality_gap"] == pytest.approx(
        optimality_gap(
            features @ weight.T, LABELS.numpy(), weight, features, weight_decay=1e-3, **loss
        ).gap,
        rel=1e-5,
    )


def test_what_cannot_be_read_is_said(network):
    fixed = nn.Sequential(*linear(D, 8), nn.ReLU(), SimplexETFHead(8, K))
    found = measured(fixed).explain(sgd(fixed))
    assert any("no parameter that the network uses as it stands" in note for note in found.notes)
    assert found.best is None
    normalised = nn.Sequential(*linear(D, 8), SimplexETFHead(8, K, normalize=True))
    refused = measured(normalised, objective=LastLayerObjective(1e-3))
    assert refused.features.undefined["optimality_gap"].endswith("does not compute W h + b")
    with pytest.raises(ValueError, match="measured with explain=True, and its head must compute"):
        refused.explain()
    with pytest.raises(ValueError, match="measured with explain=True"):
        measure_model(network, BATCHES).explain()
    with pytest.raises(TypeError, match=r"optimizer must be a torch\.optim\.Optimizer"):
        measured(network).explain(3)
    with pytest.raises(ValueError, match="optimizer holds no parameter of the model"):
        measured(network).explain(sgd(fixed))
    with pytest.raises(ValueError, match="weight_decay must be None with optimizer"):
        measured(network).explain(sgd(network), weight_decay=1e-3)
    with pytest.raises(TypeError, match="objective must be a LastLayerObjective"):
        measure_model(network, BATCHES, objective={"weight_decay": 1e-3})
