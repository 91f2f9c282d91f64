"""NeuralCollapse as torchmetrics and its users handle it: batches, ranks, dtypes, copies."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torchmetrics import MetricCollection, MetricTracker
from torchmetrics.utilities.checks import check_forward_full_state_property
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from ncollapse.metrics import UndefinedMetricError, measure
from ncollapse.torch import FeatureTap, NeuralCollapse, SimplexETFHead

K, D = 4, 12


def cluster(seed, *, count=120, noise=0.3, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    means = 3 * rng.standard_normal((K, D))
    labels = np.concatenate([np.arange(K), rng.integers(K, size=count - K)])
    features = means[labels] + noise * rng.standard_normal((count, D))
    return torch.from_numpy(features).to(dtype), torch.from_numpy(labels)


def literal_nc1(features, labels):
    """Tr(Σ_W Σ_B†)/K by the definition."""
    h, y = features.double().numpy(), labels.numpy()
    classes = np.unique(y)
    means = np.stack([h[y == k].mean(axis=0) for k in classes])
    within = sum(np.outer(row - means[k], row - means[k]) for row, k in zip(h, y, strict=True))
    centred = means - means.mean(axis=0)
    between = centred.T @ centred / len(classes)
    return np.trace(within / len(h) @ np.linalg.pinv(between)) / len(classes)


def updated(metric, features, labels, size=17):
    for start in range(0, len(features), size):
        metric.update(features[start : start + size], labels[start : start + size])
    return metric


def as_floats(values):
    return {name: float(value) for name, value in values.items()}


def test_the_literal_formula_and_the_arrays_give_the_same():
    features, labels = cluster(0)
    head = nn.Linear(D, K).double()
    found = as_floats(updated(NeuralCollapse(head=head), features, labels).compute())
    assert found["nc1_pinv"] == pytest.approx(literal_nc1(features, labels), rel=1e-9)
    expected = measure(
        features.numpy(),
        labels.numpy(),
        weight=head.weight.detach().numpy(),
        bias=head.bias.detach().numpy(),
        preset="papyan2020",
    ).metrics
    expected.pop("nc4_agreement")
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("size", [1, 7, 120])
def test_batches_of_any_size(size):
    features, labels = cluster(1)
    whole = as_floats(updated(NeuralCollapse(K, D, preset="wu2024"), features, labels).compute())
    found = updated(NeuralCollapse(K, D, preset="wu2024"), features, labels, size).compute()
    assert as_floats(found) == pytest.approx(whole, rel=1e-9)
    assert len(whole) == 6


@pytest.mark.parametrize("full", [False, True], ids=["reduce", "full state"])
def test_forward_gives_the_batch_and_accumulates_everything(full):
    class Chosen(NeuralCollapse):
        full_state_update = full

    features, labels = cluster(2)
    metric = Chosen(K, D, preset=["nc1_quotient", "cdnv"])
    for start in (0, 40, 80):
        part = features[start : start + 40], labels[start : start + 40]
        batch = as_floats(metric(*part))
        alone = measure(*(array.numpy() for array in part), preset=["nc1_quotient", "cdnv"])
        assert batch == pytest.approx(alone.metrics, rel=1e-9)
    expected = measure(features.numpy(), labels.numpy(), preset=["nc1_quotient", "cdnv"]).metrics
    assert as_floats(metric.compute()) == pytest.approx(expected, rel=1e-9)
    assert metric.update_count == 3


def test_what_torchmetrics_checks_of_a_metric(capsys):
    features, labels = cluster(20)
    arguments = {"num_classes": K, "num_features": D}
    batch = {"features": features, "labels": labels}
    check_forward_full_state_property(NeuralCollapse, arguments, batch, [3], reps=2)
    assert "Partial state for 3 steps" in capsys.readouterr().out  # reached if results are equal
    metric, other = NeuralCollapse(**arguments), NeuralCollapse(**arguments)
    assert hash(metric) != hash(other)
    for constant in ("is_differentiable", "higher_is_better", "full_state_update"):
        with pytest.raises(RuntimeError, match="Can't change const"):
            setattr(metric, constant, True)
    metric(features.requires_grad_(), labels)
    assert not any(value.requires_grad for value in metric.compute().values())


def test_reset_forgets_everything():
    first, second = cluster(3), cluster(4)
    metric = updated(NeuralCollapse(K, D), *first)
    before = as_floats(metric.compute())
    metric.reset()
    assert int(metric.metric_state["counts"].sum()) == 0
    found = as_floats(updated(metric, *second).compute())
    assert found == pytest.approx(
        as_floats(updated(NeuralCollapse(K, D), *second).compute()), rel=1e-12
    )
    assert found["nc1_pinv"] != pytest.approx(before["nc1_pinv"], rel=1e-3)


def test_without_samples_torchmetrics_warns_and_nothing_comes_back():
    metric = NeuralCollapse(K, D)
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute() == {}
    assert set(metric.undefined.values()) == {"there are no samples"}


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_go_on_by_themselves(twin):
    features, labels = cluster(5)
    metric = updated(NeuralCollapse(K, D), features[:60], labels[:60])
    other = twin(metric)
    updated(other, features[60:], labels[60:])
    assert int(metric.metric_state["counts"].sum()) == 60
    expected = as_floats(updated(NeuralCollapse(K, D), features, labels).compute())
    assert as_floats(other.compute()) == pytest.approx(expected, rel=1e-9)


def test_a_clone_watches_the_same_head_and_a_pickle_holds_a_copy():
    features, labels = cluster(6, dtype=torch.float32)
    head = nn.Linear(D, K)
    metric = updated(NeuralCollapse(head=head, preset=["nc2_etf_weight"]), features, labels)
    clone, stored = metric.clone(), pickle.loads(pickle.dumps(metric))
    old = float(metric.compute()["nc2_etf_weight"])
    with torch.no_grad():
        head.weight.copy_(SimplexETFHead(D, K).weight)
    assert float(clone.compute()["nc2_etf_weight"]) < 1e-6
    assert float(stored.compute()["nc2_etf_weight"]) == pytest.approx(old, rel=1e-12)
    assert dict(metric.named_modules()).keys() == {""}


def test_a_copied_model_keeps_its_own_head_and_metric():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(D, K)
            self.collapse = NeuralCollapse(head=self.fc)

    network = Network()
    twin = copy.deepcopy(network)
    assert twin.collapse._heads[0] is twin.fc
    assert twin.fc is not network.fc


def test_two_presets_in_a_collection_share_one_accumulation():
    features, labels = cluster(7)
    collection = MetricCollection(
        {"a": NeuralCollapse(K, D), "b": NeuralCollapse(K, D, preset=["cdnv"])}
    )
    for start in (0, 30, 60, 90):
        collection.update(features[start : start + 30], labels[start : start + 30])
    assert collection.compute_groups == {0: ["a", "b"]}
    found = as_floats(collection.compute())
    expected = measure(features.numpy(), labels.numpy(), preset=["nc1_pinv", "cdnv"]).metrics
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    collection.reset()
    assert as_floats(collection(features, labels))["cdnv"] == pytest.approx(expected["cdnv"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_features_are_measured_as_they_are(dtype):
    features, labels = cluster(8, dtype=dtype)
    found = updated(NeuralCollapse(K, D), features, labels).compute()["nc1_pinv"]
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(literal_nc1(features, labels), rel=1e-5)


@pytest.mark.parametrize(
    "dtypes",
    [
        (torch.float32, torch.float64),
        (torch.float64, torch.float32),
        (torch.bfloat16, torch.float64),
    ],
    ids=str,
)
def test_dtypes_may_change_between_batches(dtypes):
    features, labels = cluster(9)
    parts = [features[:60].to(dtypes[0]), features[60:].to(dtypes[1])]
    metric = NeuralCollapse(K, D)
    metric.update(parts[0], labels[:60])
    metric.update(parts[1], labels[60:])
    metric.update(parts[0][:0], labels[:0])
    joined = torch.cat([part.double() for part in parts])
    assert float(metric.compute()["nc1_pinv"]) == pytest.approx(
        literal_nc1(joined, labels), rel=1e-6
    )


@pytest.mark.parametrize(
    "cast",
    [lambda m: m.half(), lambda m: m.to(torch.bfloat16), lambda m: m.float()],
    ids=["half", "to", "float"],
)
def test_casting_the_model_leaves_the_sums_in_float64(cast):
    features, labels = cluster(10, noise=1e-5)
    metric = updated(NeuralCollapse(K, D), features, labels)
    cast(nn.ModuleList([metric]))
    metric.set_dtype(torch.float16)
    assert metric.metric_state["scatter"].dtype == torch.float64
    assert float(metric.compute()["nc1_pinv"]) == pytest.approx(
        literal_nc1(features, labels), rel=1e-6
    )


def test_at_collapse_float32_features_keep_their_digits():
    features, labels = cluster(11, count=2000, noise=1e-5)
    features = (features + 30).float()
    metric = updated(NeuralCollapse(K, D), features, labels, 100)
    exact = literal_nc1(features, labels)
    assert exact < 1e-8
    assert float(metric.compute()["nc1_pinv"]) == pytest.approx(exact, rel=1e-4)


def test_state_dict_is_empty_until_asked_to_persist():
    features, labels = cluster(12)
    metric = updated(NeuralCollapse(K, D), features, labels)
    assert metric.state_dict() == {}
    metric.persistent(True)
    loaded = NeuralCollapse(K, D)
    loaded.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    loaded.update(features, labels)
    assert int(loaded.metric_state["counts"].sum()) == 240
    assert float(loaded.compute()["nc1_pinv"]) == pytest.approx(
        float(metric.compute()["nc1_pinv"]), rel=1e-9
    )


@pytest.mark.parametrize("halves", [(60, 60), (0, 120), (120, 0), (3, 117)], ids=str)
def test_merge_state(halves):
    features, labels = cluster(13)
    left = NeuralCollapse(K, D)
    right = NeuralCollapse(K, D)
    updated(left, features[: halves[0]], labels[: halves[0]])
    updated(right, features[halves[0] :], labels[halves[0] :])
    left.merge_state(right)
    left.update(features[:0], labels[:0])
    assert float(left.compute()["nc1_pinv"]) == pytest.approx(
        literal_nc1(features, labels), rel=1e-9
    )


def test_summary_breaks_down_by_class():
    features, labels = cluster(14)
    summary = updated(NeuralCollapse(K, D), features, labels).summary()
    spread = [(features[labels == k] - features[labels == k].mean(0)) ** 2 for k in range(K)]
    expected = [float(part.sum(dim=1).mean()) for part in spread]
    assert summary.class_variances.tolist() == pytest.approx(expected, rel=1e-9)


def test_labels_with_other_values():
    features, labels = cluster(15)
    values = torch.tensor([7, 3, 100, -2])
    metric = NeuralCollapse(K, D, classes=values.tolist())
    assert metric.classes == (7, 3, 100, -2)
    found = updated(metric, features, values[labels]).compute()["nc1_pinv"]
    assert float(found) == pytest.approx(literal_nc1(features, labels), rel=1e-9)


def test_left_out_metrics_have_a_reason():
    features, labels = cluster(16)
    metric = updated(NeuralCollapse(K, D), features, labels)
    assert "nc3_duality" not in metric.compute()
    assert "weight" in metric.undefined["nc3_duality"]
    assert "second pass" in updated_undefined(features, labels)["nc4_agreement"]


def updated_undefined(features, labels):
    metric = updated(NeuralCollapse(head=nn.Linear(D, K)), features, labels)
    metric.compute()
    return metric.undefined


def test_from_a_hook():
    features, labels = cluster(17, dtype=torch.float32)
    body = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, K))
    metric = NeuralCollapse(head=body[2])
    with FeatureTap(body[2], "the head") as tap:
        body(features)
        metric.update(tap.take(), labels)
    assert not body[2]._forward_pre_hooks
    with torch.no_grad():
        expected = literal_nc1(body[:2](features), labels)
    assert float(metric.compute()["nc1_pinv"]) == pytest.approx(expected, rel=1e-5)


def test_refused_input():
    features, labels = cluster(18)
    metric = NeuralCollapse(K, D)
    with pytest.raises(ValueError, match=r"labels must be 0 … 3, but row 2 is 9"):
        metric.update(features[:3], torch.tensor([0, 1, 9]))
    with pytest.raises(ValueError, match=r"features must be finite, but row 1"):
        metric.update(torch.where(torch.arange(120)[:, None] == 1, torch.nan, features), labels)
    with pytest.raises(ValueError, match=r"features must have 12 columns"):
        metric.update(features[:, :5], labels)
    with pytest.raises(TypeError, match=r"features must hold real floating-point"):
        metric.update(features.long(), labels)
    with pytest.raises(TypeError, match=r"features must be a tensor, but it is a ndarray"):
        metric.update(features.numpy(), labels)
    with pytest.raises(TypeError, match=r"labels must hold integers"):
        metric.update(features, labels.double())
    with pytest.raises(ValueError, match=r"features are on meta and the metric is on cpu"):
        metric.update(features.to("meta"), labels)
    assert float(updated(metric, features, labels).compute()["nc1_pinv"]) == pytest.approx(
        literal_nc1(features, labels), rel=1e-9
    )


def test_refused_arguments():
    with pytest.raises(ValueError, match=r"num_classes and num_features are needed"):
        NeuralCollapse(K)
    with pytest.raises(ValueError, match=r"num_features is 3, but the weight of head has shape"):
        NeuralCollapse(num_features=3, head=nn.Linear(D, K))
    with pytest.raises(ValueError, match=r"preset must be one of"):
        NeuralCollapse(K, D, preset="nobody1999")
    with pytest.raises(TypeError, match=r"head must be a module with a weight .* it is a Flatten"):
        NeuralCollapse(head=nn.Flatten())
    with pytest.raises(TypeError, match=r"classes must hold integers, booleans or strings"):
        NeuralCollapse(K, D, classes=[0.5, 1.5, 2.5, 3.5])
    with pytest.raises(ValueError, match=r"Unexpected keyword arguments: `sunc`"):
        NeuralCollapse(K, D, sunc=True)


def test_a_synced_metric_does_not_take_updates():
    features, labels = cluster(19)
    metric = updated(NeuralCollapse(K, D), features, labels)
    metric.sync(
        dist_sync_fn=lambda value, group: [value, value], distributed_available=lambda: True
    )
    with pytest.raises(TorchMetricsUserError, match="unsync"):
        metric.update(features, labels)
    metric.unsync()
    assert updated(metric, features, labels).summary().num_samples == 240


def test_a_result_follows_a_head_that_goes_on_training():
    features, labels = cluster(21)
    head = nn.Linear(D, K)
    metric = updated(NeuralCollapse(head=head, preset=["nc2_etf_weight"]), features, labels)
    assert float(metric.compute()["nc2_etf_weight"]) > 0.1
    with torch.no_grad():
        head.weight.copy_(SimplexETFHead(D, K).weight)
    assert float(metric.compute()["nc2_etf_weight"]) < 1e-6


def test_plot_draws_results_and_their_course():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    metric = updated(NeuralCollapse(K, D, preset=["nc1_pinv", "cdnv"]), *cluster(22))
    results = [metric.compute(), metric.compute()]
    for arguments in ((), (results[0],), (results,)):
        _, axes = metric.plot(*arguments)
        assert [line.get_label() for line in axes.lines] == ["nc1_pinv", "cdnv"]
    _, axes = metric["cdnv"].plot()
    assert axes.get_ylabel() == "cdnv"
    plt.close("all")


def test_repr_says_what_it_measures():
    shown = repr(NeuralCollapse(K, D, preset=["nc1_pinv", "cdnv"]))
    assert shown == "NeuralCollapse(num_classes=4, num_features=12, metrics=(nc1_pinv, cdnv))"
    one = NeuralCollapse(K, D, preset=["cdnv"])["cdnv"]
    assert repr(one) == "NeuralCollapse(num_classes=4, num_features=12, metrics=(cdnv))['cdnv']"


def test_arithmetic_is_entry_by_entry():
    preset = ["nc1_pinv", "cdnv"]
    one = updated(NeuralCollapse(K, D, preset=preset), *cluster(23))
    two = updated(NeuralCollapse(K, D, preset=["cdnv", "nc1_pinv", "vci"]), *cluster(24))
    a, b = as_floats(one.compute()), as_floats(two.compute())
    assert as_floats((one - two).compute()) == pytest.approx(
        {name: a[name] - b[name] for name in a}
    )
    assert as_floats((2 * one).compute()) == pytest.approx({name: 2 * a[name] for name in a})
    ratio = (one["nc1_pinv"] / two["cdnv"]).compute()
    assert float(ratio) == pytest.approx(a["nc1_pinv"] / b["cdnv"])
    copied = pickle.loads(pickle.dumps(one["cdnv"]))
    assert float(copied.compute()) == pytest.approx(a["cdnv"])
    with pytest.raises(KeyError, match="'snc1' is none of the metrics nc1_pinv, cdnv"):
        one["snc1"]


def test_a_tracker_finds_the_best_step():
    for base in (
        NeuralCollapse(K, D)["nc1_pinv"],
        MetricCollection({"collapse": NeuralCollapse(K, D, preset=["nc1_pinv"])}),
    ):
        tracker = MetricTracker(base, maximize=False)
        for noise in (0.5, 0.1, 0.3):
            tracker.increment()
            tracker.update(*cluster(25, noise=noise))
        assert tracker.n_steps == 3
        best, step = tracker.best_metric(return_step=True)
        assert step in (1, {"nc1_pinv": 1})
        value = best if isinstance(best, float) else best["nc1_pinv"]
        assert value == pytest.approx(literal_nc1(*cluster(25, noise=0.1)), rel=1e-9)
    assert MetricTracker(NeuralCollapse(K, D)["nc1_pinv"]).maximize is False
    assert MetricTracker(NeuralCollapse(head=nn.Linear(D, K))["nc3_duality"]).maximize is False


def test_files_hold_plain_mappings(tmp_path):
    metric = updated(NeuralCollapse(K, D), *cluster(26))
    torch.save(metric.compute(), tmp_path / "values.pt")
    assert torch.load(tmp_path / "values.pt", weights_only=True) == metric.compute()


def test_a_metric_without_a_value_says_why_when_asked_alone():
    metric = updated(NeuralCollapse(K, D), *cluster(28))
    with pytest.raises(UndefinedMetricError, match="nc3_duality has no value on these data"):
        metric["nc3_duality"].compute()
