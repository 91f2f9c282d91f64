"""Downloads with known hashes, against a server on this machine."""

import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading

import numpy as np
import pytest

from ncollapse.data import _fetch, fetch_images, load_images

PIXELS = np.arange(6 * 4).reshape(6, 2, 2)
LABELS = np.array([1, 0, 1, 0, 2, 2])


def idx_gz(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


CIFAR = np.arange(3 * 3 * 32 * 32).reshape(3, 3, 32, 32) % 251


def cifar_archive():
    rows = np.column_stack([[1, 0, 1], CIFAR.reshape(3, -1)]).astype(np.uint8).tobytes()
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name in ("data_batch_1.bin", "test_batch.bin", "batches.meta.txt"):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(rows)
            tar.addfile(member, io.BytesIO(rows))
    return target.getvalue()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Breaks off after ``server.breaks`` bytes if that is set; knows ranges if ``server.ranges``."""

    def do_GET(self):
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            return self.send_error(404)
        content = path.read_bytes()
        asked = self.headers.get("Range", "") if self.server.ranges else ""
        first = int(asked[6:-1]) if asked else 0
        self.server.asked.append(asked)
        if asked and first >= len(content):
            return self.send_error(416)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        self.wfile.write(content[first : first + (self.server.breaks or len(content))])

    def log_message(self, *args):
        self.server.requests.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves small files as every data set; records what is asked for in ``requests``."""
    folder = tmp_path / "served"
    folder.mkdir()
    contents = {
        "train-images-idx3-ubyte.gz": idx_gz(PIXELS),
        "train-labels-idx1-ubyte.gz": idx_gz(LABELS),
        _fetch.CIFAR_ARCHIVE: cifar_archive(),
    }
    hashes = {}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        hashes[name] = hashlib.md5(content).hexdigest()
    cifar = {_fetch.CIFAR_ARCHIVE: hashes.pop(_fetch.CIFAR_ARCHIVE)}
    hashes["t10k-images-idx3-ubyte.gz"] = hashes["t10k-labels-idx1-ubyte.gz"] = "0" * 32
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.asked, running.folder = [], [], folder
        running.breaks, running.ranges = 0, True
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for name in ("fashion-mnist", "kmnist"):
            monkeypatch.setitem(_fetch.UPSTREAM, name, _fetch.Upstream(running.url, hashes))
        monkeypatch.setitem(_fetch.UPSTREAM, "cifar10", _fetch.Upstream(running.url, cifar))
        yield running
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("dataset", ["kmnist", "cifar10"])
def test_a_download_that_broke_off_goes_on_where_it_ended(server, tmp_path, monkeypatch, dataset):
    monkeypatch.setattr(_fetch, "_CHUNK", 10)
    server.breaks = 20
    first = _fetch.UPSTREAM[dataset].files("train")[0]
    for _ in range(2):
        with pytest.raises(OSError, match=rf"{first} could not be brought to .*{dataset}"):
            fetch_images(dataset, cache=tmp_path / "cache")
    part = tmp_path / "cache" / dataset / f"{first}.part"
    assert part.read_bytes() == (server.folder / first).read_bytes()[:40]
    server.breaks = 0
    folder = fetch_images(dataset, cache=tmp_path / "cache")
    assert server.asked[:3] == ["", "bytes=20-", "bytes=40-"]
    assert not part.exists()
    assert (
        load_images(folder=folder, scale=1).images[0].tolist()
        == {
            "kmnist": PIXELS[1].tolist(),
            "cifar10": CIFAR[1].tolist(),
        }[dataset]
    )


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_of_other_content_is_given_up(server, tmp_path, ranges):
    server.ranges = ranges
    folder = tmp_path / "kmnist"
    folder.mkdir()
    part = folder / "train-images-idx3-ubyte.gz.part"
    part.write_bytes(b"x" * 1000)
    if ranges:
        with pytest.raises(ValueError, match="not the file that was published"):
            fetch_images("kmnist", cache=tmp_path)
    fetch_images("kmnist", cache=tmp_path)
    assert not part.exists()
    assert load_images(folder=folder).num_classes == 3


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
    for upstream in _fetch.UPSTREAM.values():
        assert set(upstream.hashes) == {*upstream.files("train"), *upstream.files("test")}
        assert all(len(bytes.fromhex(value)) == 16 for value in upstream.hashes.values())
    every = [value for upstream in _fetch.UPSTREAM.values() for value in upstream.hashes.values()]
    assert len(set(every)) == 13
