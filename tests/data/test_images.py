"""Digits from the installed package, and IDX files, CIFAR-10's binary form and PNG from a folder."""

import gzip
import json
import struct

import numpy as np
import pytest

from ncollapse.data import Dataset, images_at_hand, load_images, read_idx

image = pytest.importorskip("PIL.Image")
COLOURED = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
KINDS = np.array([1, 0, 1, 0, 2, 2])


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path):
    images = np.arange(6 * 4).reshape(6, 2, 2)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([1, 0, 1, 0, 2, 2])))
    return tmp_path


def test_packaged_digits_are_pixels_in_file_order():
    data = load_images((0, 1, 2), 60)
    assert data.inputs.shape == (180, 784)
    assert data.inputs.min() == 0.0
    assert data.inputs.max() == 1.0
    np.testing.assert_array_equal(data.counts, [60, 60, 60])
    assert data.images.shape == (180, 28, 28)
    np.testing.assert_array_equal(data.centred().images[7].ravel(), data.centred().inputs[7])
    with pytest.raises(ValueError, match="data must be images"):
        _ = Dataset.from_arrays(data.inputs, data.labels).images


def test_folder_of_idx_files_plain_or_gzipped(folder):
    data = load_images((0, 1), folder=folder)
    np.testing.assert_array_equal(data.counts, [2, 2])
    np.testing.assert_allclose(data.of_class(0)[0], np.arange(4, 8) / 255)


def test_whole_pixels_on_request(folder):
    data = load_images((0, 1), folder=folder, scale=1)
    np.testing.assert_array_equal(data.inputs[0], np.arange(4, 8))
    digits = load_images((0, 1), 20, scale=1)
    np.testing.assert_array_equal(digits.inputs, np.rint(digits.inputs))
    assert digits.inputs.max() == 255.0


def test_images_at_hand_are_those_of_a_folder_or_packaged(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("NCOLLAPSE_DATA", raising=False)
    assert images_at_hand("mnist", 2).inputs.shape == (20, 784)
    with pytest.raises(FileNotFoundError, match="kmnist is not at hand"):
        images_at_hand("kmnist")
    with pytest.raises(ValueError, match="name must be one of cifar10"):
        images_at_hand("svhn")
    (tmp_path / "kmnist").symlink_to(folder)
    monkeypatch.setenv("NCOLLAPSE_DATA", str(tmp_path))
    assert np.array_equal(images_at_hand("kmnist").inputs, load_images(folder=folder).inputs)


def test_bad_files_are_named(folder, tmp_path):
    with pytest.raises(ValueError, match="class 5 is absent"):
        load_images((5,), folder=folder)
    with pytest.raises(ValueError, match="2 images, fewer than 3"):
        load_images((0, 1), 3, folder=folder)
    with pytest.raises(FileNotFoundError, match="not a folder"):
        load_images((0, 1), folder=tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="lacks t10k-images"):
        load_images((0, 1), folder=folder, split="test")
    with pytest.raises(ValueError, match="split must be one of"):
        load_images((0, 1), folder=folder, split="dev")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x0b\x01", "not an IDX file"),
        (idx(np.arange(9))[:-1], "announces 9 bytes"),
        (bytes([0, 0, 8, 3, 0]), "truncated inside its header"),
        (b"", "not an IDX file"),
    ],
)
def test_broken_idx_is_refused(tmp_path, content, message):
    path = tmp_path / "broken"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(path)


def test_truncated_gzip_is_refused(tmp_path):
    path = tmp_path / "broken.gz"
    path.write_bytes(gzip.compress(idx(np.arange(99)))[:-30])
    with pytest.raises(ValueError, match="truncated or not gzip"):
        read_idx(path)


def idx_with_channels(folder, pixels):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(pixels))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(KINDS))


def cifar(folder, pixels):
    rows = np.column_stack([KINDS, pixels.reshape(6, -1)]).astype(np.uint8)
    (folder / "data_batch_1.bin").write_bytes(rows[:4].tobytes())
    (folder / "data_batch_2.bin").write_bytes(rows[4:].tobytes())


