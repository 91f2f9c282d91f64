"""Exact cases, invariances, degenerate limits, and mistakes that other implementations make."""

import tracemalloc
from pathlib import Path

import formulas as f
import numpy as np
import pytest

import ncollapse.metrics as metrics
from ncollapse.data import Dataset
from ncollapse.geometry import orthogonal_frame, simplex_etf
from ncollapse.metrics import registry
from ncollapse.stats import ClassStats, ClassSummary


def collapsed(means, copies=5):
    labels = np.repeat(np.arange(len(means)), copies)
    return means[labels], labels


def summary_of(features, labels, **options) -> ClassSummary:
    return ClassStats.from_arrays(features, labels, **options).finish()


def cloud(seed, num_classes=4, dim=6, count=80):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, count)])
    means = rng.standard_normal((num_classes, dim))
    return means[labels] + 0.2 * rng.standard_normal((len(labels), dim)), labels, means


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (4, 4), (10, 16)], ids=str)
def test_simplex_etf_is_full_collapse(shape):
    num_classes, dim = shape
    etf = simplex_etf(num_classes, dim, seed=0)
    features, labels = collapsed(etf + 3.0)
    bias = -5 * etf @ np.full(dim, 3.0)  # undoes the shift of the means
    found = metrics.measure(features, labels, weight=5 * etf, bias=bias).metrics
    for name, metric in metrics.METRICS.items():
        if name == "nc3_alignment" or metric.collapsed is None or name not in found:
            continue
        if name == "nc2_etf_uncentred_means":
            continue
        assert found[name] == pytest.approx(metric.collapsed, abs=1e-7), name
    tight = ("nc1_pinv", "nc2_etf_weight", "nc2_equiangular_means", "nc3_average", "cdnv")
    for name in tight:
        assert abs(found[name]) < 3e-14, name
    centred = metrics.measure(*collapsed(etf), weight=etf).metrics
    assert centred["nc3_alignment"] < 1e-14
    assert centred["nc2_coherence_means"] == pytest.approx(1 / (num_classes - 1))
    assert centred["effective_rank_means"] == pytest.approx(num_classes - 1)
    assert centred["gnc2_log"] == pytest.approx(-0.5 * np.log(2 * num_classes / (num_classes - 1)))


def test_orthogonal_frame_is_collapse_of_relu_features():
    frame = np.abs(orthogonal_frame(4, 9))
    features, labels = collapsed(frame * np.array([[1.0], [2.0], [0.5], [3.0]]))
    lengths = np.tile([0.5, 1.0, 2.0, 1.5, 0.7], 4)
    weight = metrics_weight(frame, np.array([0.4, 0.1, 0.3, 0.2]))
    found = metrics.measure(features * lengths[:, None], labels, weight=weight, preset="min2025")
    assert found.metrics["directional_collapse"] < 1e-15
    assert found.metrics["nc2_orthogonal_directions"] < 1e-15
    assert found.metrics["nc2_negative_part"] == 0
    assert found.metrics["nc3_projected_directions"] < 1e-15
    assert found.metrics["nc1_quotient"] > 0.01
    equal = metrics.measure(*collapsed(frame), preset=["nc2_orthogonal_means"]).metrics
    assert equal["nc2_orthogonal_means"] < 1e-15


def metrics_weight(frame, masses):
    centring = np.eye(len(frame)) - 1 / len(frame)
    return np.sqrt(len(frame) / (len(frame) - 1)) * centring @ (masses[:, None] * frame)


def test_four_directions_of_the_plane_are_not_equiangular():
    cross = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    summary = summary_of(*collapsed(cross))
    assert metrics.nc2_equiangular_means(summary) == pytest.approx(4 / 9, rel=1e-14)
    signed = np.mean([f.cos(cross[k], cross[j]) + 1 / 3 for k, j in f.pairs(4)])
    assert signed == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("seed", [0, 1])
