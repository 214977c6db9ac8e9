"""Fine-grained difference-aware loss."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from reseen.geometry import Relation, euclidean
from reseen.losses.base import PairLoss


class FIDILoss(PairLoss):
    """Fine-grained difference-aware loss: steep where a pair differs little, bounded where it differs much.

    A symmetric relative entropy between who is who (k = 1 for the same identity, else 0) and what distances say
    (``u = exp(-beta d)``), "Beyond Triplet Loss" (TMM 2022, DOI 10.1109/TMM.2021.3069562), equations 4 to 6::

        D(U|K) = u log( alpha u / ((alpha - 1) u + k) )         D(K|U) = k log( alpha k / ((alpha - 1) k + u) )

    A pair costs their sum: 0 at best, ``log(alpha/(alpha - 1))`` at most (equation 7), 3.04 at the defaults. Euclidean
    distance, of embeddings as they are.

    Args:
        alpha: Above 1; the nearer to 1, the higher the bound.
        beta: Above 0, per unit of distance; the larger, the finer the differences that count. Beyond a distance of
            about 8/beta nothing pulls or pushes any more.
        probability: How a distance becomes u. ``sigmoid`` is the paper's counterexample (figure 3a), to test its
            argument by: ``u = 2/(1 + exp(beta d))``, half as steep at small distances.

    Note:
        The paper prints the sigmoid as ``1/(1 + exp(-beta d))``, which rises with the distance, from 1/2: here it
        falls, and is scaled so that u is 1 at distance 0 as the exponential's is.
        The paper sums over "a collection of image pairs" without saying which: here all pairs of different images,
        averaged. That embeddings are not normalised is assumed.
    """

    measure = euclidean

    def __init__(
        self,
        alpha: float = 1.05,
        beta: float = 0.5,
        probability: Literal["exponential", "sigmoid"] = "exponential",
    ):
        super().__init__()
        if not alpha > 1 or not beta > 0:
            raise ValueError(f"expected alpha above 1 and beta above 0, got {alpha} and {beta}")
        self.alpha = alpha
        if probability not in ("exponential", "sigmoid"):
            raise ValueError(f"expected probability exponential or sigmoid, got {probability!r}")
        self.beta = beta
        self.probability = probability

    def per_anchor(self, d: Tensor, pair: Relation) -> Tensor:
        """Return the sum over each anchor's pairs, and their number: (rows, 2)."""
        alpha, exponent = self.alpha, self.beta * d
        log_u = -exponent if self.probability == "exponential" else math.log(2) - F.softplus(exponent)
        u = log_u.exp()
        other = (u * math.log(alpha / (alpha - 1))).masked_fill(~pair.negative, 0)
        positive, u, log_u = (matrix[:, : pair.positive_columns] for matrix in (pair.positive, u, log_u))
        # With log u at hand, 0 log 0 never appears.
        same = u * (math.log(alpha) + log_u - ((alpha - 1) * u).log1p()) + math.log(alpha) - (alpha - 1 + u).log()
        num_pairs = positive.sum(1) + pair.negative.sum(1)
        return torch.stack([same.masked_fill(~positive, 0).sum(1) + other.sum(1), num_pairs.to(d.dtype)], dim=1)

    def reduce(self, terms: Tensor, labels: Tensor, anchor_mask: Tensor) -> Tensor:
        """Return the mean over pairs."""
        sums = (terms * anchor_mask[:, None]).sum(0)
        return sums[0] / sums[1].clamp(min=1)
