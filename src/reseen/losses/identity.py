"""Identity loss: cross-entropy over a linear layer, identities as classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Candidates
from reseen.losses.base import ClassifierLoss, mean_over_anchors


class IdentityLoss(ClassifierLoss):
    """Cross-entropy with label smoothing over a linear classifier without bias.

    The smoothed target gives the true identity 1 - e + e/C and each other e/C, of C identities. It goes on the
    embedding after the neck ("Bag of tricks", arXiv:1903.07071, section 3).

    Args:
        num_identities: None until `build` is called, as the training loop does.
        dim: Components of the embedding; None likewise.
        smoothing: e, in [0, 1).
        every: Take the loss on the first of every so many pictures: with 3, and batches of identities with 3 pictures,
            on one of each, as where a batch is triplets whose anchors alone are classified. 1 for all pictures.

    Raises:
        ValueError: Called before it has a size, or given one of the two numbers only.

    Note:
        fast-reid's form gives e'/(C-1) to the others; it is this one with e = e' C/(C-1).

    Example:
        >>> loss = IdentityLoss(num_identities=10, dim=4)
        >>> loss(torch.zeros(2, 4), torch.tensor([3, 7]))  # ten identities, equally likely: log 10
        tensor(2.3026, grad_fn=...)
    """

    role = "identity"

    def __init__(
        self, num_identities: int | None = None, dim: int | None = None, *, smoothing: float = 0.1, every: int = 1
    ):
        super().__init__(num_identities, dim)
        if not 0 <= smoothing < 1:
            raise ValueError(f"expected smoothing in [0, 1), got {smoothing}")
        if every < 1:
            raise ValueError(f"expected every to be 1 or more, got {every}")
        self.smoothing = smoothing
        self.every = every

    def initial_weight(self, num_identities: int, dim: int) -> Tensor:
        """Return small random weights: all identities nearly equally likely."""
        return 0.001 * torch.randn(num_identities, dim)

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss of embeddings (A, D) with labels (A,) from 0 to C - 1; candidates play no part."""
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels, weight = self.checked_weight(embeddings, labels)
            embeddings, labels = embeddings[:: self.every], labels[:: self.every]
            terms = F.cross_entropy(embeddings @ weight.T, labels, label_smoothing=self.smoothing, reduction="none")
            return mean_over_anchors(terms, candidates)
