"""Wrapper: candidates of all ranks."""

from __future__ import annotations

from torch import Tensor

from reseen.distributed import gather_candidates
from reseen.geometry import Candidates
from reseen.losses.base import Wrapper


class AcrossRanks(Wrapper):
    """Wrapper that adds every rank's batch to the candidates of every rank's anchors, gradients included.

    Each rank's value is that of the joined batch on one process; averaged over ranks, as data-parallel training does,
    so are the gradients. On one process it changes nothing. Batches must be equally large on all ranks.

    Args:
        loss: Any loss.

    Raises:
        ValueError: In a call on batches of different sizes.
    """

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
        return self.call_loss(embeddings, labels, live if live.gathered else gather_candidates(live), modalities)