def test_rotation_scale_and_order_do_not_matter(seed):
    features, labels, means = cloud(seed)
    weight = means + 0.1
    rng = np.random.default_rng(seed)
    names = [n for n in metrics.METRICS if n not in {"nc2_negative_part", "snc1", "snc2", "snc3"}]
    base = metrics.measure(features, labels, weight=weight, preset=names).metrics
    rotation = orthogonal_frame(6, 6, seed=seed)
    turned = metrics.measure(features @ rotation, labels, weight=weight @ rotation, preset=names)
    assert turned.metrics == pytest.approx(base, rel=1e-8)
    scaled = metrics.measure(1e3 * features, labels, weight=1e-2 * weight, preset=names).metrics
    scaled["nc3_centre_logits"] /= 10
    assert scaled == pytest.approx(base, rel=1e-8)
    order = rng.permutation(4)
    renamed = metrics.measure(
        features, order[labels], weight=weight[np.argsort(order)], preset=names
    )
    assert renamed.metrics == pytest.approx(base, rel=1e-8)
    shuffle = rng.permutation(len(labels))
    mixed = metrics.measure(features[shuffle], labels[shuffle], weight=weight, preset=names).metrics
    assert mixed == pytest.approx(base, rel=1e-8)


def test_no_between_class_direction_is_dropped_when_classes_are_as_many_as_dimensions():
    """A float32 pseudo-inverse cuts genuine directions off: 32 % to 97 % too low."""
    rng = np.random.default_rng(0)
    size = 150
    means = rng.standard_normal((size, size))
    signs = rng.choice([-1.0, 1.0], (size, size))
    features = np.concatenate([means + 0.01 * signs, means - 0.01 * signs]).astype(np.float32)
    labels = np.tile(np.arange(size), 2)
    expected = f.nc1_pinv(f.Cloud(features, labels))
    found = metrics.nc1_pinv(summary_of(features, labels))
    assert found == pytest.approx(expected, rel=1e-5)
    c = f.Cloud(features, labels)
    narrow = np.linalg.pinv(c.between().astype(np.float32), rcond=1e-4)
    assert np.trace(c.within() @ narrow) / size < 0.9 * expected


@pytest.mark.parametrize("shape", [(12, 3), (5, 5), (3, 12), (6, 5)], ids=str)
def test_nc1_at_any_shape(shape):
    features, labels, _ = cloud(1, *shape)
    expected = f.nc1_pinv(f.Cloud(features, labels))
    assert metrics.nc1_pinv(summary_of(features, labels)) == pytest.approx(expected, rel=1e-9)


def test_the_bias_counts_in_nc4():
    features, labels = collapsed(simplex_etf(3))
    bias = np.array([100.0, 0, 0])
    without = metrics.measure(features, labels, weight=simplex_etf(3), preset=["nc4_agreement"])
    found = metrics.measure(
        features, labels, weight=simplex_etf(3), bias=bias, preset=["nc4_agreement"]
    )
    assert without.metrics["nc4_agreement"] == 1
    assert found.metrics["nc4_agreement"] == pytest.approx(1 / 3)


def test_nc4_on_another_split_is_against_the_training_means():
    train, labels, means = cloud(3)
    summary = summary_of(train, labels)
    test = np.random.default_rng(4).standard_normal((50, 6))
    second = metrics.SampleStats(summary, means, np.zeros(4)).update(test, np.zeros(50, dtype=int))
    decided = np.argmax(test @ means.T, axis=1)
    distances = np.linalg.norm(test[:, None] - f.Cloud(train, labels).mu[None], axis=2)
    found = second.finish()
    assert metrics.nc4_agreement(found) == np.mean(decided == distances.argmin(axis=1))
    assert metrics.nc4_agreement_per_class(found) == {0: metrics.nc4_agreement(found)}


def test_the_global_mean_is_that_of_class_means_whatever_the_class_sizes():
    features, labels, _ = cloud(5)
    keep = (labels != 0) | (np.arange(len(labels)) < 8)
    summary = summary_of(features[keep], labels[keep])
    assert np.allclose(summary.global_mean, summary.means.mean(axis=0), atol=1e-14)
    assert not np.allclose(summary.global_mean, features[keep].mean(axis=0), atol=1e-3)


