"""Relative error of nc1 in float32 at true values from 1e-2 to 1e-13, by four ways to compute it.

    python benchmarks/accuracy.py

The truth is computed from the same float32 features in long double (80 bits where the machine has
them): means, deviations, and the pseudo-inverse through the K×K Gram matrix of the centred means.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ncollapse.metrics import directional_collapse, nc1_pinv
from ncollapse.stats import ClassStats

TABLE = Path(__file__).parents[1] / "docs" / "benchmarks" / "accuracy.md"
NUM_CLASSES, DIM, COPIES = 10, 512, 200


def draw(level: float, outlier: float) -> tuple[np.ndarray, np.ndarray]:
    """Means of norm 10 to 100; the first sample of each class lies ``outlier`` times as far out."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((NUM_CLASSES, DIM))
    means *= rng.uniform(10, 100, (NUM_CLASSES, 1)) / np.linalg.norm(means, axis=1)[:, None]
    labels = np.tile(np.arange(NUM_CLASSES), COPIES)
    centred = means - means.mean(axis=0)
    scale = np.sqrt(level / np.sum(1 / (np.linalg.norm(centred, axis=1) ** 2)))
    noise = scale * rng.standard_normal((len(labels), DIM))
    noise[:NUM_CLASSES] *= outlier
    return (means[labels] + noise).astype(np.float32), labels


def ratio(within: np.ndarray, means: np.ndarray) -> float:
    """Tr(Σ_W Σ_B†)/K through the Gram matrix, so that only the statistics differ."""
    centred = means.astype(np.float64) - means.astype(np.float64).mean(axis=0)
    values, left = np.linalg.eigh(centred @ centred.T)
    directions = centred.T @ left[:, 1:] / values[1:]
    return float(np.sum(directions * (within.astype(np.float64) @ directions)))


def truth(features: np.ndarray, labels: np.ndarray) -> float:
    wide = features.astype(np.longdouble)
    means = np.array([wide[labels == k].mean(axis=0) for k in range(NUM_CLASSES)])
    apart = (wide - means[labels]).astype(np.float64)
    return ratio(apart.T @ apart / len(labels), means)


def naive(features: np.ndarray, labels: np.ndarray) -> float:
    hot = np.eye(NUM_CLASSES, dtype=np.float32)[labels]
    means = hot.T @ features / COPIES
    return ratio(features.T @ features / len(labels) - means.T @ means / NUM_CLASSES, means)


def two_pass(features: np.ndarray, labels: np.ndarray) -> float:
    hot = np.eye(NUM_CLASSES, dtype=np.float32)[labels]
    means = hot.T @ features / COPIES
    apart = features - means[labels]
    return ratio(apart.T @ apart / len(labels), means)


def ours(features: np.ndarray, labels: np.ndarray) -> float:
    stats = ClassStats(NUM_CLASSES, DIM)
    for start in range(0, len(labels), 256):
        stats.update(features[start : start + 256], labels[start : start + 256])
    return nc1_pinv(stats.finish())


def directions(angle: float) -> tuple[float, float]:
    """True 1 − cos and ours, for features on nearly one ray a class, of lengths 0.3 to 3."""
    rng = np.random.default_rng(1)
    rays = np.abs(rng.standard_normal((NUM_CLASSES, DIM)))
    labels = np.tile(np.arange(NUM_CLASSES), COPIES)
    features = rays[labels] * (1 + angle * rng.standard_normal((len(labels), DIM)))
    features = (features * rng.uniform(0.3, 3, (len(labels), 1))).astype(np.float32)
    wide = features.astype(np.longdouble)
    means = np.array([wide[labels == k].mean(axis=0) for k in range(NUM_CLASSES)])
    units = wide / np.sqrt((wide**2).sum(axis=1, keepdims=True))
    means /= np.sqrt((means**2).sum(axis=1, keepdims=True))
    exact = float(((units - means[labels]) ** 2).sum(axis=1).mean() / 2)
    stats = ClassStats(NUM_CLASSES, DIM).update(features, labels)
    return exact, directional_collapse(stats.finish())


def main() -> None:
    head = ["true nc1", "naive one-pass", "two-pass", "ours", "ours, first samples 1000× out"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for exponent in range(2, 14):
        data, outlying = draw(10.0**-exponent, 1.0), draw(10.0**-exponent, 1000.0)
        exact = truth(*data)
        errors = [abs(way(*data) / exact - 1) for way in (naive, two_pass, ours)]
        errors.append(abs(ours(*outlying) / truth(*outlying) - 1))
        lines.append("| " + " | ".join([f"{exact:.2e}", *[f"{e:.1e}" for e in errors]]) + " |")
    more = ["| true 1 − cos | relative error of ours |", "|---|---|"]
    for angle in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 3e-7):
        exact, found = directions(angle)
        more.append(f"| {exact:.2e} | {abs(found / exact - 1):.1e} |")
    text = (
        "# Accuracy at collapse\n\n"
        f"Relative error of nc1, float32 features, K = {NUM_CLASSES}, D = {DIM}, class means of "
        "norm 10 to 100.\nNaive is E[hhᵀ] − μμᵀ in one pass, two-pass subtracts the class means "
        "in a second; both in float32.\n\n" + "\n".join(lines) + "\n\n"
        "Directional collapse, avg 1 − cos(h, μ_y), one pass, float32 features of lengths 0.3 to "
        "3:\n\n" + "\n".join(more) + "\n"
    )
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
