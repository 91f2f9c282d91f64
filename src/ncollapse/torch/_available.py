"""The libraries this package stands on, and the classes that wait for a further one."""

from __future__ import annotations

import importlib
from typing import Any

from ncollapse._checks import require

require("torch", "torch")
require("torchmetrics", "torch")

_LATE = {
    "NeuralCollapseCallback": ("lightning", "torch", "_lightning"),
    "NeuralCollapseTrainerCallback": ("transformers", "transformers", "_huggingface"),
}


def late_attribute(name: str) -> Any:
    """A callback class, whose library is imported now; ``AttributeError`` for other names."""
    if name not in _LATE:
        raise AttributeError(f"module 'ncollapse.torch' has no attribute {name!r}")
    library, extra, module = _LATE[name]
    require(library, extra)
    return getattr(importlib.import_module(f"ncollapse.torch.{module}"), name)
