"""k-reciprocal re-ranking on sparse lists against the algorithm as published, on dense matrices.

Dimensions: Q queries, G gallery pictures, N = Q + G, D components.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from benchmarks.evaluation import drawn
from benchmarks.memory import MB, fastest, peak_of, use_all_cores, verdict
from numpy.typing import NDArray

from reseen.evaluation import Report, evaluate
from reseen.evaluation.reranking import k_reciprocal
from reseen.protocols import cross_camera
from reseen.types import Embeddings

SMALL = (2_000, 6_000, 512)
LARGE = (10_000, 90_000, 512)
K1, K2, WEIGHT = 20, 6, 0.3


def sides(Q: int, G: int, D: int) -> tuple[Embeddings, Embeddings]:
    identities = (Q + G) // 16
    return drawn(Q, D, identities=identities, seed=0), drawn(G, D, identities=identities, seed=1)


def dense(query: Embeddings, gallery: Embeddings) -> NDArray[np.float32]:
    """Return the distances (Q, G) by matrices (N, N): all distances, their full order, codes, and their overlap."""
    original, jaccard = dense_distances(torch.cat([query.vectors, gallery.vectors]), len(query))
    final: NDArray[np.float32] = ((1 - WEIGHT) * jaccard + WEIGHT * original)[:, len(query) :]
    return final


def dense_distances(vectors: torch.Tensor, Q: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return original and Jaccard distances (Q, N) of the first Q vectors to all N."""
    unit = torch.nn.functional.normalize(vectors)
    original = (2 - 2 * unit @ unit.T).numpy()
    original = (original / original.max(axis=0)).T
    order = np.argsort(original, axis=1).astype(np.int32)
    code = np.zeros_like(original)
    for i in range(len(unit)):
        near = _mutual(order, i, K1)
        wider = near
        for j in near:
            theirs = _mutual(order, j, round(K1 / 2))
            if len(np.intersect1d(theirs, near)) > 2 / 3 * len(theirs):
                wider = np.append(wider, theirs)
        wider = np.unique(wider)
        weights = np.exp(-original[i, wider])
        code[i, wider] = weights / weights.sum()
    original = original[:Q]
    code = np.stack([code[order[i, :K2]].mean(axis=0) for i in range(len(unit))])
    del order
    holders = [np.flatnonzero(code[:, j]) for j in range(len(unit))]
    jaccard = np.empty_like(original)
    for i in range(Q):
        shared = np.zeros(len(unit), np.float32)
        for j in np.flatnonzero(code[i]):
            shared[holders[j]] += np.minimum(code[i, j], code[holders[j], j])
        jaccard[i] = 1 - shared / (2 - shared)
    return original, jaccard


def _mutual(order: NDArray[np.int32], i: int, k: int) -> NDArray[np.int32]:
    forward = order[i, : k + 1]
    mutual: NDArray[np.int32] = forward[(order[forward, : k + 1] == i).any(axis=1)]
    return mutual


def sparse(query: Embeddings, gallery: Embeddings) -> NDArray[np.float32]:
    return k_reciprocal(k1=K1, k2=K2, weight=WEIGHT)(query, gallery).distances().numpy()


def dense_work() -> Callable[[], NDArray[np.float32]]:
    query, gallery = sides(*SMALL)
    return lambda: dense(query, gallery)


def sparse_work() -> Callable[[], NDArray[np.float32]]:
    query, gallery = sides(*SMALL)
    return lambda: sparse(query, gallery)


def large() -> Callable[[], Report]:
    query, gallery = sides(*LARGE)
    return lambda: evaluate(query, gallery, cross_camera, reranking=k_reciprocal(k1=K1, k2=K2, weight=WEIGHT))


def main() -> None:
    use_all_cores()
    query, gallery = sides(*SMALL)
    N = len(query) + len(gallery)
    np.testing.assert_allclose(sparse(query, gallery), dense(query, gallery), atol=1e-5)
    unit = torch.cat([query.vectors, gallery.vectors])
    product, ours, published = fastest(
        lambda: unit @ unit.T, lambda: sparse(query, gallery), lambda: dense(query, gallery), repeats=2
    )
    print(
        f"k-reciprocal re-ranking of {N:,} x {SMALL[2]}: {ours:.2f} s; dense {published:.2f} s, product {product:.2f} s"
    )
    verdict("time over the dense algorithm's", ours / published, most=1 / 8)
    memory = [peak_of(work).above for work in (sparse_work, dense_work)]
    print(f"  memory above the features: {memory[0] / MB:.0f} MB, dense {memory[1] / MB:.0f} MB")
    verdict("memory over the dense algorithm's", memory[0] / memory[1], most=1 / 4)

    peak = peak_of(large)
    print(f"k-reciprocal re-ranking and evaluation of {sum(LARGE[:2]):,} x {LARGE[2]}: {peak.seconds:.0f} s")
    verdict("MB in all", peak.total / MB, most=8192)


if __name__ == "__main__":
    main()
