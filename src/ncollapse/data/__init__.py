"""Data sets: a checked container, synthetic data and real images."""

from ncollapse.data._dataset import Dataset, Separability, load_npz, orthogonal_separability

__all__ = ["Dataset", "Separability", "load_npz", "orthogonal_separability"]
