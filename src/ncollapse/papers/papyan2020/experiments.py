"""papyan2020's measurements of one network trained with ordinary decay, to zero error and on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.papers import experiment

if TYPE_CHECKING:
    from ncollapse.runs import Run

METRICS = (
    "nc1_pinv",
    "nc2_equinorm_means",
    "nc2_equinorm_weight",
    "nc2_equiangular_means",
    "nc2_equiangular_weight",
    "nc3_duality",
)
"""Those that are a distance from collapse; nc4 is an agreement."""


@dataclass(frozen=True, eq=False)
class Curves:
    """One network, trained; its run records the preset papyan2020."""

    run: Run

    @property
    def errors(self) -> np.ndarray:
        """Training error at each record."""
        return 1.0 - self.run.observations["accuracy"]

    @property
    def zero(self) -> int | None:
        """The first record from which on the error stays zero; None if there is none."""
        perfect = np.flip(np.maximum.accumulate(np.flip(self.errors))) == 0.0
        return int(np.argmax(perfect)) if perfect.any() else None

    def fall(self) -> np.ndarray | None:
        """Each of `METRICS` at the end over its value at `zero`; None where there is none."""
        if self.zero is None:
            return None
        curves = self.run.observations
        return np.array([curves[name][-1] / curves[name][self.zero] for name in METRICS])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the end of the run, and the epoch of zero error."""
        zero = None if self.zero is None else float(self.run.s[self.zero])
        last = {name: float(values[-1]) for name, values in self.run.observations.items()}
        return {"run": self.run.to_dict(), "zero_error_epoch": zero, "end": last}


@experiment(
    "Ordinary training to zero error and on",
    "seven panels of a ResNet18 with weight decay on digits: loss, error, and the four criteria",
    quick={
        "width_multiplier": 0.125,
        "images": 200,
        "epochs": 50,
        "batch": 16,
        "learning_rate": 0.01,
    },
    paper={"device": "cuda"},
    paper_cpu={"width_multiplier": 0.25, "images": 1_000},
)
def curves(
    *,
    data: str = "mnist",
    width_multiplier: float = 1.0,
    images: int = 5_000,
    epochs: int = 350,
    batch: int = 128,
    learning_rate: float = 0.1,
    records: int = 40,
    seed: int = 0,
    device: str = "cpu",
    folder: Path | None = None,
) -> Curves:
    """SGD with momentum 0.9 and decay 5e-4, the rate divided by 10 after a third and two thirds.

    Pixels have their mean over all images and pixels taken off and are divided by their standard
    deviation. The paper takes all images, 5,000 of each class of MNIST, and the best of 25 rates. With
    ``folder`` the run keeps its checkpoint there, and resumes.
    """
    from ncollapse import train
    from ncollapse.data import images_at_hand

    digits = images_at_hand(data, -(-images // 10)).first(images)
    pixels = (digits.inputs - digits.inputs.mean()) / digits.inputs.std()
    *channels, size, _ = digits.images.shape[1:]
    model = train.resnet18(
        digits.num_classes,
        width_multiplier=width_multiplier,
        channels=channels[0] if channels else 1,
        pixels=size,
        seed=seed,
    )
    steps = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate}
    return Curves(
        train.fit(
            model,
            replace(digits, inputs=pixels),
            replace(train.RECIPES["papyan2020"], **steps),
            seed=seed,
            preset="papyan2020",
            records=records,
            device=device,
            checkpoint=None if folder is None else folder / "curves.checkpoint",
            resume=True,
        )
    )
