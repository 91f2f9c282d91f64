"""ji2022 Figures 1 and 3 to 8: networks trained without decay, beside the flow that is to explain them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ncollapse.papers import Experiment, experiment
from ncollapse.report.panels import PANELS

if TYPE_CHECKING:
    from ncollapse.runs import Run

METRICS = tuple(name for _, names in PANELS for name in names)
NAMES = {
    "resnet18": "ResNet18",
    "vgg13": "VGG13",
    "mnist": "MNIST",
    "fashion-mnist": "Fashion-MNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR10",
}
FIGURES = {
    1: ("resnet18", ("mnist", "cifar10")),
    3: ("vgg13", ("cifar10",)),
    4: ("vgg13", ("mnist",)),
    5: ("vgg13", ("kmnist",)),
    6: ("resnet18", ("kmnist",)),
    7: ("vgg13", ("fashion-mnist",)),
    8: ("resnet18", ("fashion-mnist",)),
}
"""Network and image sets of each figure; that of 5 prints "VGG18", where the text has VGG13."""
FEWEST = 3
"""Records at training error zero that anything is said of."""
QUICK = {
    "width_multiplier": 0.125,
    "images": 200,
    "epochs": 60,
    "batch": 16,
    "learning_rate": 0.05,
}
CPU = {"width_multiplier": 0.25, "images": 1_000, "epochs": 1_000}
PAPER = {"device": "cuda"}


@dataclass(frozen=True, eq=False)
class Networks:
    """One network on each image set that is at hand, and the flow of the layer-peeled model.

    Attributes
    ----------
    network
        ``"resnet18"`` or ``"vgg13"``.
    runs
        By name of the image set.
    missing
        Why the others have none.
    flow
        None where there are no runs.
    """

    network: str
    runs: dict[str, Run]
    missing: dict[str, str]
    flow: Run | None

    def fitted(self, name: str) -> np.ndarray:
        """Which records of a run are at training accuracy 1 from there on."""
        accuracy = self.runs[name].observations["accuracy"]
        return np.flip(np.minimum.accumulate(np.flip(accuracy))) == 1.0

    def exponents(self, name: str) -> dict[str, float]:
        """q of metric ∝ (log t)^{−q}, t the epoch, by least squares over `fitted`; 1 is "O(1/log t)".

        Empty with fewer than `FEWEST` records there, epochs 0 and 1 aside.
        """
        run = self.runs[name]
        late = self.fitted(name) & (run.s >= 2)
        if late.sum() < FEWEST:
            return {}
        logs = np.log(np.log(run.s[late]))
        return {
            metric: -float(np.polyfit(logs, np.log(run.observations[metric][late]), 1)[0])
            for metric in METRICS
        }

    def reference(self, name: str) -> dict[str, np.ndarray]:
        """Metrics of the flow where its log(1/L) is that of the run, at each record.

        L of the flow is summed over samples, that of a run is their mean.
        """
        if self.flow is None:
            raise ValueError("no network was trained, so there is nothing to compare the flow with")
        samples = self.flow.setup.num_samples
        level = self.runs[name].log_inverse_loss - np.log(samples)
        return {
            metric: np.exp(
                np.interp(level, self.flow.log_inverse_loss, np.log(self.flow.observations[metric]))
            )
            for metric in METRICS
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the end of each run, with its exponents."""
        return {
            "network": self.network,
            "missing": self.missing,
            "runs": {
                name: {
                    **run.to_dict(),
                    "metrics": {k: float(v[-1]) for k, v in run.observations.items()},
                    "exponents": self.exponents(name),
                }
                for name, run in self.runs.items()
            },
        }


def train_on(
    network: str,
    sets: tuple[str, ...],
    *,
    width_multiplier: float = 1.0,
    images: int = 10_000,
    epochs: int = 500,
    batch: int = 128,
    learning_rate: float = 0.01,
    records: int = 40,
    seed: int = 0,
    device: str = "cpu",
    stand_in: str | None = None,
    folder: Path | None = None,
) -> Networks:
    """SGD with momentum 0.3 and no decay on the first images of each class, as pixels in [0, 1].

    Printed are the batch, the rate and the momentum, and the networks by name; Figure 1 ends at 500
    epochs. The number of images, the scale of pixels and the start are ours.

    Parameters
    ----------
    stand_in
        Image set to take for those that are not at hand; they are not measured otherwise.
    folder
        Where each run keeps its checkpoint, and resumes.
    """
    size = {"width_multiplier": width_multiplier, "images": images, "seed": seed}
    steps = {"epochs": epochs, "batch": batch, "learning_rate": learning_rate}
    runs, missing = {}, {}
    for name in sets:
        try:
            runs[name] = _run(network, name, records, device, folder, **size, **steps)
        except FileNotFoundError as error:
            if stand_in is None:
                missing[name] = str(error)
            else:
                runs[name] = _run(network, stand_in, records, device, folder, **size, **steps)
    return Networks(network, runs, missing, _flow() if runs else None)


@cache
def _run(
    network: str,
    name: str,
    records: int,
    device: str,
    folder: Path | None,
    *,
    width_multiplier: float,
    images: int,
    seed: int,
    **steps: Any,
) -> Run:
    from ncollapse import train
    from ncollapse.data import images_at_hand

    data = images_at_hand(name, -(-images // 10)).first(images)
    *channels, pixels, _ = data.images.shape[1:]
    make = {"resnet18": train.resnet18, "vgg13": train.vgg13}[network]
    model = make(
        data.num_classes,
        width_multiplier=width_multiplier,
        channels=channels[0] if channels else 1,
        pixels=pixels,
        seed=seed,
    )
    return train.fit(
        model,
        data,
        replace(train.RECIPES["ji2022"], **steps),
        seed=seed,
        preset="ji2022",
        records=records,
        grid="loglog",
        checkpoint=None if folder is None else folder / f"{network}-{name}.checkpoint",
        resume=True,
        device=device,
    )


@cache
def _flow() -> Run:
    """The flow that networks of ten classes are compared with; n and d only move its start."""
    from ncollapse.flow import flow_ulpm

    return flow_ulpm(num_classes=10, per_class=5, dim=20, until=60.0)


def _figure(number: int) -> Experiment:
    """The declaration of one of `FIGURES`."""
    network, sets = FIGURES[number]

    def compute(*, folder: Path | None = None, **settings: Any) -> Networks:
        return train_on(network, sets, folder=folder, **settings)

    compute.__name__ = f"figure{number}"
    return experiment(
        f"{NAMES[network]} without decay on {' and '.join(NAMES[name] for name in sets)}",
        "four metrics over log log epochs, beside the flow of the layer-peeled model at equal loss",
        quick=QUICK,
        paper=PAPER,
        paper_cpu=CPU,
    )(compute)


figure1, figure3, figure4, figure5, figure6, figure7, figure8 = map(_figure, FIGURES)
