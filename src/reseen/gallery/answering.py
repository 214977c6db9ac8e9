"""From hits to answers: items, probabilities, re-ranking, and one answer for each identity or track.

Dimensions: Q queries, D components of a vector, k answers, n items.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.calibration.calibration import Calibration
from reseen.gallery.engine import Engine
from reseen.gallery.records import Item, Match, Where
from reseen.gallery.rows import unit

CALIBRATION = "calibration"
"""The note that a gallery's calibration is kept under."""

By = Literal["picture", "identity", "track"]
Reranking = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""Gives new similarities (n,) of a query (D,) with its n best answers (n, D), all of length 1."""


def answers(
    engine: Engine,
    queries: NDArray[np.float32],
    k: int,
    *,
    where: Where,
    by: By,
    exact: bool,
    rerank: Reranking | None,
    depth: int,
) -> list[list[Match]]:
    """Return for each query (Q, D) of length 1 at most k matches, best first; see `Gallery.search`.

    Gathered by identity or track, k answers may take many more pictures: as long as some are wanting, four times as
    many are asked for.
    """
    wanted = k if by == "picture" else 4 * k
    wanted = wanted if rerank is None else max(wanted, depth)
    found: list[list[Match]] = [[] for _ in queries]
    unfinished = list(range(len(queries)))
    while unfinished:
        answered = matches(engine, queries[unfinished], wanted, where, exact=exact)
        short = []
        for query, pictures in zip(unfinished, answered, strict=True):
            ordered = pictures if rerank is None else reranked(engine, queries[query], pictures, rerank, depth)
            found[query] = ordered[:k] if by == "picture" else best_of_each(ordered, by)[:k]
            if by != "picture" and len(found[query]) < k and len(pictures) == wanted:
                short.append(query)
        unfinished, wanted = short, 4 * wanted
    return found


def matches(engine: Engine, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool) -> list[list[Match]]:
    """Return for each query (Q, D) the k most alike pictures, with what is known of them."""
    found = engine.search(queries, k, where, exact=exact)
    ids = list(dict.fromkeys(hit.id for hits in found for hit in hits))
    items = dict(zip(ids, engine.items(ids), strict=True))
    calibration = calibration_of(engine)

    def match(item: Item, similarity: float) -> Match:
        return Match(item, similarity, None if calibration is None else float(calibration.probability(similarity)))

    # An item that has been deleted since the search is no answer.
    return [[match(item, hit.similarity) for hit in hits if (item := items[hit.id]) is not None] for hits in found]


def reranked(
    engine: Engine, query: NDArray[np.float32], found: list[Match], rerank: Reranking, depth: int
) -> list[Match]:
    """Return a query's matches with the best ``depth`` of them ordered anew."""
    head, rest = found[:depth], found[depth:]
    if not head:
        return rest
    similarities = rerank(query, unit(engine.vectors([match.item.id for match in head])))
    return [head[i] for i in np.argsort(-similarities, kind="stable")] + rest


def best_of_each(found: Sequence[Match], by: Literal["identity", "track"]) -> list[Match]:
    """Return the first match of each identity or track; one without stands alone."""
    first: dict[object, Match] = {}
    for match in found:
        group = getattr(match.item, by)
        first.setdefault(("alone", match.item.id) if group is None else group, match)
    return list(first.values())


def calibration_of(engine: Engine) -> Calibration | None:
    """Return what turns similarities into probabilities in a gallery, if that is known."""
    text = engine.note(CALIBRATION)
    return None if text is None else parsed(text)


parsed = functools.lru_cache(maxsize=8)(Calibration.from_json)
