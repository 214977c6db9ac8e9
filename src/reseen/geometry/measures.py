"""How alike anchors and candidates are. Similarities rise, distances fall.

Dimensions: A anchors; C candidates in all, first the L live ones, then the stored; D components.
"""

from __future__ import annotations

import itertools
from typing import Any, cast

import torch
from torch import Tensor

from reseen.geometry.masked import chunks
from reseen.geometry.pairs import Pairs, beside

SHORTEST = 1e-6
"""A vector shorter than this has no direction: its cosines are 0 and it receives no gradient through them."""

DOUBLE_UP_TO = 8192
"""Distances to as many live candidates are made from float64 products, since squares cancel; to more, from float32."""


def cosine(pairs: Pairs) -> Tensor:
    """Return cosine similarities (A, C) in [-1, 1], higher is more alike."""
    u, live = unit(pairs.anchors), pairs.candidates.embeddings
    blocks = [
        u @ u.T if live is pairs.anchors else _Cosine.apply(u, live, torch.linalg.vector_norm(live.detach(), dim=1))
    ]
    blocks += [_Cosine.apply(u, s.embeddings.to(u.dtype), s.norms.to(u.dtype)) for s in pairs.candidates.stored]
    return beside(blocks)


def inner_product(pairs: Pairs) -> Tensor:
    """Return inner products (A, C), higher is more alike, of any size."""
    a, live = pairs.anchors, pairs.candidates
    return beside([a @ live.embeddings.T, *(a @ s.embeddings.to(a.dtype).T for s in live.stored)])


def euclidean(pairs: Pairs) -> Tensor:
    """Return Euclidean distances (A, C), lower is more alike.

    A distance that is smaller than its products can tell from 0 reads as 0 and has no gradient.

    Note:
        |a|^2 + |c|^2 - 2ac cancels: in float32 a distance of 0.001 between vectors of norm 30 reads as 0.02. Up to
        `DOUBLE_UP_TO` live candidates the products are therefore made in float64, where the device has it.
    """
    a, live = pairs.anchors, pairs.candidates.embeddings
    stored = itertools.chain(*((s.embeddings.to(a.dtype), s.norms.to(a.dtype)) for s in pairs.candidates.stored))
    return cast(Tensor, _Distance.apply(a, None if live is a else live, *stored))


def chord(s: Tensor) -> Tensor:
    """Return the Euclidean distance of two normalised vectors from their cosine, any shape; in [0, 2]."""
    squared = 2 - 2 * s
    apart = squared > 16 * torch.finfo(s.dtype).eps
    return torch.where(apart, squared, 1).sqrt() * apart


def unit(x: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length 1; a row shorter than `SHORTEST` becomes 0, without gradient."""
    return cast(Tensor, _Unit.apply(x))


class _Unit(torch.autograd.Function):
    """Rows scaled to length 1, in as few passes over them as can be."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        inverse = _inverse(torch.linalg.vector_norm(x, dim=1, keepdim=True))
        u = x * inverse
        ctx.save_for_backward(u, inverse)
        return u

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        u, inverse = ctx.saved_tensors
        along = torch.linalg.vecdot(u, grad)[:, None]
        return torch.addcmul(grad, u, along, value=-1).mul_(inverse)


class _Cosine(torch.autograd.Function):
    """Cosines (A, C) of unit vectors to candidates of known norms, whose normalised copy is never made."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, others: Tensor, norms: Tensor) -> Tensor:
        inverse = _inverse(norms)
        s = (u @ others.T) * inverse
        ctx.save_for_backward(u, others, inverse, s)
        return s

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        u, others, inverse, s = ctx.saved_tensors
        scaled, grad_u, grad_others = grad * inverse, None, None
        if ctx.needs_input_grad[0]:
            grad_u = scaled @ others
        if ctx.needs_input_grad[1]:
            along = (scaled * s).sum(0) * inverse
            grad_others = (scaled.T @ u).addcmul_(others, along[:, None], value=-1)
        return grad_u, grad_others, None


class _Distance(torch.autograd.Function):
    """Euclidean distances (A, C) to live (L, D) and to stored blocks, keeping nothing for the gradient but themselves.

    Live candidates are None where they are the anchors; of each stored block come the embeddings and their norms.
    """

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, live: Tensor | None, *stored: Tensor) -> Tensor:
        others = (anchors if live is None else live, *stored[::2])
        exact = len(others[0]) <= DOUBLE_UP_TO and anchors.device.type != "mps"
        ends = [0, *itertools.accumulate(len(c) for c in others)]
        distances = anchors.new_empty(len(anchors), ends[-1])
        for i, c in enumerate(others):
            a = anchors
            if i == 0 and exact:
                a, c = anchors.double(), c.double()
            products = a @ c.T
            a2 = torch.linalg.vector_norm(a, dim=1).square()
            c2 = (stored[2 * i - 1] if i > 0 else torch.linalg.vector_norm(c, dim=1)).square()
            for rows in chunks(*products.shape):
                squares = a2[rows, None] + c2
                squared = squares - 2 * products[rows]
                squared.masked_fill_(squared <= 8 * torch.finfo(a.dtype).eps * squares, 0)
                distances[rows, ends[i] : ends[i + 1]] = squared.sqrt_()
        ctx.save_for_backward(anchors, live, distances, *stored[::2])
        ctx.ends = ends
        return distances

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, live, distances, *stored = ctx.saved_tensors
        # d = |a - c| has the gradient (a - c)/d in a and the opposite in c.
        pull = torch.empty_like(distances)
        for rows in chunks(*distances.shape):
            pull[rows] = (grad[rows] / distances[rows]).masked_fill_(distances[rows] == 0, 0)
        grad_a, grad_live, last = pull.sum(1, keepdim=True) * a, None, ctx.ends[1]
        if live is None:
            grad_a += pull[:, :last].sum(0)[:, None] * a - (pull[:, :last] + pull[:, :last].T) @ a
        else:
            grad_a -= pull[:, :last] @ live
            if ctx.needs_input_grad[1]:
                grad_live = pull[:, :last].sum(0)[:, None] * live - pull[:, :last].T @ a
        for c, first, last in zip(stored, ctx.ends[1:], ctx.ends[2:], strict=False):
            grad_a -= pull[:, first:last] @ c
        return grad_a, grad_live, *(None for _ in range(2 * len(stored)))


def _inverse(norm: Tensor) -> Tensor:
    return torch.where(norm > SHORTEST, 1 / norm.clamp(min=SHORTEST), 0)
