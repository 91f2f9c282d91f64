"""Networks: their shapes, what they compute, and that their start is their seed's alone."""

import pytest
import torch
from torch import nn

from ncollapse.train import convolutional, mlp, resnet18, vgg13


def literal_mlp(network, inputs):
    """σ(W_2 σ(W_1 x)) and W_3 of it."""
    first, second, head = (p for p in network.parameters())
    return torch.relu(torch.relu(inputs @ first.T) @ second.T) @ head.T


def test_mlp_is_its_formula():
    network = mlp(5, 3, depth=3, width=7, seed=2)
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(network(inputs), literal_mlp(network, inputs))
    assert torch.equal(network(inputs.reshape(4, 1, 5)), network(inputs))


def test_mlp_has_the_layers_asked_for():
    kinds = [type(m) for m in mlp(5, 3, depth=3, features="linear", batch_norm="last").body]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    everywhere = mlp(5, 3, depth=3, batch_norm=True, bias=True)
    assert sum(isinstance(m, nn.BatchNorm1d) for m in everywhere.modules()) == 2
    assert everywhere.head.bias.abs().max() == 0
    single, double = mlp(5, 3, seed=1), mlp(5, 3, seed=1, dtype=torch.float64)
    assert torch.equal(single.head.weight, double.head.weight.float())


@pytest.mark.parametrize("pixels", [28, 32])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", [resnet18, vgg13, convolutional])
def test_images_and_rows_give_the_same_logits(make, channels, pixels):
    small = {"widths": (2, 3)} if make is convolutional else {"width_multiplier": 1 / 32}
    network = make(10, channels=channels, pixels=pixels, **small).eval()
    images = torch.randn(2, channels, pixels, pixels)
    with torch.no_grad():
        logits = network(images)
        assert logits.shape == (2, 10)
        assert torch.equal(network(images.flatten(1)), logits)
    with pytest.raises(ValueError, match=r"inputs must be images of shape"):
        network(images[:, :, 1:])


def test_resnet18_and_vgg13_have_the_published_sizes():
    assert sum(p.numel() for p in resnet18(10).parameters()) == 11_173_962
    assert sum(p.numel() for p in vgg13(10, batch_norm=False).parameters()) == 9_404_992 + 5_130
    layers = [m for m in resnet18(10).body.modules() if isinstance(m, nn.Conv2d)]
    assert len([m for m in layers if m.kernel_size == (3, 3)]) == 17  # and the head: 18
    assert sum(isinstance(m, nn.Conv2d) for m in vgg13(10).modules()) == 10
    assert not any(isinstance(m, nn.BatchNorm2d) for m in vgg13(10, batch_norm=False).modules())


@pytest.mark.parametrize("make", [lambda s: resnet18(3, width_multiplier=0.1, seed=s)])
def test_a_start_is_its_seeds_and_leaves_the_random_state(make):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = make(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    same, other = make(0), make(1)
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mlp(5, 3, depth=1), "depth must be at least 2, but it is 1"),
        (lambda: mlp(5, 3, width=0), "width must be at least 1"),
        (lambda: mlp(5, 3, features="sine"), "features must be one of relu, linear"),
        (lambda: resnet18(3, width_multiplier=0), "width_multiplier must be positive"),
        (lambda: vgg13(0), "classes must be at least 1"),
        (lambda: convolutional(3, widths=()), "widths must be at least 1"),
    ],
)
def test_bad_sizes_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()
