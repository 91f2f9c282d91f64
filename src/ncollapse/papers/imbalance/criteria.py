"""Cross-entropy, smoothed and squared: what each loss makes of the same classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from ncollapse.geometry import centring_matrix
from ncollapse.papers.imbalance.networks import nearly_orthogonal_classes, train_network
from ncollapse.theory.imbalance import seli
from ncollapse.theory.predict import predict

LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {},
    "smoothed": {"label_smoothing": 0.1},
    "squared": {"loss": "squared", "bias": True},
}
DIM, SPREAD = 60, 0.3


@dataclass(frozen=True, eq=False)
class Criterion:
    """One loss on one tuple of counts, reached by ``method``: "descent" on free W and H, or "network".

    ``norms (2,)``: ‖W‖² and Σ‖h_i‖² measured over predicted; ``plain_norms`` the same over those that
    cross-entropy predicts; ``value`` of the objective over the predicted one. ``distances (3,)`` of
    unit CWWᵀC, centred means and logits to the prediction, ``to_simplex`` to the balanced simplex and
    ``to_seli`` to SELI.
    """

    loss: str
    counts: tuple[int, ...]
    method: str
    norms: np.ndarray
    plain_norms: np.ndarray
    value: float
    distances: np.ndarray
    to_simplex: np.ndarray
    to_seli: np.ndarray

    @property
    def balanced(self) -> bool:
        return len(set(self.counts)) == 1

    def to_dict(self) -> dict[str, Any]:
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True, eq=False)
class Criteria:
    """Every loss, counts and method."""

    cases: tuple[Criterion, ...]

    def stacked(self, name: str, **kind: Any) -> np.ndarray:
        """One array of all cases that have these attributes, a row each."""
        return np.array(
            [
                getattr(one, name)
                for one in self.cases
                if all(getattr(one, key) == value for key, value in kind.items())
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        return {"cases": [one.to_dict() for one in self.cases]}


def compute(
    counts: tuple[tuple[int, ...], ...],
    *,
    decay: float,
    seed: int,
    width: int,
    epochs: int,
    steps: int,
) -> Criteria:
    """λ_W = λ_H = ``decay``; networks of three layers with linear last features."""
    cases = []
    for sizes in counts:
        inputs, labels = nearly_orthogonal_classes(sizes, DIM, SPREAD, seed)
        for loss, options in LOSSES.items():
            network = train_network(
                inputs,
                labels,
                depth=3,
                width=width,
                weight_decay=decay,
                feature_decay=decay,
                relu_features=False,
                seed=seed,
                epochs=epochs,
                steps=steps,
                **options,
            )
            free = descend(labels, decay=decay, seed=seed, **options)
            layers = {
                "descent": free,
                "network": (network.weight, network.features, network.bias, network.value),
            }
            for method, (weight, features, bias, value) in layers.items():
                layer = weight, features, bias, labels
                cases.append(_against(loss, sizes, method, layer, value, decay))
    return Criteria(tuple(cases))


def descend(
    labels: np.ndarray,
    *,
    decay: float,
    seed: int,
    loss: str = "cross_entropy",
    bias: bool = False,
    label_smoothing: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
    """W, H, b and the objective after L-BFGS from a random start, a feature vector a sample."""
    count, total = int(labels.max()) + 1, len(labels)
    dim = count + 2
    targets = np.eye(count)[labels] * (1.0 - label_smoothing) + label_smoothing / count
    cuts = np.cumsum([count * dim, total * dim])

    def parts(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weight, features, shift = np.split(flat, cuts)
        return weight.reshape(count, dim), features.reshape(total, dim), shift

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, features, shift = parts(flat)
        logits = features @ weight.T + (shift if bias else 0.0)
        if loss == "squared":
            slope = (logits - targets) / total
            value = 0.5 * np.sum((logits - targets) ** 2) / total
        else:
            slope = (softmax(logits, axis=1) - targets) / total
            value = -np.sum(targets * log_softmax(logits, axis=1)) / total
        value += decay / 2 * (np.sum(weight**2) + np.sum(features**2))
        slopes = [slope.T @ features + decay * weight, slope @ weight + decay * features]
        slopes += [slope.sum(axis=0)] if bias else []
        return float(value), np.concatenate([part.ravel() for part in slopes])

    start = np.random.default_rng(seed).standard_normal(cuts[-1] + (count if bias else 0))
    options = {"maxiter": 5_000, "maxfun": 10_000, "ftol": 0.0, "gtol": 1e-10}
    end = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    weight, features, shift = parts(end.x)
    return weight, features, shift if bias else None, float(end.fun)


def _against(
    loss: str,
    counts: tuple[int, ...],
    method: str,
    layer: tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray],
    value: float,
    decay: float,
) -> Criterion:
    weight, features, bias, labels = layer
    decays: dict[str, Any] = {"weight_decay": decay, "feature_decay": decay}
    theory, plain = predict(counts, **decays, **LOSSES[loss]), predict(counts, **decays)
    means = np.array([features[labels == k].mean(axis=0) for k in range(len(counts))])
    logits = weight @ means.T + (0.0 if bias is None else bias[:, None])
    squares = np.array([np.sum(weight**2), np.sum(features**2)])
    measured = _shapes(weight @ weight.T, means @ means.T, logits)
    simplex = centring_matrix(len(counts))
    return Criterion(
        loss=loss,
        counts=counts,
        method=method,
        norms=squares / _norms(theory),
        plain_norms=squares / _norms(plain),
        value=value / theory.risk,
        distances=_apart(measured, _shapes(theory.weight_gram, theory.means_gram, theory.logits)),
        to_simplex=_apart(measured, _shapes(simplex, simplex, simplex)),
        to_seli=_apart(measured, _shapes(*seli(counts))),
    )


def _norms(theory: Any) -> np.ndarray:
    """‖W‖² and Σ n_k‖μ_k‖² of a prediction."""
    return np.array([np.trace(theory.weight_gram), theory.counts @ np.diag(theory.means_gram)])


def _shapes(weight: np.ndarray, means: np.ndarray, logits: np.ndarray) -> list[np.ndarray]:
    """Centred where the loss or the bias does not see the rest, of unit norm."""
    centring = centring_matrix(len(weight))
    parts = centring @ weight @ centring, centring @ means @ centring, centring @ logits
    return [part / np.linalg.norm(part) for part in parts]


def _apart(measured: list[np.ndarray], others: list[np.ndarray]) -> np.ndarray:
    return np.array([np.linalg.norm(a - b) for a, b in zip(measured, others, strict=True)])
