"""Cosines in float64, the same to the last bit on every processor. Importing this needs no torch.

Dimensions: n pairs, D components of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MARGIN = 3
"""A bound on rounding errors is so many times the largest that was seen."""


def cosines(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """Return the cosines (n,) of the pairs of rows of two arrays (n, D) of any floating type; 0 where a row is zero.

    Every step is one IEEE operation on numbers that do not depend on the other rows, in an order that D alone
    decides. So equal rows give equal cosines, wherever they stand.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    lengths = np.sqrt(ordered_sum(first * first)) * np.sqrt(ordered_sum(second * second))
    quotients: Floats = ordered_sum(first * second) / np.maximum(lengths, np.finfo(np.float64).tiny)
    return quotients


def ordered_sum(terms: Floats) -> Floats:
    """Return the sums (n,) of the rows of terms (n, D), which are overwritten: halves are added to halves."""
    width = terms.shape[1]
    while width > 1:
        half = (width + 1) // 2
        terms[:, : width - half] += terms[:, half:width]
        width = half
    return terms[:, 0].copy() if width else np.zeros(len(terms))
