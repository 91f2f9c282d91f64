"""The experiments of hong2025: Figures 1 to 5, Theorems 2, 7 and 8, and the question on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ncollapse.papers import experiment
from ncollapse.theory.minimisers import MODELS

if TYPE_CHECKING:
    from ncollapse.papers.hong2025.appendix import Lemmas
    from ncollapse.papers.hong2025.constructions import Constructions
    from ncollapse.papers.hong2025.generalisation import Errors
    from ncollapse.papers.hong2025.image_limits import LargestCounts
    from ncollapse.papers.hong2025.minimisers import Theorem2
    from ncollapse.papers.hong2025.multipliers import Optimality
    from ncollapse.papers.hong2025.phase import Phase
    from ncollapse.papers.hong2025.three_layers import ThreeLayers
    from ncollapse.papers.hong2025.training import Curves, Training
    from ncollapse.papers.hong2025.training_choices import Choices
    from ncollapse.papers.hong2025.two_neurons import TwoNeurons


def _spread(start: float, stop: float, count: int) -> tuple[float, ...]:
    return tuple(np.linspace(start, stop, count).round(6).tolist())


ANGLES = tuple(np.linspace(0.0, np.pi, 5).tolist())
FEW_SIGMAS, SIGMAS = (0.08, *_spread(0.16, 1.6, 10)), _spread(0.08, 1.6, 20)
NOISES = (0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
TRAIN_SIGMAS = (0.18, 0.36, 0.53, 0.8, 1.07, 1.42)
TRAIN_RATIOS = (1.1, 1.3, 1.5, 2.0, 3.0, 4.0)
SHARES = (0.05, 0.2, 0.5, 0.8, 0.95, 1.1, 1.5)


@experiment(
    "Where two Gaussian classes can collapse",
    "success rate over d/n and σ at five angles, the exact boundary and the paper's bounds",
    quick={"count": 100, "sigmas": FEW_SIGMAS, "trials": 16},
    paper={"count": 300, "sigmas": SIGMAS, "trials": 10},
)
def figure1(
    *,
    folder: Path,
    count: int,
    sigmas: tuple[float, ...],
    trials: int,
    angles: tuple[float, ...] = ANGLES,
    ratios: tuple[float, ...] = _spread(1.0, 2.0, 21),
    workers: int | None = None,
    scheduler: str | None = None,
) -> Phase:
    """K = 2 unit means at five angles, n = 300, d/n from 1 to 2, ten trials in each cell."""
    from ncollapse.papers.hong2025 import phase

    grid = phase.Grid(2, count, angles, sigmas, ratios, trials)
    return phase.compute(grid, folder, workers=workers, scheduler=scheduler)


@experiment(
    "Where four Gaussian classes can collapse",
    "success rate over d/n and σ with means e_k, the exact boundary and the paper's bounds",
    quick={"count": 50, "sigmas": FEW_SIGMAS, "trials": 48},
    paper={"count": 250, "sigmas": SIGMAS, "trials": 10},
)
def figure2(
    *,
    folder: Path,
    count: int,
    sigmas: tuple[float, ...],
    trials: int,
    ratios: tuple[float, ...] = _spread(1.0, 4.0, 31),
    workers: int | None = None,
    scheduler: str | None = None,
) -> Phase:
    """K = 4 means e_k, n = 250, d/n from 1 to 4, ten trials in each cell."""
    from ncollapse.papers.hong2025 import phase

    grid = phase.Grid(4, count, (), sigmas, ratios, trials)
    return phase.compute(grid, folder, workers=workers, scheduler=scheduler)


@experiment(
    "The best test error that collapse allows",
    "error against σ: measured, the exact curve, and the two bounds of Theorems 7 and 8",
    quick={"count": 60, "sigmas": (0.15, 0.2, 0.4, 0.7, 1.5, 3.0), "trials": 3},
    paper={"count": 300, "sigmas": NOISES, "trials": 10},
)
def theorem7(
    *,
    folder: Path,
    count: int,
    sigmas: tuple[float, ...],
    trials: int,
    ratios: tuple[float, ...] = (2.5, 4.0),
    workers: int | None = None,
    scheduler: str | None = None,
) -> Errors:
    """Best error of one and of two collapsed neurons, n = 300, d/n = 2.5 and 4, means ±e_1.

    From d/n = 2 on collapse occurs with probability 1.
    """
    from ncollapse.papers.hong2025 import generalisation

    return generalisation.compute(
        count, ratios, sigmas, trials, folder, workers=workers, scheduler=scheduler
    )


@experiment(
    "How many images per class can still collapse",
    "the largest n per class that is feasible, on real digits and clothing, with certificates",
    quick={"classes": (2,), "most": 400},
    paper={"classes": (2, 3, 10), "most": 700},
)
def images(
    *,
    folder: Path,
    classes: tuple[int, ...],
    most: int,
    sources: dict[str, str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
) -> LargestCounts:
    """The largest n per class that is feasible, for each data set, raw and centred.

    The digits that an installed package carries are always there. IDX files are taken from the
    folders in the folder that the environment variable NCOLLAPSE_DATA names, one a data set.
    """
    from ncollapse.papers.hong2025 import image_limits

    sources = image_limits.image_sources() if sources is None else sources
    return image_limits.compute(
        classes, most, sources, folder, workers=workers, scheduler=scheduler
    )


@experiment(
    "Minimisers of positive features",
    "where flows end across the collapse threshold, against the closed forms",
    quick={"shares": (0.2, 0.8, 1.1), "seeds": (0, 1)},
    paper={},
)
def theorem2(
    *,
    num_classes: int = 3,
    per_class: int = 4,
    dim: int = 9,
    shares: tuple[float, ...] = SHARES,
    ratio: float = 1.0,
    seeds: tuple[int, ...] = (0, 1, 2),
    models: tuple[str, ...] = MODELS,
) -> Theorem2:
    """Flows of the positive-feature models on both sides of the threshold, λ_W/λ_H = ``ratio``."""
    from ncollapse.papers.hong2025 import minimisers

    return minimisers.compute(
        num_classes=num_classes,
        per_class=per_class,
        dim=dim,
        shares=shares,
        ratio=ratio,
        seeds=seeds,
        models=models,
    )


@experiment(
    "The lemmas behind the bounds",
    "Lemmas 10–12, Proposition 13 and Lemma 15 on random draws, with the paper's constants",
    quick={"trials": 2_000},
    paper={"trials": 20_000},
)
def lemmas(
    *,
    trials: int,
    dim: int = 2_000,
    kept: int = 20,
    shape: tuple[int, int] = (6, 20),
    seed: int = 0,
) -> Lemmas:
    """m = ``kept`` of d = ``dim`` dimensions for Lemmas 11 and 12, n × d = ``shape`` for Gordon's."""
    from ncollapse.papers.hong2025 import appendix

    return appendix.compute(trials=trials, dim=dim, kept=kept, shape=shape, seed=seed)


