"""The regularised risk of a two-layer ReLU network, through the Gram matrix of its inputs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ncollapse._checks import check_finite, check_labels, check_positive
from ncollapse.data import as_dataset
from ncollapse.metrics import measure
from ncollapse.setup import Setup
from ncollapse.theory.minimisers import Minimiser, minimiser
from ncollapse.train._last_layer import LastLayer

METRIC_NAMES = (
    "nc1_pinv",
    "nc1_quotient",
    "nc2_orthogonal_means",
    "nc2_etf_weight",
    "nc3_alignment",
)
"""What is measured along training: hong2025 (3.2) and (3.3), and the quotient beside (3.2)."""

Parameters = dict[str, np.ndarray]


def risk_and_gradient(
    preactivations: np.ndarray,
    weight: np.ndarray,
    one_hot: np.ndarray,
    *,
    weight_decay: float,
    feature_decay: float,
    slope: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R = mean cross-entropy + λ_W/2 ‖W‖_F² + λ_H/2 ‖σ(Z)‖_F², ∂R/∂Z and ∂R/∂W (hong2025 (2.4)).

    Only the cross-entropy is divided by N. σ is the ReLU, or the leaky one with ``slope``; its
    derivative at zero is the slope.

    Parameters
    ----------
    preactivations, weight, one_hot
        Z ``(…, N, D)``, W ``(…, K, D)`` and the labels ``(N, K)`` or ``(…, N, K)``.

    Returns
    -------
    tuple
        Arrays of shape ``(…)``, ``(…, N, D)`` and ``(…, K, D)``.
    """
    on = preactivations > 0
    derivative = np.where(on, 1.0, slope) if slope else on
    features = preactivations * derivative
    logits = features @ weight.swapaxes(-1, -2)
    logits -= logits.max(axis=-1, keepdims=True)
    shares = np.exp(logits)
    total = shares.sum(axis=-1, keepdims=True)
    losses = np.log(total[..., 0]) - np.sum(logits * one_hot, axis=-1)
    risk = losses.mean(axis=-1)
    risk += 0.5 * weight_decay * np.einsum("...kd,...kd->...", weight, weight)
    risk += 0.5 * feature_decay * np.einsum("...nd,...nd->...", features, features)
    shares /= total
    shares -= one_hot
    shares /= one_hot.shape[-2]
    to_weight = shares.swapaxes(-1, -2) @ features + weight_decay * weight
    features *= feature_decay
    features += shares @ weight
    features *= derivative
    return risk, features, to_weight


