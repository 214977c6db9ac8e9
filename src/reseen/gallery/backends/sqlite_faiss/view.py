"""View of a gallery in memory, for searching: vectors and filter columns, as of one revision.

A `GalleryView` is never changed. Catching up gives another that shares what did not change, so searches in other
threads finish on the view they began with.

Dimensions: N rows, Q queries, D components of a vector, k answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.gallery.backends.sqlite_faiss.item_store import NOTHING, Revision
from reseen.gallery.backends.sqlite_faiss.nearest import (
    ABSENT,
    Nearest,
    Vectors,
    kept_share,
    search_exactly,
    search_lists,
)
from reseen.gallery.records import Label, Where

CODED = ("identities", "cameras", "tracks")
"""Columns of labels, kept as numbers."""
FEW = 0.02
"""Where a filter keeps no more than this share, exact search is as quick as the lists are."""


class LabelCodes:
    """Numbers labels in the order of their coming; only ever grows, so views share one."""

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self.labels = list(labels)
        self._codes = {label: code for code, label in enumerate(self.labels)}

    def encode(self, labels: Iterable[Label | None]) -> NDArray[np.int32]:
        """Return the code of each label, numbering those not met before."""
        return np.fromiter((ABSENT if x is None else self._code(x) for x in labels), dtype=np.int32)

    def known(self, labels: Iterable[Label | None]) -> NDArray[np.int32]:
        """Return the codes of those labels that have been met."""
        codes = [ABSENT if x is None else self._codes.get(x) for x in labels]
        return np.array([code for code in codes if code is not None], dtype=np.int32)

    def _code(self, label: Label) -> int:
        code = self._codes.setdefault(label, len(self.labels))
        if code == len(self.labels):
            self.labels.append(label)
        return code


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns that filters look at; N rows, in ascending order of ``rows``.

    Attributes:
        rows: (N,) int64, the row in the database; a row's number is never used again.
        identities: (N,) int32 codes; so are ``cameras`` and ``tracks``.
        times: (N,) float64, NaN where unknown.
        alive: (N,) bool, False once deleted.
    """

    rows: NDArray[np.int64]
    identities: NDArray[np.int32]
    cameras: NDArray[np.int32]
    tracks: NDArray[np.int32]
    times: NDArray[np.float64]
    alive: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def empty(cls) -> Columns:
        """Return columns of no rows."""
        codes = np.empty(0, np.int32)
        return cls(np.empty(0, np.int64), codes, codes, codes, np.empty(0), np.empty(0, bool))

    def then(self, more: Columns) -> Columns:
        """Return these rows, and then more."""
        return Columns(*(np.concatenate([getattr(self, n), getattr(more, n)]) for n in self.__dataclass_fields__))

    def changed(self, news: Columns) -> Columns:
        """Return these rows with those of ``news`` written over their old selves."""
        at = np.searchsorted(self.rows, news.rows)
        columns = {name: getattr(self, name).copy() for name in self.__dataclass_fields__}
        for name, column in columns.items():
            column[at] = getattr(news, name)
        return Columns(**columns)

    def without(self, rows: NDArray[np.int64]) -> Columns:
        """Return these rows with some marked as deleted; rows never met are passed over."""
        at = np.searchsorted(self.rows, rows)
        at = at[(at < len(self)) & (self.rows[np.minimum(at, len(self) - 1)] == rows)] if len(self) else at[:0]
        alive = self.alive.copy()
        alive[at] = False
        return replace(self, alive=alive)


@dataclass(frozen=True, eq=False)
class GalleryView:
    """A gallery as of one revision, ready to search.

    Attributes:
        revision: Every change up to this one is in the view.
        columns: N rows.
        parts: Arrays of unit vectors (n, D) float32 which one after another make the N rows; the first may be a
            memory-mapped file, shared between the processes that read it.
        lists: FAISS's inverted lists over the first part, where the gallery is searched approximately.
        codes: Numbers of labels, by the columns of `CODED`.
    """

    revision: Revision = NOTHING
    columns: Columns = field(default_factory=Columns.empty)
    parts: tuple[NDArray[np.float32], ...] = ()
    lists: Any = None
    codes: Mapping[str, LabelCodes] = field(default_factory=lambda: {name: LabelCodes() for name in CODED})

    def appended(self, columns: Columns, vectors: NDArray[np.float32]) -> GalleryView:
        """Return the view with N more rows; small parts are joined, so that there are never many."""
        first, *parts = [*self.parts, vectors]
        while len(parts) > 1 and len(parts[-2]) <= 2 * len(parts[-1]):
            parts[-2:] = [np.concatenate(parts[-2:])]
        return replace(self, columns=self.columns.then(columns), parts=(first, *parts))

    def mask(self, where: Where) -> NDArray[np.bool_] | None:
        """Return the mask (N,) of the rows asked for, or None where all are."""
        columns, keep = self.columns, self.columns.alive
        if where.identities is not None:
            keep = keep & np.isin(columns.identities, self.codes["identities"].known(where.identities))
        if where.named:
            keep = keep & (columns.identities != ABSENT)
        if where.cameras is not None:
            keep = keep & np.isin(columns.cameras, self.codes["cameras"].known(where.cameras))
        if where.since is not None:
            keep = keep & (columns.times >= where.since)
        if where.until is not None:
            keep = keep & (columns.times < where.until)
        return None if keep.all() else keep

    def without(self, keep: NDArray[np.bool_] | None, column: str, labels: Iterable[Label], rows: Any) -> Any:
        """Return a mask (N,) less the rows of some labels, and less single rows."""
        left = ~np.isin(getattr(self.columns, column), self.codes[column].known(labels))
        left &= ~np.isin(self.columns.rows, rows)
        return left if keep is None else keep & left

    def search(self, queries: Vectors, k: int, keep: NDArray[np.bool_] | None, *, exact: bool) -> Nearest:
        """Return cosines and rows of the database (Q, k), best first, for unit queries (Q, D); absent are rows -1.

        Args:
            queries: (Q, D).
            k: How many are wanted.
            keep: (N,) the rows looked at; None for all.
            exact: Look at every vector also where there are lists.
        """
        if not len(self.columns) or (keep is not None and not keep.any()):
            return np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
        similarities, positions, start = [], [], 0
        for number, part in enumerate(self.parts):
            mask = None if keep is None else keep[start : start + len(part)]
            if number == 0 and self.lists is not None and not exact and kept_share(mask) > FEW:
                similarity, position = search_lists(self.lists, part, queries, k, mask)
            else:
                similarity, position = search_exactly(part, queries, k, mask)
            similarities.append(similarity)
            positions.append(np.where(position == ABSENT, ABSENT, position + start))
            start += len(part)
        similarity, position = np.concatenate(similarities, 1), np.concatenate(positions, 1)
        if len(self.parts) > 1:
            best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
            similarity, position = np.take_along_axis(similarity, best, 1), np.take_along_axis(position, best, 1)
        return similarity, np.where(position == ABSENT, ABSENT, self.columns.rows[position])
