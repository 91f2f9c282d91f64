"""Data sets: a checked container, synthetic data and real images."""

from ncollapse.data._dataset import Dataset, as_dataset
from ncollapse.data._feature_files import (
    BATCH_BYTES,
    FeatureFile,
    load_dataset,
    load_head,
    open_features,
)
from ncollapse.data._fetch import IMAGE_SETS, fetch_images
from ncollapse.data._image_files import read_idx
from ncollapse.data.files import load_arrays
from ncollapse.data.images import FOLDER_VARIABLE, folder_at_hand, images_at_hand, load_images
from ncollapse.data.separability import (
    Separability,
    SeparableSubset,
    is_orthogonally_separable,
    largest_separable_subset,
    orthogonal_separability,
)
from ncollapse.data.synthetic import gaussian_mixture, orthogonally_separable

__all__ = [
    "BATCH_BYTES",
    "FOLDER_VARIABLE",
    "IMAGE_SETS",
    "Dataset",
    "FeatureFile",
    "Separability",
    "SeparableSubset",
    "as_dataset",
    "fetch_images",
    "folder_at_hand",
    "gaussian_mixture",
    "images_at_hand",
    "is_orthogonally_separable",
    "largest_separable_subset",
    "load_arrays",
    "load_dataset",
    "load_head",
    "load_images",
    "open_features",
    "orthogonal_separability",
    "orthogonally_separable",
    "read_idx",
]
