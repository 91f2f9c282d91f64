"""Real images of unequal classes: digits inside an installed package, clothing where it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from ncollapse.data import Dataset, folder_at_hand, load_images

CLOTHING = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's dataset-fashion-mnist lies; $NCOLLAPSE_DATA/fashion-mnist comes first."""


def unequal_images(
    classes: tuple[int, ...],
    counts: tuple[int, ...],
    seed: int,
    *,
    clothing: bool = False,
    square: bool = False,
    centred: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """``counts[k]`` images of class ``classes[k]``, of mean norm 1: rows of pixels ``(N, 784)``.

    ``centred``: less the mean of the class means. ``square``: as ``(N, 1, 14, 14)``, means of two by two
    pixels, of deviation 1.
    """
    images = _images(clothing)
    rng = np.random.default_rng(seed)
    rows = [
        rng.choice(np.flatnonzero(images.labels == label), count, replace=False)
        for label, count in zip(classes, counts, strict=True)
    ]
    inputs = np.concatenate([images.inputs[own] for own in rows])
    labels = np.repeat(np.arange(len(counts)), counts)
    if centred:
        inputs = inputs - np.mean([images.inputs[own].mean(axis=0) for own in rows], axis=0)
    if square:
        inputs = inputs.reshape(-1, 1, 14, 2, 14, 2).mean(axis=(3, 5))
        return inputs / inputs.std(), labels
    return inputs / np.linalg.norm(inputs, axis=1).mean(), labels


def clothing_folder() -> Path | None:
    """The folder of Fashion-MNIST's IDX files, None where there is none."""
    return folder_at_hand("fashion-mnist") or (CLOTHING if CLOTHING.is_dir() else None)


@cache
def _images(clothing: bool) -> Dataset:
    if not clothing:
        return load_images()
    folder = clothing_folder()
    if folder is None:
        raise FileNotFoundError(
            "Fashion-MNIST is neither in $NCOLLAPSE_DATA/fashion-mnist nor where Debian's "
            "dataset-fashion-mnist puts it"
        )
    return load_images(per_class=500, folder=folder)
