"""Files of features: every format gives the same batches, and what is broken is refused."""

import io
import struct
import zipfile

import numpy as np
import pytest

from ncollapse.data import load_head, open_features
from ncollapse.metrics import measure, measure_file

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
safetensors = pytest.importorskip("safetensors.numpy")


def content(dtype=np.float32):
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(3), rng.integers(0, 3, 50)])
    weight = rng.standard_normal((3, 4)).astype(dtype)
    features = (weight[labels] + 0.1 * rng.standard_normal((53, 4))).astype(dtype)
    return {"features": features, "labels": labels, "weight": weight, "bias": weight[:, 0].copy()}


def write_parquet(path, arrays):
    fixed = arrow.FixedSizeListArray.from_arrays(arrays["features"].ravel(), 4)
    columns = {"features": fixed, "labels": arrow.array(arrays["labels"])}
    parquet.write_table(arrow.table(columns), path, row_group_size=10)


def write_pair(path, arrays):
    np.save(path, arrays["features"])
    np.save(path.with_name(path.name.replace("features", "labels")), arrays["labels"])


WRITERS = {
    "a.npz": lambda path, arrays: np.savez(path, **arrays),
    "packed.npz": lambda path, arrays: np.savez_compressed(path, **arrays),
    "columns.npz": lambda path, arrays: np.savez(
        path, **{**arrays, "features": np.asfortranarray(arrays["features"])}
    ),
    "a.safetensors": lambda path, arrays: safetensors.save_file(arrays, path),
    "a.parquet": write_parquet,
    "train_features.npy": write_pair,
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_batches_twice(tmp_path, name, dtype):
    arrays = content(dtype)
    WRITERS[name](tmp_path / name, arrays)
    file = open_features(tmp_path / name)
    for _ in range(2):
        parts = list(file.batches(7 * 8 * 4))
        assert max(len(x) for x, _ in parts) <= 7
        np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), arrays["features"])
        np.testing.assert_array_equal(np.concatenate([y for _, y in parts]), arrays["labels"])
    if "npz" in name or "safetensors" in name:
        np.testing.assert_array_equal(file.weight, arrays["weight"])
        np.testing.assert_array_equal(file.bias, arrays["bias"])


@pytest.mark.parametrize("name", WRITERS)
def test_measuring_a_file_is_measuring_its_arrays(tmp_path, name):
    arrays = content()
    WRITERS[name](tmp_path / name, arrays)
    head = tmp_path / "head.npz"
    np.savez(head, weight=arrays["weight"], bias=arrays["bias"])
    steps = []
    found = measure_file(
        tmp_path / name,
        head=head,
        batch_bytes=10 * 8 * 4,
        progress=lambda *step: steps.append(step),
    )
    expected = measure(
        arrays["features"], arrays["labels"], weight=arrays["weight"], bias=arrays["bias"]
    )
    assert found.metrics == pytest.approx(expected.metrics, rel=1e-5, abs=1e-7)
    assert steps[0] == ("first pass", 10, 53)
    assert steps[-1] == ("second pass", 53, 53)


def test_names_of_the_issue_are_all_there(tmp_path):
    np.savez(tmp_path / "a.npz", **content())
    names = (
        "nc1_pinv nc1_quotient cdnv within_variation directional_collapse nc2_equinorm_means "
        "nc2_equinorm_weight nc2_equiangular_means nc2_equiangular_weight nc2_etf_means "
        "nc2_etf_weight nc2_orthogonal_means nc3_alignment nc3_duality nc3_average nc4_agreement"
    )
    assert set(names.split()) <= set(measure_file(tmp_path / "a.npz").metrics)


def test_labels_of_any_value_beside_a_weight(tmp_path):
    arrays = content()
    base = measure(arrays["features"], arrays["labels"], weight=arrays["weight"]).metrics
    values = np.array([10, 20, 35])
    np.savez(
        tmp_path / "a.npz",
        features=arrays["features"],
        labels=values[arrays["labels"]],
        weight=arrays["weight"],
    )
    found = measure_file(tmp_path / "a.npz")
    assert found.classes == (10, 20, 35)
    assert found.metrics == pytest.approx(base, rel=1e-6)


def test_labels_that_are_not_the_rows_of_the_weight(tmp_path):
    arrays = content()
    arrays["labels"] = arrays["labels"] + 10 * np.arange(53)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match="which are not the 3 rows of weight"):
        measure_file(tmp_path / "a.npz")


