"""A labelled data set that was checked once, so that nothing downstream checks it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ncollapse._checks import check_labels, check_matrix
from ncollapse.data.files import load_arrays


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs with class labels.

    Attributes
    ----------
    inputs
        ``(N, d)`` float64, finite.
    labels
        ``(N,)`` class *indices* 0 … K−1.
    classes
        ``(K,)`` the original label value of each class index, ascending.
    name
        What the data are, for titles and records.
    """

    inputs: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    name: str = "data"

    @classmethod
    def from_arrays(
        cls, inputs: Any, labels: Any, *, name: str = "data", least_per_class: int = 1
    ) -> Dataset:
        """Check ``inputs`` (N, d) and integer ``labels`` (N,), map labels to 0 … K−1.

        Raises
        ------
        ValueError
            Wrong shapes, NaN or infinite inputs (the row is named), fewer than two classes, a class
            with fewer than ``least_per_class`` samples.
        TypeError
            Inputs that are not real numbers, labels that are not integers.
        """
        matrix = np.asarray(inputs)
        if matrix.dtype.kind in "biu":
            matrix = matrix.astype(np.float64)
        check_matrix("inputs", matrix, columns="dimensions")
        vector = check_labels("labels", np.asarray(labels), matrix.shape[0])
        classes, indices, counts = np.unique(vector, return_inverse=True, return_counts=True)
        if classes.size < 2:
            raise ValueError(f"labels must name at least two classes, but all are {classes[0]!s}")
        if counts.min() < least_per_class:
            smallest = int(np.argmin(counts))
            raise ValueError(
                f"class {classes[smallest]!s} has {counts[smallest]} sample(s); "
                f"at least {least_per_class} are needed"
            )
        return cls(np.ascontiguousarray(matrix, dtype=np.float64), indices, classes, name)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def counts(self) -> np.ndarray:
        """Samples per class, ``(K,)``."""
        return np.bincount(self.labels, minlength=self.num_classes)

    def centred(self) -> Dataset:
        """The same data with the mean of all samples subtracted from each."""
        shifted = self.inputs - self.inputs.mean(axis=0)
        return Dataset(shifted, self.labels, self.classes, self.name)

    def of_class(self, index: int) -> np.ndarray:
        """Inputs of one class, ``(n_k, d)``, in their order."""
        return self.inputs[self.labels == index]


@dataclass(frozen=True)
class Separability:
    """How far data are from orthogonal separability (min2025).

    That is ⟨x_i, x_j⟩ > 0 within a class and < 0 across classes.

    Inner products are reported as cosines too, because only their sign matters.
    ``violating_share`` counts pairs i < j whose inner product has the wrong sign (zero included).
    """

    separable: bool
    smallest_within: float
    largest_across: float
    smallest_within_cosine: float
    largest_across_cosine: float
    violating_share: float
    violating_share_per_class: tuple[float, ...]
    """For each class: the share of violating pairs among those with at least one member in it."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "separable": self.separable,
            "smallest_within": self.smallest_within,
            "largest_across": self.largest_across,
            "smallest_within_cosine": self.smallest_within_cosine,
            "largest_across_cosine": self.largest_across_cosine,
            "violating_share": self.violating_share,
            "violating_share_per_class": list(self.violating_share_per_class),
        }


def orthogonal_separability(data: Dataset) -> Separability:
    """Check ⟨x_i, x_j⟩ > 0 within every class and < 0 across classes, over all pairs i < j.

    Takes O(N²) memory. Raises ``ValueError`` for a zero vector, whose inner products are all zero.
    """
    norms = np.linalg.norm(data.inputs, axis=1)
    if not norms.all():
        row = int(np.argmin(norms))
        raise ValueError(
            f"inputs row {row} is the zero vector: its inner products are all zero, "
            "so it is neither within nor across"
        )
    products = data.inputs @ data.inputs.T
    cosine = products / np.outer(norms, norms)
    rows, columns = np.triu_indices(len(norms), k=1)
    same = data.labels[rows] == data.labels[columns]
    product, angle = products[rows, columns], cosine[rows, columns]
    wrong = np.where(same, product <= 0, product >= 0)
    per_class = []
    for k in range(data.num_classes):
        touches = (data.labels[rows] == k) | (data.labels[columns] == k)
        per_class.append(float(wrong[touches].mean()))
    within, across = product[same], product[~same]
    return Separability(
        separable=not wrong.any(),
        smallest_within=float(within.min(initial=np.inf)),
        largest_across=float(across.max()),
        smallest_within_cosine=float(angle[same].min(initial=np.inf)),
        largest_across_cosine=float(angle[~same].max()),
        violating_share=float(wrong.mean()),
        violating_share_per_class=tuple(per_class),
    )


def load_npz(path: str | Path, *, least_per_class: int = 1) -> Dataset:
    """Read ``inputs (N, d)`` and ``labels (N,)`` from an ``.npz`` file into a checked `Dataset`."""
    arrays = load_arrays(path, ("inputs", "labels"))
    return Dataset.from_arrays(
        arrays["inputs"], arrays["labels"], name=Path(path).stem, least_per_class=least_per_class
    )
