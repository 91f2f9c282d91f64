"""What the array libraries do differently: adding at indices, class sums, precision contexts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sparse
from array_api_compat import (
    array_namespace,
    device,
    is_jax_array,
    is_numpy_array,
    is_torch_array,
)

from ncollapse._checks import Array, is_array, is_half

Function = TypeVar("Function", bound=Callable[..., Any])

BLOCK_BYTES = 1 << 18
"""Rows are worked on in blocks of this size, so that they stay in a core's own cache."""

FEW_CLASSES = 16
"""Up to so many classes, class sums are a dense product with the one-hot labels."""


def tiles(count: int, size: int) -> list[slice]:
    """0 … count in slices of at most ``size``."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@contextmanager
def in_double(*arrays: Array) -> Iterator[None]:
    """float64 on JAX; no gradients and no autocast on PyTorch. The caller's settings come back."""
    with ExitStack() as stack:
        if any(is_jax_array(array) for array in arrays):
            jax = sys.modules["jax"]
            enable = getattr(jax, "enable_x64", None)
            if enable is None:  # JAX before 0.8 has it elsewhere
                enable = importlib.import_module("jax.experimental").enable_x64
            stack.enter_context(enable(True))
        for array in arrays:
            if is_torch_array(array):
                torch = sys.modules["torch"]
                stack.enter_context(torch.no_grad())
                stack.enter_context(torch.autocast(array.device.type, enabled=False))
                break
        yield


def compiled(function: Function) -> Function:
    """``function``, which JAX compiles as one for every shape; as it is where the first argument, or
    the first array of a tuple there, is of another library.

    By itself JAX compiles every operation in it for every shape, each for about as long as all of
    them together. Numbers are constants of what is compiled, so ``function`` may branch on them.
    """

    @wraps(function)
    def call(*arguments: Any) -> Any:
        first = arguments[0]
        if not is_jax_array(first[0] if isinstance(first, tuple) else first):
            return function(*arguments)
        constant = [i for i, value in enumerate(arguments) if isinstance(value, (int, float))]
        return _jitted(function, tuple(constant))(*arguments)

    return call  # pyright: ignore[reportReturnType]


@cache
def _jitted(function: Callable[..., Any], constant: tuple[int, ...]) -> Callable[..., Any]:
    return sys.modules["jax"].jit(function, static_argnums=constant)


def padded(index: np.ndarray, example: Array) -> np.ndarray:
    """``index`` for JAX with its last entry repeated up to a power of two: few lengths to compile."""
    if not is_jax_array(example):
        return index
    return np.pad(index, (0, (1 << (len(index) - 1).bit_length()) - len(index)), mode="edge")


def to_numpy(array: Any) -> np.ndarray:
    """The same numbers on the host, whatever library and device they come from."""
    if is_torch_array(array):
        return array.detach().cpu().numpy()
    return np.asarray(array)


def like(value: Any, example: Array, dtype: Any = None) -> Array:
    """``value`` as an array of the library and on the device of ``example``."""
    xp = array_namespace(example)
    if is_array(value):
        if array_namespace(value) is xp and device(value) == device(example):
            return value if dtype is None else xp.astype(value, dtype, copy=False)
        value = to_numpy(value)
    return xp.asarray(np.asarray(value), dtype=dtype, device=device(example))


def zeros(shape: tuple[int, ...], dtype: Any, example: Array) -> Array:
    xp = array_namespace(example)
    return xp.zeros(shape, dtype=dtype, device=device(example))


def working(features: Array) -> Array:
    """The features, without gradients, in float32 or float64."""
    if is_torch_array(features):
        features = features.detach()
    if is_half(features):
        xp = array_namespace(features)
        return xp.astype(features, xp.float32)
    return features


def host_view(array: Array) -> Array:
    """A JAX or PyTorch array in CPU memory as the NumPy array that shares it; others as they are.

    JAX compiles every operation anew for every shape; PyTorch multiplies a matrix with its own
    transpose as a general product, twice the work of NumPy's symmetric update.
    """
    return to_numpy(array) if on_host(array) else array


def on_host(array: Array) -> bool:
    """Whether it is a JAX or PyTorch array in CPU memory."""
    if is_jax_array(array):
        return all(place.platform == "cpu" for place in array.devices())
    return is_torch_array(array) and array.device.type == "cpu"


def double(array: Array) -> Array:
    xp = array_namespace(array)
    return xp.astype(array, xp.float64, copy=False)


def writeable(array: Array) -> bool:
    """Whether rows can be written in place (JAX and read-only arrays cannot)."""
    return is_numpy_array(array) or is_torch_array(array)


def row_dots(left: Array, right: Array) -> Array:
    """⟨left_i, right_i⟩ for every row i."""
    return array_namespace(left, right).vecdot(left, right, axis=-1)


def one_hot(labels: Array, num_classes: int, dtype: Any) -> Array:
    """``(K, N)`` indicator matrix of the classes."""
    xp = array_namespace(labels)
    classes = xp.arange(num_classes, dtype=labels.dtype, device=device(labels))
    return xp.astype(classes[:, None] == labels[None, :], dtype)


