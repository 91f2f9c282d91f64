"""Which linear layer is taken for the classifier, and classifiers that are not linear."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from ncollapse.metrics import measure
from ncollapse.torch import NeuralCollapse, SimplexETFHead, measure_model

K, D, COUNT = 3, 6, 60


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(COUNT) % K
    means = 2 * torch.randn(K, D, generator=generator)
    return means[labels] + torch.randn(COUNT, D, generator=generator), labels


class Auxiliary(nn.Module):
    """Two heads of the same width; the model returns the logits of the first."""

    def __init__(self, order):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(D, D)
        for name in order:
            self.add_module(name, nn.Linear(D, K))
        self.unused = nn.Linear(D, K)
        self.order = order

    def forward(self, x):
        hidden = torch.relu(self.body(x))
        return {name: self.get_submodule(name)(hidden) for name in self.order}["logits"]


@pytest.mark.parametrize("order", [("logits", "auxiliary"), ("auxiliary", "logits")], ids=str)
def test_the_head_is_the_layer_that_gives_the_logits(order):
    assert measure_model(Auxiliary(order), [data()]).head == "logits"


def test_a_deep_model_shows_its_head_among_many_layers():
    torch.manual_seed(0)
    layers = [nn.Linear(D, D) for _ in range(30)]
    model = nn.Sequential(*layers, nn.Linear(D, K), nn.Dropout(0.5))
    assert measure_model(model, [data()]).head == "30"


class Cosine(nn.Linear):
    """Logits 16 · cos(w, h)."""

    def forward(self, input):
        return 16 * functional.linear(
            functional.normalize(input, dim=-1), functional.normalize(self.weight, dim=-1)
        )


def cosine_model():
    torch.manual_seed(0)
    head = Cosine(D, K, bias=False)
    x, y = data()
    with torch.no_grad():
        means = torch.stack([functional.normalize(x[y == k], dim=1).mean(dim=0) for k in range(K)])
        head.weight.copy_(means * torch.tensor([[0.1], [1.0], [10.0]]))
    return nn.Sequential(nn.Identity(), head)


def test_a_cosine_head_decides_by_its_own_logits():
    model = cosine_model()
    x, y = data()
    found = measure_model(model, [(x[:25], y[:25]), (x[25:], y[25:])], preset="all")
    with torch.no_grad():
        decided = model(x).argmax(dim=1)
    own = float((decided == y).double().mean())
    assert own > float(((x @ model[1].weight.T).argmax(dim=1) == y).double().mean()) + 0.1
    assert found.metrics["classifier_accuracy"] == pytest.approx(own)
    means = torch.stack([x[y == k].mean(dim=0) for k in range(K)])
    nearest = torch.cdist(x, means).argmin(dim=1)
    assert found.metrics["nc4_agreement"] == float((nearest == decided).double().mean())
    rows = found.features.samples.correct
    assert rows.tolist() == [int(((decided == y) & (y == k)).sum()) for k in range(K)]
    assert "does not compute W h + b" in found.features.undefined["nc3_centre_logits"]
    metric = NeuralCollapse(head=model[1], preset=["nc3_centre_logits", "nc2_etf_weight"])
    metric.update(x, y)
    assert set(metric.compute()) == {"nc2_etf_weight"}


def test_a_cosine_head_beside_empty_classes_and_other_labels():
    model = cosine_model()
    x, y = data()
    kept = y != 1
    values = torch.tensor([10, 20, 30])
    found = measure_model(
        model, [(x[kept], values[y[kept]])], classes=[10, 20, 30], preset=["nc4_agreement"]
    )
    means = torch.stack(
        [x[y == k].mean(dim=0) if k != 1 else torch.full((D,), 1e9) for k in range(K)]
    )
    nearest = torch.cdist(x[kept], means).argmin(dim=1)
    with torch.no_grad():
        logits = model(x[kept])
    logits[:, 1] = -torch.inf
    agreement = (nearest == logits.argmax(dim=1)).double().mean()
    assert found.metrics["nc4_agreement"] == pytest.approx(float(agreement))


def test_a_linear_head_and_the_normalised_simplex_agree_with_arrays():
    x, y = data()
    for head in (nn.Linear(D, K), SimplexETFHead(D, K, seed=0, normalize=True)):
        found = measure_model(nn.Sequential(head), [(x, y)], preset=["nc4_agreement"])
        expected = measure(
            x.double().numpy(),
            y.numpy(),
            weight=head.weight.detach().double().numpy(),
            bias=None if head.bias is None else head.bias.detach().double().numpy(),
            preset=["nc4_agreement"],
        )
        assert found.metrics == pytest.approx(expected.metrics)


def test_a_transposed_weight_is_named_for_what_it_is():
    class Transposed(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(D, K))

        def forward(self, x):
            return x @ self.weight

    model = nn.Sequential(Transposed())
    with pytest.raises(
        ValueError, match=r"head '0' has a weight of 3 columns, .* width 6 enter it"
    ):
        measure_model(model, [data()], head="0")


def test_named_classes_and_labels_that_are_names():
    x, y = data()
    names = ["ant", "bee", "cat"]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(D, K))
    expected = measure_model(model, [(x, y)])
    for labels in (y, [names[k] for k in y]):
        found = measure_model(model, [(x, labels)], classes=names)
        assert found.metrics == expected.metrics
        assert found.features.classes == ("ant", "bee", "cat")
    with pytest.raises(ValueError, match="labels must be among classes, but one is 'dog'"):
        measure_model(model, [(x, ["dog"] * COUNT)], classes=names)
    with pytest.raises(TypeError, match="labels must be a tensor of integers, or names among cl"):
        measure_model(model, [(x, ["ant"] * COUNT)])
    with pytest.raises(ValueError, match="ignore_index -100 is one of classes"):
        measure_model(model, [(x, y)], classes=[0, 1, -100])
