"""Measures of how alike anchors and candidates are: similarities, which rise, and distances, which fall.

Dimensions: A anchors; C candidates in all, first the L live ones, then the stored; D components; k of an anchor's own.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from reseen.geometry.candidates import MemoryCandidates
from reseen.geometry.pairs import Pairs, concat_columns
from reseen.geometry.reductions import row_blocks

SHORTEST = 1e-6
"""A vector shorter than this has no direction: its cosines are 0 and it receives no gradient through them."""

NEAREST = 1e-30
"""A distance shorter than this has no gradient, whose direction nothing could tell."""

DOUBLE_UP_TO = 8192
"""Distances to as many live candidates are made from float64 products, since squares cancel; to more, from float32."""


class Measure(ABC):
    """Base class of measures: anchors and candidates to a matrix of similarities or distances.

    One of your own defines `rises` and `between`.
    """

    rises: bool
    """Whether higher is more alike: True of similarities, False of distances."""

    @abstractmethod
    def between(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return the measures (A, C) of anchors (A, D) with others (C, D)."""

    def paired(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return the measures (A, k) of each anchor (A, D) with others of its own (A, k, D)."""
        everyone = self.between(anchors, others.flatten(0, 1)).view(len(anchors), *others.shape[:2])
        return everyone.diagonal().T

    def __call__(self, pairs: Pairs) -> Tensor:
        """Return the measures (A, C) of anchors with all of their candidates."""
        a, candidates = pairs.anchors, pairs.candidates
        blocks = [candidates.embeddings, *(stored.embeddings.to(a.dtype) for stored in candidates.stored)]
        return concat_columns([self.between(a, block) for block in blocks])


class Cosine(Measure):
    """Cosine similarities in [-1, 1], higher is more alike."""

    rises = True

    def between(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return cosines (A, C) of anchors (A, D) with others (C, D)."""
        s: Tensor = _Cosine.apply(unit(anchors), others)[0]
        return s

    def paired(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return cosines (A, k) of each anchor (A, D) with others of its own (A, k, D)."""
        return torch.einsum("ad,akd->ak", unit(anchors), unit(others.flatten(0, 1)).view_as(others))

    def __call__(self, pairs: Pairs) -> Tensor:
        """Return cosines (A, C) with all candidates; of stored ones no normalised copy is made."""
        live = pairs.candidates.embeddings
        if live is pairs.anchors:
            s, u, _ = _OwnCosine.apply(live)
        else:
            u = unit(pairs.anchors)
            s = _Cosine.apply(u, live)[0]
        blocks = [s]
        blocks += [(u @ s.embeddings.to(u.dtype).T) * _inverse(s.norms.to(u.dtype)) for s in pairs.candidates.stored]
        return concat_columns(blocks)


class InnerProduct(Measure):
    """Inner products of any size, higher is more alike."""

    rises = True

    def between(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return inner products (A, C) of anchors (A, D) with others (C, D)."""
        return anchors @ others.T

    def paired(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return inner products (A, k) of each anchor (A, D) with others of its own (A, k, D)."""
        return torch.einsum("ad,akd->ak", anchors, others)


class Euclidean(Measure):
    """Euclidean distances, lower is more alike.

    A distance that is smaller than its products can tell from 0 reads as 0 and has no gradient.

    Note:
        |a|^2 + |c|^2 - 2ac cancels: in float32 a distance of 0.001 between vectors of norm 30 reads as 0.02. Up to
        `DOUBLE_UP_TO` live candidates the products are therefore made in float64, where the device has it. Products
        with stored candidates stay float32; the few of these that a loss mines are measured by difference.
    """

    rises = False
    normalized = False

    def between(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return distances (A, C) of anchors (A, D) to others (C, D)."""
        return _distances(anchors, None if others is anchors else others, normalized=self.normalized)

    def paired(self, anchors: Tensor, others: Tensor) -> Tensor:
        """Return distances (A, k) of each anchor (A, D) to others of its own (A, k, D), by difference."""
        if self.normalized:
            anchors, others = unit(anchors), unit(others.flatten(0, 1)).view_as(others)
        distances: Tensor = torch.linalg.vector_norm(anchors[:, None] - others, dim=2)
        return distances

    def __call__(self, pairs: Pairs) -> Tensor:
        """Return distances (A, C) to all candidates; of stored ones no normalised copy is made."""
        a, live = pairs.anchors, pairs.candidates.embeddings
        return _distances(a, None if live is a else live, pairs.candidates.stored, normalized=self.normalized)


class NormalizedEuclidean(Euclidean):
    """Euclidean distances, in [0, 2], of vectors scaled to length 1."""

    normalized = True


cosine, inner_product = Cosine(), InnerProduct()
euclidean, normalized_euclidean = Euclidean(), NormalizedEuclidean()


def unit(x: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length 1; a row shorter than `SHORTEST` becomes 0, without gradient."""
    u: Tensor = _Unit.apply(x)[0]
    return u


def _inverse(norm: Tensor) -> Tensor:
    """Return 1/norm: 0 where a vector has no direction, NaN where the norm is not finite."""
    return 1 / norm.masked_fill(norm == torch.inf, torch.nan).masked_fill(norm <= SHORTEST, torch.inf)


class _Unit(torch.autograd.Function):
    """Rows scaled to length 1, in as few passes over them as can be, and 1/length, which second derivatives need."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        inverse = _inverse(torch.linalg.vector_norm(x, dim=1, keepdim=True))
        return x * inverse, inverse

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_inverse: Tensor | None) -> Tensor | None:
        u, inverse = ctx.saved_tensors
        return _unit_grad(u, inverse, grad, grad_inverse)


def _unit_grad(u: Tensor, inverse: Tensor, grad: Tensor | None, grad_inverse: Tensor | None) -> Tensor | None:
    """Return the gradient in rows (N, D) of those at length 1 and of 1/their lengths."""
    total = None
    if grad is not None:
        along = torch.linalg.vecdot(u, grad)[:, None]
        total = torch.addcmul(grad, u, along, value=-1).mul_(inverse)
    if grad_inverse is not None:  # 1/|x| has the gradient -x/|x|^3.
        by_inverse = -u * inverse.square() * grad_inverse
        total = by_inverse if total is None else total + by_inverse
    return total


class _OwnCosine(torch.autograd.Function):
    """Cosines (A, A) of rows with one another, the rows at length 1, and 1/their lengths (A, 1).

    The gradient is a single product: what lies along a row itself is taken off the matrix, not off the rows.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u, inverse = _Unit.forward(x)
        return u @ u.T, u, inverse

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_u: Tensor | None, grad_inverse: Tensor | None) -> Tensor | None:
        s, u, inverse = ctx.saved_tensors
        total = _unit_grad(u, inverse, grad_u, grad_inverse)
        if grad is None:
            return total
        both = grad + grad.T
        of_x: Tensor = ((both - (both * s).sum(1).diag()) * inverse) @ u
        return of_x if total is None else of_x + total


class _Cosine(torch.autograd.Function):
    """Cosines (A, C) of unit vectors to candidates, whose normalised copy is never made, and 1/their lengths (C,)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        inverse = _inverse(torch.linalg.vector_norm(others, dim=1))
        return (u @ others.T) * inverse, inverse

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_inverse: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        u, others, s, inverse = ctx.saved_tensors
        grad_u = grad_others = None
        if grad is not None:
            scaled = grad * inverse
            if ctx.needs_input_grad[0]:
                grad_u = scaled @ others
            if ctx.needs_input_grad[1]:
                along = (scaled * s).sum(0) * inverse
                grad_others = (scaled.T @ u).addcmul_(others, along[:, None], value=-1)
        if grad_inverse is not None and ctx.needs_input_grad[1]:
            by_inverse = -others * (inverse.pow(3) * grad_inverse)[:, None]
            grad_others = by_inverse if grad_others is None else grad_others + by_inverse
        return grad_u, grad_others


def _norms(x: Tensor) -> Tensor:
    """Return the lengths of rows (N, D), from float64 where the device has it: no square overflows there."""
    norms: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=None if x.device.type == "mps" else torch.float64)
    return norms.to(x.dtype)


def _to_length_1(norms: Tensor) -> tuple[Tensor, Tensor]:
    """Return what vectors of these lengths are multiplied by to have length 1 or 0, and their squared lengths then."""
    return _inverse(norms), (norms > SHORTEST).to(norms)


def _scale_and_square(norms: Tensor, normalized: bool) -> tuple[Tensor | None, Tensor]:
    """Return what vectors of these lengths are multiplied by, None for nothing, and their squared lengths after it."""
    return _to_length_1(norms) if normalized else (None, norms.square())


def _distances(
    anchors: Tensor, live: Tensor | None, stored: Sequence[MemoryCandidates] = (), *, normalized: bool
) -> Tensor:
    """Return distances (A, C) to live candidates, None where they are the anchors, and to stored ones.

    Args:
        anchors: (A, D).
        live: (L, D).
        stored: Blocks of (M, D).
        normalized: The distances are those of vectors scaled to length 1.
    """
    blocks: list[Tensor | None] = []
    for each in stored:
        blocks += [each.embeddings.to(anchors.dtype), *_scale_and_square(each.norms.to(anchors.dtype), normalized)]
    needed = torch.is_grad_enabled() and any(x.requires_grad for x in (anchors, live) if x is not None)
    if torch.compiler.is_compiling() and not needed:
        # Dynamo shifts the arguments of a Function that takes any number of them and needs no gradient.
        return _Distance.forward(normalized, anchors, live, *blocks)[0]
    return cast(Tensor, _Distance.apply(normalized, anchors, live, *blocks)[0])


def _gram(x: Tensor) -> Tensor:
    """Return the products (A, A) of rows (A, D) with one another; a quarter of them is copied, since it is the same."""
    half = len(x) // 2
    left, right = x[:half] @ x[:half].T, x @ x[half:].T
    return torch.cat([torch.cat([left, right[:half].T]), right], dim=1)


class _Distance(torch.autograd.Function):
    """Euclidean distances (A, C) to live (L, D) and to stored blocks, and the lengths of anchors and live (A + L,).

    Of each stored block come the embeddings (M, D), what they are scaled by (M,) or None, and their squared lengths.
    Anchors and live candidates are scaled to length 1 here where the distances are to be normalised: in the products,
    so that no scaled copy is made.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        normalized: bool, anchors: Tensor, live: Tensor | None, *stored: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        others = [anchors if live is None else live, *cast(Sequence[Tensor], stored[::3])]
        exact = len(others[0]) <= DOUBLE_UP_TO and anchors.device.type != "mps"
        ends = [0, *itertools.accumulate(len(c) for c in others)]
        distances = anchors.new_empty(len(anchors), ends[-1])
        norms: list[Tensor] = []
        for i, c in enumerate(others):
            a = anchors
            if i == 0:
                if exact:
                    a = anchors.double()
                    c = a if live is None else c.double()
                norms = [_norms(a)] if live is None else [_norms(a), _norms(c)]
                c_scale, c2 = _scale_and_square(norms[-1], normalized)
            a_scale, a2 = _scale_and_square(norms[0].to(a.dtype), normalized)
            if i:
                c_scale, c2 = stored[3 * i - 2], cast(Tensor, stored[3 * i - 1])
            if a_scale is not None and a.dtype == torch.float32:  # Products of long vectors would overflow.
                a, a_scale = a * a_scale[:, None], None
            products = _gram(a) if c is a else a @ c.T
            for rows in row_blocks(*products.shape):
                product = products[rows] if c_scale is None else products[rows] * c_scale
                if a_scale is not None:
                    product *= a_scale[rows, None]
                squares = a2[rows, None] + c2
                squared = torch.sub(squares, product, alpha=2)
                squared.masked_fill_(squared < 8 * torch.finfo(a.dtype).eps * squares, 0)
                distances[rows, ends[i] : ends[i + 1]] = squared.sqrt_()
        return distances, torch.cat(norms).to(anchors.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.normalized = inputs[0]
        ctx.save_for_backward(*output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_norms: Tensor | None) -> tuple[Tensor | None, ...]:
        distances, norms, a, live, *stored = ctx.saved_tensors
        grad_a = grad_live = None
        if grad is not None:
            grad_a, grad_live = _Distance.pulled(ctx, grad, distances, norms, a, live, stored)
        if grad_norms is not None:
            along = grad_norms * _inverse(norms)
            by_norms = along[: len(a), None] * a
            grad_a = by_norms if grad_a is None else grad_a + by_norms
            if live is not None and ctx.needs_input_grad[2]:
                by_norms = along[len(a) :, None] * live
                grad_live = by_norms if grad_live is None else grad_live + by_norms
        return None, grad_a, grad_live, *(None for _ in stored)

    @staticmethod
    def pulled(
        ctx: Any, grad: Tensor, distances: Tensor, norms: Tensor, a: Tensor, live: Tensor | None, stored: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """Return the gradients in anchors and live candidates of the distances."""
        last = len(a if live is None else live)
        if ctx.normalized:
            a_scale, a2 = live_scale, live2 = _to_length_1(norms[: len(a)])
            if live is not None:
                live_scale, live2 = _to_length_1(norms[len(a) :])
            c2 = torch.cat([live2, *stored[2::3]])
        # d = |a - c| has the gradient (a - c)/d in a and the opposite in c.
        pull, by_row, by_column = torch.empty_like(distances), [], a.new_zeros(last)
        for rows in row_blocks(*distances.shape):
            d = distances[rows]
            pull[rows] = along = grad[rows] / d.masked_fill(d < NEAREST, torch.inf)
            if ctx.normalized:  # What lies along the vector itself has no gradient, and uv = (|u|^2 + |v|^2 - d^2)/2.
                along = along * (a2[rows, None] + c2 - d.square()) / 2
            by_row.append(along.sum(1))
            by_column = by_column + along[:, :last].sum(0)
        of_anchors, own = torch.cat(by_row), pull[:, :last]
        if live is None:
            of_anchors, own = of_anchors + by_column, own + own.T
        if ctx.normalized:
            of_anchors, own = of_anchors * a_scale, own * live_scale
        if live is None:
            grad_a, grad_live = (of_anchors.diag() - own) @ a, None
        else:
            grad_a, grad_live = torch.addmm(of_anchors[:, None] * a, own, live, alpha=-1), None
            if ctx.needs_input_grad[2]:
                own = pull[:, :last] * a_scale[:, None] if ctx.normalized else own
                by_column = by_column * live_scale if ctx.normalized else by_column
                grad_live = torch.addmm(by_column[:, None] * live, own.T, a, alpha=-1)
                grad_live = grad_live * live_scale[:, None] if ctx.normalized else grad_live
        for c, scale in zip(stored[::3], stored[1::3], strict=True):
            first, last = last, last + len(c)
            part = pull[:, first:last]
            grad_a = torch.addmm(grad_a, part if scale is None else part * scale, c, alpha=-1)
        return grad_a.mul_(a_scale[:, None]) if ctx.normalized else grad_a, grad_live
