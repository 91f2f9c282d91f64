"""measure_model against the arrays it should have measured, and what it must leave untouched."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ncollapse.metrics import SampleStats, UndefinedMetricError, measure, separation
from ncollapse.torch import SeparationLaw, SimplexETFHead, measure_model

K, D, COUNT = 3, 6, 90


class Network(nn.Module):
    """In-place ReLU, dropout and batch norm, and Linear layers besides the head."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.neck = nn.Linear(4 * 16, D)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(D, K)
        self.unused = nn.Linear(D, K)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        x = self.act(self.norm(self.conv(x))).flatten(1)
        return self.fc(self.drop(functional.relu(self.neck(x))))


def images(seed=0, count=COUNT):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % K
    means = torch.randn(K, 1, 6, 6, generator=generator)
    return means[labels] + 0.5 * torch.randn(count, 1, 6, 6, generator=generator), labels


def batches(x, y, size=32):
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


def literal_features(network, x):
    network.eval()
    with torch.no_grad():
        conv = network.conv(x)
        norm = network.norm(conv)
        neck = network.neck(functional.relu(norm).flatten(1))
    network.train()
    return {"conv": conv, "norm": norm, "neck": neck, "head": functional.relu(neck)}


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_one_pass_measures_the_head_and_the_layers(network):
    x, y = images()
    expected = literal_features(network, x)
    network.calls = 0
    found = measure_model(
        network, batches(x, y), layers=["neck", "conv", "norm"], preset="all", nc4=False
    )
    assert found.head == "fc"
    assert found.forward_passes == network.calls == 3
    assert list(found.layers) == ["conv", "norm", "neck"]
    weight, bias = network.fc.weight.detach().numpy(), network.fc.bias.detach().numpy()
    whole = measure(expected["head"].double().numpy(), y.numpy(), weight=weight, bias=bias)
    single = {"within_variation", "nc4_agreement", "ncc_accuracy", "classifier_accuracy"}
    assert set(found.features.undefined) - set(whole.undefined) == single
    for name, value in found.metrics.items():
        assert value == pytest.approx(whole.metrics[name], rel=1e-4, abs=1e-6), name
    for layer in ("conv", "norm", "neck"):
        features = expected[layer].double()
        rows = features.mean(dim=(2, 3)) if features.ndim == 4 else features
        assert found.layers[layer].metrics["nc1_quotient"] == pytest.approx(
            measure(rows.numpy(), y.numpy(), preset=["nc1_quotient"]).metrics["nc1_quotient"],
            rel=1e-4,
        )
    assert found.to_dict()["layers"]["conv"]["num_samples"] == COUNT


def test_flattened_and_custom_pooling(network):
    x, y = images()
    conv = literal_features(network, x)["conv"].double()
    for pool, rows in (("flatten", conv.flatten(1)), (lambda v: v.amax((2, 3)), conv.amax((2, 3)))):
        found = measure_model(network, batches(x, y), layers=["conv"], pool=pool)
        expected = measure(rows.numpy(), y.numpy(), preset=["nc1_pinv"]).metrics["nc1_pinv"]
        assert found.layers["conv"].metrics["nc1_pinv"] == pytest.approx(expected, rel=1e-4)


def test_second_pass_only_when_asked(network):
    x, y = images()
    features = literal_features(network, x)["head"].double()
    once = measure_model(network, batches(x, y), nc4=False)
    twice = measure_model(network, batches(x, y), layers=["neck"], preset="all")
    assert (once.forward_passes, twice.forward_passes) == (3, 6)
    assert "nc4_agreement" not in once.metrics
    means = torch.stack([features[y == k].mean(0) for k in range(K)])
    nearest = torch.cdist(features, means).argmin(1)
    decided = (features @ network.fc.weight.double().T + network.fc.bias.double()).argmax(1)
    assert twice.metrics["nc4_agreement"] == float((nearest == decided).double().mean())
    assert twice.metrics["ncc_accuracy"] == float((nearest == y).double().mean())
    assert twice.metrics["classifier_accuracy"] == float((decided == y).double().mean())
    assert 0 < twice.layers["neck"].metrics["ncc_accuracy"] <= 1


def test_a_preset_means_the_same_metrics_as_for_arrays(network):
    x, y = images()
    features = literal_features(network, x)["head"].double().numpy()
    weight, bias = network.fc.weight.detach().numpy(), network.fc.bias.detach().numpy()
    for preset in ("papyan2020", "hong2025", "ji2022", "wu2024"):
        found = measure_model(network, batches(x, y), preset=preset)
        expected = measure(features, y.numpy(), weight=weight, bias=bias, preset=preset)
        assert found.metrics == pytest.approx(expected.metrics, rel=1e-4, abs=1e-6)
    assert found.forward_passes == 6
    once = measure_model(network, batches(x, y), nc4=False)
    assert once.forward_passes == 3
    assert "second pass" in once.features.undefined["nc4_agreement"]


