"""Cosines in float64, the same to the last bit on every processor. Importing this needs no torch.

Dimensions: n pairs, D components of a vector.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Terms = TypeVar("Terms", bound=Any)

MARGIN = 3
"""A bound on rounding errors is so many times the largest that was seen."""


def cosines(first: NDArray[Any], second: NDArray[Any], lengths: Floats | None = None) -> Floats:
    """Return the cosines (n,) of the pairs of rows of two arrays (n, D) of any floating type; 0 where a row is zero.

    Every step is one IEEE operation on numbers that do not depend on the other rows, in an order that D alone
    decides. So equal rows give equal cosines, wherever they stand.

    Args:
        first: (n, D).
        second: (n, D).
        lengths: (n,) the product of the two lengths of each pair, where it is known.
    """
    first, second = first.astype(np.float64), second.astype(np.float64)
    if lengths is None:
        lengths = lengths_of(first) * lengths_of(second)
    quotients: Floats = ordered_sum(first * second) / np.maximum(lengths, np.finfo(np.float64).tiny)
    return quotients


def lengths_of(vectors: NDArray[Any]) -> Floats:
    """Return the lengths (n,) of rows (n, D)."""
    vectors = vectors.astype(np.float64)
    lengths: Floats = np.sqrt(ordered_sum(vectors * vectors))
    return lengths


def ordered_sum(terms: Terms) -> Terms:
    """Return the sums (n,) of the rows of terms (n, D), which are overwritten: halves are added to halves.

    Args:
        terms: A NumPy array or a tensor, in float64.
    """
    width = terms.shape[1]
    while width > 1:
        half = (width + 1) // 2
        terms[:, : width - half] += terms[:, half:width]
        width = half
    summed: Terms = terms[:, 0] + 0 if width else terms.sum(1)
    return summed
