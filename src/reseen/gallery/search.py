"""Answers of a search: items, probabilities, re-ranking, and one answer for each identity or track.

Dimensions: Q queries, D components of a vector, k answers, n items.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.backends.base import Backend, Groups
from reseen.gallery.calibration.calibration import Calibration
from reseen.gallery.records import Item, Match, Where
from reseen.gallery.rows import normalized

CALIBRATION = "calibration"
"""The note that a gallery's calibration is kept under."""

MAX_PICTURES = 1024
"""Pictures asked for at most to have answers of enough identities or tracks."""
MIN_MORE = 64
"""Pictures asked for besides those needed, where groups are still wanting."""

By = Literal["picture", "identity", "track"]
AnswerReranking = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Gives new similarities (n,) of a query (D,) with its n best answers (n, D), all of length 1."""


def answers(
    backend: Backend,
    queries: NDArray[np.float32],
    k: int,
    *,
    where: Where,
    by: By,
    exact: bool,
    rerank: AnswerReranking | None,
    depth: int,
) -> list[list[Match]]:
    """Return for each query (Q, D) of length 1 at most k matches, best first; see `Gallery.search`.

    Gathered by identity or track, k answers may take many more pictures. As long as some are wanting, four times as
    many are asked for; from `MAX_PICTURES` on, only pictures of groups that have not been answered.
    """
    count = k if by == "picture" else 4 * k
    count = count if rerank is None else max(count, depth)
    best: list[list[Match]] = [[] for _ in queries]
    unfinished = list(range(len(queries)))
    while unfinished:
        results = matches(backend, queries[unfinished], count, where, exact=exact)
        short = []
        for query, pictures in zip(unfinished, results, strict=True):
            ordered = pictures if rerank is None else reranked(backend, queries[query], pictures, rerank, depth)
            best[query] = ordered[:k] if by == "picture" else best_of_each(ordered, by)[:k]
            if len(best[query]) < k and len(pictures) == count:
                short.append(query)
        unfinished, count = short, 4 * count
        if by != "picture" and count > MAX_PICTURES:
            for query in unfinished:
                best[query] = with_more(backend, queries[query], best[query], k, where, by, exact=exact)
            break
    return best


def with_more(
    backend: Backend,
    query: NDArray[np.float32],
    best: list[Match],
    k: int,
    where: Where,
    by: Literal["identity", "track"],
    *,
    exact: bool,
) -> list[Match]:
    """Return the matches of a query (D,) and those of groups that are not among them, up to k, best first."""
    more: list[Match] = []
    while len(best) + len(more) < k:
        groups = [(getattr(match.item, by), match.item.id) for match in [*best, *more]]
        labels = [label for label, _ in groups if label is not None]
        alone = [name for label, name in groups if label is None]
        count = 4 * (k - len(groups)) + MIN_MORE
        (pictures,) = matches(backend, query[None], count, where, exact=exact, answered=Groups(by, labels, alone))
        if not pictures:
            break
        more += best_of_each(pictures, by)
    return [*best, *sorted(more, key=lambda match: -match.similarity)][:k]


def matches(
    backend: Backend,
    queries: NDArray[np.float32],
    k: int,
    where: Where,
    *,
    exact: bool,
    answered: Groups | None = None,
) -> list[list[Match]]:
    """Return for each query (Q, D) the k most alike pictures, with what is known of them."""
    hits_by_query = backend.search(queries, k, where, exact=exact, answered=answered)
    ids = list(dict.fromkeys(hit.id for hits in hits_by_query for hit in hits))
    items = dict(zip(ids, backend.items(ids), strict=True))
    calibration = calibration_of(backend)

    def match(item: Item, similarity: float) -> Match:
        return Match(item, similarity, None if calibration is None else float(calibration.probability(similarity)))

    # An item that has been deleted since the search is no answer.
    return [
        [match(item, hit.similarity) for hit in hits if (item := items[hit.id]) is not None] for hits in hits_by_query
    ]


def reranked(
    backend: Backend, query: NDArray[np.float32], ranked: list[Match], rerank: AnswerReranking, depth: int
) -> list[Match]:
    """Return a query's matches with the best ``depth`` of them ordered anew."""
    head, rest = ranked[:depth], ranked[depth:]
    if not head:
        return rest
    similarities = rerank(query, normalized(backend.vectors([match.item.id for match in head])))
    return [head[i] for i in np.argsort(-similarities, kind="stable")] + rest


def best_of_each(ranked: Sequence[Match], by: Literal["identity", "track"]) -> list[Match]:
    """Return the first match of each identity or track; one without stands alone."""
    first: dict[object, Match] = {}
    for match in ranked:
        group = getattr(match.item, by)
        first.setdefault(("alone", match.item.id) if group is None else group, match)
    return list(first.values())


def calibration_of(backend: Backend) -> Calibration | None:
    """Return what turns similarities into probabilities in a gallery, if that is known."""
    text = backend.note(CALIBRATION)
    return None if text is None else parsed(text)


parsed = functools.lru_cache(maxsize=8)(Calibration.from_json)