@dataclass(frozen=True, eq=False)
class TwoLayer:
    """min R(W, W₁) = (1/N) Σ_i ce(W σ(W₁x_i), y_i) + λ_W/2 ‖W‖_F² + λ_H/2 ‖σ(XW₁ᵀ)‖_F² (hong2025 (2.4)).

    The features are not divided by N, as in the paper; W₁ has no decay, and nothing has a bias.
    With features of a fixed random first layer in place of the inputs it is (2.5).

    Parameters are ``hidden (D, d)``, rows w_j, and ``weight (K, D)``; descent holds them as
    ``preactivations (N, D)`` = XW₁ᵀ and ``weight``. Where only a Gram matrix is given, these are
    the parameters.

    Attributes
    ----------
    gram, labels
        G = XXᵀ ``(N, N)`` and class indices ``(N,)``.
    inputs
        X ``(N, d)``, or None.
    """

    gram: np.ndarray
    labels: np.ndarray
    weight_decay: float
    feature_decay: float
    inputs: np.ndarray | None = None
    name: ClassVar[str] = "relu2"

    def __post_init__(self) -> None:
        count = len(self.gram)
        if self.gram.shape != (count, count) or not np.allclose(self.gram, self.gram.T):
            raise ValueError(
                f"gram must be a symmetric matrix (N, N), but its shape is {self.gram.shape}"
            )
        check_finite("gram", self.gram)
        check_labels("labels", self.labels, count)
        if sorted(set(self.labels.tolist())) != list(range(max(2, self.labels.max() + 1))):
            raise ValueError("labels must be 0 … K−1, each of at least two classes present")
        for name in ("weight_decay", "feature_decay"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be positive and finite (at zero the infimum is not attained), "
                    f"but it is {getattr(self, name)!r}"
                )

    @classmethod
    def on(
        cls, data: Any, labels: Any = None, *, weight_decay: float, feature_decay: float
    ) -> TwoLayer:
        """The problem on a data set: a `Dataset`, or inputs ``(N, d)`` with ``labels``.

        Raises
        ------
        ValueError
            A decay that is not positive.
        """
        data = as_dataset(data, labels)
        inputs = data.inputs
        return cls(inputs @ inputs.T, data.labels, weight_decay, feature_decay, inputs)

    @property
    def num_classes(self) -> int:
        return int(self.labels.max()) + 1

    @cached_property
    def one_hot(self) -> np.ndarray:
        return np.eye(self.num_classes)[self.labels]

    @cached_property
    def lower_bound(self) -> Minimiser:
        """The minimiser over all H ≥ 0 (hong2025 Theorem 2(a)): no network has a lower risk.

        Raises
        ------
        ValueError
            Classes differ in size: the closed form is for equal ones.
        """
        counts = np.bincount(self.labels)
        if counts.min() < counts.max():
            raise ValueError(
                f"labels must give every class as many samples, for the closed-form optimum, but "
                f"there are {counts.tolist()}"
            )
        return minimiser(
            "upfm-ce",
            num_classes=self.num_classes,
            per_class=int(counts[0]),
            lambda_w=self.weight_decay,
            lambda_h=self.feature_decay,
        )

    def start(self, width: int, *, init: float = 1.0, seed: int = 0) -> Parameters:
        """A random start: entries uniform in ±init/√fan_in, with fan_in d of W₁ and D of W.

        At ``init`` 1 this is PyTorch's default for linear layers; the paper names none. Of a Gram
        matrix alone, ``preactivations`` are init · G^(1/2) times standard normal numbers.

        Raises
        ------
        ValueError
            ``width`` below the number of classes, an ``init`` that is not positive.
        """
        check_width(width, self.num_classes)
        init = check_positive("init", init)
        generator = np.random.default_rng(seed)

        def uniform(rows: int, columns: int) -> np.ndarray:
            return generator.uniform(-init, init, (rows, columns)) / np.sqrt(columns)

        if self.inputs is not None:
            hidden = uniform(width, self.inputs.shape[1])
            return {"hidden": hidden, "weight": uniform(self.num_classes, width)}
        factor = self.factor()
        draws = init * generator.standard_normal((factor.shape[1], width))
        return {"preactivations": factor @ draws, "weight": uniform(self.num_classes, width)}

    def factor(self) -> np.ndarray:
        """F ``(N, r)`` with FFᵀ = G and r its rank: triangular where G is invertible."""
        if self._triangular is not None:
            return self._triangular
        values, vectors = self._spectrum
        return vectors * np.sqrt(values)

    def whitened_factor(self) -> np.ndarray | float:
        """F of the range of G with equally long columns; where G is invertible, f for F = f·I."""
        if self._triangular is not None:
            return float(np.sqrt(np.trace(self.gram) / len(self.gram)))
        values, vectors = self._spectrum
        return vectors * np.sqrt(values.mean())

    def coefficients(self, change: np.ndarray) -> np.ndarray:
        """A ``(N, D)`` with GA the ``change`` of the preactivations: W₁ moves by AᵀX."""
        if self._triangular is not None:
            from scipy.linalg import cho_solve

            return cho_solve((self._triangular, True), change)
        values, vectors = self._spectrum
        return vectors @ ((vectors.T @ change) / values[:, None])

    @property
    def invertible(self) -> bool:
        """Whether G is, up to rounding: then every ``(N, D)`` is some XW₁ᵀ (hong2025 Theorem 3(b))."""
        return self._triangular is not None

    @cached_property
    def _triangular(self) -> np.ndarray | None:
        """L with LLᵀ = G, or None where the condition of G, which is cheap to estimate, is 1/(Nε)."""
        from scipy.linalg import lapack

        routines: Any = lapack
        lower, failed = routines.dpotrf(self.gram, lower=1, clean=1)
        if failed:
            return None
        norm = float(np.abs(self.gram).sum(axis=0).max())
        reciprocal, _ = routines.dpocon(lower, norm, uplo="L")
        return lower if reciprocal > len(lower) * np.finfo(float).eps else None

    @cached_property
    def _spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = np.linalg.eigh(self.gram)
        kept = values > values[-1] * len(values) * np.finfo(float).eps
        return values[kept], vectors[:, kept]

    def held(self, parameters: Mapping[str, Any]) -> Parameters:
        """The parameters as descent holds them, checked.

        Raises
        ------
        ValueError
            Shapes that do not fit the problem or each other, numbers that are not finite.
        """
        weight = np.asarray(parameters["weight"], dtype=np.float64)
        if self.inputs is not None and "hidden" in parameters:
            hidden = np.asarray(parameters["hidden"], dtype=np.float64)
            if hidden.ndim != 2 or hidden.shape[1] != self.inputs.shape[1]:
                raise ValueError(
                    f"hidden must be a matrix (D, {self.inputs.shape[1]}), but its shape is "
                    f"{hidden.shape}"
                )
            preactivations = self.inputs @ hidden.T
        else:
            preactivations = np.asarray(parameters["preactivations"], dtype=np.float64)
        if preactivations.ndim != 2 or len(preactivations) != len(self.labels):
            raise ValueError(
                f"preactivations must be a matrix ({len(self.labels)}, D), but its shape is "
                f"{preactivations.shape}"
            )
        width = preactivations.shape[1]
        if weight.shape != (self.num_classes, width):
            raise ValueError(
                f"weight must be ({self.num_classes}, {width}), but its shape is {weight.shape}"
            )
        check_width(width, self.num_classes)
        check_finite("preactivations", preactivations)
        check_finite("weight", weight)
        return {"preactivations": preactivations, "weight": weight}

    def evaluate(
        self, held: Parameters, slope: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`risk_and_gradient` at parameters as descent holds them."""
        return risk_and_gradient(
            held["preactivations"],
            held["weight"],
            self.one_hot,
            weight_decay=self.weight_decay,
            feature_decay=self.feature_decay,
            slope=slope,
        )

    def risk(self, parameters: Mapping[str, Any]) -> float:
        """R of any parameters, as the user or as descent holds them."""
        return float(self.evaluate(self.held(parameters))[0])

    def metrics(self, held: Parameters) -> tuple[dict[str, float], dict[str, str]]:
        """`METRIC_NAMES` by name, and the reasons why others of them are undefined."""
        features, weight, _ = self.last_layer(held)
        result = measure(features, self.labels, weight=weight, preset=METRIC_NAMES)
        return result.metrics, result.undefined

    def last_layer(self, parameters: Parameters) -> tuple[np.ndarray, np.ndarray, None]:
        """Features, classifier weight, and no bias."""
        return np.maximum(parameters["preactivations"], 0.0), parameters["weight"], None

    def arrays(self) -> dict[str, np.ndarray]:
        """What a saved run holds of the problem: its inputs, or else its Gram matrix, and labels."""
        data = {"gram": self.gram} if self.inputs is None else {"inputs": self.inputs}
        return {**data, "labels": self.labels}

    def digest(self) -> str:
        """Sixteen hexadecimal digits of SHA-256 of `arrays`: other data, other digits."""
        total = hashlib.sha256()
        for array in self.arrays().values():
            total.update(f"{array.shape}{array.dtype.str}".encode() + array.tobytes())
        return total.hexdigest()[:16]

    def setup(self, **known: Any) -> Setup:
        """The set-up of a run on this problem, with what else is ``known`` of it."""
        options = {**known.pop("options", {}), "data": self.digest()}
        return Setup(
            model=self.name,
            loss="cross_entropy",
            counts=tuple(np.bincount(self.labels).tolist()),
            input_dim=None if self.inputs is None else self.inputs.shape[1],
            weight_decay=self.weight_decay,
            feature_decay=self.feature_decay,
            depth=2,
            options=options,
            **known,
        )


def check_width(width: int, num_classes: int) -> None:
    """Raise ``ValueError`` where a network is too narrow to collapse."""
    if width < num_classes:
        raise ValueError(
            f"width must be at least the number of classes, {num_classes}, because every class "
            f"needs a neuron of its own, but it is {width}"
        )


def restore(setup: Setup, arrays: Mapping[str, np.ndarray]) -> TwoLayer | LastLayer:
    """What a saved run of training is of: what `Run.load` asks for.

    Raises
    ------
    ValueError
        The run is none of training.
    """
    if set(arrays) == {"labels"}:
        return LastLayer(arrays["labels"])
    if setup.model != TwoLayer.name or not {"labels"} < set(arrays):
        raise ValueError(f"this is no run of ncollapse.train: its model is {setup.model!r}")
    inputs = arrays.get("inputs")
    gram = arrays["gram"] if inputs is None else inputs @ inputs.T
    return TwoLayer(gram, arrays["labels"], setup.weight_decay, setup.feature_decay, inputs)
