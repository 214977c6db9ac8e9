"""What one process holds of a gallery for searching: vectors and filter columns, as of one revision.

A `View` is never changed. Catching up gives another that shares what did not change, so searches in other threads
finish on the view they began with.

Dimensions: N rows, Q queries, D components of a vector, k answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from reseen.gallery.records import Label, Where

ABSENT = -1
"""The code of an absent label, and the row of an absent answer."""
FEW = 0.25
"""Where a filter keeps no more than this share, an exact search is quick, and nearby lists hold too few of the kept."""


PER_LIST = 40
"""Vectors that the centre of a list is learnt from; FAISS warns of fewer than 39."""


class Codes:
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
    """What filters look at; N rows, in ascending order of ``rows``.

    Attributes:
        rows: (N,) int64, the row in the truth; a row's number is never used again.
        identities: (N,) int32 codes.
        cameras: (N,) int32 codes.
        times: (N,) float64, NaN where unknown.
        alive: (N,) bool, False once deleted.
    """

    rows: NDArray[np.int64]
    identities: NDArray[np.int32]
    cameras: NDArray[np.int32]
    times: NDArray[np.float64]
    alive: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def empty(cls) -> Columns:
        """Return columns of no rows."""
        codes = np.empty(0, np.int32)
        return cls(np.empty(0, np.int64), codes, codes, np.empty(0), np.empty(0, bool))

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
class View:
    """A gallery as of one revision, ready to search.

    Attributes:
        revision: Every change up to this one is in the view.
        columns: N rows.
        parts: Arrays of unit vectors (n, D) float32 which one after another make the N rows; the first may be a
            memory-mapped file, shared between the processes that read it.
        lists: FAISS's inverted lists over the first part, where the gallery is searched approximately.
        identity_codes: Numbers of identities.
        camera_codes: Numbers of cameras.
    """

    revision: int = 0
    columns: Columns = field(default_factory=Columns.empty)
    parts: tuple[NDArray[np.float32], ...] = ()
    lists: Any = None
    identity_codes: Codes = field(default_factory=Codes)
    camera_codes: Codes = field(default_factory=Codes)

    def appended(self, columns: Columns, vectors: NDArray[np.float32]) -> View:
        """Return the view with N more rows; small parts are joined, so that there are never many."""
        first, *parts = [*self.parts, vectors]
        while len(parts) > 1 and len(parts[-2]) <= 2 * len(parts[-1]):
            parts[-2:] = [np.concatenate(parts[-2:])]
        return replace(self, columns=self.columns.then(columns), parts=(first, *parts))

    def kept(self, where: Where) -> NDArray[np.bool_] | None:
        """Return the mask (N,) of the rows asked for, or None where all are."""
        columns, keep = self.columns, self.columns.alive
        if where.identities is not None:
            keep = keep & np.isin(columns.identities, self.identity_codes.known(where.identities))
        if where.named:
            keep = keep & (columns.identities != ABSENT)
        if where.cameras is not None:
            keep = keep & np.isin(columns.cameras, self.camera_codes.known(where.cameras))
        if where.since is not None:
            keep = keep & (columns.times >= where.since)
        if where.until is not None:
            keep = keep & (columns.times < where.until)
        return None if keep.all() else keep

    def search(
        self, queries: NDArray[np.float32], k: int, where: Where, *, exact: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return cosines and rows of the truth (Q, k), best first, for unit queries (Q, D); absent are rows -1."""
        keep = self.kept(where)
        similarities, positions, start = [], [], 0
        for number, part in enumerate(self.parts):
            mask = None if keep is None else keep[start : start + len(part)]
            if number == 0 and self.lists is not None and not exact and share(mask) > FEW:
                similarity, position = search_lists(self.lists, queries, k, mask)
            else:
                similarity, position = search_exactly(part, queries, k, mask)
            similarities.append(similarity)
            positions.append(np.where(position == ABSENT, ABSENT, position + start))
            start += len(part)
        if not self.parts:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        similarity, position = np.concatenate(similarities, 1), np.concatenate(positions, 1)
        if len(self.parts) > 1:
            best = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
            similarity, position = np.take_along_axis(similarity, best, 1), np.take_along_axis(position, best, 1)
        return similarity, np.where(position == ABSENT, ABSENT, self.columns.rows[position])


def share(mask: NDArray[np.bool_] | None) -> float:
    """Return the share of the rows that are kept."""
    return 1.0 if mask is None else float(mask.mean())


def selector(mask: NDArray[np.bool_] | None) -> tuple[Any, Any]:
    """Return FAISS's selector of the rows kept, and the bits that it reads (which must outlive it)."""
    if mask is None:
        return None, None
    bits = np.packbits(mask, bitorder="little")
    return faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits)), bits


def search_exactly(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return inner products and positions (Q, k) of the best among the rows kept of vectors (N, D)."""
    similarity = np.empty((len(queries), k), np.float32)
    position = np.empty((len(queries), k), np.int64)
    chosen, _bits = selector(mask)
    inputs = faiss.swig_ptr(queries), faiss.swig_ptr(vectors)
    outputs = faiss.swig_ptr(similarity), faiss.swig_ptr(position)
    sizes = vectors.shape[1], len(queries), len(vectors), k
    faiss.knn_inner_product(*inputs, *sizes, *outputs, chosen)
    return similarity, position


def search_lists(
    lists: Any, queries: NDArray[np.float32], k: int, mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return inner products and positions (Q, k) of about the best, looking into more lists the fewer rows are kept."""
    chosen, _bits = selector(mask)
    probes = min(lists.nlist, int(np.ceil(lists.nprobe / share(mask))))
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe, parameters.sel = probes, chosen
    found: tuple[NDArray[np.float32], NDArray[np.int64]] = lists.search(queries, k, params=parameters)
    return found


def make_lists(vectors: NDArray[np.float32], *, recall: float, seed: int = 0) -> Any:
    """Sort unit vectors (N, D) into inverted lists, and look into as many as reach the wanted recall.

    There are about 2 sqrt(N) lists: half of what FAISS's guidelines advise, and made in a quarter of the time. More
    and more of them are looked into until, over 256 of the vectors, ``recall`` of each one's ten nearest others are
    found.
    """
    count, dim = vectors.shape
    number = max(1, min(int(2 * count**0.5), count // PER_LIST))
    lists = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, number, faiss.METRIC_INNER_PRODUCT)
    generator = np.random.default_rng(seed)
    lists.train(vectors[np.sort(generator.permutation(count)[: PER_LIST * number])])
    for start in range(0, count, 65536):
        lists.add(vectors[start : start + 65536])
    probes = vectors[generator.permutation(count)[:256]]
    truth = search_exactly(vectors, probes, min(11, count), None)[1]
    lists.nprobe = 1
    while lists.nprobe < number and found_again(lists.search(probes, truth.shape[1])[1], truth) < recall:
        lists.nprobe = min(int(1.3 * lists.nprobe) + 1, number)
    return lists


def found_again(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the share of the true neighbours (Q, k), the query itself (the first) left out, that was found."""
    hits: Sequence[int] = [len(np.intersect1d(f, t[1:])) for f, t in zip(found, truth, strict=True)]
    return sum(hits) / max(1, truth[:, 1:].size)
