"""Top-k search: the best entries of every query, by their exact scores.

Dimensions: q queries, G gallery entries; k entries wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reseen.evaluation.rounding import ErrorBound
from reseen.evaluation.similarity import Codes, keep_best
from reseen.exact import Floats

# Entries that are kept besides those wanted, of which several may be as good as the last.
SPARE = 8

Tiles = Callable[[Codes], Iterable[tuple[slice, Tensor]]]
"""Gives for some queries the tiles (q, g) of all consecutive columns."""
Positive = Callable[[Codes, Codes], NDArray[np.bool_]]
"""Says for pairs of a query and a gallery row whether they are positive; among equals these come last."""


def best_entries(
    bound: ErrorBound, queries: Codes, tiles: Tiles, k: int, positive: Positive | None = None
) -> tuple[Codes, Floats]:
    """Return rows (q, k) and exact scores (q, k) of the best entries, best first; -1 and minus infinity for none.

    Entries of equal score stand in the order of their rows, or first the negatives and then the positives.

    Args:
        bound: Of the tiles' scores; to be called where it is done again until that holds.
        queries: Rows of the query set.
        tiles: Gives their scores; minus infinity is never among the best.
        k: How many, at least 1.
        positive: Says who is positive.
    """
    kept: tuple[Tensor, Tensor] | None = None
    for columns, tile in tiles(queries):
        kept = keep_best(kept, tile, columns.start, k + SPARE)
    if kept is None or not len(queries):
        return np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf)
    scores, rows = kept[0].double().cpu().numpy(), kept[1].cpu().numpy()
    cut = scores[:, [min(k, scores.shape[1]) - 1]] - bound.window
    near = (scores >= cut) & (scores > -np.inf)
    chosen = _in_order(*_exact(bound, queries, near, rows, scores), queries, k, positive)
    # Where even the last of the spare ones could be among the best, so could others.
    many = np.flatnonzero(near[:, -1]) if scores.shape[1] == k + SPARE else near[:0, 0].nonzero()[0]
    if len(many):
        for part, found in zip(chosen, _among_many(bound, queries[many], tiles, k, positive), strict=True):
            part[many] = found
    return chosen


def _among_many(
    bound: ErrorBound, queries: Codes, tiles: Tiles, k: int, positive: Positive | None
) -> tuple[Codes, Floats]:
    """Return the same for queries with any number of entries as good as the last."""
    rows, scores = np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf)
    for columns, tile in tiles(queries):
        values = tile.double().cpu().numpy()
        near = (values >= scores[:, -1:] - bound.value) & (values > -np.inf)
        if values.shape[1] > k:
            near &= values >= -np.partition(-values, k - 1, axis=1)[:, k - 1 : k] - bound.window
        some = np.flatnonzero(near.any(axis=1))
        wide = np.broadcast_to(np.arange(columns.start, columns.stop), (len(some), values.shape[1]))
        found = _exact(bound, queries[some], near[some], wide, values[some])
        both = np.concatenate([rows[some], found[0]], axis=1), np.concatenate([scores[some], found[1]], axis=1)
        rows[some], scores[some] = _in_order(*both, queries[some], k, positive)
    return rows, scores


def _exact(
    bound: ErrorBound, queries: Codes, near: NDArray[np.bool_], rows: Codes, tile: Floats
) -> tuple[Codes, Floats]:
    """Return rows (q, n) and exact scores (q, n); -1 and minus infinity where an entry is not near."""
    query, _ = near.nonzero()
    scores = np.full(near.shape, -np.inf)
    scores[near] = bound.exact(queries[query], rows[near], tile[near])
    return np.where(near, rows, -1), scores


def _in_order(rows: Codes, scores: Floats, queries: Codes, k: int, positive: Positive | None) -> tuple[Codes, Floats]:
    later = np.zeros(rows.shape, bool) if positive is None else positive(queries[:, None], rows)
    order = np.lexsort((rows, later, -scores), axis=1)[:, :k]
    empty = k - order.shape[1]
    rows, scores = np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
    return np.pad(rows, ((0, 0), (0, empty)), constant_values=-1), np.pad(
        scores, ((0, 0), (0, empty)), constant_values=-np.inf
    )