def broken(tmp_path, change):
    path = tmp_path / "a.npz"
    arrays = content()
    np.savez(path, **change(arrays))
    return path


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: {"features": a["features"]}, ValueError, "lacks the array labels"),
        (lambda a: {**a, "labels": a["labels"][:-1]}, ValueError, "labels has 52 entries for 53"),
        (lambda a: {**a, "labels": a["labels"] * 1.0}, TypeError, "labels must hold integers"),
        (lambda a: {**a, "features": a["features"].ravel()}, ValueError, "shape is"),
        (lambda a: {**a, "features": a["labels"][:, None]}, TypeError, "floating-point"),
        (lambda a: {**a, "features": a["features"].astype(object)}, ValueError, "pickled objects"),
        (lambda a: {**a, "labels": a["labels"].astype(object)}, ValueError, "pickled objects"),
        (
            lambda a: {**a, "features": a["features"][:0], "labels": a["labels"][:0]},
            ValueError,
            "shape",
        ),
    ],
)
def test_broken_archives_are_refused(tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        open_features(broken(tmp_path, change))


def test_nan_features_are_refused_with_their_row(tmp_path):
    def spoil(arrays):
        arrays["features"][5, 1] = np.nan
        return arrays

    with pytest.raises(ValueError, match="features must be finite, but row 5"):
        measure_file(broken(tmp_path, spoil))


def header(shape, dtype="<f4"):
    stream = io.BytesIO()
    entry = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, entry)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["features", "labels"])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10**11,), "of shape .100000000000,. takes 400000000000 bytes, but it has 8"),
        ((10**6, 10**6), "takes 4000000000000 bytes"),
        ((-5, 8), r"array of negative length, its shape is \(-5, 8\)"),
        ((1,), "takes 4 bytes, but it has 8"),
    ],
)
def test_headers_that_lie_about_the_size_are_refused(tmp_path, name, shape, message):
    path = tmp_path / "a.npz"
    np.savez(path, **{other: array for other, array in content().items() if other != name})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", header(shape) + bytes(8))
    with pytest.raises(ValueError, match=message):
        open_features(path)
    (tmp_path / "a_features.npy").write_bytes(header(shape) + bytes(8))
    np.save(tmp_path / "a_labels.npy", np.zeros(1, dtype=int))
    with pytest.raises(ValueError, match=message):
        open_features(tmp_path / "a_features.npy")


def test_a_directory_that_lies_about_the_size_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **content())
    with zipfile.ZipFile(path) as archive:
        old = archive.getinfo("labels.npy").file_size
    forged = path.read_bytes().replace(struct.pack("<I", old), struct.pack("<I", 10**9))
    path.write_bytes(forged)
    with pytest.raises(ValueError, match="announces 1000000000 bytes"):
        open_features(path)


def test_labels_may_be_strings(tmp_path):
    arrays = content()
    named = np.array(["cat", "dog", "emu"])[arrays["labels"]]
    parquet.write_table(
        arrow.table({"features": arrays["features"].tolist(), "labels": named}),
        tmp_path / "a.parquet",
    )
    np.savez(tmp_path / "a.npz", **{**arrays, "labels": named})
    head = {"weight": arrays["weight"], "bias": arrays["bias"]}
    plain = measure(arrays["features"], arrays["labels"], **head).metrics
    for name in ("a.npz", "a.parquet"):
        measured = measure_file(tmp_path / name)
        assert measured.classes == ("cat", "dog", "emu")
        assert measured.metrics["nc1_pinv"] == pytest.approx(plain["nc1_pinv"], rel=1e-6)
    assert measure_file(tmp_path / "a.npz").metrics == pytest.approx(plain, rel=1e-6)


def test_a_transposed_weight_is_called_so(tmp_path):
    arrays = content()
    np.savez(tmp_path / "a.npz", **{**arrays, "weight": arrays["weight"].T.copy()})
    with pytest.raises(ValueError, match=r"= \(3, 4\) .* its shape is \(4, 3\): it is transposed"):
        measure_file(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.parquet", "a_features.npy"])
def test_truncated_and_foreign_files_are_refused(tmp_path, name):
    path = tmp_path / name
    writer = WRITERS.get(name, write_pair)
    writer(path, content())
    data = path.read_bytes()
    for wrong in (data[: len(data) // 2], b"this is not an array file at all"):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match=r"truncated(, damaged)? or not"):
            list(open_features(path).batches())


def test_missing_columns_and_ragged_lists_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"features": [[1.0, 2.0]], "label": [0]}), path)
    with pytest.raises(ValueError, match="lacks the column labels; it holds features, label"):
        open_features(path)
    parquet.write_table(arrow.table({"features": [[1.0, 2.0], [1.0]], "labels": [0, 1]}), path)
    with pytest.raises(ValueError, match="lists of 2 numbers in every row"):
        list(open_features(path).batches())
    parquet.write_table(arrow.table({"features": [1.0, 2.0], "labels": [0, 1]}), path)
    with pytest.raises(ValueError, match="must hold lists"):
        open_features(path)


def test_other_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_features(tmp_path / "none.npz")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"must be \.npz"):
        open_features(tmp_path / "a.csv")
    np.save(tmp_path / "alone.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match="labels are needed beside"):
        open_features(tmp_path / "alone.npy")
    np.savez(tmp_path / "head.npz", bias=np.ones(3))
    with pytest.raises(ValueError, match="lacks weight"):
        load_head(tmp_path / "head.npz")
