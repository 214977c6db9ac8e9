"""Exponential angular triplet loss."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, cosine, masked_max, masked_mean, masked_min
from reseen.losses.base import PairLoss
from reseen.types import ObjectKind


class ExpATLoss(PairLoss):
    """Exponential angular triplet loss, over cosines to each anchor's hardest positive and hardest negative.

    ``mean_i exp([ [cos(a, n)]_+ - cos(a, p) + margin ]_+)`` (TIP 2020, arXiv:2006.00878, equation 10): angles to
    positives small, to negatives not below a right one. At best 1, not 0. Visible-infrared, both ways:
    ``CrossModal(ExpATLoss())``.

    Args:
        margin: In units of cosine; at 1 and above the outer hinge never clips.
        form: ``"mean_exp"`` as the paper has it; ``"exp_mean"``, the exponential of the mean, as the published code
            computes it: never more than the former, and about 1 % less on usual batches.

    Note:
        The paper's code for two modalities draws one positive and one negative at random instead, as
        ``CrossModal(RandomTriplets(ExpATLoss()))`` does; its code for one modality takes the hardest, as here. Anchors
        without a positive or without a negative are left out.
    """

    measure = cosine
    num_hardest = 1

    def __init__(self, margin: float = 1.0, form: Literal["mean_exp", "exp_mean"] = "mean_exp"):
        super().__init__()
        if form not in ("mean_exp", "exp_mean"):
            raise ValueError(f"expected form 'mean_exp' or 'exp_mean', got {form!r}")
        self.margin = margin
        self.form = form

    def default_weight(self, kind: ObjectKind | None = None) -> float:
        """Return 0.1, as the published code has it beside softmax and centres."""
        return 0.1

    def per_anchor(self, s: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's exponent, and whether it has one: (rows, 2)."""
        positive, negative = masked_min(s, pair.positive), masked_max(s, pair.negative)
        kept = pair.positive.amax(1) & pair.negative.amax(1)
        exponent = F.relu(F.relu(negative) - positive + self.margin)
        return torch.stack([exponent, kept.to(s.dtype)], dim=1)

    def reduce(self, terms: Tensor, labels: Tensor, anchor_mask: Tensor) -> Tensor:
        """Return the mean of the exponentials, or the exponential of the mean."""
        exponent, kept = terms[:, 0], anchor_mask & (terms[:, 1] > 0)
        if self.form == "mean_exp":
            return masked_mean(exponent.exp(), kept, dim=0)
        return masked_mean(exponent, kept, dim=0).exp() * kept.any()
