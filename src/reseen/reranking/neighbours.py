"""The nearest entries of every vector, found a tile at a time.

Dimensions: N vectors, k neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.scores import MOST_ROWS, Scores, chunks, keep_best

# The few best of a row cost less, the longer the row.
MOST_QUERIES = 2**10


class Neighbours(NamedTuple):
    """Each query's nearest entries, nearest first.

    Attributes:
        rows: (N, k) rows of the gallery; of equals the lower row is first.
        scores: (N, k).
        lowest: (N,) the score of the farthest entry of all.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float32]
    lowest: NDArray[np.float32]


def nearest(scores: Scores, k: int) -> Neighbours:
    """Return the ``k`` nearest gallery entries of every query, or all where there are fewer."""
    found = []
    for queries in chunks(scores.shape[0], MOST_QUERIES):
        tile_of = scores.of(queries)
        best: tuple[Tensor, Tensor] | None = None
        lowest = torch.tensor(torch.inf)
        for columns in chunks(scores.shape[1], MOST_ROWS):
            tile = tile_of(columns)
            lowest = torch.minimum(lowest.to(tile.device), tile.amin(1))
            best = keep_best(best, tile, columns.start, k)
        if best is not None:
            values, rows = (part.cpu().numpy() for part in best)
            order = np.lexsort((rows, -values), axis=1)
            rows, values = np.take_along_axis(rows, order, axis=1), np.take_along_axis(values, order, axis=1)
            found.append(Neighbours(rows.astype(np.intp), values, lowest.cpu().numpy()))
    return Neighbours(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
