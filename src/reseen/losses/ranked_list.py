"""Ranked list loss."""

from __future__ import annotations

from torch import Tensor

from reseen.geometry import Relation, masked_mean, masked_softmean, normalized_euclidean
from reseen.losses.base import PairLoss


class RankedListLoss(PairLoss):
    """Ranked list loss: negatives beyond one distance, positives within a smaller one, near negatives weighing more.

    Of Euclidean distances d of normalised embeddings, positives with ``d > alpha - margin`` and negatives with
    ``d < alpha`` are mined; ``mean_i mean_p (d_ip - (alpha - margin)) + sum_n w_in (alpha - d_in)`` with
    ``w_in = softmax_n(temperature (alpha - d_in))`` (CVPR 2019, arXiv:1903.03238). The values of alpha and margin are
    those of the supplement of "Negative Samples are at Large" (ECCV 2022, section B).

    Args:
        alpha: Distance that negatives shall keep.
        margin: Positives shall keep within alpha - margin.
        temperature: How much nearer negatives weigh more, per unit of distance.

    Note:
        The temperature, equal weights of the two sides, and normalised embeddings are assumed. A side that mines
        nothing costs 0. The weights carry gradient, as in the published ports.
    """

    measure = normalized_euclidean

    def __init__(self, alpha: float = 1.2, margin: float = 0.4, temperature: float = 10.0):
        super().__init__()
        self.alpha = alpha
        self.margin = margin
        self.temperature = temperature

    def per_anchor(self, d: Tensor, pair: Relation) -> Tensor:
        """Return each anchor's term from distances."""
        within = self.alpha - self.margin
        # Dropped is what is seen to lie well, so that NaN stays.
        too_far = masked_mean(d - within, pair.positive & ~(d <= within))
        short_of = self.alpha - d
        too_near = masked_softmean(short_of, self.temperature * short_of, pair.negative & ~(short_of <= 0))
        return too_far + too_near
