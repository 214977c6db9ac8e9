"""k-reciprocal encoding (Zhong et al., arXiv:1701.08398) on sparse neighbour lists.

Two pictures are alike when they share neighbours that also have them for neighbours. The published code keeps several
dense N x N matrices; here each picture's code is the sparse row it is, and distances are made a tile at a time.

Dimensions: Q queries, G gallery pictures, N = Q + G; q and g are the rows of one tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.evaluation.reranking.neighbours import nearest
from reseen.evaluation.similarity import TILE_ELEMENTS, Codes, Cosine, Rows, Scores, TileFunction, ranges
from reseen.exact import Floats
from reseen.slicing import chunks
from reseen.types import Embeddings

Sparse = Any  # scipy.sparse.csr_array, which has no types

SHARED_CHUNK = 2**17


def k_reciprocal(*, k1: int = 20, k2: int = 6, weight: float = 0.3) -> KReciprocal:
    """Return the re-ranking by k-reciprocal encoding, a function from query and gallery to better scores.

    Args:
        k1: Neighbours that have to be mutual.
        k2: Neighbours over which a picture's code is averaged; 1 for its own alone.
        weight: Share of the original distance in the final one, from 0 to 1; the paper's lambda.

    Raises:
        ValueError: A number is out of its range.
    """
    if k1 < 1 or not 1 <= k2 <= k1 + 1 or not 0 <= weight <= 1:
        raise ValueError(
            f"expected k1 >= 1, 1 <= k2 <= k1 + 1, 0 <= weight <= 1, got k1 {k1}, k2 {k2}, weight {weight}"
        )
    return KReciprocal(k1, k2, weight)


@dataclass(frozen=True)
class KReciprocal:
    """Re-ranking by k-reciprocal encoding; see :func:`k_reciprocal`."""

    k1: int
    k2: int
    weight: float

    def __call__(self, query: Embeddings, gallery: Embeddings) -> JaccardScores:
        """Encode every picture by its mutual neighbours among all pictures, queries included.

        Cameras and identities play no part. The vectors are copied; besides, memory grows with N times ``k1``.
        """
        device = query.vectors.device
        every = Embeddings(torch.cat([query.vectors, gallery.vectors.to(device)]), np.zeros(len(query) + len(gallery)))
        code, farthest = self._codes(every)
        Q = len(query)
        return JaccardScores(Cosine(query, gallery), code[:Q].tocsr(), code[Q:].tocsr(), farthest[:Q], self.weight)

    def neighbour_distances(self, every: Embeddings) -> Sparse:
        """Return the Jaccard distances (N, N) between all pictures of one set, as clustering wants them.

        Args:
            every: N pictures.

        Returns:
            A sparse float32 matrix, symmetric to the bit, without its diagonal: pairs that share no neighbour, whose
            distance is 1, are not stored, and pairs of equal codes, whose distance is 0, are.

        Note:
            ``weight`` plays no part: as in what clusters by these distances (as Cluster Contrast, arXiv:2103.11568),
            the original distance is left out.
        """
        if not len(every):
            return sparse.csr_array((0, 0), dtype=np.float32)
        code, _ = self._codes(every)
        code = code.tocsr()
        code.sort_indices()  # Components are then added in one order from either side.
        by_component = code.tocsc()
        N = len(every)
        parts = []
        for part in chunks(N, max(1, TILE_ELEMENTS // max(1, N))):
            shared = _shared(code[part], by_component)
            shared[np.arange(len(shared)), np.arange(part.start, part.stop)] = 0
            row, column = np.nonzero(shared)
            met = shared[row, column]
            start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(shared)))])
            distance = np.maximum(1 - met / (2 - met), 0).astype(np.float32)
            parts.append(sparse.csr_array((distance, column.astype(np.int32), start), shape=shared.shape))
        return sparse.vstack(parts, format="csr")

    def _codes(self, every: Embeddings) -> tuple[Sparse, Floats]:
        """Return each picture's code (N, N), rows adding to one, and its squared distance to the farthest (N,)."""
        cosine = Cosine(every, every)
        nearby = nearest(cosine, self.k1 + 1)
        # Above zero: where all pictures are equal there is nothing to scale by.
        farthest = np.maximum(2 - 2 * nearby.lowest, np.finfo(np.float32).eps)
        code = _weighted(_expanded(nearby.rows, self.k1), cosine, farthest)
        if self.k2 > 1:
            nearest_few = nearby.rows[:, : self.k2]
            code = _listed(nearest_few, 1 / nearest_few.shape[1]) @ code
        return code, farthest


