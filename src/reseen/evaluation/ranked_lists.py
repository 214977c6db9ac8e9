"""Ranked lists: the first places of every query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reseen.evaluation.rounding import ErrorBound
from reseen.evaluation.similarity import Codes, Reranking
from reseen.evaluation.task import build_task
from reseen.evaluation.tiles import query_portions, score_tiles
from reseen.evaluation.top_k import best_entries
from reseen.types import Embeddings, Protocol


@dataclass(frozen=True, eq=False)
class RankedLists:
    """The best gallery entries of each query, best first. What the protocol makes neither is not in the list.

    Attributes:
        rows: (Q, top) rows of the gallery; -1 where the gallery has no more.
        scores: (Q, top) exact scores, higher is more alike; minus infinity where the gallery has no more.
        positive: (Q, top) bool: right; what is there and not positive is wrong.
    """

    rows: NDArray[np.intp]
    scores: NDArray[np.float64]
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

    Example:
        >>> from reseen.protocols import cross_camera
        >>> from reseen.types import Sample
        >>> query = Embeddings.of(torch.eye(2), [Sample("a.jpg", 0, camera=1), Sample("b.jpg", 1, camera=1)])
        >>> entries = [Sample("c.jpg", 0, camera=2), Sample("d.jpg", 1, camera=2), Sample("e.jpg", 2, camera=2)]
        >>> gallery = Embeddings.of(torch.eye(2)[[0, 1, 0]], entries)
        >>> ranked_list(query, gallery, cross_camera, top=1).rows
        array([[2],
               [1]])
    """
    if top < 1:
        raise ValueError(f"expected top of at least 1, got {top}")
    task = build_task(query, gallery, protocol, reranking=reranking)
    bound = ErrorBound(task.scores)
    rows, scores = np.full((len(query), top), -1, np.intp), np.full((len(query), top), -np.inf)

    def tiles(queries: Codes) -> Iterator[tuple[slice, Tensor]]:
        return ((tile.columns, tile.scores) for tile in score_tiles(task, queries))

    def positive(queries: Codes, entries: Codes) -> NDArray[np.bool_]:
        same: NDArray[np.bool_] = task.gallery_identities[entries] == task.query_identities[queries]
        return same

    for queries in query_portions(task):
        for attempt in bound.attempts():
            with attempt:
                rows[queries], scores[queries] = best_entries(bound, queries, tiles, top, positive)
    right = positive(np.arange(len(query))[:, None], rows) if len(gallery) else np.zeros(rows.shape, bool)
    return RankedLists(rows, scores, right & (rows >= 0))
