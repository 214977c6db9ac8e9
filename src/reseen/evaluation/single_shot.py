"""First ranks over drawn galleries with each identity once, anew for each query (CUHK03's classic protocol)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reseen.evaluation.rounding import ErrorBound
from reseen.evaluation.task import RetrievalTask
from reseen.evaluation.tiles import score_tiles
from reseen.slicing import chunks

QUERY_CHUNK = 64


def first_ranks_over_draws(task: RetrievalTask, *, draws: int, seed: int) -> NDArray[np.float64]:
    """Return the rank of the drawn positive for each query and draw, (Q, draws); NaN for a query without a positive.

    Each draw takes one picture of every identity among those which are not neither, so what the protocol leaves out is
    left out before. A query's draws depend on the seed and on its row only. Whole rows of scores are held, of 64
    queries at a time.
    """
    bound = ErrorBound(task.scores)
    ranks = np.empty((task.scores.shape[0], draws))
    for rows in chunks(len(ranks), QUERY_CHUNK):
        for attempt in bound.attempts():
            with attempt:
                ranks[rows] = _draw_ranks(task, bound, rows, draws, seed)
    return ranks


def _draw_ranks(task: RetrievalTask, bound: ErrorBound, rows: slice, draws: int, seed: int) -> NDArray[np.float64]:
    queries = np.arange(rows.start, rows.stop)
    ranks = np.full((len(queries), draws), np.nan)
    scores = np.concatenate([tile.scores.double().cpu().numpy() for tile in score_tiles(task, queries)], axis=1)
    for number, (query, row) in enumerate(zip(queries, scores, strict=True)):
        generator = np.random.default_rng([seed, query])
        candidates = np.flatnonzero(row > -np.inf)
        for draw in range(draws):
            shuffled = generator.permutation(candidates)
            identities, first = np.unique(task.gallery_identities[shuffled], return_index=True)
            drawn = shuffled[first]
            positive = identities == task.query_identities[query]
            if positive.any():
                own, others = drawn[positive], drawn[~positive]
                ahead = row[others] > row[own]
                near = np.abs(row[others] - row[own]) <= bound.window
                if near.any():
                    both = np.append(others[near], own)
                    exact = bound.exact(np.full(len(both), query), both, row[both])
                    ahead[near] = exact[:-1] >= exact[-1]
                ranks[number, draw] = 1 + np.count_nonzero(ahead)
    return ranks
