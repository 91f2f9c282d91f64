"""Download MNIST and Fashion-MNIST once, check their hashes, keep them in the user's cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ncollapse._extras import require

IDX_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class Upstream:
    """Where the gzipped files of a data set are, and the MD5 hash of each."""

    url: str
    hashes: dict[str, str]


UPSTREAM = {
    "mnist": Upstream(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": Upstream(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}


def fetch_images(
    dataset: str, split: str = "train", *, url: str | None = None, cache: str | Path | None = None
) -> Path:
    """The folder that holds the two IDX files of one split, downloaded if they are not there.

    Files that are there with the right hash are used as they are, without a connection.

    Parameters
    ----------
    dataset
        ``"mnist"`` or ``"fashion-mnist"``.
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
    for name in IDX_NAMES[split]:
        try:
            shelf.fetch(f"{name}.gz")
        except OSError as error:
            raise OSError(
                f"{base}{name}.gz could not be brought to {folder} ({error}); "
                "with the IDX files from elsewhere, name their folder instead"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"{base}{name}.gz is not the file that was published: {error}"
            ) from error
    return folder