def test_empty_classes_take_no_part():
    features, labels, means = cloud(6)
    spread = ClassStats(6, 6, classes=[7, 0, 1, 2, 3, 9])
    spread.update(features, labels)
    weight = np.vstack([np.ones(6), means, np.ones(6)])
    with_empty = metrics.compute(spread.finish(), weight=weight)
    without = metrics.compute(summary_of(features, labels), weight=means)
    of_weight = {n for n, m in metrics.METRICS.items() if m.needs in ("weight", "bias")}
    assert set(with_empty) == set(without)
    for name in set(with_empty) - of_weight:
        assert with_empty[name] == pytest.approx(without[name], rel=1e-12), name
    second = metrics.SampleStats(spread.finish(), weight)
    second.update(features, labels)
    plain = metrics.SampleStats(summary_of(features, labels))
    plain.update(features, labels)
    assert metrics.ncc_accuracy(second.finish()) == metrics.ncc_accuracy(plain.finish())
    with pytest.raises(ValueError, match="row 1 is a class of which the summary has no samples"):
        second.update(features[:2], np.array([0, 9]))


def test_a_row_of_an_empty_class_takes_no_part_in_nc4():
    features, labels = collapsed(simplex_etf(3))
    weight = np.vstack([simplex_etf(3), 100 * np.ones(3)])
    stats = ClassStats(4, 3).update(features + 1, labels)
    bias = np.array([0, 0, 0, 50.0])
    second = metrics.SampleStats(stats.finish(), weight, bias).update(features + 1, labels)
    samples = second.finish()
    assert metrics.nc4_agreement(samples) == 1
    assert metrics.classifier_accuracy(samples) == 0  # the network itself answers the fourth class


def test_between_scatter_is_not_total_scatter():
    features, labels = collapsed(simplex_etf(3, 8), copies=4)
    noisy = features + 1e-6 * np.random.default_rng(0).standard_normal(features.shape)
    assert metrics.nc1_pinv(summary_of(noisy, labels)) < 1e-10


def test_a_batch_of_one_sample():
    features, labels, means = cloud(7)
    whole = metrics.measure(features, labels, weight=means).metrics
    ones = [(features[i : i + 1], labels[i : i + 1]) for i in range(len(labels))]
    assert metrics.measure(ones, weight=means).metrics == pytest.approx(whole, rel=1e-9, abs=1e-13)


def test_one_sample_per_class_has_no_variation_within():
    summary = summary_of(np.random.default_rng(0).standard_normal((4, 6)), np.arange(4))
    assert metrics.nc1_pinv(summary) == metrics.cdnv(summary) == 0
    assert metrics.directional_collapse(summary) == 0


def test_one_class_leaves_most_metrics_undefined_with_a_reason():
    features = np.random.default_rng(0).standard_normal((5, 3))
    found = metrics.measure(features, np.zeros(5, dtype=int), weight=np.ones((1, 3)))
    assert "nc1_pinv" in found.undefined
    assert "at least 2 classes" in found.undefined["nc2_equiangular_means"]
    assert found.metrics["directional_collapse"] > 0
    assert all(np.isfinite(list(found.metrics.values())))


def test_coinciding_means_are_named():
    features = np.array([[1.0, 0], [1, 0], [0, 1]])
    summary = summary_of(features, np.array([4, 5, 6]))
    with pytest.raises(metrics.UndefinedMetricError, match=r"\(0, 1\) coincide"):
        metrics.cdnv(summary)
    with pytest.raises(metrics.UndefinedMetricError, match="coincide"):
        metrics.gnc2_log(summary)
    with pytest.raises(metrics.UndefinedMetricError, match="infinite"):
        metrics.gnc2_riesz(summary, 2.0)
    assert metrics.minority_collapse_angle(summary) == 0
    assert np.isfinite(metrics.gnc2_distance(summary))


def test_all_samples_equal():
    summary = summary_of(np.ones((4, 3)), np.array([0, 0, 1, 1]))
    for metric in (metrics.nc1_pinv, metrics.nc1_quotient, metrics.nc1_total, metrics.vci):
        with pytest.raises(metrics.UndefinedMetricError):
            metric(summary)


def test_zero_features_count_with_cosine_zero():
    features = np.array([[1.0, 0], [0, 0], [2, 0], [0, 3.0]])
    summary = summary_of(features, np.array([0, 0, 0, 1]))
    assert summary.zero_counts.tolist() == [1, 0]
    assert metrics.directional_collapse(summary) == pytest.approx(1 / 4, rel=1e-14)
    all_zero = summary_of(np.zeros((2, 2)), np.array([0, 1]))
    with pytest.raises(metrics.UndefinedMetricError, match="class index 0 is zero"):
        metrics.directional_collapse(all_zero)


