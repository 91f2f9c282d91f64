"""NeuralCollapse over two real processes (gloo), against one process with all the data."""

import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from ncollapse import LastLayerObjective, optimality_gap
from ncollapse.metrics import measure
from ncollapse.torch import NeuralCollapse, measure_model

K, D, COUNT = 5, 24, 600
WORLD = 2
PRESET = ("nc1_pinv", "nc1_quotient", "cdnv", "directional_collapse", "nc2_etf_means")
OBJECTIVE = LastLayerObjective(weight_decay=1e-3, feature_decay=1e-4, class_weights=(1, 1, 1, 1, 3))
MODEL_PRESET = ("nc1_quotient", "nc3_duality", "nc4_agreement", "classifier_accuracy")


def shards(seed=0):
    """Float32 near collapse; only rank 1 meets class 4, and the ranks' shards differ in size."""
    rng = np.random.default_rng(seed)
    means = 20 * rng.standard_normal((K, D))
    labels = np.repeat(np.arange(K), COUNT // K)
    features = (means[labels] + 1e-4 * rng.standard_normal((COUNT, D))).astype(np.float32)
    rank = np.where(labels == 4, 1, rng.random(COUNT) < 0.3).astype(int)
    order = rng.permutation(COUNT)
    return [
        (
            torch.from_numpy(features[order][rank[order] == r]),
            torch.from_numpy(labels[order][rank[order] == r]),
        )
        for r in range(WORLD)
    ]


def classifier():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(D, D), torch.nn.Linear(D, K))


def fed(metric, features, labels):
    for start in range(0, len(features), 64):
        metric.update(features[start : start + 64], labels[start : start + 64])
    return metric


def everything(rank):
    """Every scenario in one process group, since starting processes is what takes time."""
    features, labels = shards()[rank]
    found = {}
    metric = fed(NeuralCollapse(K, D, preset=PRESET), features, labels)
    found["compute"] = metric.compute()
    found["local after compute"] = int(metric.metric_state["counts"].sum())
    found["samples"] = metric.summary().num_samples
    found["gathered"] = max(value.numel() for value in metric.metric_state.values())
    fed(metric, features, labels)
    found["again"] = metric.compute()

    only_one = NeuralCollapse(K, D, preset=PRESET)
    if rank == 1:
        fed(only_one, features.double(), labels)
    only_one._update_count = 1
    found["one rank has data"] = only_one.compute()

    parts = [(features[i : i + 64], labels[i : i + 64]) for i in range(0, len(features), 64)]
    model = classifier()
    joint = measure_model(model, parts, layers=["0"], preset=MODEL_PRESET)
    found["model"] = joint.metrics
    found["model samples"] = [joint.features.num_samples, joint.layers["0"].num_samples]
    found["model alone"] = measure_model(model, parts, sync=False).features.num_samples
    against = measure_model(model, parts, preset=MODEL_PRESET, against=joint)
    found["model against"] = against.metrics
    found["model, one empty"] = measure_model(
        model, parts if rank else [], preset=MODEL_PRESET
    ).metrics

    watched = fed(NeuralCollapse(head=model[1], objective=OBJECTIVE), features, labels)
    found["gap"] = watched.compute()["optimality_gap"]
    found["gap again"] = watched.compute()["optimality_gap"]
    options = {"preset": ["nc1_quotient"], "objective": OBJECTIVE, "explain": True}
    explained = measure_model(model, parts if rank else [], **options)
    found["model gap, one empty"] = explained.metrics["optimality_gap"]
    explained = measure_model(model, parts, **options)
    found["model gap"] = explained.metrics["optimality_gap"]
    found["explained"] = json.dumps(explained.explain(weight_decay=1e-3).to_dict())

    stepwise = NeuralCollapse(K, D, preset=PRESET, dist_sync_on_step=True)
    found["step"] = stepwise(features[:128], labels[:128])
    found["after steps"] = stepwise.compute()
    return found


def run(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD
    )
    try:
        torch.save(everything(rank), f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(run, (str(folder),), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


def of_all(parts):
    features = torch.cat([part[0] for part in parts]).double().numpy()
    labels = torch.cat([part[1] for part in parts]).numpy()
    return measure(features, labels, preset=PRESET, classes=range(K)).metrics


def floats(values):
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("rank", range(WORLD))
@pytest.mark.parametrize("when", ["compute", "again"])
def test_every_rank_gets_the_metrics_of_all_samples(results, rank, when):
    expected = of_all(shards())
    assert expected["nc1_pinv"] < 1e-9
    assert floats(results[rank][when]) == pytest.approx(expected, rel=1e-4)


def test_ranks_agree_to_the_last_digit(results):
    assert floats(results[0]["compute"]) == floats(results[1]["compute"])


def test_local_state_comes_back_after_computing(results):
    sizes = [len(part[0]) for part in shards()]
    assert [found["local after compute"] for found in results] == sizes
    assert [found["samples"] for found in results] == [COUNT, COUNT]


def test_nothing_that_grows_with_the_samples_is_gathered(results):
    assert results[0]["gathered"] == D * D
    assert min(len(part[0]) for part in shards()) * D > D * D


def test_a_rank_without_data_and_with_another_dtype(results):
    expected = of_all(shards()[1:])
    for found in results:
        assert floats(found["one rank has data"]) == pytest.approx(expected, rel=1e-6)


def test_forward_synchronised_at_every_step(results):
    expected = of_all([(features[:128], labels[:128]) for features, labels in shards()])
    for found in results:
        assert floats(found["step"]) == pytest.approx(expected, rel=1e-4)
        assert floats(found["after steps"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("what", ["model", "model against"])
def test_measuring_a_model_gives_the_numbers_of_all_ranks(results, what):
    whole = [torch.cat(part) for part in zip(*shards(), strict=True)]
    expected = measure_model(classifier(), [whole], preset=MODEL_PRESET).metrics
    for found in results:
        assert found[what] == pytest.approx(expected, rel=1e-4)
        assert found["model samples"] == [COUNT, COUNT]
    assert results[0]["model"] == results[1]["model"]
    assert [found["model alone"] for found in results] == [len(part[0]) for part in shards()]


def test_a_rank_whose_loader_is_empty_gets_the_numbers_too(results):
    expected = measure_model(classifier(), [shards()[1]], preset=MODEL_PRESET).metrics
    for found in results:
        assert found["model, one empty"] == pytest.approx(expected, rel=1e-4)


def test_the_gap_is_that_of_all_ranks(results):
    model = classifier()
    weight, bias = (p.detach().double() for p in model[1].parameters())

    def expected(parts, body):
        with torch.no_grad():
            features = torch.cat([body(part[0]) for part in parts]).double()
        logits, labels = features @ weight.T + bias, torch.cat([part[1] for part in parts])
        arrays = (entry.numpy() for entry in (logits, labels, weight, features))
        options = {name: value for name, value in vars(OBJECTIVE).items() if name != "nonnegative"}
        return optimality_gap(*arrays, bias=bias.numpy(), **options).gap

    for found in results:
        assert float(found["gap"]) == pytest.approx(expected(shards(), lambda x: x), rel=1e-5)
        assert float(found["gap again"]) == float(found["gap"])
        assert found["model gap"] == pytest.approx(expected(shards(), model[0]), rel=1e-5)
        alone = expected(shards()[1:], model[0])
        assert found["model gap, one empty"] == pytest.approx(alone, rel=1e-5)
    assert results[0]["explained"] == results[1]["explained"]
    assert json.loads(results[0]["explained"])["counts"] == [COUNT // K] * K
