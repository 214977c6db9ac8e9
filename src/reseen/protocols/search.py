"""Two sets of embeddings under a protocol, made ready to be ranked, counted or looked at.

Dimensions: Q queries, G gallery entries; q and g are the rows of one tile; T pairs of one identity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from reseen.errors import DataError
from reseen.samples import Embeddings, Labels, Protocol, join_labels
from reseen.scores import MOST_ROWS, TILE_ELEMENTS, Cosine, Elsewhere, Grouped, Reranking, Scores, chunks, ranges
from reseen.threads import share_out

Codes = NDArray[np.intp]
T = TypeVar("T")

# A BLAS is up to half as slow again where a tile's width is no multiple of its own.
WIDTH = 2**6
MOST_QUERIES = 2**12
MOST_TILES = 8
MOST_PAIRS = 2**21
QUERIES_AT_A_GLANCE = 2**6


class SamePairs(NamedTuple):
    """The pairs of a query and a gallery entry that share their identity.

    Attributes:
        query: (T,) position of the query among those asked for, rising.
        gallery: (T,) row of the gallery.
        kept: (T,) bool. A kept pair is positive, any other is neither.
    """

    query: Codes
    gallery: Codes
    kept: NDArray[np.bool_]


class SearchTile(NamedTuple):
    """The scores of some queries against consecutive gallery entries.

    Attributes:
        scores: (q, g), the receiver's own to change; minus infinity where the entry is neither.
        columns: The gallery rows.
        positive: Row and column numbers of the positives.
    """

    scores: Tensor
    columns: slice
    positive: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Search:
    """A query set and a gallery: how alike they are, and who is positive, negative or neither.

    A gallery entry of the query's identity is positive, or neither if they share a camera; every other is negative,
    or neither if it scores minus infinity.

    Attributes:
        scores: (Q, G).
        query_identities: (Q,) codes from 0.
        gallery_identities: (G,) codes; equal to a query's for the same identity.
        query_cameras: (Q,) codes, or None where the camera does not matter.
        gallery_cameras: (G,) codes, or None.
        across_ranks: The gallery is this process' part of one that lies on all of them.
    """

    scores: Scores
    query_identities: Codes
    gallery_identities: Codes
    query_cameras: Codes | None = None
    gallery_cameras: Codes | None = None
    across_ranks: bool = False

    def queries(self) -> Iterator[Codes]:
        """Give every query once, in portions, those of one identity together and those with few positives first."""
        # All ranks make the same portions.
        lengths = np.sum(self._on_ranks(np.diff(self._gallery_by_identity[1])), axis=0)[self.query_identities]
        left = np.lexsort((self.query_identities, lengths))
        while len(left):
            # A portion is a table of positives, as wide as its longest row.
            fitting = np.count_nonzero(np.arange(1, len(left) + 1) * lengths[left] <= MOST_PAIRS)
            size = min(max(fitting, 1), MOST_QUERIES)
            yield left[:size]
            left = left[size:]

    def _on_ranks(self, value: T) -> list[T]:
        """Return the value of every rank that has a part of the gallery."""
        if not self.across_ranks:
            return [value]
        values = [value] * dist.get_world_size()
        dist.all_gather_object(values, value)
        return values

    @cached_property
    def _gallery_by_identity(self) -> tuple[Codes, Codes]:
        order = np.argsort(self.gallery_identities, kind="stable")
        num_identities = int(self.query_identities.max(initial=-1)) + 1
        return order, np.searchsorted(self.gallery_identities[order], np.arange(num_identities + 1))

    def same_identity(self, queries: Codes) -> SamePairs:
        """Return the pairs of these queries with everything of their identity."""
        order, starts = self._gallery_by_identity
        identities = self.query_identities[queries]
        lengths = starts[identities + 1] - starts[identities]
        query = np.repeat(np.arange(len(queries)), lengths)
        gallery = order[ranges(starts[identities], lengths)]
        kept = np.ones(len(query), dtype=bool)
        if self.query_cameras is not None and self.gallery_cameras is not None:
            kept = self.query_cameras[queries[query]] != self.gallery_cameras[gallery]
        return SamePairs(query, gallery, kept)

    def positives(self, queries: Codes) -> tuple[Codes, Codes, NDArray[Any]]:
        """Return the positives of these queries and their scores in a tile, without a look at the negatives.

        Args:
            queries: Rows of the query set, those of one identity together.

        Returns:
            The position of the query (P,), the row of the gallery (P,) and the score (P,) of each positive.
        """
        found = []
        for chunk in chunks(len(queries), QUERIES_AT_A_GLANCE):
            pairs = self.same_identity(queries[chunk])
            tile_of = self.scores.of(queries[chunk])
            entries, column = np.unique(pairs.gallery, return_inverse=True)
            for part in chunks(len(entries), MOST_ROWS):
                tile = tile_of(entries[part]).cpu().numpy()
                here = pairs.kept & (column >= part.start) & (column < part.stop)
                scores = tile[pairs.query[here], column[here] - part.start]
                kept = scores > -np.inf
                found.append((chunk.start + pairs.query[here][kept], pairs.gallery[here][kept], scores[kept]))
        nobody = np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32)
        of, gallery, scores = (np.concatenate(column) for column in zip(*found or [nobody], strict=True))
        return of, gallery, scores

    def tiles(self, queries: Codes) -> Iterator[SearchTile]:
        """Give the scores of these queries against the whole gallery, a few thousand entries at a time."""
        return map(self._tile_of(queries), self._cuts(queries))

    def each_tile(self, queries: Codes, work: Callable[[SearchTile], None]) -> None:
        """Do the work for every one of the tiles, in any order, and on all cores at once where that pays."""
        if not self.scores.parallel:
            for tile in self.tiles(queries):
                work(tile)
            return
        tile_of = self._tile_of(queries)
        # However many cores there are, what they have in hand fits the memory of a few.
        cuts = self._cuts(queries, parts=-(-torch.get_num_threads() // MOST_TILES))
        share_out(lambda columns: work(tile_of(columns)), cuts)

    def _cuts(self, queries: Codes, *, parts: int = 1) -> Iterator[slice]:
        size = min(MOST_ROWS, TILE_ELEMENTS // max(len(queries), 1)) // parts
        return chunks(self.scores.shape[1], max(1, size - size % WIDTH if size > WIDTH else size))

    def _tile_of(self, queries: Codes) -> Callable[[slice], SearchTile]:
        pairs = self.same_identity(queries)
        order = np.argsort(pairs.gallery, kind="stable")
        query, gallery, kept = (column[order] for column in pairs)
        tile_of = self.scores.of(queries)

        def tile(columns: slice) -> SearchTile:
            scores = tile_of(columns)
            here = slice(*np.searchsorted(gallery, [columns.start, columns.stop]))
            rows, entries = (
                torch.from_numpy(a).to(scores.device) for a in (query[here], gallery[here] - columns.start)
            )
            positive = torch.from_numpy(kept[here]).to(scores.device)
            scores[rows[~positive], entries[~positive]] = -torch.inf
            return SearchTile(scores, columns, (rows[positive], entries[positive]))

        return tile

    def by_identity(self) -> Search:
        """Return the search in which each identity of the gallery is one entry, as good as its best picture."""
        scores = self.scores
        if self.query_cameras is not None and self.gallery_cameras is not None:
            num_cameras = 1 + max(self.query_cameras.max(initial=0), self.gallery_cameras.max(initial=0))
            scores = Elsewhere(
                scores,
                self.query_identities * num_cameras + self.query_cameras,
                self.gallery_identities * num_cameras + self.gallery_cameras,
            )
        num_identities = 1 + max(self._on_ranks(int(self.gallery_identities.max(initial=-1))))
        grouped = Grouped(scores, self.gallery_identities, num_groups=num_identities, across_ranks=self.across_ranks)
        return Search(grouped, self.query_identities, np.arange(num_identities))


def search(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    *,
    reranking: Reranking | None = None,
    across_ranks: bool = False,
) -> Search:
    """Put two sets of embeddings under a protocol.

    Args:
        query: What is searched with; under ``across_ranks`` the same on every process.
        gallery: What is searched in.
        protocol: Who is positive, negative or neither. Its repeats and its measure play no part.
        reranking: Gives better scores or vectors; None for the cosine of the vectors as they are.
        across_ranks: ``gallery`` is this process' part of a gallery that lies on all of them.

    Raises:
        DataError: The protocol needs cameras or tracks which the data does not have.
    """
    scores = _scores(query, gallery, reranking)
    whole, mine = gallery_of_all_ranks(gallery) if across_ranks else (gallery, slice(None))
    identities = codes(query.identities, whole.identities)
    query_cameras, gallery_cameras = None, None
    if protocol.same_camera == "exclude":
        query_cameras, gallery_cameras = codes(*_cameras(query, whole, protocol))
    if protocol.locations is not None:
        query_places, gallery_places = codes(*(_places(c, protocol) for c in _cameras(query, whole, protocol)))
        scores = Elsewhere(scores, query_places, gallery_places[mine])
    if not protocol.by_track:
        cameras = None if gallery_cameras is None else gallery_cameras[mine]
        return Search(scores, identities[0], identities[1][mine], query_cameras, cameras, across_ranks)
    track, first = _tracks(whole, protocol)
    grouped = Grouped(scores, track[mine], num_groups=len(first), across_ranks=across_ranks)
    cameras = None if gallery_cameras is None else gallery_cameras[first]
    return Search(grouped, identities[0], identities[1][first], query_cameras, cameras)


def _scores(query: Embeddings, gallery: Embeddings, reranking: Reranking | None) -> Scores:
    better = (query, gallery) if reranking is None else reranking(query, gallery)
    return better if isinstance(better, Scores) else Cosine(*better)


def codes(first: Labels, second: Labels) -> tuple[Codes, Codes]:
    """Return codes from 0 in the order of appearance, equal where labels are; an integer never equals a string."""
    found = pd.factorize(join_labels([first, second]))[0].astype(np.intp)
    return found[: len(first)], found[len(first) :]


def _tracks(gallery: Embeddings, protocol: Protocol) -> tuple[Codes, Codes]:
    """Return the track of each picture, codes from 0, and the first picture of each track."""
    if gallery.tracks is None or bool(pd.isna(gallery.tracks).any()):
        raise DataError(f"{protocol.name} ranks tracks: give the track of every gallery picture")
    # Under another identity or camera the same number is another track.
    keys = [key for key in (gallery.tracks, gallery.identities, gallery.cameras) if key is not None]
    combined = np.stack([pd.factorize(key)[0] for key in keys], axis=1)
    _, first, track = np.unique(combined, axis=0, return_index=True, return_inverse=True)
    return track.reshape(-1), first


def gallery_of_all_ranks(gallery: Embeddings) -> tuple[Embeddings, slice]:
    """Return the labels (and no vectors) of all ranks' galleries in the order of the ranks, and this rank's rows."""
    labels = dataclasses.replace(gallery, vectors=gallery.vectors.new_empty(len(gallery), 0), paths=None)
    parts = [labels] * dist.get_world_size()
    dist.all_gather_object(parts, labels)
    start = sum(len(part) for part in parts[: dist.get_rank()])
    return Embeddings.joined(parts), slice(start, start + len(gallery))


def _cameras(query: Embeddings, gallery: Embeddings, protocol: Protocol) -> tuple[Labels, Labels]:
    columns = []
    for name, embeddings in (("query", query), ("gallery", gallery)):
        column = embeddings.cameras
        missing = len(embeddings) if column is None else int(pd.isna(column).sum())
        if column is None or missing:
            raise DataError(
                f"{protocol.name} needs the camera of every picture, and {missing} of {len(embeddings)} {name} "
                "pictures have none: give them a camera, or use any_view (same_camera: keep)"
            )
        columns.append(column)
    return columns[0], columns[1]


def _places(cameras: Labels, protocol: Protocol) -> Labels:
    assert protocol.locations is not None
    # A camera that is not named stands in a place of its own, which no place's name can equal.
    places = (protocol.locations.get(camera, ("camera", camera)) for camera in cameras.tolist())
    return np.fromiter(places, dtype=object, count=len(cameras))
