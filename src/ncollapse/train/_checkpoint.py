"""Checkpoints of training: written whole or not at all, read without running anything in them."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from ncollapse.setup import Setup

FORMAT = "ncollapse checkpoint 1"
_PARTS = {"setup", "state", "start", "records", "seconds"}


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write beside ``path``, then rename.

    Raises ``OSError`` where that fails; what was at ``path`` before is there still.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        state = "the last good one is kept" if path.exists() else "there is none yet"
        raise type(error)(
            error.errno, f"checkpoint {path} cannot be written: {error.strerror}; {state}"
        ) from error


def read_checkpoint(
    path: Path, setup: Setup, device: torch.device, *, without: tuple[str, ...]
) -> dict[str, Any]:
    """What `write_checkpoint` wrote for a run of the same ``setup``, options ``without`` apart.

    Raises
    ------
    ValueError
        The file is damaged or no checkpoint, or one of another recipe, network or data.
    """
    written = io.BytesIO(path.read_bytes())
    try:
        content = torch.load(written, map_location=device, weights_only=True)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is damaged or is no checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is no checkpoint of ncollapse.train.fit")
    if not content.keys() >= _PARTS:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(_PARTS - content.keys())}")
    differences = Setup.from_dict(content["setup"]).differences(setup, without=without)
    if differences:
        raise ValueError(
            f"resume is a checkpoint of another set-up: in {path} {'; '.join(differences)}"
        )
    return content
