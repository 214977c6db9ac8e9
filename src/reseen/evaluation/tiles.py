"""Tiles of a retrieval task's scores: portions of the queries, their positives, and blocks of the gallery.

Dimensions: q and g are the rows of one tile; T pairs of one identity; P positives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.evaluation.similarity import MAX_ROWS, TILE_ELEMENTS, Codes, ranges
from reseen.evaluation.task import RetrievalTask
from reseen.parallel import parallel_for
from reseen.slicing import chunks

# A BLAS is up to half as slow again where a tile's width is no multiple of its own.
WIDTH = 2**9
MAX_QUERIES = 2**12
MAX_TILES = 8
MAX_PAIRS = 2**21
POSITIVE_CHUNK = 2**6


class SamePairs(NamedTuple):
    """The pairs of a query and a gallery entry that share their identity.

    Attributes:
        query: (T,) position of the query among those asked for, rising.
        gallery: (T,) row of the gallery.
        kept: (T,) bool. A kept pair is positive, any other is neither.
    """

    query: Codes
    gallery: Codes
    kept: NDArray[np.bool_]


class Tile(NamedTuple):
    """The scores of some queries against consecutive gallery entries.

    Attributes:
        scores: (q, g), the receiver's own to change; minus infinity where the entry is neither.
        columns: The gallery rows.
        positive: Row and column numbers of the positives.
    """

    scores: Tensor
    columns: slice
    positive: tuple[Tensor, Tensor]


def query_portions(task: RetrievalTask) -> Iterator[Codes]:
    """Give every query once, in portions, those of one identity together and those with few positives first."""
    # All ranks make the same portions.
    lengths = np.sum(task.on_ranks(np.diff(task.gallery_by_identity[1])), axis=0)[task.query_identities]
    left = np.lexsort((task.query_identities, lengths))
    while len(left):
        # A portion is a table of positives, as wide as its longest row.
        fitting = np.count_nonzero(np.arange(1, len(left) + 1) * lengths[left] <= MAX_PAIRS)
        size = min(max(fitting, 1), MAX_QUERIES)
        yield left[:size]
        left = left[size:]


def same_identity(task: RetrievalTask, queries: Codes) -> SamePairs:
    """Return the pairs of these queries with everything of their identity."""
    order, starts = task.gallery_by_identity
    identities = task.query_identities[queries]
    lengths = starts[identities + 1] - starts[identities]
    query = np.repeat(np.arange(len(queries)), lengths)
    gallery = order[ranges(starts[identities], lengths)]
    kept = np.ones(len(query), dtype=bool)
    if task.query_cameras is not None and task.gallery_cameras is not None:
        kept = task.query_cameras[queries[query]] != task.gallery_cameras[gallery]
    return SamePairs(query, gallery, kept)


def positives(task: RetrievalTask, queries: Codes) -> tuple[Codes, Codes, NDArray[Any]]:
    """Return the positives of these queries and their scores in a tile, without a look at the negatives.

    Args:
        task: Scores and identities.
        queries: Rows of the query set, those of one identity together.

    Returns:
        The position of the query (P,), the row of the gallery (P,) and the score (P,) of each positive.
    """
    parts = list(chunks(len(queries), POSITIVE_CHUNK))
    by_part: list[list[tuple[Codes, Codes, NDArray[Any]]]] = [[] for _ in parts]

    def find(number: int) -> None:
        chunk = parts[number]
        pairs = same_identity(task, queries[chunk])
        tile_of = task.scores.rows(queries[chunk])
        entries, column = np.unique(pairs.gallery, return_inverse=True)
        for part in chunks(len(entries), MAX_ROWS):
            tile = tile_of(entries[part]).cpu().numpy()
            here = pairs.kept & (column >= part.start) & (column < part.stop)
            scores = tile[pairs.query[here], column[here] - part.start]
            kept = scores > -np.inf
            by_part[number].append((chunk.start + pairs.query[here][kept], pairs.gallery[here][kept], scores[kept]))

    parallel_for(find, range(len(parts)), threads=task.scores.parallel)
    nobody = np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32)
    columns = zip(nobody, *chain.from_iterable(by_part), strict=True)
    of, gallery, scores = (np.concatenate(column) for column in columns)
    return of, gallery, scores


def score_tiles(task: RetrievalTask, queries: Codes) -> Iterator[Tile]:
    """Give the scores of these queries against the whole gallery, a few thousand entries at a time."""
    return map(tile_function(task, queries), tile_columns(task, queries))


def tile_columns(task: RetrievalTask, queries: Codes, *, threads: bool = False) -> Iterator[slice]:
    """Give the gallery rows of each tile; however many threads make them, their tiles fit the memory of a few."""
    parts = -(-torch.get_num_threads() // MAX_TILES) if threads and task.scores.parallel else 1
    size = min(MAX_ROWS, TILE_ELEMENTS // max(len(queries), 1)) // parts
    return chunks(task.scores.shape[1], max(1, size - size % WIDTH if size > WIDTH else size))


def tile_function(task: RetrievalTask, queries: Codes) -> Callable[[slice], Tile]:
    """Return the function from gallery rows to the tile of these queries, for any number of threads."""
    pairs = same_identity(task, queries)
    order = np.argsort(pairs.gallery, kind="stable")
    query, gallery, kept = (column[order] for column in pairs)
    tile_of = task.scores.rows(queries)

    def tile(columns: slice) -> Tile:
        scores = tile_of(columns)
        here = slice(*np.searchsorted(gallery, [columns.start, columns.stop]))
        rows, entries = (torch.from_numpy(a).to(scores.device) for a in (query[here], gallery[here] - columns.start))
        positive = torch.from_numpy(kept[here]).to(scores.device)
        scores[rows[~positive], entries[~positive]] = -torch.inf
        return Tile(scores, columns, (rows[positive], entries[positive]))

    return tile
