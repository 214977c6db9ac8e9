"""An anchor, its candidates, and a three-way relation: positive, negative, or neither.

Dimensions: A anchors, C candidates in all, of them L live and M stored; D components.

Live candidates are the batch itself, all ranks' batches, or class proxies: they may carry gradient. Stored candidates
are embeddings of the past: they carry none, and they stay where they lie. Matrices (A, C) have the live columns first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

SHORTEST = 1e-6
"""A vector shorter than this has no direction: its cosines are 0 and it receives no gradient through them."""

DOUBLE_UP_TO = 8192
"""Distances to as many live candidates are made from float64 products, since squares cancel; to more, from float32."""


@dataclass(frozen=True, eq=False)
class Stored:
    """Embeddings of the past as candidates.

    Attributes:
        embeddings: (M, D), without gradient.
        labels: (M,) int64.
        norms: (M,), the lengths of the embeddings, computed once when they were stored.
        filled: (M,) bool; a slot that is not filled is neither positive nor negative to anyone.
        same_identity: ``"keep"``: a stored embedding of the anchor's identity is a positive; ``"exclude"``: neither.
        modalities: (M,) bool, or None where there is one kind only.
    """

    embeddings: Tensor
    labels: Tensor
    norms: Tensor
    filled: Tensor
    same_identity: Literal["exclude", "keep"] = "exclude"
    modalities: Tensor | None = None

    def __len__(self) -> int:
        return len(self.embeddings)

    def part(self, start: int, stop: int) -> Stored:
        """Return the slots from start to stop."""
        cut = slice(start, stop)
        return Stored(
            self.embeddings[cut],
            self.labels[cut],
            self.norms[cut],
            self.filled[cut],
            self.same_identity,
            None if self.modalities is None else self.modalities[cut],
        )


class Crossing(NamedTuple):
    """Only pairs of different modalities count, and each direction is a loss of its own.

    Attributes:
        modalities: (A,) bool, the anchors' own.
        weights: Of the anchors whose modality is False, and of those whose modality is True.
    """

    modalities: Tensor
    weights: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the anchors are compared with.

    Attributes:
        embeddings: (L, D), live.
        labels: (L,) integers.
        offset: Anchor i's own copy is column ``offset + i``. The batch itself: 0; all ranks' batches: rank x batch
            size; proxies: None, no anchor is among them.
        modalities: (L,) bool, or None where there is one kind only.
        stored: Further candidates, from the past.
        crossing: Restricts the pairs to those across two modalities; `reseen.losses.CrossModal` sets it.
        gathered: The live candidates are all ranks' batches, so that means too are taken over all ranks' anchors;
            `reseen.losses.AcrossRanks` sets it.
    """

    embeddings: Tensor
    labels: Tensor
    offset: int | None = 0
    modalities: Tensor | None = dataclasses.field(default=None, kw_only=True)
    stored: tuple[Stored, ...] = dataclasses.field(default=(), kw_only=True)
    crossing: Crossing | None = dataclasses.field(default=None, kw_only=True)
    gathered: bool = dataclasses.field(default=False, kw_only=True)


