"""Reductions of a matrix's rows over what a mask keeps; a row that keeps nothing gives a value without gradient.

NaN among what is kept gives NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor

from reseen.slicing import chunks


def masked_logsumexp(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return log sum exp of what the mask keeps; -inf, without gradient, where it keeps nothing."""
    x = x.masked_fill(~mask, -torch.inf)
    top = _finite(x.detach().amax(dim, keepdim=True))
    total = (x - top).exp().sum(dim)
    nothing = total == 0
    return (total.masked_fill(nothing, 1).log() + top.squeeze(dim)).masked_fill(nothing, -torch.inf)


def masked_softmean(x: Tensor, logits: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the mean, weighted by the softmax of logits, of what the mask keeps; 0 where it keeps nothing."""
    logits = logits.masked_fill(~mask, -torch.inf)
    weights = (logits - _finite(logits.detach().amax(dim, keepdim=True))).exp()
    total = weights.sum(dim)
    return (weights * x).sum(dim) / total.masked_fill(total == 0, 1)


def masked_max(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the largest of what the mask keeps; -inf, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, -torch.inf).amax(dim)


def masked_min(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the smallest of what the mask keeps; inf, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, torch.inf).amin(dim)


def masked_mean(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the mean of what the mask keeps; 0, without gradient, where it keeps nothing.

    Example:
        >>> masked_mean(torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[True, True, False]]))
        tensor([1.5000])
    """
    return x.masked_fill(~mask, 0).sum(dim) / mask.sum(dim).clamp(min=1)


def row_blocks(rows: int, columns: int, elements: int = 2**18) -> Iterator[slice]:
    """Cut a matrix into groups of rows of at most so many elements each, so that work on one stays in the cache."""
    return chunks(rows, max(1, elements // max(1, columns)))


def smallest(x: Tensor, k: int) -> Tensor:
    """Return the k smallest numbers of each row of x (A, C), rising: (A, k), with their gradient; NaN is the largest.

    Note:
        On a CPU NumPy sorts with vector instructions, some twenty times as fast as torch. Equal numbers stand in any
        order, and so does their gradient.
    """
    if k < x.shape[1] or x.device.type != "cpu":
        return x.topk(k, dim=1, largest=False).values
    return x.gather(1, cast(Tensor, _Argsort.apply(x.detach())))


class _Argsort(torch.autograd.Function):
    """Places of each row's numbers, rising; a function of its own since NumPy takes no tensor of `torch.func`."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.from_numpy(x.numpy().argsort(axis=1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Tensor, int]:
        x = x.movedim(in_dims[0], 0)
        return cast(Tensor, _Argsort.apply(x.flatten(0, 1))).view(x.shape), 0


def _finite(x: Tensor) -> Tensor:
    """Return x with the largest and the least finite number for the infinities; NaN stays."""
    return x.clamp(torch.finfo(x.dtype).min, torch.finfo(x.dtype).max)