def test_nc4_is_added_to_a_preset_without_it(network):
    assert (
        "nc4_agreement"
        in measure_model(network, batches(*images()), nc4=True, preset="hong2025").metrics
    )


def test_another_split_against_the_training_means(network):
    train, test = images(0), images(1)
    reference = measure_model(network, batches(*train), layers=["neck"])
    found = measure_model(network, batches(*test), layers=["neck"], against=reference, preset="all")
    assert found.forward_passes == 3
    features = literal_features(network, test[0])["head"]
    by_hand = SampleStats(reference.features.summary, network.fc.weight, network.fc.bias)
    by_hand.update(features, test[1])
    counted = by_hand.finish()
    agreement = counted.agreements.sum() / counted.num_samples
    assert found.metrics["nc4_agreement"] == pytest.approx(agreement)
    assert found.features.summary.num_samples == COUNT
    with pytest.raises(ValueError, match="against has no measurement of the layers conv"):
        measure_model(network, batches(*test), layers=["conv"], against=reference)


class Augmented(torch.utils.data.Dataset):
    """Draws from the generators of Python and NumPy for every sample."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        x, y = self.samples[index]
        return x + random.random() * 1e-3 + np.random.rand() * 1e-3, y  # noqa: NPY002


def test_mode_hooks_and_random_state_come_back(network):
    network.train()
    network.norm.eval()
    running = network.norm.running_mean.clone()
    state = torch.random.get_rng_state()
    others = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    loader = torch.utils.data.DataLoader(
        Augmented(torch.utils.data.TensorDataset(*images())), batch_size=16, shuffle=True
    )
    measure_model(network, loader, layers=["conv"], nc4=True)
    assert network.training
    assert network.drop.training
    assert not network.norm.training
    assert hooks(network) == 0
    assert torch.equal(network.norm.running_mean, running)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert others == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    assert all(p.grad is None and p.requires_grad for p in network.parameters())


class Interrupted(Exception):
    pass


def interrupted_loader():
    yield from batches(*images())
    raise Interrupted


def test_mode_and_hooks_come_back_after_an_exception(network):
    network.train()
    with pytest.raises(Interrupted):
        measure_model(network, interrupted_loader(), layers=["conv"], nc4=False)
    assert network.training
    assert network.drop.training
    assert hooks(network) == 0


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x, y: {"x": x, "labels": y},
        lambda x, y: {"x": x, "label": y},
        lambda x, y: [x, y],
        lambda x, y: ((x,), y),
        lambda x, y: ({"x": x}, y),
    ],
    ids=["mapping", "label", "list", "args", "kwargs"],
)
def test_shapes_of_batches(network, wrap):
    x, y = images()
    expected = measure_model(network, batches(x, y)).metrics
    found = measure_model(network, [wrap(*batch) for batch in batches(x, y)])
    assert found.metrics == expected


def test_unpack(network):
    x, y = images()
    loader = [SimpleNamespace(picture=a, target=b.tolist()) for a, b in batches(x, y)]
    found = measure_model(network, loader, unpack=lambda b: (b.picture, torch.tensor(b.target)))
    assert found.metrics == measure_model(network, batches(x, y)).metrics


class Wrapped(nn.Module):
    """Returns what Hugging Face models return: an object with logits, in float32."""

    def __init__(self, network, give):
        super().__init__()
        self.network = network
        self.give = give

    def forward(self, pixel_values):
        return self.give(self.network(pixel_values))


@pytest.mark.parametrize(
    "give",
    [
        lambda logits: SimpleNamespace(logits=logits),
        lambda logits: {"loss": None, "logits": logits.double()},
        lambda logits: (logits, None),
    ],
    ids=["object", "mapping", "tuple"],
)
def test_the_head_is_found_behind_any_output(network, give):
    x, y = images()
    loader = [{"pixel_values": a, "labels": b} for a, b in batches(x, y)]
    found = measure_model(Wrapped(network, give), loader)
    assert found.head == "network.fc"
    assert found.metrics == measure_model(network, batches(x, y)).metrics


def test_named_heads_and_wrapped_models(network):
    x, y = images()
    expected = measure_model(network, batches(x, y)).metrics
    assert measure_model(network, batches(x, y), head="fc").metrics == expected
    assert measure_model(network, batches(x, y), head=network.fc).metrics == expected
    parallel = nn.DataParallel(network)
    compiled = torch.compile(network, backend="eager")
    for wrapper in (parallel, compiled):
        found = measure_model(wrapper, batches(x, y))
        assert (found.head, found.metrics) == ("fc", expected)
    assert measure_model(nn.Linear(D, K), batches(torch.randn(9, D), y[:9])).head == ""


def test_autocast_and_channels_last(network):
    x, y = images()
    plain = measure_model(network, batches(x, y), layers=["conv"]).metrics
    last = measure_model(
        network.to(memory_format=torch.channels_last),
        batches(x, y),
        layers=["conv"],
        memory_format=torch.channels_last,
    )
    assert last.metrics == pytest.approx(plain, rel=1e-4)
    dtypes = []
    handle = network.fc.register_forward_pre_hook(lambda _, args: dtypes.append(args[0].dtype))
    narrow = measure_model(
        network, batches(x, y), layers=["conv"], autocast=torch.bfloat16, nc4=True
    )
    handle.remove()
    assert set(dtypes) == {torch.bfloat16}
    assert narrow.metrics["nc1_pinv"] == pytest.approx(plain["nc1_pinv"], rel=0.1)
    assert narrow.metrics["nc1_pinv"] != plain["nc1_pinv"]


def test_a_half_precision_model_and_statistics_elsewhere(network):
    x, y = images()
    plain = measure_model(network, batches(x, y)).metrics
    half = measure_model(network.bfloat16(), batches(x.bfloat16(), y), stats_device="cpu").metrics
    assert half["nc1_pinv"] == pytest.approx(plain["nc1_pinv"], rel=0.2)


def test_every_token_is_a_sample_and_some_are_ignored():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(11, D), nn.Tanh(), nn.Linear(D, K))
    tokens = torch.randint(11, (8, 5))
    labels = torch.where(torch.rand(8, 5) < 0.3, -100, tokens % K)
    found = measure_model(model, [(tokens, labels)], layers=["0"], ignore_index=-100)
    kept = labels != -100
    with torch.no_grad():
        features = model[:2](tokens)[kept].double()
    assert found.features.num_samples == int(kept.sum())
    assert found.metrics["nc1_pinv"] == pytest.approx(
        measure(features.numpy(), labels[kept].numpy(), preset=["nc1_pinv"]).metrics["nc1_pinv"],
        rel=1e-4,
    )


def test_a_fixed_head_is_found_and_is_an_etf(network):
    network.fc = SimplexETFHead(D, K, scale=2.0, seed=1)
    found = measure_model(network, batches(*images()), preset="hong2025")
    assert found.head == "fc"
    assert found.metrics["nc2_etf_weight"] < 1e-6


def test_separation_law():
    values = {f"layer{i}": 5.0 * 0.3**i for i in range(4)}
    law = SeparationLaw.fit(values)
    assert law.decay == pytest.approx(0.3)
    assert law.correlation == pytest.approx(-1.0)
    bent = SeparationLaw.fit({"a": 8.0, "b": 4.0, "c": 1.0})
    logs = np.log([8.0, 4.0, 1.0])
    assert bent.decay == pytest.approx(math.exp(np.polyfit(range(3), logs, 1)[0]))
    assert bent.correlation == pytest.approx(np.corrcoef(range(3), logs)[0, 1])
    with pytest.raises(ValueError, match="layers must be at least two"):
        SeparationLaw.fit({"a": 1.0})
    with pytest.raises(UndefinedMetricError, match="zero"):
        SeparationLaw.fit({"a": 1.0, "b": 0.0})
    with pytest.raises(UndefinedMetricError, match="the same in every layer"):
        SeparationLaw.fit({"a": 1.0, "b": 1.0})


def test_separation_of_a_model_ends_at_the_head(network):
    found = measure_model(network, batches(*images()), layers=["neck", "conv"])
    law = found.separation_law()
    assert law.layers == ("conv", "neck", "fc (input)")
    assert law.values[-1] == separation(found.features.summary)
    assert law.to_dict()["decay"] == law.decay


def test_a_layer_that_is_the_input_of_the_head_counts_once(network):
    plain = measure_model(network, batches(*images()), layers=["neck", "conv"]).separation_law()
    layers = ["neck", "conv", "drop"]
    law = measure_model(network, batches(*images()), layers=layers).separation_law()
    assert law.layers == ("conv", "neck", "drop")
    assert (law.decay, law.values) == (plain.decay, plain.values)


def refused(match, model, loader, kind=ValueError, **options):
    with pytest.raises(kind, match=match):
        measure_model(model, loader, **options)
    if isinstance(model, nn.Module):
        assert hooks(model) == 0


def test_refused_models(network):
    loader = batches(*images())
    refused("no nn.Linear that could be its head", nn.Sequential(nn.Flatten()), loader)
    squashed = nn.Sequential(nn.Flatten(), nn.Linear(36, K), nn.LogSoftmax(1))
    refused(r"outputs of no nn.Linear are the logits; the model has 1", squashed, loader)
    assert measure_model(squashed, loader, head="1").head == "1"
    silent = Wrapped(network, lambda logits: SimpleNamespace(scores=logits))
    refused("without logits", silent, [({"pixel_values": x}, y) for x, y in loader])
    refused("head names the module 'fd', which", network, loader, head="fd")
    refused("layers names the module 'lost', which", network, loader, layers=["lost"])
    refused("not part of the model", network, loader, head=nn.Linear(2, 2))
    refused("head must be a module with a weight", network, loader, TypeError, head="conv")
    refused("'unused' did not run in the forward pass", network, loader, layers=["unused"])
    refused("'unused' did not run in the forward pass", network, loader, head="unused")
    shared = nn.ReLU()
    repeated = nn.Sequential(nn.Flatten(), shared, nn.Linear(36, K), shared, nn.Linear(K, K))
    refused("'1' ran 2 times in one forward pass", repeated, loader, layers=["1"])
    refused("has 1 output", nn.Sequential(nn.Flatten(), nn.Linear(36, 1)), loader)
    refused("model must be a torch.nn.Module", "resnet", loader, TypeError)


def test_refused_data(network):
    x, y = images()
    refused(
        r"'fc', batch 1 .*labels must be 0 … 2, but row 0 is 5",
        network,
        [(x, y), (x[:2], torch.tensor([5, 0]))],
    )
    refused("labels must hold integers", network, [(x, y.double())], TypeError)
    refused("labels has 89 entries for 90 samples", network, [(x, y[:-1])])
    broken = x.clone()
    broken[4] = torch.nan
    refused(r"'fc', batch 0 .*features must be finite, but row 4", network, [(broken, y)])
    refused("loader gave no batches", network, [])
    refused("loader must be iterable", network, 3, TypeError)
    refused("loader is an iterator", network, iter(batches(x, y)), TypeError, nc4=True)
    refused("loader must give pairs", network, [(x, y, y)], TypeError)
    refused("loader must give pairs", network, [x], TypeError)
    refused("loader gives mappings with x but none of", network, [{"x": x}])
    refused("preset must be one of", network, batches(x, y), preset="nobody1999")
    nothing = [(x[:0], y[:0])]
    refused("loader gave no samples, or only labels that ignore_index", network, nothing)
    refused("head must be a module or its name", network, batches(x, y), TypeError, head=3)
    refused("against must be a ModelMeasurement", network, batches(x, y), TypeError, against=3)
    refused("autocast must be a torch.dtype", network, batches(x, y), TypeError, autocast="bf16")
    refused("classes must name 3 classes, not 2", network, batches(x, y), classes=["a", "b"])
    refused("layers must be a list of names", network, batches(x, y), TypeError, layers="conv")
    refused("pool must be one of", network, batches(x, y), pool="max")
    refused("device is cuda, but the model is on cpu", network, batches(x, y), device="cuda")


class Shrinking:
    def __init__(self, loader):
        self.loader, self.passes = loader, -1

    def __iter__(self):
        self.passes += 1
        return iter(self.loader[self.passes :])


def test_a_loader_that_changes_between_passes(network):
    loader = Shrinking(batches(*images()))
    refused("gave 90 samples in the first pass and 58 in the second", network, loader, nc4=True)


def test_a_head_that_sees_sequences_needs_a_pool():
    model = nn.Sequential(nn.Embedding(11, D), nn.Linear(D, K))
    tokens, labels = torch.randint(11, (12, 5)), torch.arange(12) % K
    refused("pass pool='last', or a function", model, [(tokens, labels)], head="1")
    found = measure_model(model, [(tokens, labels)], head="1", pool=lambda value: value[:, -1])
    with torch.no_grad():
        last = model[0](tokens)[:, -1].double().numpy()
    assert found.metrics["nc1_pinv"] == pytest.approx(
        measure(last, labels.numpy(), preset=["nc1_pinv"]).metrics["nc1_pinv"], rel=1e-4
    )


def test_progress_goes_to_stderr(network, capsys):
    measure_model(network, batches(*images()), progress=True)
    quiet = capsys.readouterr()
    assert quiet.out == ""
    measure_model(network, batches(*images()), progress=False)
    assert capsys.readouterr().err == ""
