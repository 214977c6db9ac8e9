"""The first places of every query's ranked list, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reseen.protocols.search import search
from reseen.samples import Embeddings, Protocol
from reseen.scores import Reranking, keep_best


@dataclass(frozen=True, eq=False)
class RankedLists:
    """The best gallery entries of each query, best first. What the protocol makes neither is not in the list.

    Attributes:
        rows: (Q, top) rows of the gallery; -1 where the gallery has no more.
        scores: (Q, top), higher is more alike; minus infinity where the gallery has no more.
        positive: (Q, top) bool: right; what is there and not positive is wrong.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float32]
    positive: NDArray[np.bool_]


def ranked_list(
    query: Embeddings, gallery: Embeddings, protocol: Protocol, *, top: int = 10, reranking: Reranking | None = None
) -> RankedLists:
    """Search the gallery with every query and return the first places.

    Args:
        query: What is searched with.
        gallery: What is searched in. Under a protocol that ranks tracks, rows are numbers of tracks.
        protocol: Who is positive, negative or neither.
        top: Places per query.
        reranking: Improves the scores or the vectors first.
    """
    if top < 1:
        raise ValueError(f"expected top of at least 1, got {top}")
    ready = search(query, gallery, protocol, reranking=reranking)
    shape = (len(query), top)
    rows, scores = np.full(shape, -1, np.intp), np.full(shape, -np.inf, np.float32)
    positive = np.zeros(shape, bool)
    for queries in ready.queries():
        best: tuple[Tensor, Tensor] | None = None
        for tile in ready.tiles(queries):
            best = keep_best(best, tile.scores, tile.columns.start, top)
        if best is not None:
            best_scores, best_rows = (part.cpu().numpy() for part in best)
            right = ready.gallery_identities[best_rows] == ready.query_identities[queries, None]
            # As in counting: among equals the negatives come first.
            order = np.lexsort((best_rows, right, -best_scores), axis=1)
            found = slice(0, best_rows.shape[1])
            rows[queries, found] = np.take_along_axis(best_rows, order, axis=1)
            scores[queries, found] = np.take_along_axis(best_scores, order, axis=1)
            positive[queries, found] = np.take_along_axis(right, order, axis=1)
    absent = np.isneginf(scores)
    rows[absent], positive[absent] = -1, False
    return RankedLists(rows, scores, positive)
