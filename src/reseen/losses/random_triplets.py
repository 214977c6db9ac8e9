"""Wrapper: triplets drawn at random."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from reseen.geometry import Candidates, compare
from reseen.losses.base import PairLoss, Wrapper


class RandomTriplets(Wrapper):
    """Wrapper that shows a loss one positive and one negative of each anchor, drawn anew in each call.

    How the published code for expAT (TIP 2020, arXiv:2006.00878, equation 10: means over triplets) trains on two
    modalities, an anchor's positive and negative being of the other: ``CrossModal(RandomTriplets(ExpATLoss()))``.

    Args:
        loss: A loss over pairs; not wrapped, as wrappers say what there is to draw from.

    Raises:
        ValueError: The loss is not one over pairs, or there are past embeddings among the candidates.

    Note:
        That code draws from the whole data set, eight triplets for each direction; here they are drawn from the batch,
        with every picture of it as an anchor.
    """

    def __init__(self, loss: PairLoss):
        super().__init__(loss)
        if not isinstance(loss, PairLoss):
            raise ValueError(
                f"expected a loss over pairs in RandomTriplets, got {type(loss).__name__}; wrap RandomTriplets instead"
            )

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss; see `Loss.forward`."""
        live = self.candidates_or_batch(embeddings, labels, candidates, None)
        if live.stored:
            raise ValueError("expected no past embeddings in RandomTriplets, got some; take CrossBatchMemory away")
        pair = compare(embeddings, labels, live).relation()
        kept = draw(pair.positive) | draw(pair.negative)
        return self.call_loss(embeddings, labels, dataclasses.replace(live, kept=kept), None)


def draw(mask: Tensor) -> Tensor:
    """Return (A, C) bool: one of each row's True, at random; none where there is none."""
    chance = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1)
    return torch.zeros_like(mask).scatter_(1, chance.argmax(1, keepdim=True), True) & mask