def test_principal_angle_of_spaces_of_different_rank():
    """The smaller space (here that of W, one direction) against the larger one: angle 0.3."""
    means = np.array([[1.0, 0, 0], [0, 1.0, 0], [-1, -1, 0]])
    direction = np.array([np.cos(0.3), 0, np.sin(0.3)])
    weight = np.array([[1.0], [0], [-1]]) * direction
    summary = summary_of(means, np.arange(3))
    assert metrics.nc3_principal_angle(summary, weight) == pytest.approx(0.3, rel=1e-12)
    flat = summary_of(weight, np.arange(3))
    assert metrics.nc3_principal_angle(flat, means) == pytest.approx(0.3, rel=1e-12)


def test_the_closest_pair_may_be_at_a_negative_cosine():
    """Three directions 150°, 100° and 110° apart, with the lengths that make their sum zero."""
    angles, lengths = np.deg2rad([0, 150, 250]), np.sin(np.deg2rad([100, 110, 150]))
    means = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    pair, cosine = metrics.closest_pair(summary_of(*collapsed(means)))
    assert pair == (1, 2)
    assert cosine == pytest.approx(np.cos(np.deg2rad(100)))
    assert metrics.closest_pair(summary_of(np.eye(2), np.arange(2)))[1] == pytest.approx(-1)


