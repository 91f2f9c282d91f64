"""Downloads with known hashes, against a server on this machine."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest

from ncollapse.data import _fetch, fetch_images, load_images

PIXELS = np.arange(6 * 4).reshape(6, 2, 2)
LABELS = np.array([1, 0, 1, 0, 2, 2])


def idx_gz(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.requests.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves two small files as Fashion-MNIST; records what is asked for in ``requests``."""
    folder = tmp_path / "served"
    folder.mkdir()
    contents = {
        "train-images-idx3-ubyte.gz": idx_gz(PIXELS),
        "train-labels-idx1-ubyte.gz": idx_gz(LABELS),
    }
    hashes = {}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        hashes[name] = hashlib.md5(content).hexdigest()
    hashes["t10k-images-idx3-ubyte.gz"] = hashes["t10k-labels-idx1-ubyte.gz"] = "0" * 32
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as running:
        running.requests, running.folder = [], folder
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        upstream = _fetch.Upstream(running.url, hashes)
        monkeypatch.setitem(_fetch.UPSTREAM, "fashion-mnist", upstream)
        yield running
        running.shutdown()
        thread.join()


def test_files_are_fetched_once_and_then_used_offline(server, tmp_path):
    folder = fetch_images("fashion-mnist", cache=tmp_path / "cache")
    assert folder == tmp_path / "cache" / "fashion-mnist"
    data = load_images((0, 1), folder=folder)
    np.testing.assert_allclose(data.of_class(0)[0], np.arange(4, 8) / 255)
    assert len(server.requests) == 2
    nowhere = "http://127.0.0.1:9"
    assert fetch_images("fashion-mnist", cache=tmp_path / "cache", url=nowhere) == folder
    assert len(server.requests) == 2


def test_images_are_loaded_by_name_from_the_cache_folder(server, tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    data = load_images(dataset="fashion-mnist", scale=1)
    assert data.name == "fashion-mnist (train)"
    np.testing.assert_array_equal(data.inputs, PIXELS.reshape(6, 4)[[1, 3, 0, 2, 4, 5]])
    assert (tmp_path / "ncollapse" / "fashion-mnist" / "train-labels-idx1-ubyte.gz").is_file()


def test_a_mirror_must_serve_the_same_files(server, tmp_path):
    (server.folder / "train-labels-idx1-ubyte.gz").write_bytes(idx_gz(LABELS[::-1]))
    with pytest.raises(ValueError, match=r"labels.*not the file that was published.*MD5"):
        fetch_images("fashion-mnist", cache=tmp_path / "cache", url=f"{server.url}/")
    kept = [path.name for path in (tmp_path / "cache" / "fashion-mnist").iterdir()]
    assert kept == ["train-images-idx3-ubyte.gz"]


def test_a_damaged_file_in_the_cache_is_fetched_again(server, tmp_path):
    folder = fetch_images("fashion-mnist", cache=tmp_path / "cache")
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    fetch_images("fashion-mnist", cache=tmp_path / "cache")
    assert load_images(folder=folder).num_classes == 3
    assert len(server.requests) == 3


def test_a_missing_file_or_server_is_named_with_the_way_out(server, tmp_path):
    (server.folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(OSError, match=r"127\.0\.0\.1.*train-images.*404.*name their folder"):
        fetch_images("fashion-mnist", cache=tmp_path)
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9/train-images.*name their folder"):
        fetch_images("mnist", cache=tmp_path, url="http://127.0.0.1:9")


def test_names_are_checked(tmp_path):
    with pytest.raises(ValueError, match=r"dataset must be one of.*'cifar'"):
        load_images(dataset="cifar")
    with pytest.raises(ValueError, match=r"split must be one of.*'dev'"):
        fetch_images("mnist", "dev")
    with pytest.raises(ValueError, match=r"url must start with http.*'mirror'"):
        fetch_images("mnist", cache=tmp_path, url="mirror")
    with pytest.raises(ValueError, match="either folder or dataset"):
        load_images(dataset="mnist", folder=tmp_path)
    with pytest.raises(ValueError, match="scale must be positive"):
        load_images(scale=0.0)


def test_every_file_of_every_data_set_has_a_hash():
    wanted = {f"{name}.gz" for pair in _fetch.IDX_NAMES.values() for name in pair}
    for upstream in _fetch.UPSTREAM.values():
        assert set(upstream.hashes) == wanted
        assert all(len(bytes.fromhex(value)) == 16 for value in upstream.hashes.values())
