"""Scores of queries against gallery entries, a tile at a time: no Q x G matrix is ever kept.

Dimensions: Q queries, G gallery entries, D components; q and g are the rows of one tile.

What changes the scores wraps the scores::

    Cosine(query, gallery)
    MaskSameLocation(scores, ...)   what was seen at the query's own place scores minus infinity
    GroupMax(scores, groups)        the entries are groups (tracks, identities) that score as their best picture
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from reseen.errors import DataError
from reseen.exact import Floats, cosines, lengths_of
from reseen.parallel import parallel_for
from reseen.slicing import chunks
from reseen.types import Embeddings

Codes = NDArray[np.intp]
Rows = slice | NDArray[np.intp]
TileFunction = Callable[[Rows], Tensor]

# What one tile holds at most: 8 MB of scores, which stay near the core, of so many gallery rows.
TILE_ELEMENTS = 2**21
MAX_ROWS = 2**12
# Components of the pairs whose exact scores are computed at once: on a CPU they stay near the core. Of many pairs all
# cores take some.
PAIR_ELEMENTS, DEVICE_PAIR_ELEMENTS, MANY_PAIRS = 2**18, 2**24, 2**14
# Rows that are brought to unit length at once, in float64.
ROW_CHUNK = 2**8
# One row here and one there of a mapped file may each make the 2 MB around it resident.
MAPPED_ROW_CHUNK = 64


class Scores(ABC):
    """Scores of queries against gallery entries: higher is more alike; minus infinity is out of the question.

    Attributes:
        shape: (Q, G).
        parallel: Several threads may make tiles at once, in any order, and it pays: not on a GPU, which one thread
            keeps busy, and not where all ranks make each tile together.
        rounding: The least that a tile's scores may be off from the exact ones.
    """

    shape: tuple[int, int]
    parallel: bool = False
    rounding: float = 0.0

    @abstractmethod
    def rows(self, query: Rows) -> TileFunction:
        """Return the function from gallery rows to the tile (q, g) of these query rows, which is the caller's own."""

    def exact(self, query: Codes, gallery: Codes) -> Floats:
        """Return the exact scores (n,) of pairs of a query row (n,) and a gallery row (n,).

        They decide wherever a tile is too coarse. As it stands here a tile is exact, and the same in any shape.
        """
        scores = np.empty(len(query))
        rows, row = np.unique(query, return_inverse=True)
        for number, at in enumerate(np.split(np.argsort(row, kind="stable"), np.cumsum(np.bincount(row))[:-1])):
            scores[at] = self.rows(rows[number : number + 1])(gallery[at])[0].double().cpu().numpy()
        return scores

    def double(self) -> Scores:
        """Return the same scores with tiles in float64, or these themselves where no tile is finer."""
        return self


Reranking = Callable[[Embeddings, Embeddings], Scores | tuple[Embeddings, Embeddings]]
"""From query and gallery to better scores, or to better vectors for both."""