@compiled
def add_at(target: Array, index: Array, values: Array) -> Array:
    """``target`` with ``values[i]`` added at ``index[i]`` (repeats add up); in place where
    possible.
    """
    if is_torch_array(target):
        return target.index_add_(0, index, values.to(target.dtype))
    if is_jax_array(target):
        return target.at[index].add(values)
    if is_numpy_array(target) and target.ndim == 1:
        sums = np.bincount(index, weights=values, minlength=target.shape[0])
        target += sums.astype(target.dtype)
        return target
    if is_numpy_array(target):
        np.add.at(target, index, values)
        return target
    xp = array_namespace(target)
    hot = one_hot(index, target.shape[0], xp.float64)
    added = xp.matmul(hot, xp.astype(values, xp.float64))
    return target + xp.astype(xp.round(added) if target.dtype == xp.int64 else added, target.dtype)


def add_rows(target: Array, rows: Array | None, values: Array) -> Array:
    """``target`` with ``values`` added to ``rows``, which do not repeat; None means all rows."""
    if rows is None:
        if writeable(target):
            target += values
            return target
        return target + double(values)
    if is_numpy_array(target):
        target[rows] += values
        return target
    return add_at(target, rows, double(values))


@compiled
def set_rows(target: Array, rows: Array, values: Array) -> Array:
    """``target`` with ``values`` in place of its ``rows``, which do not repeat."""
    if writeable(target):
        target[rows] = values
        return target
    xp = array_namespace(target)
    if is_jax_array(target):
        return target.at[rows].set(values)
    hot = one_hot(like(rows, target), target.shape[0], target.dtype)
    touched = xp.any(hot > 0, axis=1)
    spread = xp.reshape(values, (values.shape[0], -1))
    new = xp.reshape(xp.matmul(hot, spread), target.shape)
    touched = xp.reshape(touched, (-1,) + (1,) * (target.ndim - 1))
    return xp.where(touched, new, target)


def class_sums(
    labels: Array, matrix: Array, weights: Array, num_classes: int
) -> tuple[Array | None, Array, Array]:
    """Σ x_i and Σ w_i x_i over the rows of each class.

    Returns the class of each row of the two sums (None: they are 0 … K−1 in order) and the sums.
    """
    if is_numpy_array(matrix):
        return _class_sums_numpy(labels, matrix, weights, num_classes)
    xp = array_namespace(matrix)
    if is_jax_array(matrix):
        empty = xp.zeros((num_classes, matrix.shape[1]), dtype=matrix.dtype)
        weighted = matrix * weights[:, None]
        return None, empty.at[labels].add(matrix), empty.at[labels].add(weighted)
    present = None
    if num_classes > matrix.shape[0]:
        present, labels = xp.unique_inverse(labels)
        num_classes = present.shape[0]
    if is_torch_array(matrix):
        empty = matrix.new_zeros((num_classes, matrix.shape[1]))
        weighted = matrix * weights[:, None]
        return present, empty.index_add(0, labels, matrix), empty.index_add(0, labels, weighted)
    hot = one_hot(labels, num_classes, matrix.dtype)
    both = xp.matmul(xp.concat([hot, hot * weights[None, :]]), matrix)
    return present, both[:num_classes, :], both[num_classes:, :]


def _class_sums_numpy(
    labels: np.ndarray, matrix: np.ndarray, weights: np.ndarray, num_classes: int
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    count = labels.shape[0]
    if num_classes <= FEW_CLASSES:
        hot = np.zeros((2 * num_classes, count), dtype=matrix.dtype)
        hot[labels, np.arange(count)] = 1
        hot[num_classes + labels, np.arange(count)] = weights
        both = hot @ matrix
        return None, both[:num_classes], both[num_classes:]
    narrow = labels.astype(np.uint16) if num_classes <= 65536 else labels  # sorts by radix
    order = np.argsort(narrow, kind="stable")
    sizes = np.bincount(labels, minlength=num_classes)
    present = None
    if num_classes > count:
        present = np.flatnonzero(sizes)
        sizes = sizes[present]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    shape = (len(sizes), count)
    ones = np.ones(count, dtype=matrix.dtype)
    plain = sparse.csr_array((ones, order, starts), shape=shape)
    weighted = sparse.csr_array((weights[order], order, starts), shape=shape)
    return present, plain @ matrix, weighted @ matrix


@compiled
def add_gram(target: Array, matrix: Array, scale: float = 1.0) -> Array:
    """``target + scale² matrixᵀ matrix``, of which only the upper triangle is promised."""
    xp = array_namespace(matrix)
    product = xp.matmul(matrix.T, matrix)
    if scale != 1:
        product = double(product) * scale * scale
    if writeable(target):
        target += product
        return target
    return target + double(product)


@compiled
def symmetric(upper: Array) -> Array:
    """The symmetric matrix with this upper triangle."""
    xp = array_namespace(upper)
    return xp.triu(upper) + xp.triu(upper, k=1).T
