"""How far collapse reaches on given data: the largest class size, and a random first layer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ncollapse.certify.certificate import FEASIBLE, INFEASIBLE, Certificate
from ncollapse.certify.classes import certify
from ncollapse.certify.verify import smallest_singular_value_at_least
from ncollapse.data import as_dataset
from ncollapse.geometry import row_norms
from ncollapse.theory.random_features import (
    MEAN_FEATURE,
    PRINTED_CONSTANT,
    UNIT_TOLERANCE,
    random_feature_kernel,
    width_bound,
)


@dataclass(frozen=True, eq=False)
class CollapseLimit:
    """The largest n at which the first n samples of every class can still collapse.

    ``size`` is the largest n proven feasible (0 if none is), ``certificate`` its proof;
    ``next_size`` the least n proven infeasible, ``obstacle`` its proof, which ends with the class
    that cannot collapse; both None when all samples that were asked about can. The sizes differ by
    one unless one in between stayed undecided.
    """

    size: int
    certificate: Certificate | None
    next_size: int | None
    obstacle: Certificate | None

    def to_dict(self) -> dict[str, Any]:
        """A JSON record; what differs from run to run is under ``volatile``."""
        proofs = {"certificate": self.certificate, "obstacle": self.obstacle}
        records = {name: proof and proof.to_dict() for name, proof in proofs.items()}
        volatile = {name: record and record.pop("volatile") for name, record in records.items()}
        return {"size": self.size, "next_size": self.next_size, **records, "volatile": volatile}


def collapse_limit(
    inputs: Any,
    labels: Any = None,
    *,
    classes: Sequence[Any] | None = None,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    largest: int | None = None,
) -> CollapseLimit:
    """Bisect the class size: with nested subsets, more samples can only turn yes into no.

    The subset of size n holds the first n samples of each class in the order given (all of a class
    that has fewer), so shuffle beforehand if the order means something. ``inputs`` and ``labels``
    as in `certify`; ``classes`` restricts the question to some targets.

    ``largest`` ends the search: no larger class size is asked about.

    ``transform`` is applied to the inputs of each subset, such as `centre_exactly` to give each its
    own mean zero. Transformed subsets are not nested: ``size`` and ``next_size`` are then a turn
    from yes to no, each with its proof, which need not be the only one.
    """
    data = as_dataset(inputs, labels)
    position = np.empty(len(data.labels), dtype=np.intp)
    for k in range(data.num_classes):
        inside = data.labels == k
        position[inside] = np.arange(np.count_nonzero(inside))
    values = data.classes[data.labels]
    asked = data.classes.tolist() if classes is None else list(classes)
    known: dict[int, Certificate] = {}

    def at(size: int) -> Certificate:
        if size not in known:
            chosen = position < size
            rows = data.inputs[chosen] if transform is None else transform(data.inputs[chosen])
            known[size] = certify(rows, values[chosen], classes=asked, stop_at_obstacle=True)
            if known[size].verdict == INFEASIBLE:
                # A class that fails is likely to be the first to fail at other sizes too.
                asked.insert(0, asked.pop(len(known[size].classes) - 1))
        return known[size]

    def fails(size: int) -> bool:
        return any(entry.verdict != FEASIBLE for entry in at(size).classes)

    if largest is not None and largest < 1:
        raise ValueError(f"largest must be at least 1, but it is {largest}")
    most = min(int(data.counts.max()), largest or int(data.counts.max()))
    size = bisect_left(range(most + 1), True, lo=1, key=fails) - 1
    refuted = [n for n, certificate in known.items() if certificate.verdict == INFEASIBLE]
    next_size = bisect_left(
        range(most + 1),
        True,
        lo=size + 1,
        hi=min(refuted, default=most + 1),
        key=lambda n: at(n).verdict == INFEASIBLE,
    )
    return CollapseLimit(
        size,
        at(size) if size else None,
        next_size if next_size <= most else None,
        at(next_size) if next_size <= most else None,
    )


def centre_exactly(inputs: Any) -> np.ndarray:
    """(N x_i − Σ_j x_j)/2^k, 2^k the power of two above N: centred up to a factor, without rounding.

    Centring changes what can collapse, a factor does not. Subtracting a rounded mean instead
    breaks exact linear relations between coordinates, such as pixels that are used by the same few
    images, and leaves questions that no arithmetic can settle.

    Raises
    ------
    ValueError
        Inputs that are not multiples of one power of two below 2^53/(2N) times it, as pixels and
        other whole numbers are.
    """
    data = np.asarray(inputs, dtype=np.float64)
    if data.ndim != 2 or 0 in data.shape or not np.isfinite(data).all():
        raise ValueError(f"inputs must be a finite matrix (N, d), but its shape is {data.shape}")
    count, places = len(data), len(data).bit_length()
    mantissas, powers = np.frexp(data)
    bits = np.ldexp(mantissas, 53).astype(np.int64)
    lowest = np.ldexp((bits & -bits).astype(np.float64), powers - 53)
    unit = lowest[data != 0].min(initial=np.inf)
    largest = float(np.abs(data).max())
    if count * (largest / unit) >= 2.0**52 or np.ldexp(np.ldexp(unit, -places), places) != unit:
        raise ValueError(
            f"inputs must be multiples of one power of two below 2^52 / {count} times it, such as "
            f"whole numbers, for their mean to be subtracted exactly, but the power is {unit:.6g} "
            f"and the largest input {largest:.6g}"
        )
    return np.ldexp(count * data - data.sum(axis=0), -places)


@dataclass(frozen=True)
class RandomLayer:
    """Three layers, the first random: rank N of its features σ(XW_1) is enough for collapse.

    ``smallest_singular_value`` of the ``(N, width)`` features is computed; ``proven`` says that at
    least half of it is proven to hold, and with it rank N. The kernel quantities are for inputs of
    norm 1 and None otherwise: λ_min(H_∞) and the width of hong2025 Theorem 6 (its open factor at
    1), with the centred kernel and with the constant √(2/π) that the paper prints.
    """

    width: int
    seed: int
    rank: int
    smallest_singular_value: float
    proven: bool
    kernel_eigenvalue: float | None
    kernel_eigenvalue_printed: float | None
    sufficient_width: float | None
    sufficient_width_printed: float | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "width": self.width,
            "seed": self.seed,
            "rank": self.rank,
            "smallest_singular_value": self.smallest_singular_value,
            "proven": self.proven,
            "kernel_eigenvalue": self.kernel_eigenvalue,
            "kernel_eigenvalue_printed": self.kernel_eigenvalue_printed,
            "sufficient_width": self.sufficient_width,
            "sufficient_width_printed": self.sufficient_width_printed,
        }


def random_layer(inputs: Any, width: int, seed: int) -> RandomLayer:
    """Rank of σ(XW_1) for W_1 with entries N(0, 1/d_1), d_1 = ``width`` (hong2025 Theorems 3b, 6).

    Rank N means that two more layers can map the N samples to anything, collapse included. It
    needs ``width`` ≥ N and inputs no two of which are positive multiples of each other.
    """
    data = np.asarray(inputs, dtype=np.float64)
    if data.ndim != 2 or not np.isfinite(data).all():
        raise ValueError(f"inputs must be a finite matrix (N, d), but its shape is {data.shape}")
    if width < 1:
        raise ValueError(f"width must be at least 1, but it is {width}")
    weights = np.random.default_rng(seed).standard_normal((data.shape[1], width)) / np.sqrt(width)
    features = np.maximum(data @ weights, 0.0)
    singular = np.linalg.svd(features, compute_uv=False)
    cut = singular[0] * max(features.shape) * np.finfo(np.float64).eps
    rank = int(np.count_nonzero(singular > cut))
    smallest = float(singular[-1]) if width >= len(data) else 0.0
    proven = rank == len(data) and smallest_singular_value_at_least(features, 0.5 * smallest)
    kernels: list[float | None] = [None] * 4
    if np.abs(row_norms(data) - 1.0).max() <= UNIT_TOLERANCE:
        for i, constant in enumerate((MEAN_FEATURE, PRINTED_CONSTANT)):
            kernel = random_feature_kernel(data, constant)
            kernels[i] = float(np.linalg.eigvalsh(kernel)[0])
            kernels[i + 2] = width_bound(data, constant)
    return RandomLayer(width, seed, rank, smallest, proven, *kernels)
