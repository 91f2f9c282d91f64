"""Ways down from points that are not optimal on their sphere (ji2022 Theorem 3.4, Example 3.1).

The cross-entropy L of the layer-peeled model falls for ever along every separating direction, so
the question is asked on a sphere ‖W‖² + ‖H‖² = ρ². There every point that is not neural collapse
with ‖W‖ = ‖H‖ has a tangent direction that lowers L: a gradient, or, where the gradient is
parallel to (W, H), negative curvature of the Riemannian Hessian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import fminbound
from scipy.sparse.linalg import LinearOperator, eigsh

from ncollapse.theory.layer_peeled import ScaledDerivatives, check_model, scaled_derivatives

_ANGLES = math.pi / 4 * 0.5 ** np.arange(0.0, 40.0, 0.5)


@dataclass(frozen=True, eq=False)
class EscapeDirection:
    """A tangent direction that lowers L on the sphere, with the decrease it achieves.

    Attributes
    ----------
    weight, features
        the direction, orthogonal to (W, H), of unit norm.
    kind
        "curvature" (bottom eigenvector of the Riemannian Hessian) or "gradient".
    curvature
        the Hessian's quadratic form along the direction, relative to L: of ∇²L/L.
    slope
        derivative of log L along the direction, at most 0.
    angle
        how far to go: the new point is cos(angle)·(W, H) + sin(angle)·ρ·direction.
    decrease
        log L here minus log L there, evaluated, not extrapolated; positive.
    """

    weight: np.ndarray
    features: np.ndarray
    kind: str
    curvature: float
    slope: float
    angle: float
    decrease: float

    def apply(self, weight: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The point of the same sphere that has the lower loss."""
        radius = math.sqrt(float(np.sum(weight**2) + np.sum(features**2)))
        along, across = math.cos(self.angle), radius * math.sin(self.angle)
        return along * weight + across * self.weight, along * features + across * self.features

    def to_dict(self) -> dict[str, Any]:
        return {
            "weight": self.weight.tolist(),
            "features": self.features.tolist(),
            "kind": self.kind,
            "curvature": self.curvature,
            "slope": self.slope,
            "angle": self.angle,
            "decrease": self.decrease,
        }


