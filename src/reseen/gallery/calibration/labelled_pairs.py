"""Labelled pairs and probes drawn from a gallery: its named items, and the matches that users have marked."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.calibration.pairs import LabelledPairs, Probes
from reseen.gallery.gallery import Gallery
from reseen.gallery.records import COPY, Item, Label, Where
from reseen.gallery.rows import normalized

MAX_ITEMS = 4_000
MAX_ITEMS_OF_ONE = 100
MAX_PAIRS = 200_000


def labelled(
    gallery: Gallery, *, other_camera: bool | None = None, gap: float = 0.0, seed: int = 0
) -> tuple[LabelledPairs, Probes]:
    """Return pairs and probes of a gallery's named items, with the marked matches among the pairs.

    Args:
        gallery: At most 4,000 of its named items are drawn, and at most 100 of an individual.
        other_camera: Only pairs of different cameras; None for that where two cameras have seen the same individual.
        gap: Seconds that must lie between two pictures of one camera: neighbours in a video are alike without proving
            anything.
        seed: Of the draw of items, and of 200,000 pairs of each kind where there are more.
    """
    generator = np.random.default_rng(seed)
    items = named_items(gallery, generator)
    vectors = normalized(gallery.vectors([item.id for item in items])) if items else np.empty((0, 1), np.float32)
    who = np.unique([repr(item.identity) for item in items], return_inverse=True)[1].astype(np.int64)
    same = who[:, None] == who
    usable = comparable(items, same, other_camera=other_camera, gap=gap)
    similarities = (vectors @ vectors.T).astype(np.float64)

    first, second = np.nonzero(np.triu(usable, 1))
    chosen = np.concatenate([some(np.flatnonzero(same[first, second] == kind), generator) for kind in (True, False)])
    first, second = first[chosen], second[chosen]
    pairs = LabelledPairs(similarities[first, second], same[first, second], who[first], who[second])

    own = np.where(usable & same, similarities, -np.inf).max(1, initial=-np.inf)
    other = np.where(usable & ~same, similarities, -np.inf).max(1, initial=-np.inf)
    searched = np.isfinite(other)
    probes = Probes(np.where(np.isfinite(own), own, np.nan)[searched], other[searched], who[searched])
    return pairs.then(marked_pairs(gallery, start=len(items))), probes


def prior_of(gallery: Gallery, *, strangers: float = 0.5) -> float:
    """Return how likely a picture of a gallery shows whom one searches for, before one looks: (1 - strangers) / N.

    Args:
        gallery: With N named individuals.
        strangers: Assumed share of searches for somebody who is not in the gallery.

    Raises:
        ValueError: The share is not at least 0 and below 1.
    """
    if not 0 <= strangers < 1:
        raise ValueError(f"expected strangers of at least 0 and below 1, got {strangers:g}")
    return min((1 - strangers) / max(1, len(gallery.identities())), 0.5)


def named_items(gallery: Gallery, generator: np.random.Generator) -> list[Item]:
    """Return at most 4,000 items with an identity, those of an individual, at most 100, together."""
    named = [item for item in gallery.items(gallery.select(Where(named=True))) if item is not None]
    of_each: dict[Label | None, list[Item]] = defaultdict(list)
    for row in generator.permutation(len(named)):
        items = of_each[named[row].identity]
        if len(items) < MAX_ITEMS_OF_ONE:
            items.append(named[row])
    return [item for items in of_each.values() for item in items][:MAX_ITEMS]


def comparable(
    items: list[Item], same: NDArray[np.bool_], *, other_camera: bool | None, gap: float
) -> NDArray[np.bool_]:
    """Return the mask (N, N) of the pairs that tell something."""
    cameras = np.array([repr(item.camera) for item in items], dtype=object)
    placed = np.array([item.camera is not None for item in items], dtype=bool)
    times = np.array([item.time for item in items], dtype=np.float64)
    here = cameras[:, None] == cameras
    apart = ~here & placed[:, None] & placed
    if other_camera is None:
        other_camera = bool((apart & same).any())
    near = here & (np.abs(times[:, None] - times) < gap)
    usable: NDArray[np.bool_] = (~near & apart) if other_camera else ~near
    np.fill_diagonal(usable, False)
    return usable


def some(rows: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return at most 200,000 of the rows."""
    return rows if len(rows) <= MAX_PAIRS else generator.choice(rows, MAX_PAIRS, replace=False)


def marked_pairs(gallery: Gallery, start: int) -> LabelledPairs:
    """Return the matches that users have marked, but for copies of the query; each query is an individual of its own.

    These are numbered from ``start`` on.
    """
    marks = [mark for mark in gallery.marks() if mark.similarity < COPY]  # a copy of the query proves nothing
    who = start + np.unique([mark.query for mark in marks], return_inverse=True)[1].astype(np.int64)
    similarities = np.array([mark.similarity for mark in marks], dtype=np.float64)
    return LabelledPairs(similarities, np.array([mark.same for mark in marks], dtype=bool), who, who)
