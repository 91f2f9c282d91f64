"""Every metric against a literal transcription of its formula, on four array libraries."""

import formulas as f
import numpy as np
import pytest

import ncollapse.metrics as metrics
from ncollapse.stats import ClassStats


def draw(seed, num_classes=4, dim=6, count=60, noise=0.3):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), rng.integers(0, num_classes, count)])
    means = rng.standard_normal((num_classes, dim)) + 0.5
    features = means[labels] + noise * rng.standard_normal((len(labels), dim))
    weight = means - means.mean(axis=0) + 0.5 * rng.standard_normal((num_classes, dim))
    return features, labels, weight, rng.standard_normal(num_classes)


EXPECTED = {
    "nc1_pinv": lambda c, w, b: f.nc1_pinv(c),
    "nc1_weighted": lambda c, w, b: f.nc1_weighted(c),
    "nc1_quotient": lambda c, w, b: f.nc1_quotient(c),
    "nc1_total": lambda c, w, b: f.nc1_total(c),
    "cdnv": lambda c, w, b: f.cdnv(c),
    "vci": lambda c, w, b: f.vci(c),
    "separation": lambda c, w, b: f.separation(c),
    "within_variation": lambda c, w, b: f.within_variation(c),
    "directional_collapse": lambda c, w, b: f.directional_collapse(c),
    "nc2_equinorm_means": lambda c, w, b: f.equinorm(c.m),
    "nc2_equinorm_weight": lambda c, w, b: f.equinorm(w),
    "nc2_equiangular_means": lambda c, w, b: f.equiangular(c.m),
    "nc2_equiangular_weight": lambda c, w, b: f.equiangular(w),
    "nc2_coherence_means": lambda c, w, b: f.coherence(c.m),
    "nc2_coherence_weight": lambda c, w, b: f.coherence(w),
    "nc2_etf_means": lambda c, w, b: f.etf(c.m),
    "nc2_etf_uncentred_means": lambda c, w, b: f.etf(c.mu),
    "nc2_etf_weight": lambda c, w, b: f.etf(w),
    "nc2_nearest_etf_means": lambda c, w, b: f.nearest_etf(c.m),
    "nc2_orthogonal_means": lambda c, w, b: f.orthogonal(c.mu),
    "nc2_orthogonal_directions": lambda c, w, b: f.orthogonal(f.units(c.mu)),
    "nc2_negative_part": lambda c, w, b: (
        np.linalg.norm(np.minimum(f.units(c.mu), 0)) / np.sqrt(c.K)
    ),
    "gnc2_log": lambda c, w, b: f.gnc2_log(c.m),
    "gnc2_log_spread": lambda c, w, b: f.gnc2_log_spread(c.m),
    "gnc2_distance": lambda c, w, b: f.distances(c.m).mean(),
    "gnc2_distance_spread": lambda c, w, b: f.distances(c.m).std() / f.distances(c.m).mean(),
    "gnc2_riesz": lambda c, w, b: f.gnc2_riesz(c.m, 1.0),
    "minority_collapse_angle": lambda c, w, b: min(
        np.arccos(f.cos(c.m[k], c.m[j])) for k, j in f.pairs(c.K)
    ),
    "nc3_alignment": lambda c, w, b: f.nc3_alignment(c, w),
    "nc3_alignment_centred": lambda c, w, b: f.normalised_distance(w @ c.m.T, f.simplex(c.K)),
    "nc3_duality": lambda c, w, b: f.nc3_duality(c, w),
    "nc3_projected_directions": lambda c, w, b: f.nc3_projected_directions(c, w),
    "nc3_average": lambda c, w, b: f.nc3_average(c, w),
    "nc3_cosine": lambda c, w, b: f.nc3_cosines(c, w).mean(),
    "nc3_uniform": lambda c, w, b: f.nc3_cosines(c, w).std(),
    "nc3_centre_logits": lambda c, w, b: np.linalg.norm(w @ c.mu_g + b),
    "nc4_agreement": lambda c, w, b: f.nc4_agreement(c, w, b),
    "ncc_accuracy": lambda c, w, b: f.ncc_accuracy(c),
    "classifier_accuracy": lambda c, w, b: np.mean(np.argmax(c.h @ w.T + b, axis=1) == c.y),
    "snc3": lambda c, w, b: np.linalg.norm(b - 1 / c.K),
    "effective_rank_means": lambda c, w, b: f.effective_rank(c.m),
    "stable_rank_means": lambda c, w, b: np.linalg.norm(c.m) ** 2 / np.linalg.norm(c.m, 2) ** 2,
    "nuclear_rank_means": lambda c, w, b: (
        np.linalg.norm(c.m, "nuc") ** 2 / np.linalg.norm(c.m) ** 2
    ),
    "numerical_rank_means": lambda c, w, b: np.linalg.matrix_rank(c.m),
    "effective_rank_features": lambda c, w, b: f.effective_rank(c.h - c.h.mean(axis=0)),
    "stable_rank_features": lambda c, w, b: (
        np.linalg.norm(c.h - c.h.mean(axis=0)) ** 2 / np.linalg.norm(c.h - c.h.mean(axis=0), 2) ** 2
    ),
}


