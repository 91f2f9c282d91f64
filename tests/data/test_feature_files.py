"""Files of features: every format gives the same batches, and what is broken is refused."""

import io
import struct
import zipfile

import numpy as np
import pytest

from ncollapse.data import load_dataset, load_head, open_features
from ncollapse.metrics import measure, measure_file

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
safetensors = pytest.importorskip("safetensors.numpy")
torch = pytest.importorskip("torch")


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
        (lambda a: {"features": a["features"]}, ValueError, "lacks labels .label, y"),
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
    parquet.write_table(arrow.table({"features": [[1.0, 2.0]], "number": [0]}), path)
    with pytest.raises(ValueError, match=r"lacks the column labels .*; it holds features, number"):
        open_features(path)
    parquet.write_table(arrow.table({"features": [[1.0, 2.0], [1.0]], "labels": [0, 1]}), path)
    with pytest.raises(ValueError, match="lists of 2 numbers in every row"):
        list(open_features(path).batches())
    parquet.write_table(arrow.table({"a": [1.0, None], "labels": [0, 1]}), path)
    with pytest.raises(ValueError, match=r"a in .* must not be null, but 1 are"):
        list(open_features(path).batches())
    parquet.write_table(arrow.table({"id": [1, 2], "labels": [0, 1]}), path)
    with pytest.raises(ValueError, match="no column of features beside labels"):
        open_features(path)


NAMES = [("features", "labels"), ("X", "y"), ("inputs", "targets"), ("Embeddings", "Label")]


@pytest.mark.parametrize(("features", "labels"), NAMES)
@pytest.mark.parametrize("kind", ["npz", "safetensors", "pt", "parquet"])
def test_files_are_read_under_the_names_that_people_use(tmp_path, kind, features, labels):
    arrays = content(np.float64)
    path = tmp_path / f"a.{kind}"
    named = {features: arrays["features"], labels: arrays["labels"]}
    if kind == "pt":
        torch.save({name: torch.from_numpy(array) for name, array in named.items()}, path)
    elif kind == "parquet":
        columns = {features: arrays["features"].tolist(), labels: arrays["labels"]}
        parquet.write_table(arrow.table(columns), path)
    else:
        writer = {"npz": np.savez, "safetensors": lambda p, **a: safetensors.save_file(a, p)}[kind]
        writer(path, **named)
    data = load_dataset(path)
    np.testing.assert_array_equal(data.inputs, arrays["features"])
    np.testing.assert_array_equal(data.labels, arrays["labels"])
    file = open_features(path)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in file.batches(200)]), data.inputs)


def test_features_and_inputs_in_one_file_are_told_apart(tmp_path):
    path = tmp_path / "both.npz"
    np.savez(path, inputs=np.zeros((2, 3), int), features=np.ones((2, 4)), y=np.array([0, 1]))
    assert open_features(path).num_features == 4
    assert load_dataset(path).inputs.shape == (2, 3)


TABLES = {
    "header": "a,b,species\n1,2.5,cat\n3,4,dog\n",
    "no header, text last": "1,2.5,cat\n3,4,dog\n",
    "semicolons and quotes": '"a";"b";"Class"\n1;2.5;"cat"\n3;4;"dog"\n',
    "labels first, rows numbered": ",label,a,b\n0,cat,1,2.5\n1,dog,3,4\n",
    "byte order mark": "\ufeffa\tb\ty\n1\t2.5\tcat\n3\t4\tdog\n",
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_text(tmp_path, case):
    path = tmp_path / "a.csv"
    path.write_text(TABLES[case], encoding="utf-8")
    data = load_dataset(path)
    np.testing.assert_array_equal(data.inputs, [[1, 2.5], [3, 4]])
    assert data.classes.tolist() == ["cat", "dog"]
    assert open_features(path).num_features == 2


def test_one_column_a_feature_in_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    table = {"id": [7, 8], "b": [1.0, 3.0], "a": [2.5, 4.0], "target": ["cat", "dog"]}
    parquet.write_table(arrow.table(table), path)
    data = load_dataset(path)
    np.testing.assert_array_equal(data.inputs, [[1, 2.5], [3, 4]])
    assert data.classes.tolist() == ["cat", "dog"]


BAD_TABLES = {
    "1,2\n3,4\n": "lacks the column labels",
    "a,y\n1,0\nx,1\n": "must hold numbers beside y: could not convert string 'x'",
    "a,y\n": "holds no samples",
    "": "holds no samples",
    "a,a,y\n1,2,0\n": "a name of its own",
    "y\n0\n1\n": "no column of features",
}


@pytest.mark.parametrize("text", BAD_TABLES)
def test_tables_that_cannot_be_read_say_why(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=BAD_TABLES[text]):
        load_dataset(path)
    path.write_bytes(b"\xff\xfe\x00" * 9)
    with pytest.raises(ValueError, match="truncated, damaged or not what its name says"):
        load_dataset(path)


def test_images_become_rows(tmp_path):
    path = tmp_path / "a.npz"
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(path, images=images, labels=np.array(["b", "a"]))
    data = load_dataset(path)
    np.testing.assert_array_equal(data.inputs, images.reshape(2, 12))
    assert data.labels.tolist() == [1, 0]


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_bfloat16_is_widened(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    features = torch.randn(9, 4, generator=torch.manual_seed(0)).bfloat16()
    tensors = {"features": features, "labels": torch.arange(9) % 2}
    if kind == "pt":
        torch.save(tensors, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(tensors, path)
    file = open_features(path)
    blocks = np.concatenate([x for x, _ in file.batches(100)])
    np.testing.assert_array_equal(blocks, features.float().numpy())
    np.testing.assert_array_equal(load_dataset(path).inputs, blocks)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"features": print}, path)
    with pytest.raises(ValueError, match="cannot be read as plain tensors"):
        load_dataset(path)
    torch.save([torch.ones(2)], path)
    with pytest.raises(ValueError, match="must hold tensors by name, but it is a list"):
        load_dataset(path)


def test_other_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_features(tmp_path / "none.npz")
    (tmp_path / "a.txt").write_text("1,2")
    with pytest.raises(ValueError, match=r"must be \.npz"):
        open_features(tmp_path / "a.txt")
    np.save(tmp_path / "alone.npy", np.ones((2, 2)))
    with pytest.raises(ValueError, match="labels are needed beside"):
        open_features(tmp_path / "alone.npy")
    np.savez(tmp_path / "head.npz", bias=np.ones(3))
    with pytest.raises(ValueError, match="lacks weight"):
        load_head(tmp_path / "head.npz")
