"""hong2025 Theorems 3–6 on data made for them: certificates, and networks built out of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.certify import Direction, certify, decide, random_layer
from ncollapse.data.synthetic import gaussian_mixture
from ncollapse.geometry import unit_pair, unit_rows
from ncollapse.metrics import measure
from ncollapse.theory.boundary import phase_boundary
from ncollapse.theory.minimisers import Minimiser, minimiser
from ncollapse.theory.random_features import MEAN_FEATURE, random_feature_kernel

COUNT = 6
"""Samples of each class."""
UNEQUAL, ASIDE = (80, 240), 0.15
"""Class sizes of a mixture, and how far from the exact boundary it is drawn, as a share."""
LAMBDA_W, LAMBDA_H = 4e-3, 1e-3
METRICS = ("nc1_pinv", "nc2_orthogonal_means", "nc2_etf_weight", "nc3_alignment")
"""(3.2) and (3.3)."""

Sample = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Built:
    """A network built of certificates: its mean cross-entropy with decay, and its metrics.

    ``risk`` (2.4) or (2.5) of the network itself, ``least`` that of Theorem 2(a), below which no
    network is; ``louder`` the same with 1.001 times the decay; ``spread`` the largest distance of
    a feature from its class mean, relative to the largest feature.
    """

    risk: float
    least: float
    louder: float
    spread: float
    metrics: dict[str, float]


@dataclass(frozen=True, eq=False)
class Constructions:
    """What certificates say on constructed data, and what networks and kernels do.

    Attributes
    ----------
    feasible, infeasible, cited
        For each kind of data of `KINDS`: share of draws proven feasible, proven infeasible, and
        with a class for which the part of Theorem 3 named after the kind is the reason.
    unequal
        Share of draws of a mixture of `UNEQUAL` classes on which the first is feasible: beyond the
        exact boundary, short of it, and beyond that of equal classes.
    two_layers, three_layers
        Networks on data of a Gaussian mixture, and on points of a sphere.
    sphere_feasible
        Share of draws of the sphere's points on which two layers can collapse.
    full_rank
        Shares of random layers proven to have rank N on such points, and with a parallel pair.
    kernel
        least eigenvalue of H_∞: centred, as Lemma 9 displays it, and with a parallel pair.
    kernel_error
        ``(N, N)`` difference of the closed form and a mean over ``features`` random neurons;
        ``kernel_spread`` its standard error, ``printed_error`` with E σ as printed.
    """

    draws: int
    feasible: dict[str, float]
    infeasible: dict[str, float]
    cited: dict[str, float]
    unequal: tuple[float, float, float]
    two_layers: Built
    three_layers: Built
    sphere_feasible: float
    full_rank: tuple[float, float]
    kernel: tuple[float, float, float]
    kernel_error: np.ndarray
    kernel_spread: np.ndarray
    printed_error: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        return {
            "draws": self.draws,
            "feasible": self.feasible,
            "infeasible": self.infeasible,
            "cited": self.cited,
            "unequal": list(self.unequal),
            "risk": [self.two_layers.risk, self.three_layers.risk],
            "least_risk": [self.two_layers.least, self.three_layers.least],
            "metrics": [self.two_layers.metrics, self.three_layers.metrics],
            "sphere_feasible": self.sphere_feasible,
            "full_rank": list(self.full_rank),
            "kernel": list(self.kernel),
        }


def inside_hull(seed: int) -> Sample:
    """A sample of class 0 is the mean of two of class 1, exactly; d = 3N, so nothing else fails."""
    data = gaussian_mixture(np.eye(2), COUNT, 1.0, 6 * COUNT, seed)
    inputs = np.round(1024.0 * data.inputs) / 1024.0
    inputs[0] = 0.5 * (inputs[COUNT] + inputs[COUNT + 1])
    return inputs, data.labels


def separated(seed: int) -> Sample:
    """Far means and d < n: linearly separable, but 1 is not in the range of a class."""
    data = gaussian_mixture(50.0 * unit_pair(np.pi), COUNT, 1.0, COUNT - 1, seed)
    return data.inputs, data.labels


def spanned(seed: int) -> Sample:
    """d < n and exact means e_k in the first coordinates: 1 is in the range of each class."""
    data = gaussian_mixture(np.eye(2), COUNT, 1.0, COUNT - 1, seed)
    inputs = data.inputs.copy()
    inputs[:, :2] = np.eye(2)[data.labels]
    return inputs, data.labels


def independent(seed: int) -> Sample:
    """d = N: rank N with probability 1, at three classes and large noise."""
    data = gaussian_mixture(np.eye(3), COUNT, 5.0, 3 * COUNT, seed)
    return data.inputs, data.labels


def opposite(seed: int) -> Sample:
    """d = N and rank N − 1: two samples of a class are opposite."""
    inputs, labels = independent(seed)
    inputs = inputs.copy()
    inputs[1] = -inputs[0]
    return inputs, labels


def twice(seed: int) -> Sample:
    """Two classes at d = 2n, at any angle, noise 5."""
    angle = np.random.default_rng(seed).uniform(0.0, np.pi)
    data = gaussian_mixture(unit_pair(angle), COUNT, 5.0, 2 * COUNT, seed)
    return data.inputs, data.labels


def short_of_twice(seed: int) -> Sample:
    """The same in the first n + 1 dimensions."""
    inputs, labels = twice(seed)
    return inputs[:, : COUNT + 1].copy(), labels


KINDS: dict[str, tuple[Callable[[int], Sample], str]] = {
    "inside_hull": (inside_hull, "3a"),
    "separated": (separated, "3c"),
    "spanned": (spanned, ""),
    "independent": (independent, "3b"),
    "opposite": (opposite, ""),
    "twice": (twice, "3b"),
    "short_of_twice": (short_of_twice, ""),
}
"""Data by name, and the part of Theorem 3 that decides them."""


def compute(*, draws: int, points: int, features: int, seed: int) -> Constructions:
    """``draws`` of each kind; ``points`` on the sphere, N log N neurons in the random layer."""
    verdicts = {
        name: [certify(*make(seed + draw)) for draw in range(draws)]
        for name, (make, _) in KINDS.items()
    }
    mixture = gaussian_mixture(np.eye(3), COUNT, 0.3, 2 * COUNT + 4, seed)
    width = int(np.ceil(points * np.log(points)))
    spheres = [sphere(points, seed + draw) for draw in range(draws)]
    inputs, labels = spheres[0]
    parallel = np.vstack([inputs[:-1], inputs[:1]])
    hidden = random_features(inputs, width, seed)
    return Constructions(
        draws=draws,
        feasible={name: _share(rows, "feasible") for name, rows in verdicts.items()},
        infeasible={name: _share(rows, "infeasible") for name, rows in verdicts.items()},
        cited={
            name: float(np.mean([any(c.theorem == part for c in row.classes) for row in rows]))
            for (name, rows), (_, part) in zip(verdicts.items(), KINDS.values(), strict=True)
        },
        unequal=_unequal_shares(draws, seed),
        two_layers=build(mixture.inputs, mixture.labels),
        three_layers=build(hidden, labels),
        sphere_feasible=_share([certify(*sample) for sample in spheres], "feasible"),
        full_rank=(
            float(np.mean([random_layer(x, width, i).proven for i, (x, _) in enumerate(spheres)])),
            float(np.mean([random_layer(2.0 * parallel, width, i).proven for i in range(draws)])),
        ),
        kernel=(
            _least_eigenvalue(random_feature_kernel(inputs)),
            _least_eigenvalue(random_feature_kernel(inputs, 0.0) - 2.0 / np.pi),
            _least_eigenvalue(random_feature_kernel(parallel)),
        ),
        **_kernel_errors(inputs, features, seed),
    )


def sphere(points: int, seed: int) -> Sample:
    """Random points of the unit sphere of R³, every other one in class 1."""
    inputs = np.random.default_rng(seed).standard_normal((points, 3))
    return unit_rows(inputs), np.arange(points) % 2


def random_features(inputs: np.ndarray, width: int, seed: int) -> np.ndarray:
    """σ(XW_1) with entries N(0, 1/d_1), d_1 = ``width``."""
    weights = np.random.default_rng(seed).standard_normal((inputs.shape[1], width))
    return np.maximum(inputs @ weights / np.sqrt(width), 0.0)


def build(inputs: np.ndarray, labels: np.ndarray) -> Built:
    """Last two layers W_1 = √b (β_1 … β_K), W of Theorem 2(a) on balanced data; their risk.

    Raises ``ValueError`` where the data cannot collapse.
    """
    certificate = certify(inputs, labels)
    if certificate.verdict != "feasible":
        raise ValueError(f"inputs must be able to collapse, but {certificate.reason}")
    point = _least(labels)
    weight, _ = point.construct()
    answers = [entry.answer for entry in certificate.classes]
    betas = np.array([a.beta for a in answers if isinstance(a, Direction)], dtype=float)
    features = np.maximum(inputs @ (np.sqrt(point.b) * betas).T, 0.0)
    logits = features @ weight.T
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]
    decay = 0.5 * (LAMBDA_W * np.sum(weight**2) + LAMBDA_H * np.sum(features**2))
    means = np.array([features[labels == k].mean(axis=0) for k in range(len(weight))])
    return Built(
        risk=float(losses.mean() + decay),
        least=point.risk,
        louder=_least(labels, 1.001).risk,
        spread=float(np.abs(features - means[labels]).max() / features.max()),
        metrics=measure(features, labels, weight=weight, preset=METRICS).metrics,
    )


def _least(labels: np.ndarray, strength: float = 1.0) -> Minimiser:
    count = int(labels.max()) + 1
    return minimiser(
        "upfm-ce",
        num_classes=count,
        per_class=len(labels) // count,
        lambda_w=strength * LAMBDA_W,
        lambda_h=strength * LAMBDA_H,
    )


def _unequal_shares(draws: int, seed: int) -> tuple[float, float, float]:
    means = unit_pair(np.pi / 2)
    exact = float(phase_boundary(means, 1.0, UNEQUAL).ratio)
    equal = float(phase_boundary(means, 1.0).ratio)

    def share(ratio: float) -> float:
        samples = [
            gaussian_mixture(means, UNEQUAL, 1.0, round(ratio * UNEQUAL[0]), seed + draw)
            for draw in range(draws)
        ]
        return float(np.mean([bool(decide(*map(d.of_class, (0, 1))).feasible) for d in samples]))

    return share((1 + ASIDE) * exact), share((1 - ASIDE) * exact), share((1 + ASIDE) * equal)


def _share(certificates: list[Any], verdict: str) -> float:
    return float(np.mean([row.verdict == verdict and row.verified for row in certificates]))


def _least_eigenvalue(kernel: np.ndarray) -> float:
    """0 where it is zero to rounding."""
    values = np.linalg.eigvalsh(kernel)
    rounding = len(kernel) * np.finfo(np.float64).eps * np.abs(values).max()
    return float(values[0]) if abs(values[0]) > 10.0 * rounding else 0.0


def _kernel_errors(inputs: np.ndarray, features: int, seed: int) -> dict[str, np.ndarray]:
    """Covariances of ``features`` random neurons against the closed form, entry by entry."""
    normals = np.random.default_rng([seed, features]).standard_normal((features, inputs.shape[1]))
    values = np.maximum(normals @ inputs.T, 0.0) - MEAN_FEATURE
    products = values[:, :, None] * values[:, None]
    sampled, closed = products.mean(axis=0), random_feature_kernel(inputs)
    printed = random_feature_kernel(inputs, 0.0) - 2.0 / np.pi
    return {
        "kernel_error": sampled - closed,
        "kernel_spread": products.std(axis=0) / np.sqrt(features),
        "printed_error": sampled - printed,
    }
