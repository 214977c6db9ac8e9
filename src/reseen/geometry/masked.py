"""Reductions of a matrix's rows over what a mask keeps; a row that keeps nothing gives a value without gradient."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def masked_logsumexp(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return log sum exp of what the mask keeps; -inf, without gradient, where it keeps nothing."""
    x = x.masked_fill(~mask, -torch.inf)
    top = _finite(x.detach().amax(dim, keepdim=True))
    total = (x - top).exp().sum(dim)
    log = total.clamp(min=torch.finfo(x.dtype).tiny).log() + top.squeeze(dim)
    return torch.where(total > 0, log, -torch.inf)


def masked_softmean(x: Tensor, logits: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the mean, weighted by the softmax of logits, of what the mask keeps; 0 where it keeps nothing."""
    logits = logits.masked_fill(~mask, -torch.inf)
    weights = (logits - _finite(logits.detach().amax(dim, keepdim=True))).exp()
    return (weights * x).sum(dim) / weights.sum(dim).clamp(min=torch.finfo(x.dtype).tiny)


def masked_max(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the largest of what the mask keeps; -inf, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, -torch.inf).amax(dim)


def masked_min(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the smallest of what the mask keeps; inf, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, torch.inf).amin(dim)


def masked_mean(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the mean of what the mask keeps; 0, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, 0).sum(dim) / mask.sum(dim).clamp(min=1)


def chunks(rows: int, columns: int, elements: int = 2**18) -> Iterator[slice]:
    """Cut a matrix into groups of rows of at most so many elements each, so that work on one stays in the cache."""
    step = max(1, elements // max(1, columns))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, 0)
