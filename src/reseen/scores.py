"""How alike queries and gallery entries are, a tile at a time, so that no Q x G matrix is ever kept.

Dimensions: Q queries, G gallery entries, D components; q and g are the rows of one tile.

What changes the scores wraps the scores::

    Cosine(query, gallery)
    Inner(query, gallery)       the same for vectors that are at unit length already
    Elsewhere(scores, ...)      what was seen at the query's own place scores nothing
    Grouped(scores, groups)     the entries are groups (tracks, identities) that score as their best picture
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from reseen.errors import DataError
from reseen.samples import Embeddings

Rows = slice | NDArray[np.intp]
Tile = Callable[[Rows], Tensor]

# Below this many rows a BLAS turns to other kernels, which sum in another order.
SMALLEST_SIDE = 16
# What one tile holds at most: 8 MB of scores, which stay near the core, of so many gallery rows.
TILE_ELEMENTS = 2**21
MOST_ROWS = 2**12
# One row here and one there of a mapped file may each make the 2 MB around it resident.
ROWS_OF_A_FILE = 64


class Scores(ABC):
    """Scores of queries against gallery entries: higher is more alike; minus infinity is out of the question.

    Attributes:
        shape: (Q, G).
        parallel: Several threads may make tiles at once, in any order, and it pays: not on a GPU, which one thread
            keeps busy, and not where all ranks make each tile together.
    """

    shape: tuple[int, int]
    parallel: bool = False

    @abstractmethod
    def of(self, query: Rows) -> Tile:
        """Return the function from gallery rows to the tile (q, g) of these query rows, which is the caller's own."""


Reranking = Callable[[Embeddings, Embeddings], Scores | tuple[Embeddings, Embeddings]]
"""From query and gallery to better scores, or to better vectors for both."""


class Cosine(Scores):
    """The cosine of the angle between two vectors, computed in float32 where the query's vectors are.

    On a CPU the same pair of rows gives the same bits in whichever tile it stands, so that ties stay ties and
    several processes find what one finds.

    Raises:
        ValueError: The two have different dimensions.
    """

    def __init__(self, query: Embeddings, gallery: Embeddings) -> None:
        if query.vectors.shape[1] != gallery.vectors.shape[1]:
            raise ValueError(
                f"expected vectors of one dimension, got {tuple(query.vectors.shape)} for the query and "
                f"{tuple(gallery.vectors.shape)} for the gallery: embed both with the same model"
            )
        self.query, self.gallery = query, gallery
        self.shape = (len(query), len(gallery))
        self.parallel = query.vectors.device.type == "cpu"

    def of(self, query: Rows) -> Tile:
        """Return the cosines of these query rows with any gallery rows."""
        anchors = unit_rows(self.query, query)

        def tile(gallery: Rows) -> Tensor:
            return product(anchors, unit_rows(self.gallery, gallery, device=anchors.device))

        return tile


class Inner(Scores):
    """The inner products of vectors (Q, D) and (G, D) as they are, which are cosines where all are at unit length."""

    def __init__(self, query: Tensor, gallery: Tensor) -> None:
        self.query, self.gallery = query, gallery
        self.shape = (len(query), len(gallery))
        self.parallel = query.device.type == "cpu"

    def of(self, query: Rows) -> Tile:
        """Return the products of these query rows with any gallery rows."""
        anchors = take(self.query, query)
        return lambda gallery: product(anchors, take(self.gallery, gallery))


class Elsewhere(Scores):
    """Scores with minus infinity wherever the gallery entry was seen at the query's own place.

    Args:
        scores: Scores of shape (Q, G).
        query_places: (Q,) integer codes.
        gallery_places: (G,) integer codes.
    """

    def __init__(self, scores: Scores, query_places: NDArray[np.intp], gallery_places: NDArray[np.intp]) -> None:
        self.scores, self.shape, self.parallel = scores, scores.shape, scores.parallel
        self.query_places, self.gallery_places = torch.from_numpy(query_places), torch.from_numpy(gallery_places)

    def of(self, query: Rows) -> Tile:
        """Return the scores of these query rows with any gallery rows, minus infinity in one place."""
        inner, places = self.scores.of(query), self.query_places[query]

        def tile(gallery: Rows) -> Tensor:
            found = inner(gallery)
            here = places[:, None] == self.gallery_places[gallery][None, :]
            return found.masked_fill_(here.to(found.device), -torch.inf)

        return tile