def escape_direction(
    weight: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> EscapeDirection | None:
    """A verified way down from (W, H) on its sphere, or ``None`` where there is none.

    The bottom eigenvector of the Riemannian Hessian P(∇²L)P − (⟨θ, ∇L⟩/ρ²)P on the tangent space
    {Δ ⟂ θ}, matrix-free by Lanczos, and the steepest tangent descent. Each is followed along its
    great circle, where L is evaluated, so the decrease is achieved; the larger one is returned.

    Parameters
    ----------
    weight, features, labels
        ``(K, D)``, ``(N, D)``, ``(N,)``; without labels the samples are sorted by class.
    tolerance
        a slope (times ρ) or a curvature (times ρ²) that is smaller than this, relative to the
        gradient and to the Hessian, counts as zero: the point is then optimal to that precision.
    seed
        of the Lanczos starting vector.

    Returns
    -------
    EscapeDirection or None
        None at a point that is optimal on its sphere: no direction passes the tolerance, or none
        lowers log L by more than rounding. Theorem 3.4 has such points only at neural collapse with
        ‖W‖ = ‖H‖.

    Raises
    ------
    ValueError
        shapes that disagree, labels outside the range, or the origin (a saddle on no sphere).
    """
    sphere = _Sphere(weight, features, labels)
    escapes = [sphere.descend(*direction) for direction in sphere.directions(tolerance, seed)]
    verified = [escape for escape in escapes if escape is not None]
    return max(verified, key=lambda escape: escape.decrease, default=None)


def riemannian_hessian(
    weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None = None
) -> LinearOperator:
    """Riemannian Hessian of L on the sphere through (W, H), divided by L, as an operator.

    Acts on stacked (ΔW, ΔH) of length (K + N) D; it annihilates the radial direction.
    """
    sphere = _Sphere(weight, features, labels)
    return _Symmetric(sphere.hessian_product, sphere.size)


def example_3_1(angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """ji2022 Example 3.1: K = 4, n = 1, a KKT point that is not optimal, and its escape.

    ``angle`` is the example's α: at 0, W = H = blockdiag([[1, −1], [−1, 1]] twice), where ∇L is
    parallel to (W, H); at α ≠ 0 the point of the same norms with a lower loss. W and Hᵀ are the
    example's W' and H', so rows of the second array are samples.
    """
    block = np.array([[1.0, -1.0], [-1.0, 1.0]])
    base = np.kron(np.eye(2), block)
    mixing = np.array([[1.0, 1.0], [-1.0, -1.0]])
    shift = np.kron(mixing, np.ones((2, 2)))
    scale = math.sqrt(1.0 + 2.0 * angle**2)
    weight = (base + angle * shift) / scale
    hidden = (base + angle * np.kron(mixing.T, np.ones((2, 2)))) / scale
    return weight, hidden.T


class _Symmetric(LinearOperator):
    """A symmetric operator given by its product with a vector."""

    def __init__(self, product: Callable[[np.ndarray], np.ndarray], size: int) -> None:
        super().__init__(np.dtype(float), (size, size))
        self._product = product

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self._product(x)


class _Sphere:
    """L/L and its derivatives at one point, flattened to vectors."""

    def __init__(self, weight: np.ndarray, features: np.ndarray, labels: np.ndarray | None) -> None:
        self.labels = check_model(weight, features, labels)
        weight, features = np.asarray(weight, float), np.asarray(features, float)
        self.weight, self.features = weight, features
        self.point = np.concatenate([weight.ravel(), features.ravel()])
        self.size = self.point.size
        self.radius = float(np.linalg.norm(self.point))
        if self.radius == 0.0:
            raise ValueError("weight and features are all zero: the origin lies on no sphere")
        self.local: ScaledDerivatives = scaled_derivatives(features @ weight.T, self.labels)
        gradient = self.local.gradient
        self.gradient = self.join(gradient.T @ features, gradient @ weight)
        self.radial = float(self.point @ self.gradient) / self.radius**2

    def split(self, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vector = np.ravel(vector)
        cut = self.weight.size
        return vector[:cut].reshape(self.weight.shape), vector[cut:].reshape(self.features.shape)

    def join(self, weight: np.ndarray, features: np.ndarray) -> np.ndarray:
        return np.concatenate([weight.ravel(), features.ravel()])

    def tangent(self, vector: np.ndarray) -> np.ndarray:
        vector = np.ravel(vector)
        return vector - (self.point @ vector) / self.radius**2 * self.point

    def hessian_product(self, vector: np.ndarray) -> np.ndarray:
        vector = self.tangent(vector)
        d_weight, d_features = self.split(vector)
        d_logits = self.features @ d_weight.T + d_features @ self.weight.T
        curved = self.local.hessian_product(d_logits)
        straight = self.local.gradient
        product = self.join(
            curved.T @ self.features + straight.T @ d_features,
            curved @ self.weight + straight @ d_weight,
        )
        return self.tangent(product) - self.radial * vector

    def directions(self, tolerance: float, seed: int) -> list[tuple[str, np.ndarray]]:
        ways = []
        slope = self.tangent(self.gradient)
        curvature, bottom, scale = _bottom_eigenpair(self.hessian_product, self.size, seed)
        if curvature < -tolerance * scale:
            bottom = self.tangent(bottom)
            bottom /= np.linalg.norm(bottom)
            ways.append(("curvature", bottom if bottom @ slope <= 0.0 else -bottom))
        if np.linalg.norm(slope) > tolerance * np.linalg.norm(self.gradient):
            ways.append(("gradient", -slope / np.linalg.norm(slope)))
        return ways

    def descend(self, kind: str, direction: np.ndarray) -> EscapeDirection | None:
        def log_loss(angle: float) -> float:
            moved = math.cos(angle) * self.point + self.radius * math.sin(angle) * direction
            weight, features = self.split(moved)
            return scaled_derivatives(features @ weight.T, self.labels).log_loss

        start = self.local.log_loss
        best = int(np.argmin([log_loss(angle) for angle in _ANGLES]))
        angle = float(_ANGLES[best])
        around = (_ANGLES[min(best + 1, _ANGLES.size - 1)], _ANGLES[max(best - 1, 0)])
        refined = float(np.asarray(fminbound(log_loss, *around)))
        if log_loss(refined) < log_loss(angle):
            angle = refined
        decrease = start - log_loss(angle)
        if decrease <= 64.0 * np.finfo(float).eps * max(1.0, abs(start)):
            return None
        weight, features = self.split(direction)
        return EscapeDirection(
            weight=weight,
            features=features,
            kind=kind,
            curvature=float(direction @ self.hessian_product(direction)),
            slope=float(direction @ self.gradient),
            angle=angle,
            decrease=decrease,
        )


def _bottom_eigenpair(
    product: Callable[[np.ndarray], np.ndarray], size: int, seed: int
) -> tuple[float, np.ndarray, float]:
    """Least eigenvalue, its vector, and the operator's norm.

    A wide Lanczos basis settles the clustered eigenvalues near an optimum, where a narrow one
    stalls; a Ritz pair is a valid direction, and bounds the least eigenvalue, at any precision.
    """
    if size <= 64:
        values, vectors = np.linalg.eigh(np.stack([product(row) for row in np.eye(size)]))
        return float(values[0]), vectors[:, 0], float(np.abs(values[[0, -1]]).max())
    operator = _Symmetric(product, size)
    start = np.random.default_rng(seed).standard_normal(size)
    rough: dict[str, Any] = {"which": "LM", "tol": 1e-2, "return_eigenvectors": False}
    scale = float(abs(eigsh(operator, k=1, v0=start, **rough)[0]))
    fine: dict[str, Any] = {"which": "SA", "tol": 1e-3, "ncv": min(size, 200)}
    values, vectors = eigsh(operator, k=1, v0=start, **fine)
    return float(values[0]), vectors[:, 0], scale
