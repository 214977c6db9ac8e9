"""Cosines in float64, the same to the last bit on every processor. Importing this needs no torch.

Dimensions: n pairs, D components of a vector.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Vectors = TypeVar("Vectors", bound=Any)

MARGIN = 3
"""A bound on rounding errors is so many times the largest that was seen."""


def cosines(first: Vectors, second: Vectors, lengths: Floats | None = None) -> Floats:
    """Return the cosines (n,) of the pairs of rows of two arrays (n, D) of any floating type; 0 where a row is zero.

    Every step is one IEEE operation on numbers that do not depend on the other rows, in an order that D alone
    decides. So equal rows give equal cosines, wherever they stand.

    Args:
        first: (n, D) array, or a tensor of any device that has float64, where products and sums are then made.
        second: (n, D).
        lengths: (n,) the product of the two lengths of each pair, where it is known.
    """
    first, second = _double(first), _double(second)
    if lengths is None:
        lengths = lengths_of(first) * lengths_of(second)
    quotients: Floats = _array(ordered_sum(first * second)) / np.maximum(lengths, np.finfo(np.float64).tiny)
    return quotients


def lengths_of(vectors: Vectors) -> Floats:
    """Return the lengths (n,) of the rows of an array or tensor (n, D)."""
    vectors = _double(vectors)
    lengths: Floats = np.sqrt(_array(ordered_sum(vectors * vectors)))
    return lengths


def ordered_sum(terms: Vectors) -> Vectors:
    """Return the sums (n,) of the rows of terms (n, D), which are overwritten: halves are added to halves.

    Args:
        terms: An array or a tensor, in float64.
    """
    width = terms.shape[1]
    while width > 1:
        half = (width + 1) // 2
        terms[:, : width - half] += terms[:, half:width]
        width = half
    summed: Vectors = terms[:, 0] + 0 if width else terms.sum(1)
    return summed


def _double(vectors: Any) -> Any:
    return vectors.astype(np.float64, copy=False) if isinstance(vectors, np.ndarray) else vectors.double()


def _array(numbers: Any) -> Floats:
    array: Floats = numbers if isinstance(numbers, np.ndarray) else numbers.cpu().numpy()
    return array
