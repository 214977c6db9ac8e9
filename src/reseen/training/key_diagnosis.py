"""Metrics of a memory of keys: their drift, and the share of hard negatives in it.

Dimensions: A anchors, C candidates, N pictures, D components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Candidates, compare, euclidean, masked_mean


@dataclass(frozen=True)
class KeySample:
    """Batch with its keys, kept whole: keys of other pictures would have other neighbours in a batch norm.

    Attributes:
        images: (N, 3, H, W) uint8.
        modalities: (N,), or None.
        keys: Name of an output -> (N, D).
        since: How many keys were queued before.
    """

    images: Tensor
    modalities: Tensor | None
    keys: Mapping[str, Tensor]
    since: int

    def likeness(self, name: str, now: Tensor) -> Tensor:
        """Return the mean cosine (scalar) between the keys and those (N, D) that the same pictures get now."""
        return F.cosine_similarity(self.keys[name], now.to(self.keys[name].dtype)).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {**self.__dict__, "keys": dict(self.keys)}

    @classmethod
    def load(cls, state: Mapping[str, Any], device: torch.device) -> KeySample:
        """Return the sample of a state, on a device."""
        modalities = state["modalities"]
        return cls(
            state["images"].to(device),
            None if modalities is None else modalities.to(device),
            {name: keys.to(device) for name, keys in state["keys"].items()},
            state["since"],
        )


@torch.no_grad()
def hardness(embeddings: Tensor, labels: Tensor, candidates: Candidates) -> dict[str, float]:
    """Return where HE's boundary t* lies, mean over anchors, and which share of the hard negatives is stored.

    Of positives sorted from the farthest, p, and negatives from the nearest, n, as many are hard as ``p_k > n_k``;
    t* is any distance that parts the hard from the others, here the middle of these. Euclidean distance, whatever the
    loss. What is undefined is left out: t* without a positive or a negative, the share without a hard negative.

    Args:
        embeddings: (A, D), the anchors.
        labels: (A,).
        candidates: What they were compared with.
    """
    pairs = compare(embeddings, labels, candidates)
    d, relation = euclidean(pairs), pairs.relation()
    num = min(relation.positive_columns, d.shape[1])
    p = d[:, :num].masked_fill(~relation.positive[:, :num], -torch.inf).sort(dim=1, descending=True).values
    nearest = d.masked_fill(~relation.negative, torch.inf).topk(num, dim=1, largest=False)
    n, hard = nearest.values, p > nearest.values
    # k hard ones on each side: t* is at most the k-th positive and the next negative, at least the two other way round.
    k = hard.sum(1, keepdim=True)
    p, n = beyond_ends(p, torch.inf), beyond_ends(n, -torch.inf)
    upper, lower = torch.minimum(p.gather(1, k), n.gather(1, k + 1)), torch.maximum(p.gather(1, k + 1), n.gather(1, k))
    boundary = ((upper + lower) / 2)[:, 0]
    figures = {}
    if (defined := boundary.isfinite()).any():
        figures["boundary of HE"] = masked_mean(boundary, defined, dim=0).item()
    if hard.any():
        stored = hard & (nearest.indices >= len(candidates.labels))
        figures["hard negatives from the dictionary"] = (stored.sum() / hard.sum()).item()
    return figures


def beyond_ends(x: Tensor, before: float) -> Tensor:
    """Return rows (A, num) with one infinity before them and the opposite one behind: (A, num + 2)."""
    return F.pad(F.pad(x, (1, 0), value=before), (0, 1), value=-before)
