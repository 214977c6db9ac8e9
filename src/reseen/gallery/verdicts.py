"""Verdicts on matches as links between items, and answers about pairs as verdicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from reseen.discovery import Links
from reseen.gallery.gallery import Gallery
from reseen.gallery.rows import normalized


def mark_links(gallery: Gallery, rows: Mapping[str, int]) -> Links:
    """Return what the marked matches say of pairs of items.

    A verdict whose query is an item itself, as an answer of `keep_answers` is, links the two. Otherwise, of one query's
    verdicts: all items it was found to be the same as are one individual, and differ from those it is not.

    Args:
        gallery: Its marks are read.
        rows: Row of each item by its id; verdicts on others are left out.
    """
    must, cannot = [], []
    by_query: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for mark in gallery.marks():
        if mark.item in rows:
            by_query[mark.query][0 if mark.same else 1].append(rows[mark.item])
    for query, (same, different) in by_query.items():
        same = [rows[query], *same] if query in rows else same
        must += [(same[0], row) for row in same[1:]]
        cannot += [(same[0], row) for row in different if same]
    return Links(*(np.array(pairs, np.int64).reshape(-1, 2) for pairs in (must, cannot)))


def keep_answers(gallery: Gallery, links: Links, ids: Sequence[str]) -> None:
    """Keep what a person said of pairs of items as verdicts, for the next calibration and the next grouping.

    Args:
        gallery: Where to.
        links: By the rows of ``ids``.
        ids: Of the items.
    """
    for same, pairs in ((True, links.must), (False, links.cannot)):
        for first, second in pairs.tolist():
            one, other = normalized(gallery.vectors([ids[first], ids[second]]))
            gallery.mark(ids[first], ids[second], similarity=float(one @ other), same=same)
