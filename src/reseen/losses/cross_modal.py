"""Wrapper: anchors of one modality against candidates of the other."""

from __future__ import annotations

import dataclasses

from torch import Tensor

from reseen.geometry import Candidates, Crossing
from reseen.losses.base import Loss, Wrapper


class CrossModal(Wrapper):
    """Wrapper across two modalities: visible anchors against infrared candidates, plus the reverse.

    ``visible * L(visible -> infrared) + infrared * L(infrared -> visible)``: every pair loss becomes a bi-directional
    one; with `ExpATLoss` it is the expAT paper's (arXiv:2006.00878, equation 10, where the weights are alpha and beta).
    Pairs of one modality are neither positive nor negative.

    Args:
        loss: A loss over pairs, or one wrapped.
        visible: Weight of the direction from visible anchors.
        infrared: Weight of the direction from infrared anchors.

    Raises:
        ValueError: The loss is not over pairs, or no modalities are given in the call.

    Example:
        >>> loss = CrossModal(HardTripletLoss(margin=2.0))
        >>> x, identities = torch.eye(2)[[0, 0, 1, 1]], torch.tensor([0, 0, 1, 1])
        >>> loss(x, identities, modalities=torch.tensor([False, True, False, True]))  # each of two directions
        tensor(1.1716)
    """

    def __init__(self, loss: Loss, *, visible: float = 1.0, infrared: float = 1.0):
        super().__init__(loss)
        self.require_pair_loss()
        self.weights = (visible, infrared)

    @property
    def takes_modalities(self) -> bool:
        """Whether the loss is called with ``modalities=`` (A,) as well: it is."""
        return True

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        candidates: Candidates | None = None,
        *,
        modalities: Tensor | None = None,
    ) -> Tensor:
        """Return the loss; see `Loss.forward`.

        Args:
            embeddings: (A, D), the anchors.
            labels: (A,) int64.
            candidates: With modalities of their own; None for one another.
            modalities: (A,) the anchors'; True, or not 0, is infrared.
        """
        if modalities is None or modalities.shape != labels.shape:
            got = None if modalities is None else tuple(modalities.shape)
            raise ValueError(f"expected modalities {tuple(labels.shape)}, which anchors are infrared, got {got}")
        infrared = modalities.bool()
        live = self.candidates_or_batch(embeddings, labels, candidates, infrared)
        if live.modalities is None or any(stored.modalities is None for stored in live.stored):
            raise ValueError("expected candidates with modalities, got None; give Candidates(..., modalities=...)")
        crossing = Crossing(infrared, self.weights)
        return self.call_loss(embeddings, labels, dataclasses.replace(live, crossing=crossing), infrared)