def png(path, pixels):
    """``(H, W)`` or ``(C, H, W)``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels).save(path)


def png_batches(folder, pixels):
    rows = pixels.reshape(6, 3, -1).swapaxes(0, 1)
    png(folder / "data_batch_1.png", rows[:, :4])
    png(folder / "data_batch_2.png", rows[:, 4:])
    (folder / "train_lables.json").write_text(json.dumps(KINDS.tolist()))


def png_classes(folder, pixels):
    for index, (kind, one) in enumerate(zip(KINDS, pixels, strict=True)):
        png(folder / "train" / str(kind) / f"{index}.png", one)


@pytest.mark.parametrize("write", [idx_with_channels, cifar, png_batches, png_classes])
def test_every_form_keeps_channels_and_order(tmp_path, write):
    write(tmp_path, COLOURED)
    data = load_images(folder=tmp_path, scale=1)
    assert data.images.shape == (6, 3, 32, 32)
    np.testing.assert_array_equal(data.images, COLOURED[[1, 3, 0, 2, 4, 5]])
    np.testing.assert_array_equal(data.labels, [0, 0, 1, 1, 2, 2])
    with pytest.raises(FileNotFoundError, match=r"lacks t|holds no images"):
        load_images(folder=tmp_path, split="test")


def test_grey_png_files_in_folders_of_any_name(tmp_path):
    for name, value in (("trouser", 9), ("bag", 5)):
        png(tmp_path / name / "a.png", np.full((4, 3), value, np.uint8))
    data = load_images(folder=tmp_path, scale=1)
    assert data.images.shape == (2, 4, 3)
    assert data.inputs[:, 0].tolist() == [5, 9]


def spoilt_size(folder):
    cifar(folder, COLOURED)
    path = folder / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])


def spoilt_labels(folder):
    (folder / "data_batch_1.bin").write_bytes(bytes([10]) + bytes(3072))


def spoilt_archive(folder):
    (folder / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(b"no archive" * 100)[:-9])


def spoilt_png(folder):
    png_classes(folder, COLOURED)
    path = folder / "train" / "1" / "0.png"
    path.write_bytes(path.read_bytes()[:200])


def text_as_png(folder):
    (folder / "dog").mkdir()
    (folder / "dog" / "a.png").write_text("this is a text")


def two_sizes(folder):
    png_classes(folder, COLOURED)
    png(folder / "train" / "2" / "9.png", COLOURED[0, :, :16])


def transparent(folder):
    png(folder / "a" / "a.png", np.zeros((4, 5, 5), np.uint8))


def missing_labels(folder):
    png_batches(folder, COLOURED)
    (folder / "train_lables.json").unlink()


def short_labels(folder):
    png_batches(folder, COLOURED)
    (folder / "train_labels.json").write_text("[0, 1]")


def worded_labels(folder):
    png_batches(folder, COLOURED)
    (folder / "train_labels.json").write_text('["cat", "dog"]')


def oblong_rows(folder):
    png(folder / "data_batch_1.png", np.zeros((2, 15), np.uint8))


def labels_as_images(folder):
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (folder / name).write_bytes(idx(KINDS))


def a_table(folder):
    (folder / "table.csv").write_text("1,2")


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (spoilt_size, ValueError, "data_batch_2.bin must be rows of 3073 bytes.*has 6145 bytes"),
        (spoilt_labels, ValueError, "labels 0 … 9.* has 10"),
        (spoilt_archive, ValueError, "cifar-10-binary.tar.gz is truncated, damaged or not"),
        (spoilt_png, ValueError, "0.png is truncated, damaged or not"),
        (text_as_png, ValueError, "a.png is truncated, damaged or not"),
        (two_sizes, ValueError, r"one size, but .*9.png has \(16, 32, 3\) and .*\(32, 32, 3\)"),
        (transparent, ValueError, "grey or RGB of 8 bits each, but its mode is RGBA"),
        (missing_labels, FileNotFoundError, "lacks train_labels.json; it holds data_batch_1.png"),
        (short_labels, ValueError, r"N labels.*\(6, 3, 32, 32\) and \(2,\)"),
        (worded_labels, ValueError, "train_labels.json must be a list of integers"),
        (oblong_rows, ValueError, "must be square images, but have 15 pixels"),
        (labels_as_images, ValueError, r"must hold images .*but their shapes are \(6,\)"),
        (a_table, FileNotFoundError, "holds no images .* but table.csv"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, write, error, message):
    write(tmp_path)
    with pytest.raises(error, match=message):
        load_images(folder=tmp_path)