def principal_angle(c, w):
    """Largest principal angle between the spaces of centred rows, from cosines (it is not
    small).
    """
    first, second = (
        np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)[2][: c.K - 1]
        for rows in (w, c.m)
    )
    return np.arccos(np.linalg.svd(first @ second.T, compute_uv=False).min())


EXPECTED["nc3_principal_angle"] = lambda c, w, b: principal_angle(c, w)
UNEQUAL = {"snc1", "snc2"}  # defined for equal class sizes only; tested on their own


def test_there_is_a_formula_for_every_metric():
    assert set(EXPECTED) == set(metrics.METRICS) - UNEQUAL


@pytest.mark.parametrize(
    "shape", [(4, 6), (7, 3), (3, 2), (2, 5)], ids=lambda s: f"K{s[0]}-D{s[1]}"
)
def test_metrics_equal_their_formulas(shape):
    features, labels, weight, bias = draw(sum(shape), *shape)
    cloud = f.Cloud(features, labels)
    found = metrics.measure(features, labels, weight=weight, bias=bias)
    assert set(found.undefined) <= UNEQUAL
    low_rank = shape[0] > shape[1]
    for name, expected in EXPECTED.items():
        if name == "nc3_principal_angle" and low_rank:
            assert found.metrics[name] == pytest.approx(0, abs=1e-7)
            continue
        if name == "nc2_nearest_etf_means" and shape[1] < shape[0] - 1:
            continue
        value = expected(cloud, weight, bias)
        assert found.metrics[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_metrics_are_the_same_in_every_library(xp):
    features, labels, weight, bias = draw(11)
    expected = metrics.measure(
        features.astype(np.float32),
        labels,
        weight=weight.astype(np.float32),
        bias=bias.astype("f4"),
    ).metrics
    arrays = [xp.asarray(value.astype(np.float32)) for value in (features, weight, bias)]
    found = metrics.measure(arrays[0], xp.asarray(labels), weight=arrays[1], bias=arrays[2])
    assert found.metrics == pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert type(found.summary.means) is type(arrays[0])


def test_strong_collapse_errors_equal_their_formulas():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(3), 5)
    features, weight = rng.standard_normal((15, 4)), rng.standard_normal((3, 4))
    summary = ClassStats.from_arrays(features, labels).finish()
    order = np.sqrt(5) * (np.eye(3) - 1 / 3)
    assert metrics.snc1(summary, weight) == pytest.approx(np.linalg.norm(weight @ weight.T - order))
    apart = features - weight[labels] / np.sqrt(5)
    expected = np.linalg.norm(apart) / np.linalg.norm(features)
    assert metrics.snc2(summary, weight) == pytest.approx(expected)


def test_strong_collapse_needs_equal_classes():
    summary = ClassStats.from_arrays(np.eye(3), np.array([0, 0, 1])).finish()
    with pytest.raises(metrics.UndefinedMetricError, match="equally large"):
        metrics.snc1(summary, np.eye(2, 3))


@pytest.mark.parametrize("exponent", [-1.0, 0.5, 2.0])
def test_riesz_energy(exponent):
    features, labels, _, _ = draw(3)
    summary = ClassStats.from_arrays(features, labels).finish()
    expected = f.gnc2_riesz(f.Cloud(features, labels).m, exponent)
    assert metrics.gnc2_riesz(summary, exponent) == pytest.approx(expected, rel=1e-12)


def test_breakdown_names_classes_and_pairs():
    features, labels, _, _ = draw(5)
    cloud = f.Cloud(features, 10 * labels)
    summary = ClassStats.from_arrays(features, 10 * labels).finish()
    rows = metrics.breakdown(summary)
    assert [row["class"] for row in rows] == [0, 10, 20, 30]
    for k, row in enumerate(rows):
        assert row["variance"] == pytest.approx(cloud.variance(k))
        assert row["mean_norm"] == pytest.approx(np.linalg.norm(cloud.m[k]))
    worst = int(np.argmax([cloud.variance(k) for k in range(4)]))
    assert metrics.least_collapsed_class(summary) == worst
    pair, value = metrics.closest_pair(summary)
    cosines = {(k, j): f.cos(cloud.m[k], cloud.m[j]) for k, j in f.pairs(4) if k < j}
    assert pair == max(cosines, key=cosines.get)
    assert value == pytest.approx(cosines[pair])
    _, cdnv_pair, largest = metrics.cdnv_pairs(summary)
    ratios = {
        (k, j): (cloud.variance(k) + cloud.variance(j))
        / (2 * np.sum((cloud.mu[k] - cloud.mu[j]) ** 2))
        for k, j in f.pairs(4)
        if k < j
    }
    assert cdnv_pair == max(ratios, key=ratios.get)
    assert largest == pytest.approx(max(ratios.values()))


def test_tiles_of_any_size_give_the_same(monkeypatch):
    features, labels, weight, bias = draw(7, num_classes=7, dim=5)
    whole = metrics.measure(features, labels, weight=weight, bias=bias).metrics
    for tile in (1, 2, 3, 6):  # 7 = 1 mod 2, 3 and 6: a last tile with a single class
        monkeypatch.setattr("ncollapse.stats._frame.TILE", tile)
        found = metrics.measure(features, labels, weight=weight, bias=bias).metrics
        assert found == pytest.approx(whole, rel=1e-9, abs=1e-12)
