"""Center loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Candidates
from reseen.losses.base import ClassifierLoss, mean_over_anchors
from reseen.types import ObjectKind


class CenterLoss(ClassifierLoss):
    """Center loss: squared distances of embeddings to the learnt centre of their identity.

    ``mean_i |x_i - c_{y_i}|^2`` (ECCV 2016, Wen et al., equation 2) on the feature before the neck, as it is; its usual
    weight beside the other losses is 0.0005 ("Bag of tricks", arXiv:1903.07071).

    Args:
        num_identities: None until `build` is called.
        dim: Components of the embedding; None likewise.

    Note:
        Without the paper's factor 1/2, as in the published codes. These move the centres by SGD with a learning rate of
        0.5 on the gradient of the unweighted loss: `learning_rate`, which a loop divides by the weight.
    """

    role = "auxiliary"
    learning_rate = 0.5

    def default_weight(self, kind: ObjectKind | None = None) -> float:
        """Return 0.0005, that of "Bag of tricks"."""
        return 0.0005

    def initial_weight(self, num_identities: int, dim: int) -> Tensor:
        """Return centres from a standard normal distribution."""
        return torch.randn(num_identities, dim)

    def forward(self, embeddings: Tensor, labels: Tensor, candidates: Candidates | None = None) -> Tensor:
        """Return the loss of embeddings (A, D) with labels (A,) from 0 to C - 1; candidates play no part."""
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings, labels, centres = self.checked_weight(embeddings, labels)
            return mean_over_anchors((embeddings - F.embedding(labels, centres)).square().sum(1), candidates)
