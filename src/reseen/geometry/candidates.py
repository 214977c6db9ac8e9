"""Candidates: embeddings and labels that anchors are compared with.

Dimensions: A anchors, L live candidates, M stored ones, D components.

Live candidates are the batch itself, all ranks' batches, or class proxies: they may carry gradient. Stored candidates
are embeddings of the past: they carry none, and they stay where they lie.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor


@dataclass(frozen=True, eq=False)
class MemoryCandidates:
    """Candidates from a memory: embeddings of the past.

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

    def part(self, start: int, stop: int) -> MemoryCandidates:
        """Return the slots from start to stop."""
        cut = slice(start, stop)
        return MemoryCandidates(
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
    """Candidates: embeddings and labels that anchors are compared with.

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
        kept: (A, L) bool, which live candidates count for which anchor, or None for all;
            `reseen.losses.RandomTriplets` sets it.
    """

    embeddings: Tensor
    labels: Tensor
    offset: int | None = 0
    modalities: Tensor | None = dataclasses.field(default=None, kw_only=True)
    stored: tuple[MemoryCandidates, ...] = dataclasses.field(default=(), kw_only=True)
    crossing: Crossing | None = dataclasses.field(default=None, kw_only=True)
    gathered: bool = dataclasses.field(default=False, kw_only=True)
    kept: Tensor | None = dataclasses.field(default=None, kw_only=True)