class Relation(NamedTuple):
    """What each candidate is to each anchor; all masks (A, C) bool.

    Attributes:
        positive: Same identity, and not the anchor itself.
        negative: Another identity.
        itself: The anchor's own copy, neither of the two.
        positive_columns: Positives lie in the first so many columns only.
    """

    positive: Tensor
    negative: Tensor
    itself: Tensor
    positive_columns: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Anchors beside their candidates, checked and in one floating type of at least 32 bits.

    Attributes:
        anchors: (A, D).
        labels: (A,).
        candidates: Its ``embeddings`` is the same object as ``anchors`` where the batch is compared with itself.
    """

    anchors: Tensor
    labels: Tensor
    candidates: Candidates

    def relation(self, rows: slice = slice(None)) -> Relation:
        """Return what each candidate is to each of the anchors in rows."""
        live, labels = self.candidates, self.labels[rows, None]
        anchors = torch.arange(len(self.labels), device=labels.device)[rows, None]
        same = labels == live.labels
        itself = torch.zeros_like(same)
        if live.offset is not None:
            itself = torch.arange(len(live.labels), device=labels.device) == anchors + live.offset
        positive, negative = [same & ~itself], [~same]
        for stored in live.stored:
            same = (labels == stored.labels) & stored.filled
            positive.append(same if stored.same_identity == "keep" else torch.zeros_like(same))
            negative.append((labels != stored.labels) & stored.filled)
        if live.crossing is not None:
            own = live.crossing.modalities[rows, None]
            itself = torch.zeros_like(itself)
            for i, modalities in enumerate([live.modalities, *(stored.modalities for stored in live.stored)]):
                assert modalities is not None  # CrossModal has seen to it
                other = own != modalities
                positive[i], negative[i] = positive[i] & other, negative[i] & other
        keeps = any(stored.same_identity == "keep" for stored in live.stored)
        total = sum(len(stored) for stored in live.stored)
        return Relation(
            _beside(positive),
            _beside(negative),
            torch.nn.functional.pad(itself, (0, total)) if total else itself,
            len(live.labels) + (total if keeps else 0),
        )


def compare(embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Pairs:
    """Put anchors beside their candidates.

    Args:
        embeddings: (A, D), any floating type; half types are widened to float32.
        labels: (A,) integers.
        candidates: None for the batch itself.

    Raises:
        ValueError: Shapes or types do not fit, the batch is empty, or the offset lies outside the candidates.
    """
    if embeddings.ndim != 2 or not embeddings.is_floating_point() or len(embeddings) == 0:
        raise ValueError(
            f"expected embeddings (A, D) of a floating type with at least one row, "
            f"got {tuple(embeddings.shape)} {embeddings.dtype}"
        )
    _check_labels(labels, len(embeddings), "labels")
    anchors = _widened(embeddings)
    if candidates is None:
        return Pairs(anchors, labels, Candidates(anchors, labels, 0))
    live = candidates.embeddings
    if live.ndim != 2 or live.shape[1] != embeddings.shape[1] or not live.is_floating_point() or len(live) == 0:
        raise ValueError(
            f"expected candidates (C, {embeddings.shape[1]}) of a floating type with at least one row, "
            f"got {tuple(live.shape)} {live.dtype}"
        )
    _check_labels(candidates.labels, len(live), "candidates' labels")
    offset = candidates.offset
    if offset is not None and not 0 <= offset <= len(live) - len(embeddings):
        raise ValueError(
            f"expected an offset from 0 to {len(live) - len(embeddings)} for {len(embeddings)} anchors among "
            f"{len(live)} candidates, got {offset}; give None where the anchors are not among the candidates"
        )
    live = anchors if live is embeddings else live.to(anchors.dtype)
    return Pairs(anchors, labels, dataclasses.replace(candidates, embeddings=live))


def cosine(pairs: Pairs) -> Tensor:
    """Return cosine similarities (A, C) in [-1, 1], higher is more alike."""
    u, live = unit(pairs.anchors), pairs.candidates.embeddings
    # Columns are scaled instead of candidates, whose normalised copy would be as large as they are.
    blocks = [u @ u.T if live is pairs.anchors else (u @ live.T) * _inverse(torch.linalg.vector_norm(live, dim=1))]
    blocks += [(u @ s.embeddings.to(u.dtype).T) * _inverse(s.norms).to(u.dtype) for s in pairs.candidates.stored]
    return _beside(blocks)


def inner_product(pairs: Pairs) -> Tensor:
    """Return inner products (A, C), higher is more alike, of any size."""
    a, live = pairs.anchors, pairs.candidates
    return _beside([a @ live.embeddings.T, *(a @ s.embeddings.to(a.dtype).T for s in live.stored)])


def euclidean(pairs: Pairs) -> Tensor:
    """Return Euclidean distances (A, C), lower is more alike.

    A distance that is smaller than its products can tell from 0 reads as 0 and has no gradient.

    Note:
        |a|^2 + |c|^2 - 2ac cancels: in float32 a distance of 0.001 between vectors of norm 30 reads as 0.02. Up to
        `DOUBLE_UP_TO` live candidates the products are therefore made in float64, where the device has it.
    """
    a, live = pairs.anchors, pairs.candidates.embeddings
    exact = len(live) <= DOUBLE_UP_TO and a.device.type != "mps"
    others = None if live is a else live
    blocks = [_Distance.apply(a, others, None, exact)]
    blocks += [_Distance.apply(a, s.embeddings.to(a.dtype), s.norms, False) for s in pairs.candidates.stored]
    return _beside(blocks)


def chord(s: Tensor) -> Tensor:
    """Return the Euclidean distance of two normalised vectors from their cosine, any shape; in [0, 2]."""
    squared = 2 - 2 * s
    apart = squared > 16 * torch.finfo(s.dtype).eps
    return torch.where(apart, squared, 1).sqrt() * apart


def unit(x: Tensor) -> Tensor:
    """Return rows (N, D) scaled to length 1; a row shorter than `SHORTEST` becomes 0, without gradient."""
    return x * _inverse(torch.linalg.vector_norm(x, dim=1, keepdim=True))


def masked_logsumexp(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return log sum exp of what the mask keeps; -inf, without gradient, where it keeps nothing."""
    x = x.masked_fill(~mask, -torch.inf)
    top = _finite(x.detach().amax(dim, keepdim=True))
    total = (x - top).exp().sum(dim)
    log = total.clamp(min=torch.finfo(x.dtype).tiny).log() + top.squeeze(dim)
    return torch.where(total > 0, log, -torch.inf)