class Cosine(Scores):
    """The cosine of the angle between two vectors: float64, one pair at a time, and tiles of float32 products near it.

    The work is done where the query's vectors are. A zero vector has the cosine 0 with everything.

    Args:
        query: (Q, D) vectors.
        gallery: (G, D) vectors.
        dtype: Of the tiles.

    Raises:
        ValueError: The two have different dimensions.
    """

    def __init__(self, query: Embeddings, gallery: Embeddings, *, dtype: torch.dtype = torch.float32) -> None:
        if query.vectors.shape[1] != gallery.vectors.shape[1]:
            raise ValueError(
                f"expected vectors of one dimension, got {tuple(query.vectors.shape)} for the query and "
                f"{tuple(gallery.vectors.shape)} for the gallery: embed both with the same model"
            )
        self.query, self.gallery, self.dtype = query, gallery, dtype
        self.shape = (len(query), len(gallery))
        self.parallel = query.vectors.device.type == "cpu"
        self.rounding = torch.finfo(dtype).eps / 2

    def rows(self, query: Rows) -> TileFunction:
        """Return the cosines of these query rows with any gallery rows."""
        anchors = unit_rows(self.query, query, dtype=self.dtype)

        def tile(gallery: Rows) -> Tensor:
            return anchors @ unit_rows(self.gallery, gallery, device=anchors.device, dtype=self.dtype).T

        return tile

    def exact(self, query: Codes, gallery: Codes) -> Floats:
        """Return the cosines (n,) of pairs in float64, the same bits for equal vectors wherever they stand."""
        (rows, row), (columns, column) = (np.unique(side, return_inverse=True) for side in (query, gallery))
        if len(query) > 4 * (len(rows) + len(columns)):
            # Where so many pairs are that near to one another, most vectors are copies.
            row, column = _first_copies(self.query, rows)[row], _first_copies(self.gallery, columns)[column]
        pairs, pair = np.unique(row * len(columns) + column, return_inverse=True)
        distinct = np.empty(len(pairs))
        device = self.query.vectors.device
        on_cpu = device.type in ("cpu", "mps")  # the second has no float64
        size = max(1, (PAIR_ELEMENTS if on_cpu else DEVICE_PAIR_ELEMENTS) // max(1, self.query.vectors.shape[1]))

        def vectors(side: Embeddings, rows: Codes) -> Any:
            found = _read(side, rows)
            return found.cpu().double().numpy() if on_cpu else found.to(device)

        def lengths_of_all(side: Embeddings, rows: Codes) -> Floats:
            return np.concatenate([lengths_of(vectors(side, rows[part])) for part in chunks(len(rows), size)])

        lengths = None
        if len(pairs) > 2 * (len(rows) + len(columns)):
            lengths = lengths_of_all(self.query, rows), lengths_of_all(self.gallery, columns)

        def compare(part: slice) -> None:
            row, column = np.divmod(pairs[part], len(columns))
            both = None if lengths is None else lengths[0][row] * lengths[1][column]
            distinct[part] = cosines(vectors(self.query, rows[row]), vectors(self.gallery, columns[column]), both)

        threads = on_cpu and len(pairs) > MANY_PAIRS and torch.get_num_threads() > 1
        parallel_for(compare, chunks(len(pairs), size), threads=threads)
        self.gallery.forget()
        exact: Floats = distinct[pair]
        return exact

    def double(self) -> Cosine:
        """Return the same scores with tiles in float64."""
        if self.dtype == torch.float64 or self.query.vectors.device.type == "mps":
            return self
        return Cosine(self.query, self.gallery, dtype=torch.float64)


def _first_copies(embeddings: Embeddings, rows: Codes) -> Codes:
    """Return for each of some rows the place (n,) of the first among them with the same vector."""
    first: dict[bytes, int] = {}
    vectors = _read(embeddings, rows).cpu().contiguous().view(torch.uint8).numpy()
    return np.array([first.setdefault(vector.tobytes(), place) for place, vector in enumerate(vectors)], np.intp)


class MaskSameLocation(Scores):
    """Scores with minus infinity wherever the gallery entry was seen at the query's own place.

    Args:
        scores: Scores of shape (Q, G).
        query_locations: (Q,) integer codes.
        gallery_locations: (G,) integer codes.
    """

    def __init__(self, scores: Scores, query_locations: NDArray[np.intp], gallery_locations: NDArray[np.intp]) -> None:
        self.scores, self.shape, self.parallel = scores, scores.shape, scores.parallel
        self.rounding = scores.rounding
        self.query_locations, self.gallery_locations = query_locations, gallery_locations

    def rows(self, query: Rows) -> TileFunction:
        """Return the scores of these query rows with any gallery rows, minus infinity in one place."""
        inner, locations = self.scores.rows(query), self.query_locations[query]

        def tile(gallery: Rows) -> Tensor:
            scores = inner(gallery)
            here = torch.from_numpy(locations[:, None] == self.gallery_locations[gallery])
            return scores.masked_fill_(here.to(scores.device), -torch.inf)

        return tile

    def exact(self, query: Codes, gallery: Codes) -> Floats:
        """Return the scores (n,) of pairs, minus infinity in one place."""
        here = self.query_locations[query] == self.gallery_locations[gallery]
        return np.where(here, -np.inf, self.scores.exact(query, gallery))

    def double(self) -> Scores:
        """Return the same scores with finer tiles."""
        return _around(
            self.scores, lambda inner: MaskSameLocation(inner, self.query_locations, self.gallery_locations), self
        )


class GroupMax(Scores):
    """Scores of groups of gallery entries: a group scores as its best member.

    Args:
        scores: Scores of shape (Q, G).
        groups: (G,) group of each entry, codes from 0 to ``num_groups`` - 1.
        num_groups: The gallery's new length.
        across_ranks: The members of a group may lie on several ranks, each with its own ``scores``.
    """

    def __init__(
        self, scores: Scores, groups: NDArray[np.intp], *, num_groups: int, across_ranks: bool = False
    ) -> None:
        self.scores, self.across_ranks, self.rounding, self.groups = scores, across_ranks, scores.rounding, groups
        self.shape = (scores.shape[0], num_groups)
        self.parallel = scores.parallel and not across_ranks
        self.members = np.argsort(groups, kind="stable")
        self.starts = np.searchsorted(groups[self.members], np.arange(num_groups + 1))

    def rows(self, query: Rows) -> TileFunction:
        """Return the scores of these query rows with any groups; minus infinity for a group without members."""
        inner = self.scores.rows(query)

        def tile(gallery: Rows) -> Tensor:
            groups = np.arange(self.shape[1])[gallery]
            lengths = self.starts[groups + 1] - self.starts[groups]
            scores = inner(self.members[ranges(self.starts[groups], lengths)])
            member_of = torch.from_numpy(np.repeat(np.arange(len(groups)), lengths)).to(scores.device)
            best = scores.new_full((len(scores), len(groups)), -torch.inf)
            best.scatter_reduce_(1, member_of.expand(len(scores), -1), scores, "amax")
            if self.across_ranks:
                dist.all_reduce(best, dist.ReduceOp.MAX)
            return best

        return tile

    def exact(self, query: Codes, gallery: Codes) -> Floats:
        """Return the scores (n,) of pairs of a query and a group."""
        lengths = self.starts[gallery + 1] - self.starts[gallery]
        scores = self.scores.exact(np.repeat(query, lengths), self.members[ranges(self.starts[gallery], lengths)])
        best = np.full(len(query), -np.inf)
        np.maximum.at(best, np.repeat(np.arange(len(query)), lengths), scores)
        if self.across_ranks:
            dist.all_reduce(torch.from_numpy(best), dist.ReduceOp.MAX)
        return best

    def double(self) -> Scores:
        """Return the same scores with finer tiles."""

        def grouped(inner: Scores) -> GroupMax:
            return GroupMax(inner, self.groups, num_groups=self.shape[1], across_ranks=self.across_ranks)

        return _around(self.scores, grouped, self)


def _around(inner: Scores, wrap: Callable[[Scores], Scores], itself: Scores) -> Scores:
    finer = inner.double()
    return itself if finer is inner else wrap(finer)


def unit_rows(
    embeddings: Embeddings, rows: Rows, *, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return some vectors (n, D) at unit length, computed in float64 and rounded once; a vector of zeros stays one.

    Raises:
        DataError: A vector is not finite.
    """
    vectors = _read(embeddings, rows).to(device or embeddings.vectors.device)
    unit = torch.empty(vectors.shape, dtype=dtype, device=vectors.device)
    lengths = torch.empty(len(vectors), 1, dtype=torch.float64, device=vectors.device)
    for part in chunks(len(vectors), ROW_CHUNK if vectors.device.type == "cpu" else MAX_ROWS):
        fine = vectors[part].to(torch.float64, copy=True)
        lengths[part] = torch.linalg.vector_norm(fine, dim=1, keepdim=True)
        unit[part] = fine.mul_(1 / lengths[part].clamp(min=torch.finfo(torch.float64).tiny))
    if not lengths.isfinite().all():
        first = int(lengths.isfinite().logical_not().nonzero()[0, 0])
        row = np.arange(len(embeddings))[rows][first]
        name = "" if embeddings.paths is None else f" ({embeddings.paths[row]})"
        raise DataError(f"expected finite vectors, got one that is not in row {row}{name}: look at the model's output")
    embeddings.forget()
    return unit


def _read(embeddings: Embeddings, rows: Rows) -> Tensor:
    """Return some vectors (n, D); of a file, few enough at a time that the pages around them stay few."""
    if isinstance(rows, slice) or not embeddings.mapped or len(rows) <= MAPPED_ROW_CHUNK:
        return take(embeddings.vectors, rows)
    parts = []
    for part in chunks(len(rows), MAPPED_ROW_CHUNK):
        parts.append(take(embeddings.vectors, rows[part]))
        embeddings.forget()
    return torch.cat(parts)


def take(vectors: Tensor, rows: Rows) -> Tensor:
    """Return some rows of a tensor, which may stay a view."""
    if isinstance(rows, slice):
        return vectors[rows]
    # Several times as fast on a CPU as indexing.
    return vectors.index_select(0, torch.from_numpy(rows).to(vectors.device))


def keep_best(best: tuple[Tensor, Tensor] | None, tile: Tensor, first_column: int, k: int) -> tuple[Tensor, Tensor]:
    """Widen each row's best entries by one more tile.

    Args:
        best: Scores (q, n) and columns (q, n) so far, best first; None before the first tile.
        tile: Scores (q, g) of consecutive columns.
        first_column: The column of the tile's first entry.
        k: How many to keep at most.

    Returns:
        Scores and columns, best first, (q, at most k) each.
    """
    scores, columns = tile.topk(min(k, tile.shape[1]), dim=1)
    columns = columns + first_column
    if best is None:
        return scores, columns
    scores, columns = torch.cat([best[0], scores], dim=1), torch.cat([best[1], columns], dim=1)
    scores, chosen = scores.topk(min(k, scores.shape[1]), dim=1)
    return scores, columns.gather(1, chosen)


def ranges(starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return start, start + 1, ... of every range, one range after the other."""
    before = np.cumsum(lengths) - lengths
    moved: NDArray[np.intp] = np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
    return moved
