"""Average precision (AP) and inverse negative penalty (INP), from the ranks of a query's positives.

Dimensions: Q queries, P positives of all queries together.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from reseen.evaluation.ranks import PositiveRanks
from reseen.exact import Floats


def average_precision(positives: PositiveRanks, rule: Literal["step", "trapezoid"] = "step") -> Floats:
    """Return the average precision of each query (Q,), from 0 to 1; NaN for a query without a positive.

    Args:
        positives: The ranks.
        rule: ``"step"``: the mean of the precisions at the positives. ``"trapezoid"``: each is first averaged with the
            precision one place above it in the list, which above the first place is 1 (``compute_AP.m`` of Market-1501
            and VeRi-776).

    Example:
        >>> ranks = PositiveRanks(ranks=np.array([1, 4]), starts=np.array([0, 2]))  # one query, two positives
        >>> average_precision(ranks)  # the mean of 1/1 and 2/4
        array([0.75])
    """
    hits = np.arange(1, len(positives.ranks) + 1) - np.repeat(positives.starts[:-1], positives.counts)
    precision = hits / positives.ranks
    if rule == "trapezoid":
        above = np.divide(hits - 1, positives.ranks - 1, where=positives.ranks > 1, out=np.ones(len(hits)))
        precision = (above + precision) / 2
    query = np.repeat(np.arange(len(positives.counts)), positives.counts)
    total = np.bincount(query, weights=precision, minlength=len(positives.counts))
    mean = np.full(len(total), np.nan)
    np.divide(total, positives.counts, where=positives.counts > 0, out=mean)
    return mean


def inverse_negative_penalty(positives: PositiveRanks) -> Floats:
    """Return the number of positives over the rank of the last one, for each query (Q,); NaN without a positive.

    From AGW (Ye et al., arXiv:2001.04193, equation 3).
    """
    penalty: Floats = positives.counts / positives.last()
    return penalty
