"""Train a small network on real digits and watch it collapse.

    python examples/train_and_watch.py --output collapse.png --tensorboard runs/digits

The network is trained far beyond zero training error with weight decay. Every few epochs
the features that enter the classifier and the hidden layers are measured over the training set; the
figure shows the metrics of papyan2020, and the law of layerwise separation (He and Su).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.nn import functional

from ncollapse.data import load_images
from ncollapse.torch import ModelMeasurement, measure_model

LAYERS = ("hidden1", "hidden2", "hidden3")


class Network(nn.Module):
    """Three hidden layers with batch normalisation, and a linear classifier."""

    def __init__(self, num_inputs: int, num_classes: int, width: int) -> None:
        super().__init__()
        sizes = (num_inputs, width, width, width)
        for name, inputs, outputs in zip(LAYERS, sizes, sizes[1:], strict=False):
            block = nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU())
            self.add_module(name, block)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in LAYERS:
            x = self.get_submodule(name)(x)
        return self.fc(x)


def train_and_watch(
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    epochs: int,
    watch_every: int,
    width: int,
    seed: int,
    log_folder: Path | None,
) -> dict[int, ModelMeasurement]:
    """Epoch → measurement, of a run of SGD with momentum and two drops of the learning rate."""
    torch.manual_seed(seed)
    model = Network(images.shape[1], int(labels.max()) + 1, width)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-3)
    drops = [epochs // 2, 3 * epochs // 4]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, gamma=0.1)
    batches = list(zip(images.split(500), labels.split(500), strict=True))
    writer = _writer(log_folder)
    measured = {}
    for epoch in range(epochs + 1):
        if epoch % watch_every == 0 or epoch == epochs:
            measured[epoch] = measure_model(model, batches, layers=LAYERS)
            for name, value in measured[epoch].metrics.items():
                if writer is not None:
                    writer.add_scalar(f"nc/{name}", value, epoch)
        if epoch < epochs:
            order = torch.randperm(len(images))
            for rows in order.split(100):
                optimizer.zero_grad()
                functional.cross_entropy(model(images[rows]), labels[rows]).backward()
                optimizer.step()
            schedule.step()
    if writer is not None:
        writer.close()
    return measured


def draw(measured: dict[int, ModelMeasurement], output: Path) -> None:
    """Four panels: within-class scatter, geometry, duality and decisions, separation by layer."""
    figure, panels = plt.subplots(1, 4, figsize=(16, 3.6), layout="constrained")
    curves = (
        ("within-class scatter", ("nc1_pinv",), "log"),
        ("equal norms and angles", ("nc2_equinorm_means", "nc2_equiangular_means"), "linear"),
        ("classifier and means", ("nc3_duality", "nc4_agreement"), "linear"),
    )
    for panel, (title, names, scale) in zip(panels, curves, strict=False):
        for name in names:
            panel.plot(
                list(measured), [m.metrics[name] for m in measured.values()], ".-", label=name
            )
        panel.set(title=title, xlabel="epoch", yscale=scale)
        panel.legend()
    for epoch in (min(measured), max(measured)):
        law = measured[epoch].separation_law()
        panels[-1].semilogy(law.layers, law.values, "o-", label=f"epoch {epoch}")
    panels[-1].set(title="separation by layer")
    panels[-1].legend()
    figure.savefig(output, dpi=120)
    plt.close(figure)


def _writer(folder: Path | None):
    if folder is None:
        return None
    if importlib.util.find_spec("tensorboard") is None:
        raise SystemExit("--tensorboard needs tensorboard: pip install tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--watch-every", type=int, default=4)
    parser.add_argument("--per-class", type=int, default=200)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("collapse.png"))
    parser.add_argument("--tensorboard", type=Path)
    options = parser.parse_args(arguments)

    digits = load_images(per_class=options.per_class)
    images = torch.from_numpy(digits.inputs - digits.inputs.mean(axis=0)).float()
    measured = train_and_watch(
        images,
        torch.from_numpy(digits.labels),
        epochs=options.epochs,
        watch_every=options.watch_every,
        width=options.width,
        seed=options.seed,
        log_folder=options.tensorboard,
    )
    draw(measured, options.output)
    summary = {
        when: {**measured[epoch].metrics, "decay by layer": measured[epoch].separation_law().decay}
        for when, epoch in (("first", min(measured)), ("last", max(measured)))
    }
    print(json.dumps(summary, indent=2))
    return summary


if __name__ == "__main__":
    main()
