"""A labelled data set that was checked once, so that nothing downstream checks it again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ncollapse._checks import check_matrix
from ncollapse._labels import label_vector


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
    image_shape
        ``(H, W)`` or ``(C, H, W)`` where each row of inputs holds an image, else None.
    """

    inputs: np.ndarray
    labels: np.ndarray
    classes: np.ndarray
    name: str = "data"
    image_shape: tuple[int, ...] | None = None

    @classmethod
    def from_arrays(
        cls,
        inputs: Any,
        labels: Any,
        *,
        name: str = "data",
        least_per_class: int = 1,
        image_shape: tuple[int, ...] | None = None,
    ) -> Dataset:
        """Check ``inputs`` (N, d) and ``labels`` (N,), map labels to 0 … K−1.

        Raises
        ------
        ValueError
            Wrong shapes, NaN or infinite inputs (the row is named), fewer than two classes, a class
            with fewer than ``least_per_class`` samples.
        TypeError
            Inputs that are not real numbers, labels that are no integers, booleans or strings.
        """
        matrix = np.asarray(inputs)
        if matrix.dtype.kind in "biu":
            matrix = matrix.astype(np.float64)
        check_matrix("inputs", matrix, columns="dimensions")
        vector = label_vector(labels, matrix.shape[0])
        classes, indices, counts = np.unique(vector, return_inverse=True, return_counts=True)
        if classes.size < 2:
            raise ValueError(f"labels must name at least two classes, but all are {classes[0]!s}")
        if counts.min() < least_per_class:
            smallest = int(np.argmin(counts))
            raise ValueError(
                f"class {classes[smallest]!s} has {counts[smallest]} sample(s); "
                f"at least {least_per_class} are needed"
            )
        return cls(
            np.ascontiguousarray(matrix, dtype=np.float64), indices, classes, name, image_shape
        )

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def counts(self) -> np.ndarray:
        """Samples per class, ``(K,)``."""
        return np.bincount(self.labels, minlength=self.num_classes)

    @property
    def images(self) -> np.ndarray:
        """The inputs as images, ``(N, H, W)`` or ``(N, C, H, W)``.

        Raises ``ValueError`` where the data are no images.
        """
        if self.image_shape is None:
            raise ValueError(f"{self.name} must be images, but its rows have no height and width")
        return self.inputs.reshape(len(self.inputs), *self.image_shape)

    def centred(self) -> Dataset:
        """The same data with the mean of all samples subtracted from each."""
        shifted = self.inputs - self.inputs.mean(axis=0)
        return replace(self, inputs=shifted)

    def first(self, num_samples: int) -> Dataset:
        """The first of each class, equally many, ``num_samples`` in all.

        Raises ``ValueError`` where that is no multiple of K, or more than a class has.
        """
        size, rest = divmod(num_samples, self.num_classes)
        if rest or not 0 < size <= self.counts.min():
            raise ValueError(
                f"num_samples must be a multiple of {self.num_classes} and at most "
                f"{self.num_classes * self.counts.min()}, equally many a class, but it is "
                f"{num_samples}"
            )
        rows = [np.flatnonzero(self.labels == k)[:size] for k in range(self.num_classes)]
        keep = np.sort(np.concatenate(rows))
        return replace(self, inputs=self.inputs[keep], labels=self.labels[keep])

    def of_class(self, index: int) -> np.ndarray:
        """Inputs of one class, ``(n_k, d)``, in their order."""
        return self.inputs[self.labels == index]


def as_dataset(inputs: Any, labels: Any = None) -> Dataset:
    """``inputs`` if it is a `Dataset` and there are no ``labels``, else both checked as one."""
    if not isinstance(inputs, Dataset):
        if labels is None:
            raise TypeError(
                f"inputs must be a Dataset, or come with labels, but it is a {type(inputs).__name__}"
            )
        return Dataset.from_arrays(inputs, labels)
    if labels is not None:
        raise TypeError("labels must be left out beside a Dataset, which has its own")
    return inputs