@experiment(
    "Two neurons at large noise",
    "the best collapsed neuron and pair against their formulas, and where (2.28) goes at large s",
    quick={"trials": 20},
    paper={"count": 150, "trials": 40},
)
def theorem8(
    *,
    trials: int,
    count: int = 40,
    ratio: float = 4.0,
    sigmas: tuple[float, ...] = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0),
    fresh: int = 20_000,
    seed: int = 0,
) -> TwoNeurons:
    """Means ±e_1, d/n = ``ratio``; ``fresh`` new samples of each class at σ = 1."""
    from ncollapse.papers.hong2025 import two_neurons

    return two_neurons.compute(
        count=count, ratio=ratio, sigmas=sigmas, trials=trials, fresh=fresh, seed=seed
    )


@experiment(
    "What training two layers reaches, and what there is to reach",
    "nc1 and gap over d/n and σ: descent, polished, by homotopy, and built from the certificate",
    quick={"count": 40, "trials": 1, "epochs": 10_000},
    paper={"count": 300, "trials": 5, "epochs": 100_000},
)
def figure3(
    *,
    folder: Path,
    count: int,
    trials: int,
    epochs: int,
    width: int = 16,
    sigmas: tuple[float, ...] = TRAIN_SIGMAS,
    ratios: tuple[float, ...] = TRAIN_RATIOS,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Training:
    """n = 300, means ±e_1, λ_W = 1e-3, λ_H = 1e-6, full batches; the width is our choice."""
    from ncollapse.papers.hong2025 import training

    return training.compute(
        count, sigmas, ratios, trials, width, epochs, folder, workers=workers, scheduler=scheduler
    )


@experiment(
    "Theorems 3 to 6 on data made for them",
    "certificates on constructed data, networks built of them, and the kernel of a random layer",
    quick={"draws": 20},
    paper={"draws": 200},
)
def certificates(
    *, draws: int, points: int = 12, features: int = 20_000, seed: int = 0
) -> Constructions:
    """``draws`` of each kind of data; ``points`` on a sphere for the random layer."""
    from ncollapse.papers.hong2025 import constructions

    return constructions.compute(draws=draws, points=points, features=features, seed=seed)


@experiment(
    "Why the collapsed minimiser is optimal",
    "multipliers of Theorem 2(a), and minima for two classes and for unequal ones",
    quick={"starts": 6},
    paper={"starts": 30},
)
def optimality(*, starts: int, seed: int = 0) -> Optimality:
    """Positive features, cross-entropy, λ_W = 4λ_H, a fifth of the threshold of K = 3, n = 4."""
    from ncollapse.papers.hong2025 import multipliers

    return multipliers.compute(starts=starts, seed=seed)


@experiment(
    "Metrics along training at σ = 0.18",
    "nc1 to nc3 over epochs at six d/n, the trace quotient beside nc1",
    quick={"count": 40, "epochs": 20_000},
    paper={"count": 300, "epochs": 100_000},
)
def figure4(
    *,
    folder: Path,
    count: int,
    epochs: int,
    width: int = 16,
    records: int = 20,
    ratios: tuple[float, ...] = TRAIN_RATIOS,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Curves:
    """Full-batch descent as in Figure 3, with one draw and start at each d/n."""
    from ncollapse.papers.hong2025 import training

    return training.compute_curves(
        0.18, count, ratios, width, epochs, records, folder, workers=workers, scheduler=scheduler
    )


@experiment(
    "Metrics along training at σ = 1.42",
    "nc1 to nc3 over epochs at six d/n, the trace quotient beside nc1",
    quick={"count": 40, "epochs": 20_000},
    paper={"count": 300, "epochs": 100_000},
)
def figure5(
    *,
    folder: Path,
    count: int,
    epochs: int,
    width: int = 16,
    records: int = 20,
    ratios: tuple[float, ...] = TRAIN_RATIOS,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Curves:
    """Full-batch descent as in Figure 3, with one draw and start at each d/n."""
    from ncollapse.papers.hong2025 import training

    return training.compute_curves(
        1.42, count, ratios, width, epochs, records, folder, workers=workers, scheduler=scheduler
    )


@experiment(
    "Three layers with a random first one: is wider better, or faster?",
    "gap and nc1 to nc3 over epochs at widths up to infinity, both readings of N(0, 1/√d₁)",
    quick={"per_class": 15, "widths": (75, 150, 600, 6_000, 0), "epochs": 3_000},
    paper={
        "images": "fashion-mnist",
        "per_class": 500,
        "widths": (1_000, 5_000, 20_000, 0),
        "epochs": 1_000,
    },
)
def figure6(
    *,
    folder: Path,
    per_class: int,
    widths: tuple[int, ...],
    epochs: int,
    images: str = "",
    classes: int = 10,
    trials: int = 1,
    neurons: int = 40,
    records: int = 12,
    workers: int | None = None,
    scheduler: str | None = None,
) -> ThreeLayers:
    """K = 10, n = 500 on Fashion-MNIST, λ as in Figure 3, full batches; width 0 is infinity.

    The number of epochs is not the paper's 100,000, which would take days at N = 5,000.
    """
    from ncollapse.papers.hong2025 import three_layers

    return three_layers.compute(
        images,
        classes,
        per_class,
        widths,
        trials,
        neurons,
        epochs,
        folder,
        records=records,
        workers=workers,
        scheduler=scheduler,
    )


@experiment(
    "What the paper leaves open: width, initial scale and batch size",
    "dead pairs and gap over initial scale and width, nc1 over flow time, dead pairs after a step",
    quick={"count": 40, "epochs": 2_048, "records": 12, "batches": (0, 10)},
    paper={"count": 300, "epochs": 16_384, "records": 15, "batches": (0, 75, 10)},
)
def choices(
    *,
    folder: Path,
    count: int,
    epochs: int,
    records: int,
    batches: tuple[int, ...],
    ratio: float = 1.5,
    sigmas: tuple[float, ...] = (0.18, 1.42),
    widths: tuple[int, ...] = (8, 32),
    inits: tuple[float, ...] = (1.0, 0.1, 0.01),
    workers: int | None = None,
    scheduler: str | None = None,
) -> Choices:
    """Means ±e_1, λ as in Figure 3, step 0.1 throughout; records at powers of two, batch 0 is all."""
    from ncollapse.papers.hong2025 import training_choices

    return training_choices.compute(
        count,
        ratio,
        sigmas,
        widths,
        inits,
        batches,
        epochs,
        records,
        folder,
        workers=workers,
        scheduler=scheduler,
    )