def test_riesz_kernel_of_high_exponent_does_not_overflow():
    """‖u − v‖^−510 is 10^150 and more for neighbours: too large for float32."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((20, 512)).astype(np.float32)
    means[1] = means[0] + 0.01 * means[1]
    summary = summary_of(means, np.arange(20))
    nearest = f.distances(f.Cloud(means, np.arange(20)).m).min()
    value = metrics.gnc2_riesz(summary, 510.0)
    expected = -np.log(nearest) + np.log(2 / (20 * 19)) / 510
    assert value == pytest.approx(expected, rel=1e-9)


def test_directions_of_nearly_equal_means_keep_their_angle():
    means = np.array([[1.0, 0, 0], [1.0, 1e-9, 0], [0, 0, 1.0]])
    summary = summary_of(means, np.arange(3))
    exact = f.distances(f.Cloud(means, np.arange(3)).m).min()
    assert metrics.minority_collapse_angle(summary) == pytest.approx(exact, rel=1e-6)
    assert metrics.cdnv(summary) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": np.ones((4, 5))}, "weight must be .classes, features. = .4, 6."),
        ({"weight": np.ones(4)}, "weight must be"),
        ({"weight": np.full((4, 6), np.nan)}, "weight must be finite, but row 0"),
        ({"weight": np.ones((4, 6)), "bias": np.ones(3)}, "bias must have shape"),
        ({"preset": "nobody1999"}, "preset must be one of papyan2020"),
        ({"preset": ["nc9"]}, "there is no metric nc9"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    features, labels, _ = cloud(8)
    with pytest.raises(ValueError, match=message):
        metrics.measure(features, labels, **arguments)


def test_labels_of_any_kind_give_the_same_numbers():
    features, labels, means = cloud(13)
    base = metrics.measure(features, labels, weight=means)
    names = np.array(["elk", "ant", "cat", "bee"])
    order = np.argsort(names)
    for named, options in (
        (names[labels], {"classes": names}),
        (names[labels].tolist(), {"classes": names.tolist()}),
        (labels, {"classes": names}),
    ):
        measured = metrics.measure(features, named, weight=means, **options)
        assert measured.metrics == base.metrics
        assert measured.classes == ("elk", "ant", "cat", "bee")
    unordered = metrics.measure(features, names[labels])
    assert unordered.classes == tuple(names[order])
    assert unordered.metrics["nc1_pinv"] == pytest.approx(base.metrics["nc1_pinv"], rel=1e-12)
    assert unordered.to_dict()["classes"] == sorted(names)
    two = labels < 2
    assert metrics.measure(features, two).classes == (0, 1)
    batches = [(features[:0], labels[:0]), (features, labels), (features[:0], [])]
    assert metrics.measure(batches, weight=means).metrics == base.metrics


def test_a_data_set_is_its_arrays():
    features, labels, means = cloud(14)
    data = Dataset.from_arrays(features, 3 * labels)
    measured = metrics.measure(data, weight=means)
    assert measured.metrics == metrics.measure(features, labels, weight=means).metrics
    assert measured.classes == metrics.measure(data).classes == (0, 3, 6, 9)
    with pytest.raises(TypeError, match="labels are part of the data set"):
        metrics.measure(data, labels)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((6, 2)).tolist(), [0] * 6), TypeError, "features must be an array of NumPy"),
        ((np.ma.ones((6, 2)), [0] * 6), TypeError, "features must not be masked"),
        ((np.ones((6, 2)), np.ma.zeros(6, dtype=int)), TypeError, "labels must not be masked"),
        ((np.ones((6, 2)), np.zeros(6)), TypeError, "integers, booleans or strings"),
        ((np.ones((0, 2)), []), ValueError, "hold no samples"),
        (([],), ValueError, "hold no samples"),
        (([np.ones((6, 2))],), TypeError, "batch 0 is a ndarray"),
        ((np.ones((6, 2)).tolist(),), TypeError, "features must be an array"),
        (({"features": 1},), TypeError, "batch 0 is a str"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, error, message):
    with pytest.raises(error, match=message):
        metrics.measure(*arguments)


def test_a_transposed_weight_is_called_so():
    features, labels, means = cloud(15)
    message = r"weight must be .* = \(4, 6\) .* its shape is \(6, 4\): it is transposed"
    with pytest.raises(ValueError, match=message):
        metrics.compute(summary_of(features, labels), weight=means.T)
    with pytest.raises(ValueError, match=r"its shape is \(6, 4\): it is transposed"):
        metrics.measure(features, labels, weight=means.T)
    with pytest.raises(TypeError, match="weight must be an array, but it is a list"):
        metrics.measure(features, labels, weight=means.tolist())


def test_moving_all_features_changes_only_the_uncentred_alignment():
    features, labels, means = cloud(16)
    for name, changes in (("nc3_alignment", True), ("nc3_alignment_centred", False)):
        values = [
            metrics.measure(x, labels, weight=means, preset=[name]).metrics[name]
            for x in (features, features + 100)
        ]
        assert (abs(values[1] - values[0]) > 0.1) == changes


def test_uniform_duality_does_not_see_scales():
    features, labels, means = cloud(17)
    weight = means + np.random.default_rng(17).standard_normal(means.shape)
    base, doubled = (
        metrics.nc3_uniform(summary_of(scale * features, labels), weight) for scale in (1, 2)
    )
    assert doubled == pytest.approx(base, rel=1e-12)
    c = f.Cloud(features, labels)
    raw, twice = (np.var(np.sum(weight * scale * c.m, axis=1)) for scale in (1, 2))
    assert twice == pytest.approx(4 * raw)


def test_an_iterator_that_is_spent_is_refused():
    features, labels, _ = cloud(9)
    with pytest.raises(TypeError, match="once only"):
        metrics.measure(iter([(features, labels)]))
    with pytest.raises(ValueError, match="no samples"):
        metrics.measure([], weight=np.ones((2, 2)))


def test_the_other_pass_sees_the_same_samples():
    features, labels, means = cloud(10)
    batches = [[(features, labels)], [(features[:5], labels[:5])]]
    with pytest.raises(ValueError, match="second pass over features gave 5 samples"):
        metrics.measure(lambda: iter(batches.pop(0)), weight=means)


def test_presets_hold_known_metrics_and_every_paper():
    papers = {"papyan2020", "mixon2022", "ji2022", "hong2025", "min2025", "wu2024", "all"}
    assert set(metrics.PRESETS) == papers
    for names in metrics.PRESETS.values():
        assert set(names) <= set(metrics.METRICS)


def test_a_second_pass_is_made_only_when_needed():
    features, labels, means = cloud(11)
    passes = []

    def batches():
        passes.append(1)
        return iter([(features, labels)])

    metrics.measure(batches, weight=means, preset="hong2025")
    assert len(passes) == 1
    metrics.measure(batches, weight=means, preset="papyan2020")
    assert len(passes) == 3


def test_record_is_ready_for_json():
    features, labels, means = cloud(12)
    record = metrics.measure(features, labels + 5, weight=means, classes=range(5, 9)).to_dict()
    assert record["classes"] == [5, 6, 7, 8]
    assert record["num_samples"] == len(labels)
    assert record["num_classes"] == 4
    assert record["preset"] == "all"
    assert list(record["metrics"]) == sorted(record["metrics"])


def test_the_manual_has_the_table_that_the_metrics_declare():
    text = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert metrics.metric_table() in text, "run python docs/metrics_table.py"


def test_a_metric_is_declared_where_it_is_defined(monkeypatch):
    monkeypatch.setattr(registry, "METRICS", {})
    monkeypatch.setattr(registry, "PRESETS", {})

    @metrics.metric("how large; 0: nothing", needs="weight", collapsed=None, presets=("a2020",))
    def size(weight):
        """‖W‖_F | of the weight
        (a2020).

        More.
        """
        return float(np.linalg.norm(weight))

    assert registry.METRICS["size"].function(np.eye(1)) == size(np.eye(1)) == 1
    assert registry.PRESETS == {"a2020": ("size",), "all": ("size",)}
    assert metrics.metric_table().endswith("| `size` | ‖W‖_F ∣ of the weight (a2020) | W | — |")


def peak_bytes(run):
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_many_classes_form_no_square_of_classes(monkeypatch):
    monkeypatch.setattr("ncollapse.stats._frame.TILE", 128)
    count, dim = 2000, 4
    rng = np.random.default_rng(0)
    means, weight = rng.standard_normal((2, count, dim))
    summary = summary_of(means, np.arange(count))
    names = ["nc1_pinv", "nc2_etf_means", "nc3_alignment", "nc2_equiangular_means", "gnc2_riesz"]
    peak = peak_bytes(lambda: metrics.compute(summary, preset=names, weight=weight))
    assert peak < count**2 * 8 / 4


def test_statistics_form_no_matrix_per_class_or_sample():
    count, dim = 2000, 128
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((count, dim)), rng.integers(0, 200, count)
    peak = peak_bytes(lambda: summary_of(features, labels, buffer_rows=256))
    assert peak < 200 * dim * dim * 8 / 4


@pytest.mark.parametrize("size", [1e-21, 1e19, 1e-30])
def test_float32_features_of_any_size_give_the_same_numbers(size):
    features, labels, means = cloud(18)
    features, means = features.astype(np.float32), means.astype(np.float32)
    names = [n for n in metrics.METRICS if n not in {"nc3_centre_logits", "snc1", "snc2", "snc3"}]
    base, scaled = (
        metrics.measure(np.float32(factor) * features, labels, weight=means, preset=names)
        for factor in (1, size)
    )
    assert base.metrics["cdnv"] > 0.01
    assert scaled.metrics == pytest.approx(base.metrics, rel=1e-5)


def test_few_samples_of_many_features_form_no_square_of_features():
    count, dim = 40, 12_000
    rng = np.random.default_rng(19)
    labels = np.arange(count) % 4
    features, weight = rng.standard_normal((count, dim)), rng.standard_normal((4, dim))
    shared = {"labels": labels, "weight": weight}
    peak = peak_bytes(lambda: metrics.measure(features.astype(np.float32), **shared))
    assert peak < dim**2 * 8 / 4
    narrow = [n for n in metrics.METRICS if n not in {"snc1", "snc2", "snc3"}]
    basis = np.linalg.qr(np.vstack([features, weight]).T)[0]  # all that there is lies in its span
    small = metrics.measure(features @ basis, labels, weight=weight @ basis, preset=narrow)
    assert small.summary.within.rows is None
    wide = metrics.measure(features, labels, weight=weight, preset=narrow).metrics
    for name in set(narrow) - {"nc2_negative_part"}:
        assert wide[name] == pytest.approx(small.metrics[name], rel=1e-8, abs=1e-10), name
    scores = metrics.neco_scores(summary_of(features, labels), features)
    expected = metrics.neco_scores(small.summary, features @ basis)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
