"""Query expansion and database augmentation: a vector moves towards its nearest gallery vectors.

Dimensions: N vectors, D components, k neighbours.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from reseen.evaluation.reranking.neighbours import nearest
from reseen.evaluation.similarity import MAX_ROWS, Cosine, unit_rows
from reseen.slicing import chunks
from reseen.types import Embeddings


def average_query_expansion(*, k: int = 5) -> Expansion:
    """Query expansion: each query becomes the mean of itself and its ``k`` nearest gallery vectors, all at unit length.

    From Total Recall (Chum et al., ICCV 2007). Cameras and identities play no part.
    """
    return Expansion(k, power=0.0, of_query=True)


def alpha_query_expansion(*, k: int = 10, power: float = 3.0) -> Expansion:
    """As :func:`average_query_expansion`, each neighbour weighted by a power of its cosine (0 where that is negative).

    From Radenović et al., arXiv:1711.02512, where the power is called alpha.
    """
    return Expansion(k, power=power, of_query=True)


def database_augmentation(*, k: int = 10, power: float = 3.0) -> Expansion:
    """Each gallery vector becomes the weighted mean of itself and its ``k`` nearest other gallery vectors.

    The gallery's side of :func:`alpha_query_expansion`, with its weights; ``power=0`` is the plain mean. From Turcot
    and Lowe, ICCV workshops 2009, and Gordo et al., arXiv:1610.07940. The new gallery is held in memory.
    """
    return Expansion(k, power=power, of_query=False)


@dataclass(frozen=True)
class Expansion:
    """Re-ranking that gives query or gallery new vectors; see the three functions of this module.

    Attributes:
        k: Neighbours taken in.
        power: Of the cosine that weights them.
        of_query: Whether the query changes, or the gallery.
    """

    k: int
    power: float
    of_query: bool

    def __post_init__(self) -> None:
        if self.k < 1 or self.power < 0:
            raise ValueError(f"expected k of at least 1 and a power of at least 0, got k {self.k}, power {self.power}")

    def __call__(self, query: Embeddings, gallery: Embeddings) -> tuple[Embeddings, Embeddings]:
        """Return query and gallery, one of them with new vectors (N, D), float32, of unit length."""
        if self.of_query:
            return self._expanded(query, gallery, k=self.k, itself=1), gallery
        # A gallery vector finds itself among its nearest, and first, unless another is equal to it.
        return query, self._expanded(gallery, gallery, k=self.k + 1, itself=0)

    def _expanded(self, embeddings: Embeddings, gallery: Embeddings, *, k: int, itself: int) -> Embeddings:
        nearby = nearest(Cosine(embeddings, gallery), k)
        vectors = embeddings.vectors.new_empty(embeddings.vectors.shape, dtype=torch.float32)
        for part in chunks(len(embeddings), max(1, MAX_ROWS // k)):
            neighbours = unit_rows(gallery, nearby.rows[part].reshape(-1), device=vectors.device)
            weights = torch.from_numpy(nearby.scores[part]).to(vectors).clamp(min=0) ** self.power
            mean = torch.einsum("nk, nkd -> nd", weights, neighbours.view(*weights.shape, -1))
            vectors[part] = torch.nn.functional.normalize(mean + itself * unit_rows(embeddings, part))
        return dataclasses.replace(embeddings, vectors=vectors)