class JaccardScores(Scores):
    """Minus the re-ranked distance: Jaccard distance of codes, mixed with the original one.

    Args:
        cosine: (Q, G) original scores.
        query_code: (Q, N) sparse, rows add to one.
        gallery_code: (G, N).
        farthest: (Q,) squared distance of each query's farthest picture, which scales the original distances to 1.
        weight: Share of the original distance.
    """

    def __init__(
        self, cosine: Cosine, query_code: Sparse, gallery_code: Sparse, farthest: Floats, weight: float
    ) -> None:
        self.cosine, self.weight, self.farthest = cosine, weight, farthest
        self.shape, self.parallel, self.rounding = cosine.shape, cosine.parallel, cosine.rounding
        self.query_code, self.gallery_code = query_code, gallery_code

    def rows(self, query: Rows) -> TileFunction:
        """Return the scores of these query rows with any gallery rows, from -1 to 0."""
        cosine_of, code = self.cosine.rows(query), self.query_code[query]
        farthest = torch.from_numpy(self.farthest[query])[:, None]

        def tile(gallery: Rows) -> Tensor:
            cosine = cosine_of(gallery)
            original = (2 - 2 * cosine) / farthest.to(cosine)
            shared = torch.from_numpy(_shared(code, self.gallery_code[gallery].tocsc())).to(cosine)
            jaccard = 1 - shared / (2 - shared)
            return -torch.lerp(jaccard, original, self.weight)

        return tile

    def exact(self, query: Codes, gallery: Codes) -> Floats:
        """Return the scores (n,) of pairs in float64."""
        original = (2 - 2 * self.cosine.exact(query, gallery)) / self.farthest[query]
        shared = np.empty(len(query))
        for part in chunks(len(query), SHARED_CHUNK // 2**4):
            shared[part] = self.query_code[query[part]].minimum(self.gallery_code[gallery[part]]).sum(axis=1)
        jaccard = 1 - shared / (2 - shared)
        scores: Floats = -(jaccard + self.weight * (original - jaccard))
        return scores

    def double(self) -> JaccardScores:
        """Return the same scores with tiles in float64."""
        cosine = self.cosine.double()
        if cosine is self.cosine:
            return self
        return JaccardScores(cosine, self.query_code, self.gallery_code, self.farthest, self.weight)

    def distances(self, query: Rows = slice(None), gallery: Rows = slice(None)) -> Tensor:
        """Return the re-ranked distances (q, g) of some rows; all of them, by default, which is a Q x G matrix."""
        rows, columns = (np.arange(n)[r] for n, r in zip(self.shape, (query, gallery), strict=True))
        distances = torch.empty(len(rows), len(columns))
        for part in chunks(len(rows), max(1, TILE_ELEMENTS // max(1, len(columns)))):
            distances[part] = -self.rows(rows[part])(columns)
        return distances


def _expanded(neighbours: NDArray[np.intp], k1: int) -> Sparse:
    """Return as a bool matrix (N, N) each picture's mutual neighbours and, of those it shares most with, theirs.

    A neighbour's own mutual neighbours, counted with half of ``k1``, come in when more than two thirds of them are in
    already.
    """
    mutual = _mutual(neighbours)
    closest = _mutual(neighbours[:, : round(k1 / 2) + 1])
    shared = (mutual @ closest.T) * mutual
    shared = shared.tocoo()
    size = np.diff(closest.indptr)
    enough = 3 * shared.data > 2 * size[shared.col]
    taken = sparse.csr_array((shared.data[enough], (shared.row[enough], shared.col[enough])), shape=mutual.shape)
    return mutual + taken @ closest


def _mutual(neighbours: NDArray[np.intp]) -> Sparse:
    listed = _listed(neighbours, 1)
    return (listed * listed.T).tocsr()


def _listed(neighbours: NDArray[np.intp], value: float) -> Sparse:
    """Return neighbour lists (N, k) as a sparse matrix (N, N) with one value wherever a row lists a column."""
    N, k = neighbours.shape
    data = np.full(N * k, value)
    return sparse.csr_array((data, neighbours.reshape(-1), np.arange(0, N * k + 1, k)), shape=(N, N))


def _weighted(pattern: Sparse, cosine: Cosine, farthest: Floats) -> Sparse:
    """Return the pattern with the weight exp(-distance) of each pair, every row scaled to add to one."""
    pairs = pattern.tocoo()
    weights = np.exp(-(2 - 2 * cosine.exact(pairs.row, pairs.col)) / farthest[pairs.row])
    weights /= np.bincount(pairs.row, weights=weights, minlength=len(farthest))[pairs.row]
    return sparse.csr_array((weights, (pairs.row, pairs.col)), shape=pattern.shape)


def _shared(query: Sparse, by_component: Sparse) -> Floats:
    """Return the sum over components of the smaller of two codes' entries, (q, g), the gallery's by columns."""
    q, g = query.shape[0], by_component.shape[0]
    total = np.empty((q, g))
    lengths = np.diff(by_component.indptr)[query.indices]
    before = np.concatenate([[0], np.cumsum(lengths)])[query.indptr]
    start = 0
    while start < q:
        # As many queries as have a bounded number of shared entries between them, and one at least.
        stop = max(start + 1, int(np.searchsorted(before, before[start] + SHARED_CHUNK, side="right")) - 1)
        entries = slice(query.indptr[start], query.indptr[stop])
        component, length = query.indices[entries], lengths[entries]
        met = ranges(by_component.indptr[component].astype(np.intp), length)
        row = np.repeat(np.arange(stop - start), np.diff(query.indptr[start : stop + 1]))
        place = np.repeat(row * g, length) + by_component.indices[met]
        smaller = np.minimum(np.repeat(query.data[entries], length), by_component.data[met])
        total[start:stop] = np.bincount(place, weights=smaller, minlength=(stop - start) * g).reshape(-1, g)
        start = stop
    return total
