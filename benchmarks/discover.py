"""Grouping of unlabelled pictures by sparse Jaccard distances against the dense way, N x N matrices throughout.

Dimensions: N pictures, D components.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from benchmarks.evaluation import BLOCK, drawn
from benchmarks.memory import MB, fastest, peak_of, use_all_cores, verdict
from benchmarks.reranking import dense_distances
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from reseen.discovery import Clustering, Individuals, Links, discover, group
from reseen.discovery.agreement import agreement
from reseen.types import Embeddings

SMALL = (6_000, 512)
LARGE = (100_000, 512)
OF_EACH = 16
OPTIONS = Clustering(eps=0.5, k1=20, k2=6, camera_means=False)


def pictures(N: int, D: int) -> Embeddings:
    """Draw pictures of people who can be told apart, by six cameras."""
    seen = drawn(N, D, identities=N // OF_EACH, seed=0)
    centres = torch.randn(N // OF_EACH, D, generator=torch.Generator().manual_seed(1))
    for start in range(0, N, BLOCK):
        seen.vectors[start : start + BLOCK] += 0.4 * centres[torch.from_numpy(seen.identities[start : start + BLOCK])]
    return seen


def sparse(seen: Embeddings) -> NDArray[np.int64]:
    return group(seen, OPTIONS, Links.none()).labels


def dense(seen: Embeddings) -> NDArray[np.int64]:
    """Return the groups by DBSCAN on the published re-ranking's matrices (N, N)."""
    _, distances = dense_distances(seen.vectors, len(seen))
    found = DBSCAN(eps=OPTIONS.eps, min_samples=OPTIONS.min_samples, metric="precomputed")
    labels: NDArray[np.int64] = found.fit_predict(np.maximum(distances, 0))
    return labels


def sparse_work() -> Callable[[], NDArray[np.int64]]:
    seen = pictures(*SMALL)
    return lambda: sparse(seen)


def dense_work() -> Callable[[], NDArray[np.int64]]:
    seen = pictures(*SMALL)
    return lambda: dense(seen)


def large() -> Callable[[], Individuals]:
    seen = pictures(*LARGE)

    def work() -> Individuals:
        found = discover(seen, Clustering(camera_means=False), num_questions=100)
        ari = agreement([str(who) for who in seen.identities], [str(label) for label in found.clusters.labels]).ari
        low, high = found.interval
        print(f"  {found.clusters.count:,} groups, eps {found.clusters.eps}, ARI {ari:.3f}")
        print(f"  of {LARGE[0] // OF_EACH:,} individuals, {low:,} to {high:,} are expected")
        print(f"  {len(found.questions)} questions")
        return found

    return work


def main() -> None:
    use_all_cores()
    seen = pictures(*SMALL)
    assert adjusted_rand_score(sparse(seen), dense(seen)) > 0.999
    ours, published = fastest(lambda: sparse(seen), lambda: dense(seen), repeats=1)
    print(f"groups of {SMALL[0]:,} x {SMALL[1]}: {ours:.1f} s, dense {published:.1f} s")
    verdict("time over the dense way's", ours / published, most=1 / 4)
    memory = [peak_of(work).above for work in (sparse_work, dense_work)]
    print(f"  memory above the features: {memory[0] / MB:.0f} MB, dense {memory[1] / MB:.0f} MB")
    verdict("memory over the dense way's", memory[0] / memory[1], most=1 / 2)
    peak = peak_of(large)
    print(f"discovery in {LARGE[0]:,} x {LARGE[1]}, nine radii, with questions: {peak.seconds:.0f} s")
    verdict("seconds", peak.seconds, most=600)
    verdict("MB in all", peak.total / MB, most=8192)


if __name__ == "__main__":
    main()
