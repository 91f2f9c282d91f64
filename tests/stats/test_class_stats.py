"""One pass against two, in any batches, merged in any tree, at any degree of collapse."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncollapse.metrics import directional_collapse, nc1_pinv
from ncollapse.stats import ClassStats, _finish, _merge
from ncollapse.stats._summary import Scatter


def two_pass(features, labels, num_classes):
    """Counts, means, pooled scatter, variances and directional variation, sample by sample."""
    h = np.asarray(features, dtype=np.float64)
    counts = np.bincount(labels, minlength=num_classes)
    means = np.array(
        [h[labels == k].mean(axis=0) if counts[k] else 0 * h[0] for k in range(num_classes)]
    )
    apart = h - means[labels]
    scatter = sum(np.outer(x, x) for x in apart) / len(h)
    variances, directional = np.zeros(num_classes), np.zeros(num_classes)
    for x, y, sample in zip(apart, labels, h, strict=True):
        variances[y] += x @ x / counts[y]
        norms = np.linalg.norm(sample) * np.linalg.norm(means[y])
        directional[y] += (1 - sample @ means[y] / norms if norms else 1.0) / counts[y]
    return counts, means, scatter, variances, directional


def draw(seed, num_classes=5, dim=4, count=70, dtype=np.float64):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, count)
    means = 2 * rng.standard_normal((num_classes, dim))
    features = means[labels] + 0.3 * rng.standard_normal((count, dim))
    features *= rng.uniform(0.5, 2, (count, 1))
    features[rng.integers(0, count, 2)] = 0
    return features.astype(dtype), labels


def check(summary, expected, tolerance):
    found = (
        summary.counts,
        summary.means,
        summary.within_scatter,
        summary.class_variances,
        summary.class_directional,
    )
    for one, other in zip(found, expected, strict=True):
        other = np.asarray(other)
        scale = max(np.abs(other).max(), 1e-300)
        np.testing.assert_allclose(np.asarray(one), other, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("batch", [1, 7, 70])
@pytest.mark.parametrize("buffer_rows", [1, 16, None])
def test_equals_two_passes_in_any_batches(dtype, batch, buffer_rows):
    features, labels = draw(0, dtype=dtype)
    stats = ClassStats(5, 4, buffer_rows=buffer_rows)
    for start in range(0, len(labels), batch):
        stats.update(features[start : start + batch], labels[start : start + batch])
    tolerance = 1e-14 if dtype == np.float64 else 1e-6
    check(stats.finish(), two_pass(features, labels, 5), tolerance)


@pytest.mark.parametrize("num_classes", [3, 40, 500], ids=lambda k: f"K{k}")
def test_every_array_library(xp, num_classes):
    """Few classes, some, and more than there are samples: three ways to sum by class."""
    features, labels = draw(1, num_classes=num_classes, count=200, dtype=np.float32)
    first, second = ClassStats(num_classes, 4, buffer_rows=64), ClassStats(num_classes, 4)
    for start in range(0, 96, 32):  # of one shape: JAX compiles for each
        cut = slice(start, start + 32)
        first.update(xp.asarray(features[cut]), xp.asarray(labels[cut]))
    second.update(xp.asarray(features[96:]), xp.asarray(labels[96:]))
    summary = first.merge(second).finish()
    assert type(summary.means) is type(xp.asarray(features))
    assert "float64" in str(summary.means.dtype)
    assert "int64" in str(summary.counts.dtype)
    check(summary, two_pass(features, labels, num_classes), 2e-6)


def test_class_scatter_in_every_array_library(xp):
    features, labels = draw(2, dtype=np.float32)
    parts = [ClassStats(5, 4, per_class_scatter=True) for _ in range(2)]
    for part, cut in zip(parts, (slice(0, 30), slice(30, 70)), strict=True):
        part.update(xp.asarray(features[cut]), xp.asarray(labels[cut]))
    summary = parts[0].merge(parts[1]).finish()
    for k in range(5):
        _, _, expected, _, _ = two_pass(features[labels == k], np.zeros(sum(labels == k), int), 1)
        np.testing.assert_allclose(np.asarray(summary.class_scatter)[k], expected, atol=2e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), count=st.integers(1, 40), classes=st.integers(1, 6), dim=st.integers(1, 5))
def test_merged_in_any_tree(data, count, classes, dim):
    seed = data.draw(st.integers(0, 10**6), label="seed")
    features, labels = draw(seed, classes, dim, count)
    owner = np.array(data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)))
    pile = []
    for part in range(6):
        stats = ClassStats(classes, dim, buffer_rows=data.draw(st.integers(1, 8)))
        pile.append(stats.update(features[owner == part], labels[owner == part]))
    while len(pile) > 1:
        i = data.draw(st.integers(0, len(pile) - 1), label="from")
        taken = pile.pop(i)
        pile[data.draw(st.integers(0, len(pile) - 1), label="into")].merge(taken)
    check(pile[0].finish(), two_pass(features, labels, classes), 1e-12)


def near_collapse(level, seed=0, num_classes=10, dim=512, copies=40, outlier=0.0):
    """float32 features with nc1 about ``level``, means of norm 10 to 100, and an outlying first
    sample.
    """
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((num_classes, dim))
    means *= rng.uniform(10, 100, (num_classes, 1)) / np.linalg.norm(means, axis=1, keepdims=True)
    labels = np.tile(np.arange(num_classes), copies)
    noise = np.sqrt(level) * 60 / np.sqrt(dim) * rng.standard_normal((len(labels), dim))
    noise[:num_classes] *= 1 + outlier
    features = (means[labels] + noise).astype(np.float32)
    return features, labels


def exact_nc1(features, labels):
    h = features.astype(np.float64)
    means = np.array([h[labels == k].mean(axis=0) for k in range(labels.max() + 1)])
    centred = means - means.mean(axis=0)
    values, left = np.linalg.eigh(centred @ centred.T)
    kept = values > 1e-10 * values.max()
    directions = centred.T @ left[:, kept] / np.sqrt(values[kept])
    projected = (h - means[labels]) @ directions
    return float(np.sum((projected**2).mean(axis=0) / values[kept]))


@pytest.mark.parametrize("outlier", [0.0, 100.0], ids=["plain", "outlier"])
@pytest.mark.parametrize("level", [1e-2, 1e-6, 1e-10, 1e-12, 1e-13])
def test_float32_features_at_collapse(level, outlier):
    features, labels = near_collapse(level, outlier=outlier)
    summary = ClassStats.from_arrays(features, labels).finish()
    assert nc1_pinv(summary) == pytest.approx(exact_nc1(features, labels), rel=1e-4)


def test_unshifted_sums_would_fail_that():
    features, labels = near_collapse(1e-10)
    hot = np.eye(10, dtype=np.float32)[labels]
    means = hot.T @ features / 40
    naive = features.T @ features / 400 - means.T @ means / 10
    centred = means.astype(np.float64) - means.mean(axis=0)
    found = np.trace(naive @ np.linalg.pinv(centred.T @ centred / 10, rcond=1e-10)) / 10
    assert abs(found / exact_nc1(features, labels) - 1) > 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("angle", [1e-3, 1e-5, 1e-7])
def test_directions_collapse_though_lengths_do_not(angle, dtype):
    """min2025: features of a class on one ray, at different lengths; 1 − cos down to 1e-14."""
    if dtype == np.float32 and angle < 1e-6:
        angle = 3e-7  # float32 features resolve no smaller angles
    rng = np.random.default_rng(3)
    rays = np.abs(rng.standard_normal((3, 20)))
    labels = rng.integers(0, 3, 300)
    noise = rng.standard_normal((300, 20))
    features = rays[labels] * (1 + angle * noise) * rng.uniform(0.3, 3, (300, 1))
    features = features.astype(dtype)
    h = features.astype(np.longdouble)
    means = np.array([h[labels == k].mean(axis=0) for k in range(3)])
    units = h / np.sqrt((h**2).sum(axis=1, keepdims=True))
    centres = means / np.sqrt((means**2).sum(axis=1, keepdims=True))
    exact = float((((units - centres[labels]) ** 2).sum(axis=1) / 2).mean())
    halves = [
        ClassStats(3, 20).update(features[cut], labels[cut])
        for cut in (slice(150), slice(150, 300))
    ]
    found = directional_collapse(halves[0].merge(halves[1]).finish())
    assert found == pytest.approx(exact, rel=1e-3)
    assert exact < 10 * angle**2


@pytest.mark.parametrize("library", ["numpy", "torch", "jax.numpy"])
def test_half_precision_is_computed_in_float32(library):
    xp = pytest.importorskip(library)
    features, labels = draw(4)
    half = features.astype(np.float16)
    summary = ClassStats(5, 4).update(xp.asarray(half), xp.asarray(labels)).finish()
    check(summary, two_pass(half, labels, 5), 1e-6)


def test_labels_of_any_value_are_mapped_and_the_mapping_is_kept(xp):
    features, labels = draw(5, dtype=np.float32)
    values = np.array([100, -7, 3, 12, 5])
    stats = ClassStats(5, 4, classes=values)
    summary = stats.update(xp.asarray(features), xp.asarray(values[labels])).finish()
    assert summary.classes == (100, -7, 3, 12, 5)
    check(summary, two_pass(features, labels, 5), 1e-6)
    found = ClassStats.from_arrays(xp.asarray(features), xp.asarray(values[labels])).finish()
    assert found.classes == (-7, 3, 5, 12, 100)


def test_given_reference_makes_states_additive():
    features, labels = draw(6)
    reference = np.random.default_rng(0).standard_normal((5, 4))
    cuts = (slice(0, 33), slice(33, 70))
    parts = [ClassStats(5, 4, reference=reference).update(features[c], labels[c]) for c in cuts]
    states = [part.state_dict() for part in parts]
    added = {k: v + states[1][k] if k != "reference" else v for k, v in states[0].items()}
    loaded = ClassStats(5, 4, reference=reference).load_state_dict(added)
    check(loaded.finish(), two_pass(features, labels, 5), 1e-12)


def test_state_goes_through_pickle_copy_and_dictionary():
    features, labels = draw(7)
    stats = ClassStats(5, 4).update(features[:40], labels[:40])
    again = [
        ClassStats(5, 4).load_state_dict(stats.state_dict()),
        copy.deepcopy(stats),
        pickle.loads(pickle.dumps(stats)),
    ]
    for twin in again:
        twin.update(features[40:], labels[40:])
        check(twin.finish(), two_pass(features, labels, 5), 1e-13)
    check(stats.finish(), two_pass(features[:40], labels[:40], 5), 1e-13)


def test_finish_may_be_followed_by_updates():
    features, labels = draw(8)
    stats = ClassStats(5, 4).update(features[:40], labels[:40])
    early = stats.finish()
    stats.update(features[40:], labels[40:])
    check(early, two_pass(features[:40], labels[:40], 5), 1e-13)
    check(stats.finish(), two_pass(features, labels, 5), 1e-13)


def test_merging_leaves_the_other_as_it_was():
    features, labels = draw(9)
    mine, other = ClassStats(5, 4), ClassStats(5, 4).update(features[:40], labels[:40])
    mine.merge(other).update(features[40:], labels[40:])
    check(other.finish(), two_pass(features[:40], labels[:40], 5), 1e-13)
    check(mine.finish(), two_pass(features, labels, 5), 1e-13)


def test_features_are_not_written_to_nor_kept():
    features, labels = draw(10)
    before = features.copy()
    stats = ClassStats(5, 4).update(features, labels)
    np.testing.assert_array_equal(features, before)
    features[:] = 99
    check(stats.finish(), two_pass(before, labels, 5), 1e-13)


def test_no_gradient_is_recorded():
    torch = pytest.importorskip("torch")
    features = torch.ones((4, 3), requires_grad=True)
    stats = ClassStats(2, 3).update(features * 2, torch.tensor([0, 1, 0, 1]))
    assert not stats.finish().means.requires_grad


def test_jax_stays_as_the_caller_set_it():
    jax = pytest.importorskip("jax")
    ClassStats.from_arrays(jax.numpy.ones((4, 3)), jax.numpy.asarray([0, 1, 0, 1])).finish()
    assert jax.numpy.ones(1).dtype == "float32"


def test_counts_are_exact_and_int64():
    features = np.ones((3, 1), dtype=np.float32)
    stats = ClassStats(1, 1)
    stats.update(features, np.zeros(3, dtype=np.int8))
    state = stats.state_dict()
    state["counts"] = state["counts"] + 2**40
    summary = ClassStats(1, 1).load_state_dict(state).finish()
    assert summary.counts.tolist() == [2**40 + 3]


BAD = [
    (np.ones(4), [0], ValueError, "features must be a matrix"),
    (np.ones((2, 3)), [0, 1], ValueError, r"must have 4 columns, but their shape is \(2, 3\)"),
    (np.ones((2, 4), dtype=int), [0, 1], TypeError, "dtype is int64"),
    ([[1.0] * 4], [0], TypeError, "features must be an array"),
    (np.ones((2, 4)), [0, 1, 2], ValueError, "labels has 3 entries for 2 samples"),
    (np.ones((2, 4)), [0.0, 1.0], TypeError, "labels must hold integers"),
    (np.ones((2, 4)), [0, 5], ValueError, "labels must be 0 … 4, but row 1 is 5"),
    (np.ones((2, 4)), [0, -1], ValueError, "row 1 is -1"),
    (np.array([[0.0] * 4, [np.nan] * 4]), [0, 1], ValueError, "features must be finite, but row 1"),
    (np.array([[0.0] * 4, [np.inf] * 4]), [0, 0], ValueError, "features must be finite, but row 1"),
    (np.full((2, 4), 1e200), [0, 1], ValueError, "size 1.0e.200, whose fourth power is beyond"),
    (np.ma.ones((2, 4)), [0, 1], TypeError, "features must not be masked"),
]


@pytest.mark.parametrize(("features", "labels", "error", "message"), BAD)
def test_bad_batches_are_refused_and_leave_no_trace(features, labels, error, message):
    good, good_labels = draw(11, dtype=getattr(features, "dtype", np.float64))
    good = good.astype(np.float32 if good.dtype == np.float32 else np.float64)
    stats = ClassStats(5, 4).update(good, good_labels)
    with pytest.raises(error, match=message):
        stats.update(features, np.asarray(labels))
    check(stats.finish(), two_pass(good, good_labels, 5), 1e-6)


def test_unknown_labels_are_named():
    with pytest.raises(ValueError, match="one of classes, but row 1 is 4"):
        ClassStats(2, 1, classes=[3, 5]).update(np.ones((2, 1)), np.array([5, 4]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: ClassStats(4, 4), "num_classes"),
        (lambda: ClassStats(5, 3), "num_features"),
        (lambda: ClassStats(5, 4, per_class_scatter=True), "per_class_scatter"),
        (lambda: ClassStats(5, 4, classes=[1, 2, 3, 4, 5]), "classes"),
        (lambda: ClassStats(5, 4, reference=np.ones((5, 4))), "different references"),
    ],
)
def test_statistics_that_do_not_fit_are_not_merged(other, message):
    with pytest.raises(ValueError, match=message):
        ClassStats(5, 4).merge(other())


def test_other_libraries_and_dtypes_are_not_mixed():
    torch = pytest.importorskip("torch")
    stats = ClassStats(2, 2).update(np.ones((2, 2)), np.array([0, 1]))
    for features in (torch.ones((2, 2)), np.ones((2, 2), dtype=np.float32)):
        with pytest.raises(TypeError, match="earlier ones were"):
            stats.update(features, np.array([0, 1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": [1, 1]}, "distinct"),
        ({"classes": [1]}, "must name 2"),
        ({"reference": np.ones((3, 2))}, "reference must have shape"),
        ({"reference": np.zeros((2, 2))}, "reference row 0 is zero"),
        ({"buffer_rows": 0}, "buffer_rows"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ClassStats(2, 2, **options)


def test_no_samples_is_an_error():
    stats = ClassStats(2, 2)
    stats.update(np.ones((0, 2)), np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match="no samples"):
        stats.finish()
    with pytest.raises(ValueError, match="no samples"):
        ClassStats.from_arrays(np.ones((0, 2)), np.zeros(0, dtype=int))


def test_state_that_does_not_fit_is_refused():
    state = ClassStats(2, 2).update(np.ones((2, 2)), np.array([0, 1])).state_dict()
    with pytest.raises(ValueError, match="must have shape"):
        ClassStats(3, 2).load_state_dict(state)
    with pytest.raises(ValueError, match="state must hold"):
        ClassStats(2, 2).load_state_dict({"counts": state["counts"]})


def test_jax_arrays_that_numpy_cannot_see(monkeypatch):
    """On an accelerator JAX does all the work itself: here on the CPU, without views by NumPy."""
    jax = pytest.importorskip("jax")
    monkeypatch.setattr("ncollapse.stats._class_stats.host_view", lambda array: array)
    features, labels = draw(12, num_classes=2, dim=2, count=8, dtype=np.float32)
    stats = ClassStats(2, 2).update(jax.numpy.asarray(features), jax.numpy.asarray(labels))
    summary = stats.finish()
    assert isinstance(summary.means, jax.Array)
    check(summary, two_pass(features, labels, 2), 1e-6)


def test_long_sums_in_float32_keep_their_digits():
    """2^17 samples at 1 ± 1e-3: float32 running sums would be off by 1e-4 and more."""
    rng = np.random.default_rng(0)
    features = (1 + 1e-3 * rng.standard_normal((2**17, 2))).astype(np.float32)
    labels = np.zeros(len(features), dtype=int)
    summary = ClassStats(1, 2).update(features, labels).finish()
    exact = features.astype(np.float64)
    np.testing.assert_allclose(summary.means[0], exact.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(summary.within_scatter, np.cov(exact.T, bias=True), atol=1e-11)


SIZES = [2.0**-70, 2.0**-110, 2.0**63, 2.0**-21, 2.0**100]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size:.0e}")
def test_float32_features_of_any_size(xp, size):
    """By a power of two every number is that of ordinary features, and exactly so."""
    features, labels = draw(13, dtype=np.float32)
    base, scaled = (
        ClassStats(5, 4, per_class_scatter=True)
        .update(xp.asarray(factor * features), xp.asarray(labels))
        .finish()
        for factor in (np.float32(1), np.float32(size))
    )
    assert np.asarray(base.means).any()
    for name, power in (("means", 1), ("within_scatter", 2), ("class_variances", 2)):
        expected = np.asarray(getattr(base, name)) * size**power
        np.testing.assert_allclose(np.asarray(getattr(scaled, name)), expected, rtol=1e-14)
    np.testing.assert_allclose(
        np.asarray(scaled.class_scatter), np.asarray(base.class_scatter) * size**2, rtol=1e-14
    )
    np.testing.assert_array_equal(
        np.asarray(scaled.class_directional), np.asarray(base.class_directional)
    )


@pytest.mark.parametrize("sizes", [(1e-21, 1.0), (1.0, 1e19), (1e-4, 1e25), (1e19, 1e-10)])
def test_classes_of_very_different_size(xp, sizes):
    """One class after the other: the statistics of each are right, whichever sets the scale."""
    features, labels = draw(14, num_classes=2, count=60, dtype=np.float32)
    features *= np.asarray(sizes, dtype=np.float32)[labels][:, None]
    order = np.argsort(labels, kind="stable")
    stats = ClassStats(2, 4, buffer_rows=16)
    for start in range(0, 60, 10):
        cut = order[start : start + 10]
        stats.update(xp.asarray(features[cut]), xp.asarray(labels[cut]))
    summary = stats.finish()
    _, means, _, variances, directional = two_pass(features, labels, 2)
    for k in range(2):
        mean = np.asarray(summary.means)[k]
        np.testing.assert_allclose(mean, means[k], atol=1e-6 * np.abs(means[k]).max())
    np.testing.assert_allclose(np.asarray(summary.class_variances), variances, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(summary.class_directional), directional, rtol=1e-5)


def test_sizes_that_cannot_be_held_are_refused():
    features = np.ones((2, 2), dtype=np.float32)
    features[1] *= np.float32(1e-12)
    stats = ClassStats(2, 2).update(np.float32(1e25) * features[:1], [0])
    with pytest.raises(ValueError, match="differ more in size than float32 can hold"):
        stats.update(features[1:], [1])
    with pytest.raises(ValueError, match=r"size 1.0e-90, whose fourth power is beyond float64"):
        ClassStats(2, 2).update(np.full((2, 2), 1e-90), [0, 1])
    with pytest.raises(ValueError, match=r"reference are of size 1.0e\+200"):
        ClassStats(2, 2, reference=np.full((2, 2), 1e200))
    far = ClassStats(2, 2, reference=np.full((2, 2), 1e30, dtype=np.float32))
    with pytest.raises(ValueError, match="reference is too far from features"):
        far.update(np.ones((2, 2), dtype=np.float32), [0, 1])
    zeros = ClassStats(2, 2).update(np.zeros((2, 2), dtype=np.float32), [0, 1])
    assert zeros.update(np.float32(1e-30) * features[:1], [0]).finish().class_variances[0] > 0


@pytest.mark.parametrize("batch", [3, 40, 300])
@pytest.mark.parametrize("longer", [1e3, 1e6])
def test_a_long_first_sample_costs_no_digits(xp, longer, batch):
    rng = np.random.default_rng(15)
    rays = np.abs(rng.standard_normal((3, 20)))
    labels = np.concatenate([np.arange(3), rng.integers(0, 3, 297)])
    features = rays[labels] * (1 + 1e-5 * rng.standard_normal((300, 20)))
    features[:3] *= longer
    features *= 0.01  # shorter than 1, as squared lengths are compared with 0
    features = features.astype(np.float32)
    stats = ClassStats(3, 20, per_class_scatter=True)
    for start in range(0, 300, batch):
        cut = slice(start, start + batch)
        stats.update(xp.asarray(features[cut]), xp.asarray(labels[cut]))
    summary = stats.finish()
    wide = features.astype(np.longdouble)
    means = np.array([wide[labels == k].mean(axis=0) for k in range(3)])
    units = wide / np.sqrt((wide**2).sum(axis=1, keepdims=True))
    centres = means / np.sqrt((means**2).sum(axis=1, keepdims=True))
    gaps = ((units - centres[labels]) ** 2).sum(axis=1) / 2
    exact = [float(gaps[labels == k].mean()) for k in range(3)]
    np.testing.assert_allclose(np.asarray(summary.class_directional), exact, rtol=1e-3)
    _, _, scatter, variances, _ = two_pass(features, labels, 3)
    np.testing.assert_allclose(np.asarray(summary.class_variances), variances, rtol=1e-6)
    np.testing.assert_allclose(
        np.asarray(summary.within_scatter), scatter, atol=1e-6 * np.abs(scatter).max()
    )
    np.testing.assert_allclose(np.asarray(summary.class_scatter).mean(axis=0), scatter, rtol=0.2)


@pytest.mark.parametrize("zeros", [0, 3])
def test_few_samples_of_many_features_are_kept_as_rows(xp, zeros):
    """At most D/2 rows: no D×D matrix until one is asked for, and the same numbers."""
    features, labels = draw(16, dim=40, count=20, dtype=np.float32)
    features[:zeros] = 0
    labels[0] = labels[-1]
    arrays = xp.asarray(features), xp.asarray(labels)
    parts = [ClassStats(5, 40), ClassStats(5, 40)]
    for part, cut in zip(parts, (slice(0, 12), slice(12, 20)), strict=True):
        part.update(arrays[0][cut, :], arrays[1][cut])
    held = [part.finish().within.rows for part in parts]
    assert all(rows is not None and rows.shape[0] <= 13 for rows in held)
    summary = parts[0].merge(parts[1]).finish()
    assert summary.within.rows is not None
    check(summary, two_pass(features, labels, 5), 2e-6)
    more, more_labels = draw(17, dim=40, count=30, dtype=np.float32)
    parts[0].update(xp.asarray(more), xp.asarray(more_labels))
    whole = parts[0].finish()
    assert whole.within.rows is None
    every = np.concatenate([features, more]), np.concatenate([labels, more_labels])
    check(whole, two_pass(*every, 5), 2e-6)
    restored = ClassStats(5, 40).load_state_dict(parts[1].state_dict()).finish()
    assert restored.within.rows is None
    check(restored, two_pass(features[12:], labels[12:], 5), 2e-6)


def test_few_samples_of_very_different_length_are_kept_as_rows():
    features, labels = draw(25, num_classes=2, dim=40, count=16)
    labels[:2] = [0, 1]
    features[7] *= 1e4
    features[9] *= 1e-4
    summary = ClassStats(2, 40).update(features, labels).finish()
    assert summary.within.rows is not None
    check(summary, two_pass(features, labels, 2), 1e-12)


@pytest.mark.parametrize("tile", [1, 2])
@pytest.mark.parametrize("dim", [4, 40])
def test_classes_are_treated_a_tile_at_a_time(dim, tile, monkeypatch):
    """Rows of few samples find the mean of their class in whatever tile it is; so does a merge."""
    for module in (_finish, _merge):
        monkeypatch.setattr(module, "TILE", tile)
    features, labels = draw(18, num_classes=5, dim=dim, count=19)
    for cut in (5, 12):
        parts = [ClassStats(5, dim, per_class_scatter=True) for _ in range(2)]
        parts[0].update(features[:cut], labels[:cut])
        parts[1].update(features[cut:], labels[cut:])
        summary = parts[0].merge(parts[1]).finish()
        check(summary, two_pass(features, labels, 5), 1e-12)
        assert (summary.within.rows is not None) == (dim == 40)
        shares = np.asarray(summary.counts)[:, None, None] / 19
        total = (np.asarray(summary.class_scatter) * shares).sum(axis=0)
        np.testing.assert_allclose(total, summary.within_scatter, atol=1e-12)


def test_scatter_of_each_class_in_arrays_and_dictionaries():
    features, labels = draw(19)
    stats = ClassStats.from_arrays(features, labels, per_class_scatter=True)
    expected = stats.finish().class_scatter
    for k in range(5):
        own = features[labels == k]
        np.testing.assert_allclose(expected[k], np.cov(own.T, bias=True), atol=1e-13)
    again = ClassStats(5, 4, per_class_scatter=True).load_state_dict(stats.state_dict())
    np.testing.assert_array_equal(again.finish().class_scatter, expected)
    with pytest.raises(ValueError, match="state must hold class_scatter, "):
        again.load_state_dict(ClassStats.from_arrays(features, labels).state_dict())
    wrong = {**stats.state_dict(), "class_scatter": np.zeros((5, 4, 3))}
    with pytest.raises(ValueError, match=r"class_scatter must have shape \(5, 4, 4\)"):
        again.load_state_dict(wrong)


def test_what_is_read_off_a_summary():
    """vᵀSv from rows and from the matrix, and the rows of the classes that have samples."""
    features, labels = draw(20, num_classes=5, dim=40, count=15)
    labels[labels == 2] = 3
    summary = ClassStats(5, 40).update(features, labels).finish()
    vectors = np.random.default_rng(0).standard_normal((40, 3))
    quadratic = np.diag(vectors.T @ two_pass(features, labels, 5)[2] @ vectors)
    np.testing.assert_allclose(summary.within.quadratic(vectors), quadratic, rtol=1e-10)
    matrix = Scatter(matrix=summary.within_scatter)
    np.testing.assert_allclose(matrix.quadratic(vectors), quadratic, rtol=1e-10)
    assert summary.occupied.tolist() == [0, 1, 3, 4]
    np.testing.assert_array_equal(summary.occupied_means, summary.means[[0, 1, 3, 4]])
    centre = summary.means[[0, 1, 3, 4]].mean(axis=0)
    np.testing.assert_allclose(summary.global_mean, centre, rtol=1e-12)
    assert summary.to_dict()["means"] == summary.means.tolist()
    assert ClassStats(5, 40).update(features, labels).finish().to_dict() == summary.to_dict()


def test_only_the_class_with_a_long_first_sample_gets_another_reference():
    """It comes when the others have sums already, which stay."""
    features, labels = draw(21, num_classes=3, count=60)
    labels[:20] = np.repeat([0, 2], 10)
    labels[20], features[20] = 1, [0.0, 1e9, 0.0, 0.0]
    stats = ClassStats(3, 4, per_class_scatter=True, buffer_rows=8)
    for start in range(0, 60, 20):
        stats.update(features[start : start + 20], labels[start : start + 20])
    summary = stats.finish()
    for k in (0, 2):
        own = features[labels == k]
        np.testing.assert_allclose(summary.means[k], own.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(summary.class_scatter[k], np.cov(own.T, bias=True), atol=1e-12)
    directional = two_pass(features, labels, 3)[4]
    np.testing.assert_allclose(summary.class_directional, directional, rtol=1e-9)


def test_a_state_without_samples_is_saved_too():
    features, labels = draw(22)
    empty = ClassStats(5, 4, per_class_scatter=True).state_dict()
    assert sorted(empty) == sorted(
        ClassStats(5, 4, per_class_scatter=True).update(features, labels).state_dict()
    )
    assert not any(np.any(values) for values in empty.values())
    loaded = ClassStats(5, 4, per_class_scatter=True).load_state_dict(empty)
    assert loaded.num_samples == 0
    check(loaded.update(features, labels).finish(), two_pass(features, labels, 5), 1e-14)


def test_references_that_do_not_fit_are_named():
    reference = np.ones((2, 2))
    with pytest.raises(ValueError, match=r"^reference row 1 is zero, which has no direction$"):
        ClassStats(2, 2, reference=np.array([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"^reference must"):
        ClassStats(2, 2, reference=np.array([1.0, 2.0]))
    given = ClassStats(2, 2, reference=reference).update(reference, [0, 1])
    for other in (2 * reference, None):
        stats = ClassStats(2, 2, reference=other).update(reference, [0, 1])
        for one, two in ((given, stats), (stats, given)):
            with pytest.raises(ValueError, match=r"given different references$"):
                one.merge(two)
    with pytest.raises(TypeError, match=r"^other must be ClassStats, but it is int$"):
        given.merge(3)
    twin = ClassStats(2, 2, reference=reference.copy()).update(reference, [0, 1])
    assert given.merge(twin).num_samples == 4


def test_a_summary_as_plain_numbers():
    features, labels = draw(23)
    names = ("counts", "means", "global_mean", "within_scatter", "zero_counts")
    names = (*names, "class_variances", "class_directional")
    zeros = np.bincount(labels[~features.any(axis=1)], minlength=5)
    for scatter in (False, True):
        stats = ClassStats.from_arrays(features, labels, per_class_scatter=scatter)
        summary = stats.finish()
        np.testing.assert_array_equal(summary.zero_counts, zeros)
        assert summary.counts.dtype == summary.zero_counts.dtype == np.int64
        assert summary.to_dict() == {
            **{name: getattr(summary, name).tolist() for name in names},
            "class_scatter": summary.class_scatter.tolist() if scatter else None,
            "num_samples": 70,
            "num_classes": 5,
            "num_features": 4,
            "classes": [0, 1, 2, 3, 4],
        }


def test_a_diagonal_that_rounding_made_negative_is_zero():
    matrix = np.array([[-1e-20, 3.0, 1.0], [3.0, 2.0, 0.0], [1.0, 0.0, -0.5]])
    expected = matrix - np.diag([-1e-20, 0.0, -0.5])
    np.testing.assert_array_equal(_finish._nonnegative_diagonal(matrix), expected)
    assert _finish._nonnegative_diagonal(np.array([[-1e-20]])).tolist() == [[0.0]]
    fine = np.array([[0.0, 1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(_finish._nonnegative_diagonal(fine.copy()), fine)


def test_a_change_reaches_every_array_of_a_summary():
    summary = ClassStats.from_arrays(*draw(24), per_class_scatter=True).finish()
    doubled = summary.converted(lambda array: 2 * array)
    for name in ("means", "within_scatter", "class_scatter", "counts", "class_variances"):
        np.testing.assert_array_equal(getattr(doubled, name), 2 * getattr(summary, name))
    assert doubled.num_samples == 70
    assert summary.converted(lambda array: array) is summary


def test_a_mean_of_zero_has_no_direction():
    features = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 2.0], [1.0, 0.0], [0.5, 0.5]])
    labels = np.array([0, 0, 1, 1, 2])
    summary = ClassStats(3, 2).update(features, labels).finish()
    assert summary.class_directional[0] == 1.0
    check(summary, two_pass(features, labels, 3), 1e-14)


def test_zero_features_of_the_only_class():
    features, labels = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]]), np.zeros(3, int)
    check(ClassStats(1, 2).update(features, labels).finish(), two_pass(features, labels, 1), 1e-14)


def test_a_summary_is_none_of_the_state_s_arrays():
    features, labels = draw(26)
    stats = ClassStats(5, 4).update(features, labels)
    summary = stats.finish()
    kept = copy.deepcopy(summary.to_dict())
    stats.update(0 * features, labels)
    stats.merge(ClassStats(5, 4).update(0 * features, labels))
    assert summary.to_dict() == kept


@pytest.mark.parametrize(("longer", "chosen"), [(4, 0), (6, 5)])
def test_a_reference_changes_where_most_are_of_another_length(longer, chosen):
    """To that of median length among the samples that are not zero."""
    lengths = np.append(np.ones(10 - longer), 1e3 * np.arange(1.0, longer + 1.0))
    rays = np.array([[0.6, 0.8, 0.0], [0.8, 0.6, 0.0]] * 5) * lengths[:, None]
    features = np.vstack([np.zeros((1, 3)), rays])
    stats = ClassStats(1, 3).update(features, np.zeros(11, int))
    assert stats.state_dict()["reference"][0].tolist() == rays[chosen].tolist()


def test_kept_rows_are_of_any_size_and_labels_are_not_kept():
    features, labels = draw(27, dim=40, count=20, dtype=np.float32)
    features[~features.any(axis=1)] = 1
    rows = ClassStats(5, 40).update(features, labels).finish().within.rows
    given = labels.copy()
    stats = ClassStats(5, 40).update(np.float32(2.0**-70) * features, given)
    stats.finish()
    given[:] = 0
    summary = stats.finish()
    np.testing.assert_array_equal(summary.within.rows, 2.0**-70 * rows)
    np.testing.assert_array_equal(summary.counts, np.bincount(labels, minlength=5))


def test_a_batch_that_is_refused_in_its_last_row_leaves_no_trace():
    """Whether it fills the buffer several times, or brings a class that was not met before."""
    features, labels = draw(28, num_classes=2, count=12)
    labels[:3], labels[3:] = 0, 1
    bad = features.copy()
    bad[-1, 2] = np.nan
    expected = ClassStats(2, 4).update(features, labels).finish()
    for first, buffer_rows in [(3, 4), (6, 4), (3, 100)]:
        stats = ClassStats(2, 4, buffer_rows=buffer_rows).update(features[:first], labels[:first])
        for batch in (slice(first, 12), slice(11, 12)):
            with pytest.raises(ValueError, match=r"^features must be finite, but row "):
                stats.update(bad[batch], labels[batch])
            assert stats.num_samples == first
        summary = stats.update(features[first:], labels[first:]).finish()
        check(summary, two_pass(features, labels, 2), 1e-13)
        np.testing.assert_allclose(summary.means, expected.means, rtol=1e-13)


@pytest.mark.parametrize("bad", [0, 2.5, -1])
def test_sizes_that_are_no_positive_integers_are_named(bad):
    for name, sizes in (("num_classes", (bad, 2)), ("num_features", (2, bad))):
        with pytest.raises(
            ValueError, match=rf"^{name} must be a positive integer, but it is {bad}"
        ):
            ClassStats(*sizes)
    with pytest.raises(ValueError, match=r"^buffer_rows must be at least 1, but it is 0"):
        ClassStats(2, 2, buffer_rows=0)
