"""Download image sets once, go on where a download broke off, check their hashes, keep them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncollapse._extras import require

IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Upstream:
    """Where the files of a data set are, and the MD5 hash of each."""

    url: str
    hashes: dict[str, str]

    def files(self, split: str) -> list[str]:
        """Names of what one split needs: its two IDX files, or an archive of everything."""
        return [CIFAR_ARCHIVE] if CIFAR_ARCHIVE in self.hashes else _gzipped(split)


def _gzipped(split: str) -> list[str]:
    return [f"{name}.gz" for name in IDX_NAMES[split]]


def _idx_hashes(*values: str) -> dict[str, str]:
    """MD5 hashes of images and labels to train on, then of those to test on."""
    return dict(zip(_gzipped("train") + _gzipped("test"), values, strict=True))


UPSTREAM = {
    "cifar10": Upstream(
        "https://www.cs.toronto.edu/~kriz/",
        {CIFAR_ARCHIVE: "c32a1d4ab5d03f1284b67883e8d87530"},
    ),
    "fashion-mnist": Upstream(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        _idx_hashes(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "kmnist": Upstream(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        _idx_hashes(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
    ),
    "mnist": Upstream(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        _idx_hashes(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
}
IMAGE_SETS = tuple(UPSTREAM)


def fetch_images(
    dataset: str, split: str = "train", *, url: str | None = None, cache: str | Path | None = None
) -> Path:
    """The folder that holds the files of one split, downloaded if they are not there.

    Files that are there with the right hash are used as they are, without a connection. A download
    that broke off goes on where it ended, if the server can do so.

    Parameters
    ----------
    dataset
        One of `IMAGE_SETS`: ``"cifar10"``, ``"fashion-mnist"``, ``"kmnist"`` or ``"mnist"``.
    split
        ``"train"`` or ``"test"``.
    url
        A mirror to use instead of the publishers' address. The hashes stay the same.
    cache
        Where the folder is made; the user's cache folder for ``ncollapse`` unless given.

    Raises
    ------
    ValueError
        Another name, another protocol, or a file whose hash is not the known one; it is deleted.
    OSError
        The server cannot be reached or lacks the file, or the cache cannot be written.
    ModuleNotFoundError
        pooch, which the extra ``images`` installs, is missing.
    """
    if dataset not in UPSTREAM:
        raise ValueError(f"dataset must be one of {sorted(UPSTREAM)}, but it is {dataset!r}")
    if split not in IDX_NAMES:
        raise ValueError(f"split must be one of {sorted(IDX_NAMES)}, but it is {split!r}")
    upstream = UPSTREAM[dataset]
    base = (upstream.url if url is None else url).rstrip("/") + "/"
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"url must start with http:// or https://, but it is {url!r}")
    pooch = require("pooch")
    folder = Path(pooch.os_cache("ncollapse") if cache is None else cache) / dataset
    shelf = pooch.create(
        path=folder,
        base_url=base,
        registry={name: f"md5:{value}" for name, value in upstream.hashes.items()},
    )
    for name in upstream.files(split):
        try:
            shelf.fetch(name, downloader=_resume)
        except OSError as error:
            raise OSError(
                f"{base}{name} could not be brought to {folder} ({error}); "
                "with the files from elsewhere, name their folder instead"
            ) from error
        except ValueError as error:
            raise ValueError(f"{base}{name} is not the file that was published: {error}") from error
    return folder


def _resume(url: str, output_file: Any, shelf: Any) -> None:
    """Download by way of ``NAME.part``, which stays when the download breaks off."""
    part = Path(shelf.abspath) / f"{url.rpartition('/')[2]}.part"
    size = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
    with require("requests").get(url, headers=headers, stream=True, timeout=30) as response:
        # 416: nothing is left to send, and the hash says whether the part is the whole.
        if response.status_code != 416:
            response.raise_for_status()
            with open(part, "ab" if response.status_code == 206 else "wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
    os.replace(part, output_file)
