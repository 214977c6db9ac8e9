"""The ranks of positives by counting, without a ranked list and without a Q x G matrix.

A positive's rank is its place among the positives plus the number of negatives that come before it, so a tile of scores
is sorted row by row, each of the query's few positives is looked up in it, and the counts of all tiles are added.

Note:
    Ties: a negative with exactly the score of a positive comes before it. The figures therefore depend neither on the
    order of the gallery nor on how it is cut, and a network that gives every picture the same vector gains nothing.
"""

from __future__ import annotations

from threading import Lock

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from reseen.metrics.ranking import PositiveRanks
from reseen.protocols.search import Codes, Search, SearchTile


def positive_ranks(search: Search) -> PositiveRanks:
    """Return the ranks of every query's positives. Under ``search.across_ranks`` every process gets all of them."""
    num_queries = search.scores.shape[0]
    counts = np.zeros(num_queries, dtype=np.intp)
    portions = []
    for queries in search.queries():
        of, scores = _gathered(search, *search.positive_scores(queries))
        order = np.lexsort((-scores, of))
        of, scores = of[order], scores[order]
        place = np.arange(len(of)) - np.searchsorted(of, of) + 1
        ranks = place + _negatives_before(search, queries, of, place - 1, scores)
        counts[queries] = np.bincount(of, minlength=len(queries))
        portions.append((queries[of], ranks))
    query, ranks = (np.concatenate(c) for c in zip(*portions, strict=True)) if portions else (np.zeros(0, np.intp),) * 2
    starts = np.concatenate([np.zeros(1, np.intp), np.cumsum(counts)])
    return PositiveRanks(ranks[np.argsort(query, kind="stable")], starts)


def _negatives_before(
    search: Search, queries: Codes, of: Codes, place: Codes, scores: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Return for each positive how many of its query's negatives score as high or higher."""
    if not len(of) and not search.across_ranks:
        return np.zeros(0, np.intp)
    thresholds = torch.full((len(queries), int(place.max(initial=0)) + 1), torch.inf)
    thresholds[torch.from_numpy(of), torch.from_numpy(place)] = torch.from_numpy(scores)
    before, adding = torch.zeros(thresholds.shape, dtype=torch.int64), Lock()

    def count(tile: SearchTile) -> None:
        nonlocal thresholds, before
        # Where the tiles lie is known from the first of them.
        thresholds, before = (table.to(tile.scores.device) for table in (thresholds, before))
        tile.scores[tile.positive] = -torch.inf
        in_order = sort_rows(tile.scores)
        higher = in_order.shape[1] - torch.searchsorted(in_order, thresholds)
        with adding:
            before += higher

    search.each_tile(queries, count)
    if search.across_ranks:
        dist.all_reduce(before)
    return before.cpu().numpy()[of, place]


def sort_rows(tile: Tensor) -> Tensor:
    """Return each row in rising order; a tile on the CPU is sorted where it stands.

    NumPy sorts bare float32 with vector instructions, some thirty times as fast as torch, which also tracks indices.
    """
    if tile.device.type != "cpu":
        return tile.sort(dim=1).values
    tile.numpy().sort(axis=1)
    return tile


def _gathered(search: Search, of: Codes, scores: NDArray[np.float32]) -> tuple[Codes, NDArray[np.float32]]:
    if not search.across_ranks:
        return of, scores
    parts: list[tuple[Codes, NDArray[np.float32]]] = [(of, scores)] * dist.get_world_size()
    dist.all_gather_object(parts, (of, scores))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