def masked_softmax(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return weights over what the mask keeps that sum to 1; all 0 where it keeps nothing."""
    x = x.masked_fill(~mask, -torch.inf)
    weights = (x - _finite(x.detach().amax(dim, keepdim=True))).exp()
    return weights / weights.sum(dim, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)


def masked_max(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the largest of what the mask keeps; -inf, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, -torch.inf).amax(dim)


def masked_min(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the smallest of what the mask keeps; inf, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, torch.inf).amin(dim)


def masked_mean(x: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """Return the mean of what the mask keeps; 0, without gradient, where it keeps nothing."""
    return x.masked_fill(~mask, 0).sum(dim) / mask.sum(dim).clamp(min=1)


def chunks(rows: int, columns: int, elements: int = 2**20) -> Iterator[slice]:
    """Cut a matrix into groups of rows of at most so many elements each, so that work on one stays in the cache."""
    step = max(1, elements // max(1, columns))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


class _Distance(torch.autograd.Function):
    """Euclidean distances (A, C), keeping nothing for the gradient but themselves."""

    @staticmethod
    def forward(ctx: Any, anchors: Tensor, others: Tensor | None, norms: Tensor | None, exact: bool) -> Tensor:
        a = anchors.double() if exact else anchors
        c = a if others is None else others.double() if exact else others
        squared = a @ c.T
        a2 = torch.linalg.vector_norm(a, dim=1).square()
        c2 = a2 if others is None else (torch.linalg.vector_norm(c, dim=1) if norms is None else norms).square()
        tolerance = 8 * torch.finfo(a.dtype).eps
        for rows in chunks(*squared.shape):
            squares = a2[rows, None] + c2
            squared[rows].mul_(-2).add_(squares)
            squared[rows].masked_fill_(squared[rows] <= squares.mul_(tolerance), 0).sqrt_()
        distances = squared.to(anchors.dtype)
        ctx.save_for_backward(anchors, others, distances)
        return distances

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        a, c, distances = ctx.saved_tensors
        # d = |a - c| has the gradient (a - c)/d in a and the opposite in c.
        pull = (grad / distances).masked_fill_(distances == 0, 0)
        if c is None:
            pull = pull + pull.T
            return pull.sum(1, keepdim=True) * a - pull @ a, None, None, None
        grad_a = pull.sum(1, keepdim=True) * a - pull @ c if ctx.needs_input_grad[0] else None
        grad_c = pull.sum(0)[:, None] * c - pull.T @ a if ctx.needs_input_grad[1] else None
        return grad_a, grad_c, None, None


def _beside(blocks: list[Tensor]) -> Tensor:
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)


def _inverse(norm: Tensor) -> Tensor:
    return torch.where(norm > SHORTEST, 1 / norm.clamp(min=SHORTEST), 0)


def _finite(x: Tensor) -> Tensor:
    return torch.where(x.isfinite(), x, 0)


def _widened(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _check_labels(labels: Tensor, expected: int, name: str) -> None:
    if labels.shape != (expected,) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"expected {name} ({expected},) of an integer type, got {tuple(labels.shape)} {labels.dtype}")
