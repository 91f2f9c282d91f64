"""The fixed classifier, and importing ncollapse.torch."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

import ncollapse.torch
from ncollapse.geometry import simplex_etf
from ncollapse.metrics import nc2_etf_weight
from ncollapse.torch import SimplexETFHead


@pytest.mark.parametrize(("dim", "seed"), [(8, None), (8, 3), (5, 1), (4, 2)], ids=str)
def test_rows_are_a_scaled_simplex(dim, seed):
    head = SimplexETFHead(dim, 5, scale=3.0, seed=seed)
    weight = head.weight.double().numpy()
    gram = weight @ weight.T / 9
    assert np.allclose(gram, np.where(np.eye(5) > 0, 1.0, -0.25), atol=1e-6)
    assert nc2_etf_weight(head.weight) < 1e-6
    assert np.allclose(weight, 3 * simplex_etf(5, dim, seed=seed), atol=1e-6)


def test_the_gradient_reaches_the_features_only():
    head = SimplexETFHead(6, 3, scale=2.0)
    features = torch.randn(4, 6, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 0])
    functional.cross_entropy(head(features), labels).backward()
    residual = functional.softmax(head(features), 1) - functional.one_hot(labels, 3)
    assert torch.allclose(features.grad, residual.detach() @ head.weight / 4, atol=1e-6)
    assert not list(head.parameters())
    assert list(head.state_dict()) == ["etf"]
    assert head.bias is None


def test_normalised_features_give_scaled_cosines():
    head = SimplexETFHead(6, 3, scale=16.0, normalize=True, seed=0)
    logits = head(100 * head.weight)
    assert torch.allclose(logits, 16 * torch.where(torch.eye(3) > 0, 1.0, -0.5), atol=1e-4)
    assert "scale=16.0, normalize=True" in repr(head)


def test_the_head_follows_the_dtype_of_its_model():
    head = SimplexETFHead(6, 3).to(torch.bfloat16)
    assert head(torch.ones(2, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_refused_heads():
    with pytest.raises(ValueError, match=r"dim must be at least num_classes - 1 = 4"):
        SimplexETFHead(3, 5)
    with pytest.raises(ValueError, match=r"scale must be a positive finite number"):
        SimplexETFHead(6, 3, scale=0.0)


def test_an_etf_trained_against_ends_in_collapse():
    torch.manual_seed(0)
    head = SimplexETFHead(4, 3, scale=2.0)
    features = torch.randn(30, 4, requires_grad=True)
    labels = torch.arange(30) % 3
    optimizer = torch.optim.SGD([features], lr=0.3, weight_decay=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        functional.cross_entropy(head(features), labels, reduction="sum").backward()
        optimizer.step()
    metric = ncollapse.torch.NeuralCollapse(head=head, preset=["nc1_quotient", "nc3_duality"])
    metric.update(features, labels)
    found = metric.compute()
    assert found["nc1_quotient"] < 1e-6
    assert found["nc3_duality"] < 1e-3


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_torch_and_the_callbacks_are_imported_when_asked_for():
    code = (
        "import sys, ncollapse; print('torch' in sys.modules)\n"
        "import ncollapse.torch; print('lightning' in sys.modules)\n"
        "print('ncollapse.torch._huggingface' in sys.modules)"
    )
    assert python(code).split() == ["False", "False", "False"]


@pytest.mark.parametrize(
    ("library", "name", "extra"),
    [
        ("lightning", "NeuralCollapseCallback", "torch"),
        ("transformers", "NeuralCollapseTrainerCallback", "transformers"),
    ],
)
def test_a_missing_library_names_its_extra(library, name, extra, monkeypatch):
    for module in [m for m in sys.modules if m.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent(library), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match=rf"{library} is needed .*ncollapse\[{extra}\]"):
        getattr(ncollapse.torch, name)


class Absent:
    """An import finder that knows one library not to be there."""

    def __init__(self, library):
        self.library = library

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def test_public_names():
    assert sorted(dir(ncollapse.torch)) == ncollapse.torch.__all__
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(ncollapse.torch, "Nothing".strip())
