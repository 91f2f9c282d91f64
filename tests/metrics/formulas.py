"""The metrics as the papers print them, sample by sample and pair by pair: slow, and the
reference.
"""

from itertools import permutations

import numpy as np


class Cloud:
    """Features h (N, D), labels 0 … K−1, and everything the formulas speak of, in float64."""

    def __init__(self, features, labels):
        self.h = np.asarray(features, dtype=np.float64)
        self.y = np.asarray(labels)
        self.classes = sorted(set(self.y.tolist()))
        self.K, self.N = len(self.classes), len(self.y)
        self.mu = np.array([self.h[self.y == k].mean(axis=0) for k in self.classes])
        self.n = np.array([(self.y == k).sum() for k in self.classes])
        self.mu_g = self.mu.mean(axis=0)
        self.m = self.mu - self.mu_g
        self.own = np.array([self.mu[self.classes.index(k)] for k in self.y])

    def within(self):
        return sum(np.outer(h - m, h - m) for h, m in zip(self.h, self.own, strict=True)) / self.N

    def between(self):
        return sum(np.outer(m, m) for m in self.m) / self.K

    def weighted_between(self):
        centre = self.h.mean(axis=0)
        return (
            sum(
                n * np.outer(mu - centre, mu - centre)
                for n, mu in zip(self.n, self.mu, strict=True)
            )
            / self.N
        )

    def variance(self, k):
        return np.mean([np.sum((h - self.mu[k]) ** 2) for h in self.h[self.y == self.classes[k]]])


def pairs(count):
    return list(permutations(range(count), 2))


def cos(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def nc1_pinv(c):
    return np.trace(c.within() @ np.linalg.pinv(c.between(), rcond=1e-10)) / c.K


def nc1_weighted(c):
    return np.trace(c.within() @ np.linalg.pinv(c.weighted_between(), rcond=1e-10)) / c.K


def separation(c):
    return np.trace(c.within() @ np.linalg.pinv(c.weighted_between(), rcond=1e-10))


def nc1_quotient(c):
    return np.trace(c.within()) / np.trace(c.between())


def nc1_total(c):
    total = sum(np.sum((h - c.h.mean(axis=0)) ** 2) for h in c.h) / c.N
    return np.trace(c.within()) / total


def cdnv(c):
    return np.mean(
        [
            (c.variance(k) + c.variance(j)) / (2 * np.sum((c.mu[k] - c.mu[j]) ** 2))
            for k, j in pairs(c.K)
        ]
    )


def vci(c):
    total = c.within() + c.weighted_between()
    rank = np.linalg.matrix_rank(c.weighted_between(), tol=1e-10)
    return 1 - np.trace(np.linalg.pinv(total, rcond=1e-12) @ c.weighted_between()) / rank


def within_variation(c):
    own = np.mean([np.linalg.norm(h - m) for h, m in zip(c.h, c.own, strict=True)])
    return own / np.mean([np.linalg.norm(h - c.mu_g) for h in c.h])


def directional_collapse(c):
    return np.mean([1 - cos(h, m) if h.any() else 1.0 for h, m in zip(c.h, c.own, strict=True)])


def equinorm(rows):
    norms = [np.linalg.norm(row) for row in rows]
    return np.std(norms) / np.mean(norms)


def equiangular(rows):
    count = len(rows)
    return np.mean([abs(cos(rows[k], rows[j]) + 1 / (count - 1)) for k, j in pairs(count)])


def coherence(rows):
    return max(abs(cos(rows[k], rows[j])) for k, j in pairs(len(rows)))


def simplex(count):
    return (np.eye(count) - 1 / count) / np.sqrt(count - 1)


def normalised_distance(matrix, target):
    return np.linalg.norm(matrix / np.linalg.norm(matrix) - target)


def etf(rows):
    return normalised_distance(rows @ rows.T, simplex(len(rows)))


def orthogonal(rows):
    return normalised_distance(rows @ rows.T, np.eye(len(rows)) / np.sqrt(len(rows)))


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def nearest_etf(rows):
    """By the closest partial isometry U: min ‖M/‖M‖ − C_K Uᵀ/√(K−1)‖."""
    count = len(rows)
    target = simplex(count)
    left, _, right = np.linalg.svd(target.T @ rows, full_matrices=False)
    return np.linalg.norm(rows / np.linalg.norm(rows) - target @ left @ right)


def distances(rows):
    u = units(rows)
    return np.array([np.linalg.norm(u[k] - u[j]) for k, j in pairs(len(rows))])


def gnc2_log(rows):
    return np.mean(np.log(1 / distances(rows)))


def gnc2_log_spread(rows):
    return np.std(np.log(1 / distances(rows)))


def gnc2_riesz(rows, exponent):
    return np.log(np.mean(distances(rows) ** -exponent)) / exponent


def nc3_alignment(c, w):
    return normalised_distance(w @ c.mu.T, simplex(c.K))


def nc3_duality(c, w):
    return np.linalg.norm(w / np.linalg.norm(w) - c.m / np.linalg.norm(c.m))


def nc3_projected_directions(c, w):
    phi = units(c.mu)
    centring = np.eye(c.K) - 1 / c.K
    masses = [centring[k] @ (w @ phi[k]) / (1 - 1 / c.K) for k in range(c.K)]
    projected = centring @ (np.maximum(masses, 0)[:, None] * phi)
    return np.linalg.norm(w / np.linalg.norm(w) - projected / np.linalg.norm(projected))


def nc3_average(c, w):
    return np.mean([np.linalg.norm(a - b) for a, b in zip(units(c.m), units(w), strict=True)])


def nc3_cosines(c, w):
    return np.array([cos(a, b) for a, b in zip(w, c.m, strict=True)])


def nc4_agreement(c, w, b):
    hits = 0
    for h in c.h:
        nearest = min(range(c.K), key=lambda k: np.linalg.norm(h - c.mu[k]))
        hits += int(np.argmax(w @ h + b)) == nearest
    return hits / c.N


def ncc_accuracy(c):
    hits = 0
    for h, y in zip(c.h, c.y, strict=True):
        hits += c.classes[min(range(c.K), key=lambda k: np.linalg.norm(h - c.mu[k]))] == y
    return hits / c.N


def effective_rank(matrix):
    singular = np.linalg.svd(matrix, compute_uv=False)
    share = singular[singular > 1e-12 * singular.max()] / singular.sum()
    return np.exp(-np.sum(share * np.log(share)))
