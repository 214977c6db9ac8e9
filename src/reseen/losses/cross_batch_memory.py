"""Cross-batch memory: past embeddings as candidates."""

from __future__ import annotations

import dataclasses
from typing import Literal

from torch import Tensor

from reseen.distributed import gather_candidates
from reseen.geometry import Candidates
from reseen.losses.base import Loss, Wrapper
from reseen.losses.memory_bank import MemoryBank


class CrossBatchMemory(Wrapper):
    """Wrapper that adds the embeddings of past batches to the candidates, without gradient (arXiv:1912.06798).

    After each call in training mode the live candidates are remembered: all ranks', so that every rank remembers the
    same; batches must be equally large on all ranks. On several ranks the candidates of the current batch are this
    rank's; `AcrossRanks` inside or around adds all. Several calls may come before one backward pass, at the price of a
    copy of the memory for each but the first. Activation checkpointing may not include the call.

    Args:
        loss: A loss over pairs, or one wrapped.
        memory_size: How many embeddings to keep, the newest.
        dim: Components of an embedding.
        same_identity: Past embeddings of an anchor's own identity are positives (``"keep"``), or neither positive nor
            negative (``"exclude"``), as MoReID found best (ECCV 2022, supplement, section C).

    Raises:
        ValueError: The loss is not over pairs, a number is below 1, or batches differ in size across ranks.
        RuntimeError: Called in the backward pass, as activation checkpointing does.

    Example:
        >>> loss = CrossBatchMemory(HardTripletLoss(margin=2.0), memory_size=8, dim=2)
        >>> first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> loss(first, torch.tensor([0]))  # no negative in the batch, and none remembered
        tensor(0.)
        >>> loss(second, torch.tensor([1]))  # the first batch's picture is a negative
        tensor(0.5858)
    """

    def __init__(
        self, loss: Loss, memory_size: int, dim: int, *, same_identity: Literal["exclude", "keep"] = "exclude"
    ):
        super().__init__(loss)
        self.require_pair_loss()
        if same_identity not in ("exclude", "keep"):
            raise ValueError(f"expected same_identity 'exclude' or 'keep', got {same_identity!r}")
        self.same_identity = same_identity
        self.memory = MemoryBank(memory_size, dim)

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        candidates: Candidates | None = None,
        *,
        modalities: Tensor | None = None,
    ) -> Tensor:
        """Return the loss; see `Loss.forward` and, for modalities (A,), `CrossModal`."""
        live = self.candidates_or_batch(embeddings, labels, candidates, modalities)
        past = self.memory.recall(self.same_identity)
        loss = self.call_loss(embeddings, labels, dataclasses.replace(live, stored=(*live.stored, past)), modalities)
        self.memory.keep_for(loss)
        if self.training:
            keys = dataclasses.replace(live, embeddings=live.embeddings.detach())
            keys = keys if keys.gathered else gather_candidates(keys)
            self.memory.push(keys.embeddings, keys.labels, keys.modalities)
        return loss
