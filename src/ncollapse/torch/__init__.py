"""Neural collapse in people's own PyTorch networks.

`NeuralCollapse` is a torchmetrics metric, `measure_model` goes over a loader, `FeatureTap` catches
features with a hook, `SimplexETFHead` is a fixed classifier. The callbacks for Lightning and for
the Hugging Face Trainer are imported when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ncollapse.torch._available import late_attribute
from ncollapse.torch._heads import SimplexETFHead
from ncollapse.torch._measure_model import measure_model
from ncollapse.torch._measurement import ModelMeasurement, SeparationLaw
from ncollapse.torch._metric import NeuralCollapse
from ncollapse.torch._taps import FeatureTap

if TYPE_CHECKING:
    from ncollapse.torch._huggingface import NeuralCollapseTrainerCallback
    from ncollapse.torch._lightning import NeuralCollapseCallback

__all__ = [
    "FeatureTap",
    "ModelMeasurement",
    "NeuralCollapse",
    "NeuralCollapseCallback",
    "NeuralCollapseTrainerCallback",
    "SeparationLaw",
    "SimplexETFHead",
    "measure_model",
]


def __getattr__(name: str) -> Any:
    return late_attribute(name)


def __dir__() -> list[str]:
    return __all__
