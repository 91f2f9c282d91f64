"""From what a module gives or takes to a row for every label."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from ncollapse.torch._batches import Batch

Pool = str | Callable[..., Tensor]
POOLS = ("mean", "last", "flatten")


def check_pool(pool: Pool) -> Pool:
    if not callable(pool) and pool not in POOLS:
        raise ValueError(
            f"pool must be one of {', '.join(POOLS)} or a function, but it is {pool!r}"
        )
    return pool


def pooled(value: Tensor, batch: Batch, pool: Pool) -> Tensor:
    """A new ``(rows, D)`` tensor with a row for every label.

    Values (…, D) with labels of shape (…) are one row for each label. Otherwise rows are samples:
    (B, D) stays, "mean" averages (B, C, H, W, …) over the places and (B, T, D) over the tokens that
    the attention mask keeps, "last" takes the last of these tokens, "flatten" joins everything but
    the first axis, a function decides for itself.
    """
    if value.ndim == batch.labels.ndim + 1 and value.shape[:-1] == batch.labels.shape:
        return value.reshape(-1, value.shape[-1]).clone()
    mask = batch.mask if batch.mask is not None and batch.mask.shape == value.shape[:2] else None
    if callable(pool):
        return _called(pool, value, mask)
    if pool == "flatten" or value.ndim < 3:
        return value.flatten(1).clone() if value.ndim > 1 else value[:, None].clone()
    if pool == "last":
        return _last_token(value, mask)
    wide = value if value.dtype == torch.float64 else value.float()
    if value.ndim > 3:
        return wide.flatten(2).mean(dim=2)
    if mask is None:
        return wide.mean(dim=1)
    kept = mask.to(value.device).bool()
    total = torch.where(kept[:, :, None], wide, 0).sum(dim=1)
    return total / kept.sum(dim=1, keepdim=True)


def _called(pool: Callable[..., Tensor], value: Tensor, mask: Tensor | None) -> Tensor:
    try:
        sees_mask = "mask" in inspect.signature(pool).parameters
    except ValueError:  # a function written in C tells no signature
        sees_mask = False
    rows = pool(value, mask=mask) if sees_mask else pool(value)
    if not isinstance(rows, Tensor) or rows.ndim != 2:
        shown = f"shape {tuple(rows.shape)}" if isinstance(rows, Tensor) else type(rows).__name__
        raise ValueError(
            f"pool must return a tensor (samples, features), but for an input of shape "
            f"{tuple(value.shape)} it returns {shown}"
        )
    return rows.clone()


def _last_token(value: Tensor, mask: Tensor | None) -> Tensor:
    if value.ndim != 3:
        raise ValueError(
            f"pool 'last' is for values (samples, tokens, features), but the shape is "
            f"{tuple(value.shape)}"
        )
    if mask is None:
        return value[:, -1].clone()
    places = torch.arange(value.shape[1], device=value.device)
    last = (places * mask.to(value.device).bool()).argmax(dim=1)
    return value[torch.arange(len(value), device=value.device), last]


def rows_with_logits(value: Tensor, output: Tensor | None, logits: Tensor | None) -> Tensor | None:
    """The tokens ``(B, D)`` of a classifier's input ``(B, T, D)`` whose outputs the model returns.

    Sequence classifiers of language models apply the classifier to every token and return the
    logits of one, the last that is no padding. None when the logits are not among the outputs.
    """
    if value.ndim != 3 or output is None or logits is None:
        return None
    token = logits_place(output, logits)
    if token is None:
        return None
    return value[torch.arange(len(value), device=value.device), token.to(value.device)]


def logits_place(output: Tensor, logits: Tensor) -> Tensor | None:
    """Which token's output ``(B, T, K)`` each row of ``logits`` ``(B, K)`` is; None if one is not."""
    if output.ndim != 3 or logits.shape != (output.shape[0], output.shape[2]):
        return None
    equal = same(output.to(logits.dtype), logits[:, None]).all(dim=2)
    if not bool(equal.any(dim=1).all()):
        return None
    return equal.shape[1] - 1 - equal.flip(1).to(torch.int8).argmax(dim=1)


def same(one: Tensor, other: Tensor) -> Tensor:
    """Equality of entries; NaN is like NaN."""
    return (one == other) | (one.isnan() & other.isnan())
