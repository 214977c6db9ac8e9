"""The first rank when every identity is in the gallery once, drawn anew for each query (CUHK03's classic protocol)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reseen.protocols.search import Search
from reseen.scores import chunks

QUERIES_AT_ONCE = 64


def first_ranks_over_draws(search: Search, *, draws: int, seed: int) -> NDArray[np.float64]:
    """Return the rank of the drawn positive for each query and draw, (Q, draws); NaN for a query without a positive.

    Each draw takes one picture of every identity among those which are not neither, so what the protocol leaves out is
    left out before. A query's draws depend on the seed and on its row only. Whole rows of scores are held, of 64
    queries at a time.
    """
    num_queries = search.scores.shape[0]
    ranks = np.full((num_queries, draws), np.nan)
    for rows in chunks(num_queries, QUERIES_AT_ONCE):
        queries = np.arange(num_queries)[rows]
        scores = np.concatenate([tile.scores.cpu().numpy() for tile in search.tiles(queries)], axis=1)
        for query, row in zip(queries, scores, strict=True):
            generator = np.random.default_rng([seed, query])
            kept = np.flatnonzero(row > -np.inf)
            for draw in range(draws):
                shuffled = generator.permutation(kept)
                identities, first = np.unique(search.gallery_identities[shuffled], return_index=True)
                drawn = row[shuffled[first]]
                positive = identities == search.query_identities[query]
                if positive.any():
                    ranks[query, draw] = 1 + np.count_nonzero(drawn[~positive] >= drawn[positive])
    return ranks
