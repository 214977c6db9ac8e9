"""The nearest of an array of unit vectors: exactly, or about, by inverted lists of compressed vectors.

Dimensions: N vectors, Q queries, D components of a vector, k answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from reseen.exact import MARGIN, cosines
from reseen.slicing import chunks

ABSENT = -1
"""The position of an absent answer."""
PAIRS_AT_ONCE = 2**8
"""Pairs whose cosines are computed at once, which stay near the core."""
ROUNDING = 2**-24
"""The least that an inner product in float32 may be off."""
PER_LIST = 40
"""Vectors that the centre of a list is learnt from; FAISS warns of fewer than 39."""
NEAREST = 10
"""The wanted recall is that of so many."""
SPARE = 8
"""Answers that are looked for besides those wanted, of which several may be as good as the last."""
MIN_TO_COMPRESS = 100
"""Fewer vectors than this are not enough to learn how to compress them."""

Vectors = NDArray[np.float32]
Nearest = tuple[NDArray[Any], NDArray[np.int64]]
"""Similarities and positions (Q, k), best first."""


def kept_share(mask: NDArray[np.bool_] | None) -> float:
    """Return the share of the rows that are kept."""
    return 1.0 if mask is None else float(mask.mean())


def selector(mask: NDArray[np.bool_] | None) -> tuple[Any, Any]:
    """Return FAISS's selector of the rows kept, and the bits that it reads (which must outlive it)."""
    if mask is None:
        return None, None
    bits = np.packbits(mask, bitorder="little")
    return faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits)), bits


def search_exactly(vectors: Vectors, queries: Vectors, k: int, mask: NDArray[np.bool_] | None = None) -> Nearest:
    """Return the best among the rows kept of vectors (N, D), by their cosines in float64; of equals the first rows.

    FAISS finds in float32 a few more than are wanted, and those near enough to the last are put in order exactly. The
    bound on its error is calibrated on these, the most alike of all (see `reseen.evaluation.rounding`).
    """
    similarity = np.full((len(queries), k), -np.inf)
    position = np.full((len(queries), k), ABSENT)
    unfinished, depth = np.arange(len(queries)), k + SPARE
    while len(unfinished):
        depth = min(depth, len(vectors))
        about, near = knn(vectors, queries[unfinished], depth, mask)
        # Where even the last that was found could be among the best, so could others.
        row, column = (near != ABSENT).nonzero()
        exact = np.full(near.shape, -np.inf)
        exact[row, column] = similarities(vectors, queries, unfinished[row], near[row, column])
        error = MARGIN * np.abs(exact[row, column] - about[row, column]).max(initial=ROUNDING)
        order = np.lexsort((near, -exact), axis=1)[:, :k]
        similarity[unfinished, : order.shape[1]] = np.take_along_axis(exact, order, axis=1)
        position[unfinished, : order.shape[1]] = np.take_along_axis(near, order, axis=1)
        full = (depth < len(vectors)) & (near[:, -1] != ABSENT)
        unfinished = unfinished[full & (about[:, -1] >= similarity[unfinished, -1] - error)]
        depth = 4 * depth
    return similarity, position


def knn(vectors: Vectors, queries: Vectors, k: int, mask: NDArray[np.bool_] | None) -> Nearest:
    """Return the best among the rows kept of vectors (N, D) by FAISS's inner products, with its order of equals."""
    similarity = np.empty((len(queries), k), np.float32)
    position = np.empty((len(queries), k), np.int64)
    chosen, _bits = selector(mask)
    inputs = faiss.swig_ptr(queries), faiss.swig_ptr(vectors)
    outputs = faiss.swig_ptr(similarity), faiss.swig_ptr(position)
    sizes = vectors.shape[1], len(queries), len(vectors), k
    faiss.knn_inner_product(*inputs, *sizes, *outputs, chosen)
    return similarity, position


def similarities(
    vectors: Vectors, queries: Vectors, query: NDArray[np.intp], position: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the cosines (n,) of pairs of a query and a vector in float64, the same bits on any machine."""
    similarity = np.empty(len(query))
    for part in chunks(len(query), PAIRS_AT_ONCE):
        similarity[part] = cosines(queries[query[part]], vectors[position[part]])
    return similarity


def search_lists(
    lists: Any, vectors: Vectors, queries: Vectors, k: int, mask: NDArray[np.bool_] | None = None
) -> Nearest:
    """Return about the best among the rows kept of the vectors (N, D) that the lists were made of.

    More lists are looked into the fewer rows are kept. Compressed vectors give the candidates, ten times as many as
    answers and a hundred more; the vectors themselves give their order.
    """
    chosen, _bits = selector(mask)
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = min(lists.nlist, int(np.ceil(lists.nprobe / max(kept_share(mask), 1e-9))))
    parameters.sel = chosen
    depth = 10 * k + 100
    similarity = np.full((len(queries), k), -np.inf)
    position = np.full((len(queries), k), ABSENT)
    for row, query in enumerate(queries):
        candidates = lists.search(query[None], depth, params=parameters)[1][0]
        candidates = candidates[candidates != ABSENT]
        scores = similarities(vectors, query[None], np.zeros(len(candidates), np.intp), candidates)
        best = np.lexsort((candidates, -scores))[:k]
        similarity[row, : len(best)], position[row, : len(best)] = scores[best], candidates[best]
    return similarity, position


def make_lists(vectors: Vectors, *, recall: float, seed: int = 0) -> Any:
    """Sort unit vectors (N, D), a hundred or more, into about sqrt(N) inverted lists.

    In the lists a vector takes four bits for every four components (product quantization, Jegou et al., 2011, in
    FAISS's layout for vector instructions), a thirty-second of its size, and as much less time to look at. More and
    more lists are looked into until, over 256 of the vectors, ``recall`` of each one's ten nearest others are found.
    """
    count, dim = vectors.shape
    number = max(1, min(int(count**0.5), count // PER_LIST))
    parts = next(m for m in range(-(-dim // 4), dim + 1) if dim % m == 0)
    lists = faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(dim), dim, number, parts, 4, faiss.METRIC_INNER_PRODUCT)
    lists.pq.cp.min_points_per_centroid = 1  # Few vectors need no warning: they are scored exactly in the end.
    generator = np.random.default_rng(seed)
    lists.train(vectors[np.sort(generator.permutation(count)[: max(1000, PER_LIST * number)])])
    for part in chunks(count, 65536):
        lists.add(vectors[part])
    probes = vectors[generator.permutation(count)[:256]]
    truth = search_exactly(vectors, probes, 1 + NEAREST)[1]
    for lists.nprobe in looked_into(number):
        if measure_recall(search_lists(lists, vectors, probes, truth.shape[1])[1], truth) >= recall:
            break
    return lists


def looked_into(number: int) -> Iterator[int]:
    """Yield 1, and about a third more each time, up to a number."""
    some = 1
    while some < number:
        yield some
        some = int(1.3 * some) + 1
    yield number


def measure_recall(neighbours: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Return the share of the true neighbours (Q, k), the query itself (the first) left out, that was found."""
    hits = [len(np.intersect1d(f, t[1:])) for f, t in zip(neighbours, truth, strict=True)]
    return sum(hits) / max(1, truth[:, 1:].size)
