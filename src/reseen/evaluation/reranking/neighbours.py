"""Nearest-neighbour search of every vector, a tile at a time.

Dimensions: N vectors, k neighbours; q and g are the rows of one tile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.evaluation.rounding import ErrorBound
from reseen.evaluation.similarity import MAX_ROWS, Codes, Scores
from reseen.evaluation.top_k import best_entries
from reseen.exact import Floats
from reseen.slicing import chunks

# The few best of a row cost less, the longer the row.
MAX_QUERIES = 2**10


class Neighbours(NamedTuple):
    """Each query's nearest entries by their exact scores, nearest first.

    Attributes:
        rows: (N, k) rows of the gallery; of equals the lower row is first.
        scores: (N, k).
        lowest: (N,) the score of the farthest entry of all.
    """

    rows: NDArray[np.intp]
    scores: Floats
    lowest: Floats


def nearest(scores: Scores, k: int) -> Neighbours:
    """Return the ``k`` nearest gallery entries of every query, or all where there are fewer."""
    bound = ErrorBound(scores)
    portions = []
    for part in chunks(scores.shape[0], MAX_QUERIES):
        for attempt in bound.attempts():
            with attempt:
                found = _nearest(bound, part, min(k, scores.shape[1]))
        portions.append(found)
    return Neighbours(*(np.concatenate(parts) for parts in zip(*portions, strict=True)))


def _nearest(bound: ErrorBound, part: slice, k: int) -> Neighbours:
    lowest = np.full(part.stop - part.start, np.inf)

    def tiles(queries: Codes) -> Iterator[tuple[slice, Tensor]]:
        tile_of = bound.scores.rows(queries)
        for columns in chunks(bound.scores.shape[1], MAX_ROWS):
            tile = tile_of(columns)
            _lower(lowest, bound, queries, part.start, tile, columns)
            yield columns, tile

    return Neighbours(*best_entries(bound, np.arange(part.start, part.stop), tiles, k), lowest)


def _lower(lowest: Floats, bound: ErrorBound, queries: Codes, start: int, tile: Tensor, columns: slice) -> None:
    """Lower the lowest scores (N,) to the exact ones of what may be lower in one more tile."""
    least = np.minimum(lowest[queries - start] + bound.value, tile.amin(1).cpu().numpy() + bound.window)
    # Above the limit if anything, where it is rounded.
    limit = torch.from_numpy(least).to(tile.device, tile.dtype)
    at = (tile <= limit.nextafter(torch.full_like(limit, torch.inf))[:, None]).nonzero(as_tuple=True)
    row, column = (index.cpu().numpy() for index in at)
    exact = bound.exact(queries[row], columns.start + column, tile[at].cpu().numpy())
    np.minimum.at(lowest, queries[row] - start, exact)
