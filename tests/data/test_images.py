"""Digits from the installed package, and IDX files from a folder."""

import gzip
import struct

import numpy as np
import pytest

from ncollapse.data import load_images, read_idx


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
