"""Pairs of anchors and candidates, and their relation: positive, negative, or neither.

Dimensions: A anchors; C candidates in all, first the L live ones, then the stored; D components.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from reseen.geometry.candidates import Candidates


class Relation(NamedTuple):
    """Relation of candidates to anchors, as masks (A, C) bool.

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
    """Anchors and their candidates, checked and in one floating type of at least 32 bits.

    Attributes:
        anchors: (A, D).
        labels: (A,) int64.
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
        if live.kept is not None:
            positive[0], negative[0] = positive[0] & live.kept[rows], negative[0] & live.kept[rows]
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
            concat_columns(positive),
            concat_columns(negative),
            torch.nn.functional.pad(itself, (0, total)) if total else itself,
            len(live.labels) + (total if keeps else 0),
        )


def compare(embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Pairs:
    """Return the pairs of anchors and candidates.

    Args:
        embeddings: (A, D), any floating type; half types are widened to float32.
        labels: (A,) of any integer type; they become int64.
        candidates: None for the batch itself.

    Raises:
        ValueError: Shapes or types do not fit, the batch is empty, or the offset lies outside the candidates.
    """
    if embeddings.ndim != 2 or not embeddings.is_floating_point() or len(embeddings) == 0:
        raise ValueError(
            f"expected embeddings (A, D) of a floating type with at least one row, "
            f"got {tuple(embeddings.shape)} {embeddings.dtype}"
        )
    labels = _checked(labels, len(embeddings), "labels")
    anchors = _widened(embeddings)
    if candidates is None:
        return Pairs(anchors, labels, Candidates(anchors, labels, 0))
    live = candidates.embeddings
    if live.ndim != 2 or live.shape[1] != embeddings.shape[1] or not live.is_floating_point() or len(live) == 0:
        raise ValueError(
            f"expected candidates (C, {embeddings.shape[1]}) of a floating type with at least one row, "
            f"got {tuple(live.shape)} {live.dtype}"
        )
    live_labels = _checked(candidates.labels, len(live), "candidates' labels")
    for stored in candidates.stored:
        if stored.embeddings.ndim != 2 or stored.embeddings.shape[1] != embeddings.shape[1]:
            raise ValueError(
                f"expected embeddings (A, D) and past ones (M, D) of one D, got {tuple(embeddings.shape)} and "
                f"{tuple(stored.embeddings.shape)}; make the memory with dim={embeddings.shape[1]}"
            )
    offset = candidates.offset
    if offset is not None and not 0 <= offset <= len(live) - len(embeddings):
        raise ValueError(
            f"expected an offset from 0 to {len(live) - len(embeddings)} for {len(embeddings)} anchors among "
            f"{len(live)} candidates, got {offset}; give None where the anchors are not among the candidates"
        )
    live = anchors if live is embeddings else live.to(anchors.dtype)
    return Pairs(anchors, labels, dataclasses.replace(candidates, embeddings=live, labels=live_labels))


def concat_columns(blocks: list[Tensor]) -> Tensor:
    """Return the concatenation of column blocks (A, ...) as one matrix."""
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)


def _widened(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _checked(labels: Tensor, expected: int, name: str) -> Tensor:
    """Return labels (expected,) as int64: torch takes uint8 for a mask, and cross-entropy takes nothing else."""
    if labels.shape != (expected,) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"expected {name} ({expected},) of an integer type, got {tuple(labels.shape)} {labels.dtype}")
    return labels.long()