class Grouped(Scores):
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
        self.scores, self.across_ranks = scores, across_ranks
        self.shape = (scores.shape[0], num_groups)
        self.parallel = scores.parallel and not across_ranks
        self.members = np.argsort(groups, kind="stable")
        self.starts = np.searchsorted(groups[self.members], np.arange(num_groups + 1))

    def of(self, query: Rows) -> Tile:
        """Return the scores of these query rows with any groups; minus infinity for a group without members."""
        inner = self.scores.of(query)

        def tile(gallery: Rows) -> Tensor:
            groups = np.arange(self.shape[1])[gallery]
            lengths = self.starts[groups + 1] - self.starts[groups]
            found = inner(self.members[ranges(self.starts[groups], lengths)])
            member_of = torch.from_numpy(np.repeat(np.arange(len(groups)), lengths)).to(found.device)
            best = found.new_full((len(found), len(groups)), -torch.inf)
            best.scatter_reduce_(1, member_of.expand(len(found), -1), found, "amax")
            if self.across_ranks:
                dist.all_reduce(best, dist.ReduceOp.MAX)
            return best

        return tile


def unit_rows(embeddings: Embeddings, rows: Rows, *, device: torch.device | None = None) -> Tensor:
    """Return some vectors (n, D) at unit length, float32; a vector of zeros stays one.

    Raises:
        DataError: A vector is not finite.
    """
    vectors = _read(embeddings, rows).to(device or embeddings.vectors.device, torch.float32)
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    if not lengths.isfinite().all():
        first = int(lengths.isfinite().logical_not().nonzero()[0, 0])
        row = np.arange(len(embeddings))[rows][first]
        name = "" if embeddings.paths is None else f" ({embeddings.paths[row]})"
        raise DataError(f"expected finite vectors, got one that is not in row {row}{name}: look at the model's output")
    unit: Tensor = vectors / lengths.clamp(min=torch.finfo(torch.float32).tiny)
    embeddings.forget()
    return unit


def _read(embeddings: Embeddings, rows: Rows) -> Tensor:
    """Return some vectors (n, D); of a file, few enough at a time that the pages around them stay few."""
    if isinstance(rows, slice) or not embeddings.mapped or len(rows) <= ROWS_OF_A_FILE:
        return take(embeddings.vectors, rows)
    parts = []
    for part in chunks(len(rows), ROWS_OF_A_FILE):
        parts.append(take(embeddings.vectors, rows[part]))
        embeddings.forget()
    return torch.cat(parts)


def take(vectors: Tensor, rows: Rows) -> Tensor:
    """Return some rows of a tensor, which may stay a view."""
    if isinstance(rows, slice):
        return vectors[rows]
    # Several times as fast on a CPU as indexing.
    return vectors.index_select(0, torch.from_numpy(rows).to(vectors.device))


def product(anchors: Tensor, candidates: Tensor) -> Tensor:
    """Return ``anchors @ candidates.T`` (q, g), the same bits for the same pair of rows in a tile of any shape."""
    q, g = len(anchors), len(candidates)
    if q < SMALLEST_SIDE:
        anchors = F.pad(anchors, (0, 0, 0, SMALLEST_SIDE - q))
    if g < SMALLEST_SIDE:
        candidates = F.pad(candidates, (0, 0, 0, SMALLEST_SIDE - g))
    return torch.mm(anchors, candidates.T)[:q, :g].contiguous()


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


def chunks(total: int, size: int) -> Iterator[slice]:
    """Cut 0..total into slices of at most ``size``."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
